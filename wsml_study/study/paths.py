"""Label and weight files that a study file names."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from wsml_study.data.label_files import HUB
from wsml_study.study.backbone_library import is_weights_file
from wsml_study.study.spec import Draft

LABEL_FILES = ("file", "test_file", "classes")


def named_files(study: Draft) -> dict[str, str]:
    """Path -> dotted key, for every file that a trial may read, except those inside `data.root` and of the hub."""
    return {path: key for key, path in _named(study) if not is_downloaded(path)}


def is_downloaded(path: str) -> bool:
    """Whether a path is an address of the hub, which every machine downloads from."""
    return path.startswith(HUB)


def _files_of(path: str) -> list[str]:
    """The files that a name with `*` stands for; the name itself if it has none, or if there are none."""
    if is_downloaded(path) or "*" not in Path(path).name:
        return [path]
    return sorted(map(str, Path(path).parent.glob(Path(path).name))) or [path]


def _named(study: Draft) -> Iterator[tuple[str, str]]:
    for name in LABEL_FILES if study.data.labels is not None else ():
        path = getattr(study.data.labels, name)
        if path is not None:
            yield from ((f"data.labels.{name}", one) for one in _files_of(path))
    for name in ("class_list", "test_list"):
        path = getattr(study.data, name)
        if path is not None:
            yield f"data.{name}", path
    if study.data.observe.semantic is not None:
        yield "data.observe.semantic", study.data.observe.semantic
    if study.data.pseudo_labels is not None:
        yield "data.pseudo_labels", study.data.pseudo_labels
    searched = study.varied.get("model.weights")
    at_levels = [level.set.get("model.weights") for level in study.fidelity or ()]
    for weights in (study.model.weights, *at_levels, *(searched.choice or () if searched is not None else ())):
        if isinstance(weights, str) and is_weights_file(weights):
            yield "model.weights", weights
    for backbone, weights in (study.weights_of or {}).items():
        if is_weights_file(weights):
            yield f"weights_of.{backbone}", weights
