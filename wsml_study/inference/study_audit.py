"""The audit of a study's training labels: configs of its best trials judge them out of fold; the doubtful are listed.

Shapes: N training images, C classes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import torch

from wsml_study.data.label_states import NEGATIVE, POSITIVE, UNOBSERVED
from wsml_study.errors import DataError, ResultsError
from wsml_study.inference.label_audit import KNOWN_SHARE, KNOWN_SHARES, LabelAudit, audited
from wsml_study.inference.out_of_fold import DISTRUSTING, Member, member_of, out_of_fold_scores
from wsml_study.record.label_tables import DISTRUSTED
from wsml_study.record.tables import read_table
from wsml_study.results.ranking import best_per_method, contenders, ranked_trials
from wsml_study.study.data_section import Data
from wsml_study.study.spec import TrialConfig
from wsml_study.training.trial_data import LabelledImages, TrialData, open_trial_data

Floats = npt.NDArray[np.float64]

AUDIT = "audit.parquet"
"""The table in the study's folder."""

MOST_ROWS = 100_000
GIVEN = {POSITIVE: "yes", NEGATIVE: "no", UNOBSERVED: "unobserved"}
KINDS = ("missing", "wrong")
LISTED, LISTED_CLASSES = 8, 20


@dataclass(frozen=True, kw_only=True)
class AuditPlan:
    """What is trained for an audit.

    Attributes:
        members: the configs.
        num_folds: each is trained so many times.
        data: section of the study.
        distrusted: tables, as `DISTRUSTED` describes them, of the trials of `DISTRUSTING` methods that have one.
        seconds: estimate for trainings of whole networks, from the trials' epochs; 0 if there are only heads.
    """

    members: tuple[Member, ...]
    num_folds: int
    data: Data
    distrusted: tuple[pa.Table, ...]
    seconds: float

    def lines(self) -> Iterator[str]:
        """As text."""
        configs = "1 config" if len(self.members) == 1 else f"{len(self.members)} configs"
        yield (
            f"{configs} x {self.num_folds} folds: each is trained on the images of the other folds, by observed labels "
            f"alone, and scores its fold"
        )
        for member in self.members:
            yield f"  trial {member.trial}, {member.method}: {_how(member)}"
        if self.distrusted:
            trials = "1 trial" if len(self.distrusted) == 1 else f"{len(self.distrusted)} trials"
            yield f"The study has kept which labels {trials} of {' and '.join(DISTRUSTING)} distrusted; these weigh too"
        if self.seconds:
            yield f"Training networks takes about {_time(self.seconds)} here, by the time of the study's epochs"


def _how(member: Member) -> str:
    epochs = f"{member.epochs} {'epoch' if member.epochs == 1 else 'epochs'}"
    if member.stands_in:
        return f"a head on features of {member.config.model.weights}, {epochs}; the trial trained the whole network"
    return f"a head, {epochs}" if member.is_head else f"the whole network, {epochs}"


def _time(seconds: float) -> str:
    return f"{seconds / 3600:.1f} h" if seconds >= 3600 else f"{max(1, round(seconds / 60))} min"


def plan_audit(folder: Path, data: Data, *, top: int, num_folds: int) -> AuditPlan:
    """The best trials of different methods, and how they are trained in folds.

    Args:
        folder: of the study's results.
        data: section of the study, with the root that holds now.
        top: number of methods at most.
        num_folds: of folds.

    Raises:
        ResultsError: no trial has a value, or a table of distrusted labels is damaged.
    """
    ranked = ranked_trials(folder)
    best = best_per_method(contenders(ranked))
    if best.empty:
        raise ResultsError(f"{folder}: no trial has completed an epoch yet; `wsml-study run` continues the study")
    rows = [(row, TrialConfig.model_validate_json(row["config"])) for _, row in best.head(top).iterrows()]
    members = tuple(
        member_of(int(row["trial"]), config.model_copy(update={"data": data}), int(row["best_epoch"]))
        for row, config in rows
    )
    seconds = sum(
        num_folds * member.epochs * _seconds_per_epoch(folder, member.trial) for member in members if not member.is_head
    )
    distrusting = set(ranked.loc[ranked["method"].isin(DISTRUSTING), "trial"])
    distrusted = [DISTRUSTED.read(folder, trial) for trial in DISTRUSTED.trials(folder) if trial in distrusting]
    return AuditPlan(members=members, num_folds=num_folds, data=data, distrusted=tuple(distrusted), seconds=seconds)


def _seconds_per_epoch(folder: Path, trial: int) -> float:
    epochs = read_table(folder, "epochs").select(["trial", "train_seconds"]).to_pandas()
    return float(epochs.loc[epochs["trial"] == trial, "train_seconds"].median())


@dataclass(frozen=True, kw_only=True)
class StudyAudit:
    """What an audit found.

    Attributes:
        rows: image, class, given, kind, probability, rank, the row in the dataset's training split, and distrusted, the
            share of epochs (null where no method distrusts labels); the most doubtful pair first.
        classes: C names.
        audit: of all pairs.
        num_images: N.
        num_given, num_wrong: labels that are given, and how many of them are wrong by expectation.
    """

    rows: pa.Table
    classes: tuple[str, ...]
    audit: LabelAudit
    num_images: int
    num_given: int
    num_wrong: float

    def lines(self) -> Iterator[str]:
        """The classes with the most missing positives, and the most doubtful labels."""
        audit = self.audit
        unobserved = self.num_images * len(self.classes) - self.num_given
        yield (
            f"{self.num_images:,} training images, {len(self.classes)} classes: {self.num_given:,} labels are given, "
            f"about {self.num_wrong:,.0f} of them wrong; {unobserved:,} are unobserved, about "
            f"{audit.missing_C.sum():,.0f} of them positive"
        )
        if audit.without_negatives_C.any():
            number = int(audit.without_negatives_C.sum())
            yield (
                f"{number} of the classes {'has' if number == 1 else 'have'} no known negatives: how many of their "
                f"positives are missing cannot be read from such labels; {KNOWN_SHARE:.0%} are assumed to be known, in "
                f"the interval {KNOWN_SHARES[0]:.0%} to {KNOWN_SHARES[-1]:.0%}. The order hardly depends on it"
            )
        yield ""
        yield f"{'expected missing positives':40s}  90 % interval"
        order = np.argsort(-audit.missing_C, kind="stable")
        for c in order[:LISTED_CLASSES]:
            interval = f"{audit.low_C[c]:,.0f} to {audit.high_C[c]:,.0f}"
            yield f"  {self.classes[c][:28]:28s}  {audit.missing_C[c]:8,.0f}  {interval}"
        if len(order) > LISTED_CLASSES:
            yield f"  and {len(order) - LISTED_CLASSES} more classes"
        yield ""
        yield "the most doubtful labels of each kind"
        yield f"  {'probability':>11s}  {'kind':7s}  {'given':10s}  {'class':20s}  image"
        for kind in KINDS:
            of_kind = self.rows.filter(pc.equal(self.rows["kind"], kind))
            for row in of_kind.slice(0, LISTED).to_pylist():
                yield (
                    f"  {row['probability']:11.2f}  {row['kind']:7s}  {row['given']:10s}  {row['class'][:20]:20s}  "
                    f"{row['image']}"
                )


def audit_labels(
    plan: AuditPlan, *, device: torch.device, progress: Callable[[int, int], None] | None = None
) -> StudyAudit:
    """Train, score and judge.

    Args:
        plan: what is trained.
        device: where.
        progress: called after each training with how many are done, and of how many.

    Raises:
        DataError: labels leave nothing to judge, or a file is missing or malformed.
        TrainingError: a training diverged.
    """
    data = open_trial_data(plan.data)
    states_NC = data.train.observed_MC
    if len(data.train) < 2 * plan.num_folds:
        raise DataError(f"{plan.num_folds} folds need {2 * plan.num_folds} training images, got {len(data.train):,}")
    if not (states_NC == POSITIVE).any():
        raise DataError("no label of the training images is known to be positive, so there is nothing to judge by")
    found = out_of_fold_scores(plan.members, data, num_folds=plan.num_folds, device=device, progress=progress)
    in_trials_NC = distrusted_in_trials(plan.distrusted, data.train, data.classes)
    sources = [share_NC for share_NC in (found.distrusted_NC, in_trials_NC) if share_NC is not None]
    distrusted_NC = np.mean(sources, axis=0) if sources else None
    audit = audited(found.logits_KNC, states_NC, distrusted_NC)
    given_NC = states_NC != UNOBSERVED
    return StudyAudit(
        rows=_rows(data, audit, distrusted_NC),
        classes=data.classes,
        audit=audit,
        num_images=len(data.train),
        num_given=int(given_NC.sum()),
        num_wrong=float(audit.error_NC[given_NC].sum()),
    )


def distrusted_in_trials(tables: Sequence[pa.Table], train: LabelledImages, classes: Sequence[str]) -> Floats | None:
    """The share of their epochs (N, C) in which trials distrusted labels, the mean over the trials; None without any.

    Args:
        tables: of the trials, as `DISTRUSTED` describes them; what they say of other images or classes is left out.
        train: the N images.
        classes: C names.
    """
    if not tables:
        return None
    row_of = {train.names_N[row]: index for index, row in enumerate(train.rows_M.tolist())}
    column_of = {name: column for column, name in enumerate(classes)}
    share_NC = np.zeros((len(train), len(classes)))
    for table in tables:
        rows, columns = (
            [places.get(name, -1) for name in table[by].to_pylist()]
            for by, places in (("image", row_of), ("class", column_of))
        )
        rows_L, columns_L = np.array(rows, dtype=np.int64), np.array(columns, dtype=np.int64)
        share_L = table["epochs"].to_numpy() / table["of"].to_numpy()
        here_L = (rows_L >= 0) & (columns_L >= 0)
        share_NC[rows_L[here_L], columns_L[here_L]] += share_L[here_L]
    return share_NC / len(tables)


def _rows(data: TrialData, audit: LabelAudit, distrusted_NC: Floats | None) -> pa.Table:
    train, num_classes = data.train, len(data.classes)
    order = np.argsort(-audit.error_NC, axis=None, kind="stable")[:MOST_ROWS]
    images, classes = np.divmod(order, num_classes)
    states = train.observed_MC[images, classes]
    return pa.table(
        {
            "image": [train.names_N[row] for row in train.rows_M[images]],
            "class": [data.classes[c] for c in classes],
            "given": [GIVEN[state] for state in states.tolist()],
            "kind": np.where(states == UNOBSERVED, *KINDS).tolist(),
            "probability": audit.error_NC[images, classes],
            "rank": np.arange(1, len(order) + 1),
            "row": train.rows_M[images],
            "distrusted": pa.nulls(len(order), pa.float64())
            if distrusted_NC is None
            else distrusted_NC[images, classes],
        }
    )
