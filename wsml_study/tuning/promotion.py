"""Promotion from a level of fidelity to the next: the best configs of a level, each once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from wsml_study.errors import ResultsError
from wsml_study.record.history import StudyHistory
from wsml_study.record.trial_history import Promotion, TrialHistory, TrialState
from wsml_study.results.ranking import UPPER_BOUND
from wsml_study.study.fidelity import at_level
from wsml_study.study.identity import fingerprint
from wsml_study.study.objective_section import Objective
from wsml_study.study.search_space import SearchSpace
from wsml_study.study.spec import Study
from wsml_study.tuning.planned import PlannedTrial


def survivors(study: Study, number: int, history: StudyHistory) -> tuple[PlannedTrial, ...]:
    """The best configs of a level, best first, as trials of the next.

    Failed trials are left out, and trials of `full` unless there are no others: they see every label, so they would
    always be among the best.

    Args:
        study: the study with the levels.
        number: of the level that has ended.
        history: of that level.

    Raises:
        ResultsError: no trial of it has a value.
    """
    assert study.fidelity is not None
    distinct: dict[str, PlannedTrial] = {}
    for planned in _promoted(study, number, _ranked(history, study.objective)):
        distinct.setdefault(fingerprint(planned.config), planned)
    if not distinct:
        raise ResultsError(
            f"level {number} of {study.name}: no trial has a value, so none can be promoted; "
            f"`wsml-study results {study.storage}/{study.name}/fidelity/level_{number}` shows why they failed"
        )
    return tuple(distinct.values())[: study.fidelity[number - 1].survivors]


def _ranked(history: StudyHistory, objective: Objective) -> list[tuple[float, TrialHistory]]:
    """Values and trials, best first, the earlier one of two that are equal."""
    sound = history.with_state(TrialState.RUNNING, TrialState.COMPLETE, TrialState.STOPPED)
    valued = [(value, trial) for trial in sound if (value := trial.value(objective)) is not None]
    contenders = [pair for pair in valued if pair[1].config["method"]["name"] != UPPER_BOUND]
    return sorted(contenders or valued, key=lambda pair: (-objective.sign * pair[0], pair[1].number))


def _promoted(study: Study, number: int, ranked: Sequence[tuple[float, TrialHistory]]) -> Iterator[PlannedTrial]:
    there = at_level(study, number + 1)
    space = SearchSpace.from_study(there)
    for value, trial in ranked:
        yield PlannedTrial(
            config=space.resolve(there, trial.values),
            values=trial.values,
            promoted=Promotion(level=number, trial=trial.number, value=value),
        )
