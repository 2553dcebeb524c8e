"""Confirmation of a search: its best configs and its best baseline, trained again with fresh seeds and hidden labels.

It is a study with a fixed list of trials, in a folder inside the search's, and is interrupted, resumed, extended and
tabulated like any other study.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from wsml_study.errors import ResultsError
from wsml_study.record.config_history import num_ended
from wsml_study.record.events import read_history
from wsml_study.record.history import StudyHistory
from wsml_study.record.storage import CONFIRMATION, StudyStorage, open_storage
from wsml_study.record.study_folder import claim, locked, settled
from wsml_study.record.tables import read_table
from wsml_study.results.confirmation import worth_confirming
from wsml_study.results.ranking import ranked_trials
from wsml_study.study.confirm_section import Confirm
from wsml_study.study.early_stopping_section import EarlyStopping
from wsml_study.study.sampler_section import Sampler
from wsml_study.study.search_section import IntRange, Parameter
from wsml_study.study.spec import Study, TrialConfig
from wsml_study.tuning.ledger import Listener
from wsml_study.tuning.planned import PlannedTrial, not_begun
from wsml_study.tuning.run import Outcome, Task, run_leased, run_study, session_of
from wsml_study.workers.loop import OpenTrial, open_trial

TRAINING_SEED, OBSERVE_SEED = "training.seed", "data.observe.seed"
ANY_SEED = Parameter(int=IntRange(low=0, high=2**32 - 1))


def run_and_confirm(
    study: Study,
    listener: Listener,
    *,
    num_trials: int | None = None,
    restart: bool = False,
    address: str | None = None,
) -> tuple[Outcome, Outcome | None]:
    """Run a study, and its confirmation if it asks for one.

    Args:
        study, listener, num_trials, restart, address: as `run_study`.

    Returns:
        The outcome of the search, and of the confirmation; None if the search has not finished or asks for none.

    Raises:
        As `run_study`.
    """
    outcome = run_study(study, listener, num_trials=num_trials, restart=restart, address=address)
    if not outcome.finished or study.confirm is None:
        return outcome, None
    return outcome, confirm_study(study, listener, address=address)


def confirm_study(
    study: Study,
    listener: Listener,
    *,
    top: int | None = None,
    seeds: int | None = None,
    address: str | None = None,
    open_trial: OpenTrial = open_trial,
) -> Outcome:
    """Train the best configs of a study again, or resume an earlier confirmation.

    Args:
        study: whose search has results.
        listener: follows the runs.
        top: number of configs besides the baseline; by default that of the study.
        seeds: number of pairs of training seed and seed of the hidden labels; by default that of the study.
        address: of a Ray cluster; None starts a local one.
        open_trial: makes a trial in a worker process.

    Raises:
        ResultsError: the study has no results yet, or the folder belongs to another study; otherwise as `run_study`.
    """
    defaults = study.confirm or Confirm()
    storage = open_storage(study.storage, study.name)
    if not storage.exists():
        raise ResultsError(f"{storage.described}: no results of study {study.name} yet; `wsml-study run` makes them")
    with locked(storage, listener.on_notice) as lease, session_of(storage, address) as session:
        study = settled(storage, study)
        claim(storage, study)
        _warn_if_unfinished(storage, study, listener.on_notice)
        place = storage.inside(CONFIRMATION)
        history = read_history(place.fetch())
        plan = planned_confirmation(storage.folder, history, top=top or defaults.top, num_seeds=seeds or defaults.seeds)
        if not_begun(plan, history):
            trials = sorted({planned.confirms for planned in plan if planned.confirms is not None})
            listener.on_notice(
                f"confirming the configs of trials {', '.join(map(str, trials))} over {len(plan) // len(trials)} seeds"
            )
        task = Task(plan=plan, tested=True, open_trial=open_trial)
        return run_leased(confirming(study), place, lease, session, listener, task)


def planned_confirmation(folder: Path, history: StudyHistory, *, top: int, num_seeds: int) -> tuple[PlannedTrial, ...]:
    """The trials of a confirmation: all configs with the first pair of seeds, then all with the second, and so on.

    Args:
        folder: of the search's results.
        history: of the confirmation so far, whose seeds are reused.
        top, num_seeds: as in `Confirm`.

    Raises:
        ResultsError: no trial of the search has a value.
    """
    trials = {row["trial"]: row for row in read_table(folder, "trials").to_pylist()}
    chosen = worth_confirming(ranked_trials(folder), top=top)
    if not chosen:
        raise ResultsError(f"{folder}: no trial has finished an epoch yet; `wsml-study run` resumes the study")
    searched = [TrialConfig.model_validate_json(row["config"]) for row in trials.values()]
    confirmed = [TrialConfig.model_validate(trial.config) for _, trial in sorted(history.trials.items())]
    training_seeds = _fresh(num_seeds, (c.training.seed for c in searched), (c.training.seed for c in confirmed))
    observe_seeds = _fresh(num_seeds, (c.data.observe.seed for c in searched), (c.data.observe.seed for c in confirmed))
    return tuple(
        _planned(trials[number], training_seed, observe_seed)
        for training_seed, observe_seed in zip(training_seeds, observe_seeds, strict=True)
        for number in chosen
    )


def confirming(study: Study) -> Study:
    """The study that is recorded in a confirmation's folder: the search, with the seeds as further searched keys."""
    seeds = {TRAINING_SEED: ANY_SEED}
    if study.data.validation.labels == "clean":  # else the seed changes the validation labels, and may not vary
        seeds[OBSERVE_SEED] = ANY_SEED
    return study.model_copy(
        update={
            "search": study.search | seeds,
            "sampler": Sampler(name="random"),
            "early_stopping": EarlyStopping(name="none"),
            "fidelity": None,
            "confirm": None,
            "seeds": None,
            "budget": None,
            "stop_when": None,
        }
    )


def _planned(row: dict[str, Any], training_seed: int, observe_seed: int) -> PlannedTrial:
    config = TrialConfig.model_validate_json(row["config"])
    observe = config.data.observe.model_copy(update={"seed": observe_seed})
    return PlannedTrial(
        config=config.model_copy(
            update={
                "data": config.data.model_copy(update={"observe": observe}),
                "training": config.training.model_copy(update={"seed": training_seed}),
            }
        ),
        values=json.loads(row["values"]) | {TRAINING_SEED: training_seed, OBSERVE_SEED: observe_seed},
        confirms=row["trial"],
    )


def _fresh(count: int, searched: Iterable[int], confirmed: Iterable[int]) -> list[int]:
    """Seeds that the search has not used: those of the confirmation so far, then the smallest unused ones."""
    known = list(dict.fromkeys(confirmed))
    seen = {*searched, *known}
    return [*known, *itertools.islice((seed for seed in itertools.count(1) if seed not in seen), count)][:count]


def _warn_if_unfinished(storage: StudyStorage, study: Study, notify: Callable[[str], None]) -> None:
    history = read_history(storage.folder)
    ended, wanted = num_ended(history), history.num_trials or study.full_size_trials
    if ended < wanted and history.search_ended is None:
        notify(f"{ended} of {wanted} trials of the search have ended; confirming the best so far")
