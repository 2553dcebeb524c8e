"""A trained model as files: weights, config, class names, what images it takes, metrics, a model card."""

from __future__ import annotations

import json
from collections.abc import Callable
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
    """Write a model folder, the weights last: a folder with weights is complete.

    Args:
        folder: created if absent; what it holds of an earlier model is replaced.
        name: of the training.
        config: what trained the model.
        provenance: where the config comes from.
        metrics: what `TestResult` says, as plain data.
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
    """See that a folder holds a whole model.

    Raises:
        ResultsError: it does not; the message names the models in the folders below it.
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
    raise ResultsError(f"{folder} is no whole model: it has no {', '.join(missing)}; `wsml-study train` writes it")


def _metrics(metrics: dict[str, Any]) -> dict[str, Any]:
    ap_by_class = dict(zip(metrics["classes"], metrics["test_ap_C"], strict=True))
    summary = {key: metrics[key] for key in ("best_epoch", "best_val_map", "test_map", "num_images", "test_metrics")}
    return summary | {"test_ap": ap_by_class}


def _json(content: Any) -> bytes:
    return (json.dumps(content, indent=2) + "\n").encode()
