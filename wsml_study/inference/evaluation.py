"""Evaluation of a model on labelled images: mAP, AP per class and further metrics.

Shapes: N images, M of them evaluated, C classes.
"""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from wsml_study.data.dataset import decoded_as
from wsml_study.data.image_store import open_images
from wsml_study.data.label_states import NEGATIVE, POSITIVE
from wsml_study.data.stored_file import Progress
from wsml_study.errors import ResultsError
from wsml_study.inference.annotated_images import AnnotatedImages, SplitName, annotated_images
from wsml_study.inference.model import TrainedModel, load_model
from wsml_study.record.files import write_whole
from wsml_study.record.formats import aligned, csv_text
from wsml_study.report.group_table import published_for
from wsml_study.results.class_groups import EXPLAINED, group_means
from wsml_study.results.label_texts import labels_text
from wsml_study.training.ranking_metrics import metrics_beside_map
from wsml_study.training.scoring import map_and_ap


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Result of an evaluation; mAP and AP in percent.

    Attributes:
        model: its name.
        data: description of the images.
        num_images: number of images.
        map: mean AP of the classes that count; None if there is none.
        num_classes: how many these are.
        classes: AP and counts of each.
        metrics: as `metrics_beside_map` names them.
        groups: mAP of each group of classes, where the dataset has groups: OpenImages V3's G1 to G5.
        group_sizes: how many classes each of these is the mean of.
        published_groups: the published figures of the model's method on these groups; empty without any.
    """

    model: str
    data: str
    num_images: int
    map: float | None
    num_classes: int
    classes: tuple[ClassResult, ...]
    metrics: dict[str, float | None]
    groups: dict[str, float | None] = field(default_factory=dict)
    group_sizes: dict[str, int] = field(default_factory=dict)
    published_groups: tuple[float, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """The evaluation as plain data for JSON."""
        per_class = [vars(one) for one in self.classes]
        return {**vars(self), "classes": per_class}

    def lines(self) -> list[str]:
        """The evaluation as lines of text."""
        table = aligned(
            {
                "class": [one.name for one in self.classes],
                "AP": [_shown(one.ap, 2) for one in self.classes],
                "positive": [f"{one.positives:,}" for one in self.classes],
                "negative": [f"{one.negatives:,}" for one in self.classes],
            }
        )
        metrics = aligned(
            {"metric": list(self.metrics), "value": [_shown(value, 4) for value in self.metrics.values()]}
        )
        heading = f"{self.model} on {self.data}, {self.num_images:,} images: mAP {_shown(self.map, 2)} %"
        heading += self._over_classes()
        return [heading, *self._partial_labels(), "", *table, "", *self._group_lines(), *metrics]

    def _over_classes(self) -> str:
        """How many classes the mAP is the mean of, where these are not all, or some have no positive."""
        total = len(self.classes)
        at_zero = sum(one.ap is not None and one.positives == 0 for one in self.classes)
        if self.num_classes == total and not at_zero:
            return ""
        zeros = f", of which {at_zero:,} without a positive count 0" if at_zero else ""
        return f" over {self.num_classes:,} of {total:,} classes{zeros}"

    def _partial_labels(self) -> list[str]:
        """On how many labels the figures are judged, where these are partial."""
        known = sum(one.positives + one.negatives for one in self.classes)
        text = labels_text(known, self.num_images * len(self.classes))
        return [f"judged on {text}; the others are unknown and left out"] if text else []

    def _group_lines(self) -> list[str]:
        if not self.groups:
            return []
        columns = {
            "group": list(self.groups),
            "mAP": [_shown(value, 2) for value in self.groups.values()],
            "classes": [f"{self.group_sizes.get(group, 0):,}" for group in self.groups],
        }
        if self.published_groups:
            columns["published"] = [f"{value:.1f}" for value in self.published_groups]
        heading = (
            f"mAP by groups of classes{'; published figures are of the test images' if self.published_groups else ''}"
        )
        return [heading, EXPLAINED, *aligned(columns), ""]

    def as_csv(self) -> bytes:
        """A row per class."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["class", "average_precision", "positives", "negatives"])
        writer.writerows([csv_text(one.name), one.ap, one.positives, one.negatives] for one in self.classes)
        return text.getvalue().encode()


@dataclass(frozen=True, kw_only=True)
class ClassResult:
    """One class: its AP in percent, None if it does not count in the mean, and how many images are annotated."""

    name: str
    ap: float | None
    positives: int
    negatives: int


def evaluate_model(
    model_folder: Path,
    source: Path | None,
    *,
    split: SplitName = "test",
    data_root: str | None = None,
    output: Path | None = None,
    overwrite: bool = False,
    device: str = "auto",
    progress: Progress | None = None,
) -> Evaluation:
    """Load a model, evaluate it on labelled images, and optionally write the result to a file.

    Args:
        model_folder: of the model.
        source, split, data_root: as `annotated_images`.
        output: a .json or .csv file for the evaluation.
        overwrite: replace an earlier file.
        device: as `load_model`.
        progress: called with the images decoded and their total.

    Raises:
        ResultsError: there is no model, or the file is of another kind, exists, or cannot be written.
        DataError: labels or images are missing or malformed.
    """
    if output is not None:
        _check_output(output, overwrite=overwrite)
    model = load_model(model_folder, device=device)
    images = annotated_images(model, source, split=split, data_root=None if data_root is None else Path(data_root))
    found = evaluate(model, images, progress=progress)
    if output is not None:
        write_whole(output, found.as_csv() if output.suffix == ".csv" else _json(found.as_json()))
    return found


def evaluate(model: TrainedModel, images: AnnotatedImages, *, progress: Progress | None = None) -> Evaluation:
    """Evaluate a model on labelled images.

    On the device that trained it, with as many workers and threads, its own test images reproduce its `metrics.json`
    exactly; after a linear probe, up to rounding.

    Raises:
        DataError: images are missing or unreadable.
    """
    logits_MC = logits_of_images(model, images, progress=progress)
    least = model.study.objective.least_positives
    mean, ap_C = map_and_ap(logits_MC, images.labels_MC, least_positives=least)
    positives_C, negatives_C = ((images.labels_MC == state).sum(axis=0) for state in (POSITIVE, NEGATIVE))
    groups = {} if images.groups_C is None else group_means(ap_C, images.groups_C)
    paper = published_for(model.study) if groups else None
    return Evaluation(
        model=model.name,
        data=images.described,
        num_images=len(images.rows_M),
        map=mean,
        num_classes=sum(ap is not None for ap in ap_C),
        classes=tuple(
            ClassResult(name=name, ap=ap, positives=int(num_positive), negatives=int(num_negative))
            for name, ap, num_positive, num_negative in zip(model.classes, ap_C, positives_C, negatives_C, strict=True)
        ),
        metrics=metrics_beside_map(logits_MC.cpu(), torch.from_numpy(images.labels_MC), least_positives=least),
        groups={f"G{group}": value for group, value in groups.items()},
        group_sizes=_group_sizes(ap_C, images.groups_C),
        published_groups=() if paper is None else paper.groups,
    )


def logits_of_images(model: TrainedModel, images: AnnotatedImages, *, progress: Progress | None = None) -> torch.Tensor:
    """Logits (M, C) of a model for labelled images, on its device, in batches as in the test after training.

    Raises:
        DataError: images are missing or unreadable.
    """
    source = decoded_as(images.source, model.pixel_range, model.interpolation)
    images_NcHW = open_images(
        source, size=model.image_size, channels=model.channels, kind=images.store, progress=progress
    )
    size = model.batch_size
    batches = (images_NcHW[images.rows_M[start : start + size]] for start in range(0, len(images.rows_M), size))
    return model.logits(batches)


def _group_sizes(ap_C: Sequence[float | None], groups_C: Sequence[int] | None) -> dict[str, int]:
    """Classes with an AP in each group."""
    return dict(Counter(f"G{group}" for ap, group in zip(ap_C, groups_C or (), strict=False) if ap is not None))


def _check_output(path: Path, *, overwrite: bool) -> None:
    if path.suffix not in (".json", ".csv"):
        raise ResultsError(f"{path}: expected a file that ends in .json or .csv")
    if path.exists() and not overwrite:
        raise ResultsError(f"{path} exists; name another file, or replace it with --overwrite")


def _shown(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _json(content: Any) -> bytes:
    return (json.dumps(content, indent=2) + "\n").encode()
