"""Thresholds and calibration of a trained model, chosen from known labels and kept in its folder.

Shapes: M images, C classes.
"""

from __future__ import annotations

import hashlib
import shlex
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from scipy.special import expit

from wsml_study.data.dataset import ImageFiles
from wsml_study.data.hub_files import refuse_hub_address
from wsml_study.data.label_states import NEGATIVE, POSITIVE, UNOBSERVED
from wsml_study.data.stored_file import Progress
from wsml_study.errors import DataError, ResourcesError, ResultsError
from wsml_study.inference.annotated_images import AnnotatedImages, SplitName, annotated_images
from wsml_study.inference.answered_thresholds import rules_by_answers
from wsml_study.inference.calibration import calibrate
from wsml_study.inference.evaluation import logits_of_images
from wsml_study.inference.model import load_model
from wsml_study.inference.observation_odds import ObservationOdds, observation_odds
from wsml_study.inference.onnx_export import ONNX_FILE, check_onnx, export_onnx
from wsml_study.inference.threshold_choice import choose
from wsml_study.record.decision_rules import (
    RULES_FILE,
    ClassRule,
    Curve,
    DecisionRules,
    Origin,
    Target,
    has_rules,
    weights_digest,
    write_rules,
)
from wsml_study.record.files import write_whole
from wsml_study.record.model_folder import CARD_FILE
from wsml_study.report.decisions_section import decision_lines, with_decisions
from wsml_study.results.completed_labels import CompletedLabels, completed_labels

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class ChosenThresholds:
    """Result of a choice.

    Attributes:
        rules: thresholds and calibration, as kept in `path`.
        path: of `thresholds.json`.
        written: a line for each further file of the folder that has them now, or why it has not.
    """

    rules: DecisionRules
    path: Path
    written: tuple[str, ...]

    def lines(self) -> list[str]:
        """As text."""
        return [*decision_lines(self.rules), "", f"wrote {self.path}", *self.written]

    def as_json(self) -> dict[str, Any]:
        """As plain data: what the file holds."""
        return self.rules.model_dump(mode="json")


def choose_thresholds(
    model_folder: str | Path,
    data: str | Path | None = None,
    *,
    precision: float | None = None,
    best: Literal["f1"] | None = None,
    answers: str | Path | None = None,
    split: SplitName = "validation",
    data_root: str | None = None,
    overwrite: bool = False,
    device: str = "auto",
    progress: Progress | None = None,
) -> ChosenThresholds:
    """Choose a threshold per class and a calibration, and keep them in the model's folder, its card and its ONNX file.

    Args:
        model_folder: of the model.
        data, split, data_root: known labels, as `annotated_images`; unknown labels do not count.
        precision: wanted of each class, above 0 and below 1; or
        best: `f1` for the largest F1 of each class.
        answers: folder of a study's results, whose validation labels, completed by its trials and people's answers, are
            the labels to choose by. They must be the images that the model's own data hold out for validation.
        overwrite: replace earlier thresholds.
        device: as `load_model`.
        progress: called with the images decoded and their total.

    Raises:
        ResultsError: there is no model, it has thresholds already, or a file cannot be written.
        DataError: labels or images are missing or malformed, the model was trained on these images, no label is
            known to be negative, or the study has held out other images or has other classes.
        ValueError: not exactly one of precision and best is given, or the precision is not between 0 and 1.
    """
    if (precision is None) == (best is None) or not (precision is None or 0 < precision < 1):
        raise ValueError(
            f"expected a precision between 0 and 1, or best='f1', got precision={precision}, best={best!r}"
        )
    folder, source = Path(model_folder), None if data is None else Path(data)
    study = None if answers is None else Path(answers)
    refuse_hub_address(folder, "thresholds are")
    if has_rules(folder) and not overwrite:
        raise ResultsError(f"{folder / RULES_FILE} exists; replace it with --overwrite")
    if source is None and split == "train":
        raise DataError(
            f"{folder}: it was trained on these images, whose scores say nothing of other images; take --split "
            f"validation or test, or other labelled images with --data"
        )
    if study is not None and (source is not None or split != "validation"):
        raise ValueError("answers are about the validation images of a study; leave out data and split")
    model = load_model(folder, device=device)
    images = annotated_images(model, source, split=split, data_root=None if data_root is None else Path(data_root))
    target = Target(precision=precision, best=best)
    labels = None if study is None else _in_order_of(completed_labels(study), images, model.classes)
    if labels is None:
        _check_labels(images)
    logits_MC = logits_of_images(model, images, progress=progress).double().cpu().numpy()
    origin = _origin(folder, images, target, source, split)
    if labels is None or study is None:
        rules = make_rules(logits_MC, images, target, classes=model.classes, origin=origin)
    else:
        rules = rules_by_answers(logits_MC, labels, target, origin=_with_answers(origin, labels, study))
    path = write_rules(folder, rules)
    return ChosenThresholds(rules=rules, path=path, written=tuple(_written(folder, rules)))


def make_rules(
    logits_MC: Floats, images: AnnotatedImages, target: Target, *, classes: tuple[str, ...], origin: Origin
) -> DecisionRules:
    """Thresholds and calibration from logits and known labels.

    Args:
        logits_MC: of the model.
        images: their labels.
        target: what to choose for.
        classes: C names.
        origin: what they are made from.
    """
    calibration = calibrate(logits_MC, images.labels_MC)
    rules = tuple(
        _class_rule(name, logits_MC[:, c], images.labels_MC[:, c], target, calibration.curves_C[c])
        for c, name in enumerate(classes)
    )
    odds = observation_odds(expit(logits_MC), images.labels_MC)
    return DecisionRules(
        origin=origin,
        target=target,
        calibration=calibration.quality,
        warnings=tuple(_warnings(odds, images, rules)),
        classes=rules,
    )


def _in_order_of(labels: CompletedLabels, images: AnnotatedImages, classes: tuple[str, ...]) -> CompletedLabels:
    """The labels in the order of the images and of the model's classes.

    Raises:
        DataError: they are of other images or classes.
    """
    if set(labels.classes) != set(classes):
        raise DataError(f"the study of the answers has other classes than the model: {', '.join(labels.classes[:10])}")
    names = images.names_M
    places = {name: row for row, name in enumerate(labels.names)}
    common = sum(name in places for name in names)
    if common < len(names) or len(names) < len(places):
        raise DataError(
            f"the study of the answers has held out {len(places):,} images for validation, and the model "
            f"{len(names):,}, of which {common:,} are the same; take the study that the model's config comes from"
        )
    rows, columns = [places[name] for name in names], [labels.classes.index(name) for name in classes]
    return CompletedLabels(
        names=names,
        classes=classes,
        states_MC=labels.states_MC[np.ix_(rows, columns)],
        left_out_MC=labels.left_out_MC[np.ix_(rows, columns)],
        counted_C=labels.counted_C[columns],
        positive_SMC=labels.positive_SMC[:, rows][:, :, columns],
        num_answers=labels.num_answers,
    )


def _with_answers(origin: Origin, labels: CompletedLabels, study: Path) -> Origin:
    digest = hashlib.sha256(f"{origin.data_fingerprint} {labels.num_answers}".encode())
    digest.update(np.packbits(labels.positive_SMC).tobytes())
    return origin.model_copy(
        update={
            "command": f"{origin.command} --answers {shlex.quote(str(study))}",
            "data": f"{origin.data}, with {labels.num_answers:,} answers",
            "data_fingerprint": digest.hexdigest(),
        }
    )


def _check_labels(images: AnnotatedImages) -> None:
    positives, negatives = ((images.labels_MC == state).sum() for state in (POSITIVE, NEGATIVE))
    if positives == 0 or negatives == 0:
        raise DataError(
            f"{images.described}: expected labels that are known to be positive and others that are known to be "
            f"negative, got {positives:,} and {negatives:,}; precision cannot be told from these: label some images in "
            f"full and name them with --data"
        )


def _class_rule(
    name: str, logits_M: Floats, labels_M: npt.NDArray[np.int8], target: Target, calibration: Curve
) -> ClassRule:
    known_M = labels_M != UNOBSERVED
    found = choose(logits_M[known_M], labels_M[known_M] == POSITIVE, target)
    chosen = None if isinstance(found, str) else found
    return ClassRule(
        name=name,
        threshold=None if chosen is None else float(expit(chosen.threshold)),
        lowest=None if chosen is None else float(expit(chosen.lowest)),
        highest=None if chosen is None else float(expit(chosen.highest)),
        precision=None if chosen is None else chosen.precision,
        recall=None if chosen is None else chosen.recall,
        f1=None if chosen is None else chosen.f1,
        positives=int((labels_M == POSITIVE).sum()),
        negatives=int((labels_M == NEGATIVE).sum()),
        unknown=int((~known_M).sum()),
        why_none=found if isinstance(found, str) else None,
        calibration=calibration,
    )


def _warnings(odds: ObservationOdds | None, images: AnnotatedImages, rules: tuple[ClassRule, ...]) -> Iterator[str]:
    num_unknown = int((images.labels_MC == UNOBSERVED).sum())
    if not num_unknown:
        return
    share = num_unknown / images.labels_MC.size
    if odds is None:
        yield (
            f"{share:.1%} of the labels are not known, and these labels do not tell whether positives are likelier to "
            f"be known than negatives; if they are, precision is lower than stated"
        )
        return
    if odds.is_notable:
        precisions = [rule.precision.value for rule in rules if rule.precision is not None]
        mean = float(np.mean(precisions)) if precisions else 0.9
        more = odds.ratio > 1
        yield (
            f"{share:.1%} of the labels are not known, and a positive label seems {odds.ratio:.2g} times as likely to "
            f"be known as a negative one (90 % interval {odds.low:.2g} to {odds.high:.2g}): precision is probably "
            f"{'lower' if more else 'higher'} than stated, {odds.on_complete_labels(mean):.2f} where {mean:.2f} is "
            f"stated; label some images in full, and name them with --data"
        )


def _origin(folder: Path, images: AnnotatedImages, target: Target, source: Path | None, split: SplitName) -> Origin:
    words = ["wsml-study", "thresholds", str(folder)]
    words += ["--best", "f1"] if target.precision is None else ["--precision", f"{target.precision:g}"]
    words += ["--data", str(source)] if source is not None else []
    words += ["--split", split] if split != "validation" else []
    return Origin(
        command=shlex.join(words),
        date=time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        wsml_study=metadata.version("wsml-study"),
        data=images.described,
        num_images=len(images.rows_M),
        data_fingerprint=_fingerprint(images),
        weights=weights_digest(folder),
    )


def _fingerprint(images: AnnotatedImages) -> str:
    digest = hashlib.sha256(np.ascontiguousarray(images.labels_MC, dtype=np.int8).tobytes())
    rows = images.rows_M.tolist()
    names = [images.source.names[row] for row in rows] if isinstance(images.source, ImageFiles) else map(str, rows)
    for name in names:
        digest.update(b"\0" + name.encode(errors="surrogateescape"))
    return digest.hexdigest()


def _written(folder: Path, rules: DecisionRules) -> Iterator[str]:
    card = folder / CARD_FILE
    if card.is_file():
        write_whole(card, with_decisions(card.read_text(encoding="utf-8"), rules).encode())
        yield f"{card}: has them too"
    if (folder / ONNX_FILE).is_file():
        yield _exported_again(folder)


def _exported_again(folder: Path) -> str:
    try:
        check_onnx()
    except ResourcesError as error:
        return f"{folder / ONNX_FILE}: has no thresholds, or earlier ones, since it cannot be written here: {error}"
    return export_onnx(load_model(folder, device="cpu"))
