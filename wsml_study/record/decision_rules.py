"""What a model's folder keeps for decisions: thresholds and calibration of the probabilities, `thresholds.json`."""

from __future__ import annotations

import hashlib
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, ValidationError, model_validator

from wsml_study.description import Description, Fraction, PositiveInt
from wsml_study.errors import ResultsError
from wsml_study.record.files import write_whole
from wsml_study.record.model_folder import WEIGHTS_FILE

RULES_FILE = "thresholds.json"
COMMAND = "wsml-study thresholds MODEL --precision 0.9"
READ_AT_ONCE = 2**20
NO_THRESHOLD = "no threshold"

Count = Annotated[int, Field(ge=0)]
Loss = Annotated[float, Field(ge=0)]
CalibrationKind = Literal["none", "pooled", "platt", "isotonic"]


class Interval(Description):
    """A fraction with its interval."""

    value: Fraction
    low: Fraction
    high: Fraction


class Curve(Description):
    """From a logit to a calibrated probability.

    Attributes:
        kind: `none`: the sigmoid of the logit. `pooled` and `platt`: the sigmoid of slope * logit + offset, fitted to
            all classes or to one. `isotonic`: linear between the points, level outside of them.
        slope, offset: of `pooled` and `platt`.
        logits, probabilities: points of `isotonic`, by increasing logit.
    """

    kind: CalibrationKind
    slope: Annotated[float, Field(gt=0)] | None = None
    offset: float | None = None
    logits: tuple[float, ...] = ()
    probabilities: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = ()

    @model_validator(mode="after")
    def _complete(self) -> Self:
        affine = self.kind in ("pooled", "platt")
        if affine != (self.slope is not None) or affine != (self.offset is not None):
            raise ValueError(f"{self.kind} has {'a' if affine else 'no'} slope and {'an' if affine else 'no'} offset")
        if (self.kind == "isotonic") != bool(self.logits) or len(self.logits) != len(self.probabilities):
            raise ValueError("isotonic has points, as many logits as probabilities, and the other kinds have none")
        if not all(a < b for a, b in pairwise(self.logits)) or not all(a <= b for a, b in pairwise(self.probabilities)):
            raise ValueError("expected points of increasing logit whose probabilities do not fall")
        return self


class ClassRule(Description):
    """One class.

    Attributes:
        name: of the class.
        threshold: the class is decided yes from this probability of the model (before calibration) on; None for none.
        lowest, highest: range of the thresholds chosen on parts of the images: decisions within it are borderline.
        precision, recall: cross-fitted, with 95 % intervals.
        f1: of these two.
        positives, negatives, unknown: labels that it was chosen from, and those that are not known.
        why_none: why there is no threshold.
        calibration: of its probabilities.
    """

    name: str
    threshold: Fraction | None
    lowest: Fraction | None = None
    highest: Fraction | None = None
    precision: Interval | None = None
    recall: Interval | None = None
    f1: Fraction | None = None
    positives: Count
    negatives: Count
    unknown: Count
    why_none: str | None = None
    calibration: Curve

    @model_validator(mode="after")
    def _whole(self) -> Self:
        of_threshold = (self.threshold, self.lowest, self.highest, self.precision, self.recall, self.f1)
        if (self.threshold is None) == (self.why_none is None):
            raise ValueError("expected either a threshold or `why_none`")
        if len({value is None for value in of_threshold}) != 1:
            raise ValueError("expected threshold, lowest, highest, precision, recall and f1 together, or none of them")
        if self.threshold is not None and not (self.lowest or 0) <= self.threshold <= (self.highest or 0):
            raise ValueError("expected lowest <= threshold <= highest")
        return self


class Target(Description):
    """What the thresholds were chosen for: a precision, or the best F1."""

    precision: Annotated[float, Field(gt=0, lt=1)] | None = None
    best: Literal["f1"] | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.precision is None) == (self.best is None):
            raise ValueError("expected a precision or `best`, one of the two")
        return self

    def __str__(self) -> str:
        return "the best F1" if self.precision is None else f"precision {self.precision:g}"


class CalibrationQuality(Description):
    """Log loss and expected calibration error over all known labels: as trained, and cross-fitted after calibration."""

    kind: CalibrationKind
    log_loss_before: Loss
    log_loss: Loss
    ece_before: Fraction
    ece: Fraction
    log_loss_by_kind: dict[str, Loss]


class Origin(Description):
    """What the rules were made from.

    Attributes:
        command: that made them.
        date: day and time, UTC.
        wsml_study: version.
        data: the images, in words.
        num_images: of them.
        data_fingerprint: SHA-256 of the names of the images and their labels.
        weights: SHA-256 of the model's weights; the rules are refused beside others.
    """

    command: str
    date: str
    wsml_study: str
    data: str
    num_images: PositiveInt
    data_fingerprint: str
    weights: str


class DecisionRules(Description):
    """Thresholds and calibration of a model.

    Attributes:
        version: of this format.
        origin: what it was made from.
        target: what the thresholds were chosen for.
        calibration: its quality.
        warnings: what limits the figures.
        classes: in the order of the model's outputs.
    """

    version: Literal[1] = 1
    origin: Origin
    target: Target
    calibration: CalibrationQuality
    warnings: tuple[str, ...] = ()
    classes: tuple[ClassRule, ...]

    @property
    def without(self) -> tuple[ClassRule, ...]:
        """Classes without a threshold."""
        return tuple(rule for rule in self.classes if rule.threshold is None)


def write_rules(folder: Path, rules: DecisionRules) -> Path:
    """Write the rules into a model's folder.

    Raises:
        ResultsError: it cannot be written.
    """
    write_whole(folder / RULES_FILE, (rules.model_dump_json(indent=2) + "\n").encode())
    return folder / RULES_FILE


def has_rules(folder: Path) -> bool:
    """Whether a model's folder has a file of rules, in whatever state."""
    return (folder / RULES_FILE).exists()


def read_rules(folder: Path, classes: tuple[str, ...]) -> DecisionRules:
    """Read the rules of a model.

    Args:
        folder: of the model.
        classes: of the model.

    Raises:
        ResultsError: there are none, they are damaged, or they were made for other weights or classes.
    """
    path = folder / RULES_FILE
    command = COMMAND.replace("MODEL", str(folder))
    if not path.is_file():
        raise ResultsError(f"{folder}: this model has no thresholds; choose them with `{command}`")
    remedy = f"choose thresholds anew with `{command} --overwrite`"
    try:
        rules = DecisionRules.model_validate_json(path.read_bytes())
    except (ValidationError, OSError) as error:
        raise ResultsError(
            f"{path}: these are no thresholds as they are written: {_reason(error)}; {remedy}"
        ) from error
    names = tuple(rule.name for rule in rules.classes)
    if names != classes:
        raise ResultsError(
            f"{path}: expected the model's {len(classes):,} classes, {_difference(names, classes)}; {remedy}"
        )
    if rules.origin.weights != weights_digest(folder):
        raise ResultsError(
            f"{path}: these thresholds were chosen for other weights than {WEIGHTS_FILE} holds; {remedy}"
        )
    return rules


def weights_digest(folder: Path) -> str:
    """SHA-256 of a model's weights."""
    digest = hashlib.sha256()
    with (folder / WEIGHTS_FILE).open("rb") as file:
        while part := file.read(READ_AT_ONCE):
            digest.update(part)
    return digest.hexdigest()


def _reason(error: ValidationError | OSError) -> str:
    if isinstance(error, OSError):
        return error.strerror or str(error)
    first = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(map(str, first["loc"]))
    others = f" (and {error.error_count() - 1:,} more)" if error.error_count() > 1 else ""
    return f"{place + ': ' if place else ''}{first['msg'][:200]}{others}"


def _difference(names: tuple[str, ...], classes: tuple[str, ...]) -> str:
    if Counter(names) == Counter(classes):
        return "got them in another order"
    odd = [name for name in names if name not in classes][:3] or [name for name in classes if name not in names][:3]
    return f"got {len(names):,}; they differ in {', '.join(odd) or 'their number'}"
