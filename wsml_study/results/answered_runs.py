"""Estimates of the trials' mAP: from kept scores, given labels and the log of answers.

Shapes: K trials, M validation images, C classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from wsml_study.errors import ResultsError
from wsml_study.record.agreed_answers import Agreed, agreed
from wsml_study.record.answer_log import AnswerLog
from wsml_study.record.questions import VALIDATION, Answer, QuestionSet
from wsml_study.record.score_files import PartialLabels, read_partial_labels, read_scores
from wsml_study.record.storage import ANSWERS, SCORES_FOLDER, StudyStorage
from wsml_study.record.tables import read_table
from wsml_study.results.answered_scores import (
    AnsweredFigures,
    HiddenPositives,
    answered_figures,
    hidden_positives,
    pairs_to_ask,
)
from wsml_study.study.reading import read_study
from wsml_study.study.spec import Study

MOST_TRIALS = 64
"""Trials that are estimated: those of the best recorded values. All their scores are in memory at once."""

STATES = {"yes": 1, "no": -1, "unsure": 0}
MAP, LOW, HIGH = "answered_map", "answered_low", "answered_high"
"""Columns of ranked trials: the estimate in percent, and its 90 % interval."""


@dataclass(frozen=True, kw_only=True, eq=False)
class AnsweredRuns:
    """Trials by the labels and answers so far; without an answer, by what all trials' scores say of unobserved labels.

    Attributes:
        figures: of the trials, in their order.
        trials: their numbers.
        left_out: trials with a value but without scores that fit, or beyond the `MOST_TRIALS` best.
        agreed: what the answers come to.
        num_unknown: answers about images or classes that the study no longer has.
        num_open: pairs of the classes that count whose label is unknown and that have no answer.
    """

    figures: AnsweredFigures
    trials: tuple[int, ...]
    left_out: tuple[int, ...]
    agreed: Agreed
    num_unknown: int
    num_open: int

    @property
    def num_answers(self) -> int:
        """Pairs with an answer that counts."""
        return len(self.agreed.replies) - self.num_unknown

    @property
    def best(self) -> tuple[int, int | None]:
        """The trial of the largest estimate, and the runner-up if there is one."""
        order = [self.trials[k] for k in np.argsort(-self.figures.estimate_K, kind="stable")]
        return order[0], order[1] if len(order) > 1 else None

    def columns(self, trials: pd.Series) -> pd.DataFrame:
        """Estimate and interval of trials by number; NaN for those without."""
        figures = self.figures
        frame = pd.DataFrame({MAP: figures.estimate_K, LOW: figures.low_K, HIGH: figures.high_K}, index=self.trials)
        return frame.reindex(trials).set_axis(trials.index)


def estimate_text(row: pd.Series) -> str:
    """A ranked trial's estimate with its interval, `81.20 [79.9, 82.4]`; - without one."""
    return "-" if pd.isna(row[MAP]) else f"{row[MAP]:.2f} [{row[LOW]:.1f}, {row[HIGH]:.1f}]"


@dataclass(frozen=True, kw_only=True, eq=False)
class Known:
    """What is known of a study's validation images."""

    labels: PartialLabels
    trials: tuple[int, ...]
    left_out: tuple[int, ...]
    scores_KMC: npt.NDArray[np.float32]
    counted_C: npt.NDArray[np.bool_]

    def place(self, image: str, class_name: str) -> tuple[int, int] | None:
        """Row and column of a pair; None if the study does not have it."""
        row, column = self._rows.get(image), self._columns.get(class_name)
        return None if row is None or column is None else (row, column)

    @property
    def _rows(self) -> dict[str, int]:
        return _index(self.labels.names)

    @property
    def _columns(self) -> dict[str, int]:
        return _index(self.labels.classes)

    def with_answers(self, answers: Agreed) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.bool_], int]:
        """States (M, C) with the answers in, whether a pair has an answer, and how many answers fit no pair."""
        states_MC, asked_MC = self.labels.states_MC.copy(), np.zeros(self.labels.states_MC.shape, dtype=bool)
        num_unknown = 0
        for pair, reply in answers.replies.items():
            place = self.place(*pair)
            if place is None:
                num_unknown += 1
            else:
                states_MC[place], asked_MC[place] = STATES[reply], True
        return states_MC, asked_MC, num_unknown


@lru_cache(maxsize=8)
def _index(names: tuple[str, ...]) -> dict[str, int]:
    return {name: index for index, name in enumerate(names)}


def read_answered(folder: Path) -> AnsweredRuns | None:
    """The estimates of a study; None without scores, and where trials are not ranked by mAP.

    None without answers too, unless `data.validation.labels` is `estimated`.

    Args:
        folder: of the study's results.

    Raises:
        ResultsError: a file of answers or scores is damaged.
    """
    study_file = folder / "study.yaml"
    if not (folder / SCORES_FOLDER).exists():
        return None
    if not (folder / ANSWERS).exists() and not _by_estimate(study_file, study_file.stat().st_mtime_ns):
        return None
    files = [folder / ANSWERS, folder / "trials.parquet", *sorted((folder / SCORES_FOLDER).glob("*.npz"))]
    # One command ranks several times, and an estimate may take seconds.
    return _answered(folder, tuple((path, path.stat().st_mtime_ns) for path in files if path.exists()))


@lru_cache(maxsize=8)
def _by_estimate(study_file: Path, _changed_ns: int) -> bool:
    return read_study(study_file).data.validation.by_estimate


@lru_cache(maxsize=2)
def _answered(folder: Path, _files: tuple[tuple[Path, int], ...]) -> AnsweredRuns | None:
    answers = agreed(_of_validation(log_of(folder)))
    study = read_study(folder / "study.yaml")
    if not (answers.replies or study.data.validation.by_estimate) or study.objective.record.name != "map":
        return None
    known = read_known(folder, study)
    if known is None:
        return None
    states_MC, asked_MC, num_unknown = known.with_answers(answers)
    return AnsweredRuns(
        figures=answered_figures(known.scores_KMC, states_MC, asked_MC, counted_C=known.counted_C),
        trials=known.trials,
        left_out=known.left_out,
        agreed=answers,
        num_unknown=num_unknown,
        num_open=int(((states_MC == 0) & ~asked_MC)[:, known.counted_C].sum()),
    )


def labels_with_answers(
    folder: Path,
) -> tuple[Known, npt.NDArray[np.int8], npt.NDArray[np.bool_], int]:
    """What is known of a study's validation images, their states with the answers in, what was asked, and by how many.

    Raises:
        ResultsError: there are no answers or no scores, or a file of them is damaged.
    """
    if not (folder / "study.yaml").is_file():
        raise ResultsError(f"{folder}: expected the folder of an earlier study's results, which has a study.yaml")
    study, answers = read_study(folder / "study.yaml"), agreed(_of_validation(log_of(folder)))
    known = read_known(folder, study)
    if known is None:
        raise ResultsError(_why_no_scores(folder, study))
    if not answers.replies:
        raise ResultsError(f"{folder}: nobody has answered yet; `wsml-study ask {folder} --answers 100` asks")
    states_MC, asked_MC, num_unknown = known.with_answers(answers)
    return known, states_MC, asked_MC, len(answers.replies) - num_unknown


def read_hidden_positives(folder: Path) -> tuple[HiddenPositives, int]:
    """The share of positives among the unobserved labels of a study's validation images, and by how many answers.

    Raises:
        ResultsError: as `labels_with_answers`, or every label is told.
    """
    known, states_MC, asked_MC, num_answers = labels_with_answers(folder)
    if ((states_MC != 0) | asked_MC).all():
        raise ResultsError(f"{folder}: every label of its validation images is told, so none is hidden")
    return hidden_positives(known.scores_KMC, states_MC, asked_MC), num_answers


def log_of(folder: Path) -> AnswerLog:
    """The log of answers in a folder."""
    return AnswerLog(StudyStorage(folder=folder, remote=None))


def _of_validation(log: AnswerLog) -> list[Answer]:
    numbers = {one.number for one in log.question_sets() if one.kind == VALIDATION}
    return [answer for answer in log.read() if answer.set_number in numbers]


def read_known(folder: Path, study: Study) -> Known | None:
    """Labels and scores of a study; None where no trial has scores that fit the labels.

    Raises:
        ResultsError: a file of scores is damaged.
    """
    labels = read_partial_labels(folder)
    if labels is None:
        return None
    trials = read_table(folder, "trials").select(["trial", "value"]).to_pandas().dropna(subset=["value"])
    ordered = trials.sort_values("value", ascending=study.objective.mode == "min", kind="stable")["trial"].tolist()
    kept = {trial: found for trial in ordered if (found := read_scores(folder, trial)) is not None}
    fitting = [trial for trial, found in kept.items() if found.images == labels.images][:MOST_TRIALS]
    if not fitting:
        return None
    least = max(1, study.objective.least_positives)
    return Known(
        labels=labels,
        trials=tuple(fitting),
        left_out=tuple(sorted(set(ordered) - set(fitting))),
        scores_KMC=np.stack([kept[trial].logits_MC.astype(np.float32) for trial in fitting]),
        counted_C=(labels.states_MC == 1).sum(axis=0) >= least,
    )


def chosen_questions(
    folder: Path, sets: Sequence[QuestionSet], *, num: int, again: bool
) -> tuple[Known, list[tuple[int, int]]]:
    """The pairs to ask about next, the most useful first.

    Args:
        folder: of the study's results.
        sets: that have been asked; their pairs are not asked again while they are open.
        num: of pairs, at most.
        again: ask again what is open.

    Raises:
        ResultsError: validation labels are complete, no trial has scores, or nothing is left to ask.
    """
    study = read_study(folder / "study.yaml")
    _refuse_other_objective(study, folder)
    known = read_known(folder, study)
    if known is None:
        raise ResultsError(_why_no_scores(folder, study))
    if not known.counted_C.any():
        raise ResultsError(f"{folder}: no class has as many known positives as `objective.classes` asks for")
    answers = agreed(_of_validation(log_of(folder)))
    states_MC, asked_MC, _ = known.with_answers(answers)
    if not again:
        for question in (question for one in sets if one.kind == VALIDATION for question in one.questions):
            place = known.place(*question.pair)
            if place is not None:
                asked_MC[place] = True
    pairs = pairs_to_ask(known.scores_KMC, states_MC, asked_MC, num=num, counted_C=known.counted_C)
    if not pairs:
        open_ones = "" if again else " or was asked and is open (--again asks that again)"
        raise ResultsError(
            f"{folder}: nothing is left to ask: every label of the classes that count is known{open_ones}"
        )
    return known, pairs


def _refuse_other_objective(study: Study, folder: Path) -> None:
    if study.objective.record.name != "map":
        raise ResultsError(
            f"{folder}: its objective is {study.objective.metric}, and answers give an estimate of mAP only; studies "
            f"whose objective is best_val_map, the default, can ask"
        )


def _why_no_scores(folder: Path, study: Study) -> str:
    if study.data.validation.by_truth:
        return (
            f"{folder}: its trials are judged by clean validation labels, so there is nothing to ask; where these are "
            f"not complete, run a study with `validation: {{labels: known}}` under data"
        )
    trials = read_table(folder, "trials")
    if len(trials) == trials["value"].null_count:
        return f"{folder}: no trial has completed an epoch yet; `wsml-study run` continues the study"
    if read_partial_labels(folder) is None and not (folder / SCORES_FOLDER).exists():
        return (
            f"{folder}: its trials left no validation scores: an earlier version ran them, or every validation label "
            f"is known; trials that `wsml-study run STUDY --trials N` adds leave scores, and --restart runs all anew"
        )
    return f"{folder}: no trial has scores of the validation images that it has now; run more trials with --trials N"
