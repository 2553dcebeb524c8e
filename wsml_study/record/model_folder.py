"""The folder of a trained model: weights, config, class names, preprocessing, metrics, model card."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wsml_study.errors import ResultsError
from wsml_study.record.files import write_whole
from wsml_study.study.provenance_section import Provenance
from wsml_study.study.spec import Study, TrialConfig
from wsml_study.study.writing import dump_config

WEIGHTS_FILE = "model.safetensors"
CONFIG_FILE = "config.yaml"
CLASSES_FILE = "classes.json"
PREPROCESSING_FILE = "preprocessing.json"
METRICS_FILE = "metrics.json"
CARD_FILE = "README.md"

LARGEST_SIDE = 2048
"""Pixels; the largest `data.image_size` of a study file."""

MOST_SHOWN = 60
REMEDY = "copy the model's folder again, or train it again"

ModelCard = Callable[[Path, Study, dict[str, Any]], str]
"""Model folder, the config as a study, metrics -> the model card, Markdown."""


def write_model_folder(
    folder: Path,
    *,
    name: str,
    config: TrialConfig,
    provenance: Provenance | None,
    metrics: dict[str, Any],
    weights: bytes,
    card: ModelCard,
) -> None:
    """Write a model folder, with the weights last, so that a folder with weights is complete.

    Args:
        folder: created if absent; files of an earlier model are replaced.
        name: of the training.
        config: that the model was trained with.
        provenance: study and trial of the config.
        metrics: fields of `TestResult`, as plain data.
        weights: in the safetensors format.
        card: writes the model card.
    """
    study = Study.of_trial(config, name=name, provenance=provenance)
    write_whole(folder / CONFIG_FILE, dump_config(study).encode())
    write_whole(folder / CLASSES_FILE, _json(list(metrics["classes"])))
    write_whole(folder / PREPROCESSING_FILE, _json(metrics["preprocessing"]))
    write_whole(folder / METRICS_FILE, _json(_metrics(metrics)))
    write_whole(folder / CARD_FILE, card(folder, study, metrics).encode())
    write_whole(folder / WEIGHTS_FILE, weights)


def check_model_folder(folder: Path) -> None:
    """Check that a folder holds a complete model.

    Raises:
        ResultsError: it does not; the message names models in subfolders, if any.
    """
    files = (WEIGHTS_FILE, CONFIG_FILE, CLASSES_FILE, PREPROCESSING_FILE, METRICS_FILE)
    missing = [name for name in files if not (folder / name).is_file()]
    if not missing:
        return
    if not folder.is_dir():
        raise ResultsError(f"{folder}: expected a model's folder, got {'a file' if folder.exists() else 'nothing'}")
    models = sorted(path.parent for path in folder.glob(f"*/{WEIGHTS_FILE}"))
    if models:
        raise ResultsError(f"{folder} holds several models: name one of {', '.join(map(str, models[:10]))}")
    raise ResultsError(
        f"{folder} is not a complete model: it lacks {', '.join(missing)}; `wsml-study train` writes model folders"
    )


@dataclass(frozen=True, kw_only=True)
class ModelFiles:
    """Content of the JSON files of a model folder.

    Attributes:
        classes: C names.
        image_size: width and height in pixels; 0 for models of given features.
        channels: 1 for gray, 3 for RGB; 0 for models of given features.
        num_features: number of input features; None for models of images.
    """

    classes: tuple[str, ...]
    image_size: int = 0
    channels: int = 0
    num_features: int | None = None


def read_model_files(folder: Path) -> ModelFiles:
    """Read the class names and the input format of a model.

    Raises:
        ResultsError: a file is damaged or has other content; the message names the file and what was expected.
    """
    path = folder / CLASSES_FILE
    names = _read_json(path)
    if not _are_names(names):
        raise ResultsError(f"{path}: expected a list of different class names, got {_shown(names)}; {REMEDY}")
    classes = tuple(names)
    path = folder / PREPROCESSING_FILE
    taken = _read_json(path)
    if not isinstance(taken, dict):
        raise ResultsError(f"{path}: expected an object with image_size and channels, got {_shown(taken)}; {REMEDY}")
    if "features" in taken:
        return ModelFiles(classes=classes, num_features=_whole(path, taken, "features", range(1, 2**31)))
    return ModelFiles(
        classes=classes,
        image_size=_whole(path, taken, "image_size", range(1, LARGEST_SIDE + 1)),
        channels=_whole(path, taken, "channels", (1, 3)),
    )


def _are_names(content: Any) -> bool:
    texts = isinstance(content, list) and all(isinstance(name, str) and name for name in content)
    return texts and 0 < len(content) == len(set(content))


def _whole(path: Path, content: dict[str, Any], key: str, allowed: range | tuple[int, ...]) -> int:
    value = content.get(key)
    if isinstance(value, int) and not isinstance(value, bool) and value in allowed:
        return value
    expected = f"{allowed[0]} to {allowed[-1]}" if isinstance(allowed, range) else " or ".join(map(str, allowed))
    raise ResultsError(f"{path}: {key}: expected a whole number, {expected}, got {_shown(value)}; {REMEDY}")


def _shown(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}..."


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:  # RecursionError: deeply nested brackets
        reason = getattr(error, "strerror", None) or error
        raise ResultsError(f"{path}: cannot be read as JSON ({reason}); {REMEDY}") from error


def _metrics(metrics: dict[str, Any]) -> dict[str, Any]:
    ap_by_class = dict(zip(metrics["classes"], metrics["test_ap_C"], strict=True))
    summary = {key: metrics[key] for key in ("best_epoch", "best_val_map", "test_map", "num_images", "test_metrics")}
    return summary | {"num_val_classes": metrics.get("num_val_classes"), "test_ap": ap_by_class}


def _json(content: Any) -> bytes:
    return (json.dumps(content, indent=2) + "\n").encode()
