"""Confirmation of a search: its best configs and its best baseline, trained again with fresh seeds and hidden labels.

It is a study with a fixed list of trials, in a folder inside the search's, and is interrupted, resumed, extended and
tabulated like any other study.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from wsml_study.cluster.session import Session
from wsml_study.errors import ResultsError
from wsml_study.record.config_history import num_ended
from wsml_study.record.events import read_history
from wsml_study.record.history import StudyHistory
from wsml_study.record.storage import CONFIRMATION, StudyStorage, open_results, open_storage
from wsml_study.record.study_folder import claim, locked, settled
from wsml_study.record.tables import read_table
from wsml_study.record.trial_history import ENDED
from wsml_study.results.confirmation import plan_of, read_confirmation, rule_of_plan, worth_confirming
from wsml_study.results.ranking import ranked_trials
from wsml_study.results.tradeoff import missed_by_all
from wsml_study.study.confirm_section import AUTO, Confirm
from wsml_study.study.early_stopping_section import EarlyStopping
from wsml_study.study.identity import fingerprint
from wsml_study.study.sampler_section import Sampler
from wsml_study.study.search_section import IntRange, Parameter
from wsml_study.study.spec import Study, TrialConfig
from wsml_study.study.writing import dump_config
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
    """Run a study, and its confirmation if it asks for one, in one Ray session.

    Args:
        study, listener, num_trials, restart, address: as `run_study`.

    Returns:
        The outcome of the search, and of the confirmation; None if the search has not finished or asks for none.

    Raises:
        As `run_study`.
    """
    if study.confirm is None:
        return run_study(study, listener, num_trials=num_trials, restart=restart, address=address), None
    with session_of(open_storage(study.storage, study.name), address) as session:
        outcome = run_study(study, listener, num_trials=num_trials, restart=restart, session=session)
        if not outcome.finished:
            return outcome, None
        return outcome, confirm_study(study, listener, session=session)


def confirm_study(
    study: Study,
    listener: Listener,
    *,
    top: int | None = None,
    seeds: int | Literal["auto"] | None = None,
    address: str | None = None,
    session: Session | None = None,
    open_trial: OpenTrial = open_trial,
) -> Outcome:
    """Train the best configs of a study again, or resume an earlier confirmation.

    Args:
        study: whose search has results.
        listener: follows the runs.
        top: number of configs besides the baseline; by default that of the study.
        seeds: number of pairs of training seed and seed of the hidden labels, or "auto" to add them in rounds; by
            default as the study says.
        address: of a Ray cluster; None starts a local one.
        session: Ray for this run and others, in place of `address`; it is left open.
        open_trial: makes a trial in a worker process.

    Raises:
        ResultsError: the study has no results yet, or the folder belongs to another study; otherwise as `run_study`.
    """
    plan = _asked(study.confirm or Confirm(), top=top, seeds=seeds)
    storage = open_results(study.storage, study.name)
    if study.factors:
        raise ResultsError(
            f"{study.name}: it has `factors`, at whose levels every config has run already, so no trial is the best to "
            f"confirm; list more seeds under `factors` in a study of another name"
        )
    if study.objective.beside is not None:
        raise ResultsError(
            f"{study.name}: it has two objectives, and a confirmation compares configs by one; `wsml-study export "
            f"--front` writes the configs of the front, and `wsml-study train CONFIG --seeds 3` trains one over seeds"
        )
    with locked(storage, listener.on_notice) as lease, session_of(storage, address, session) as session:
        study = settled(storage, study)
        claim(storage, study)
        _warn_if_unfinished(storage, study, listener.on_notice)
        place, recorded = storage.inside(CONFIRMATION), confirming(study, plan)
        claim(place, recorded)
        if plan_of(place.folder) != plan:  # whoever reads the results judges them by the plan
            place.write("study.yaml", dump_config(recorded).encode())
        task = Task(tested=True, resampled=True, open_trial=open_trial)
        rounds = rule_of_plan(plan).rounds.looks if plan.seeds == AUTO else (int(plan.seeds),)
        for count in rounds:
            history, is_open = read_history(place.fetch()), _is_open(storage.folder, plan)
            planned = planned_round(storage.folder, history, plan, count, listener.on_notice)
            if is_open and count < rounds[-1] and _have_ended(planned, history):
                continue  # a round of an earlier run
            outcome = run_leased(recorded, place, lease, session, listener, replace(task, plan=planned))
            if outcome.stopped_on_request or not outcome.finished or not _is_open(storage.folder, plan):
                break
        return outcome


def _have_ended(plan: Sequence[PlannedTrial], history: StudyHistory) -> bool:
    trials = history.with_state(*ENDED)
    ended = {fingerprint(TrialConfig.model_validate(trial.config)) for trial in trials}
    return all(fingerprint(planned.config) in ended for planned in plan)


def _asked(plan: Confirm, *, top: int | None, seeds: int | Literal["auto"] | None) -> Confirm:
    """The plan of the study file, with what a command says instead."""
    asked = plan.model_dump() | {key: value for key, value in (("top", top), ("seeds", seeds)) if value is not None}
    if asked["seeds"] != AUTO:
        del asked["at_most"]
    return Confirm.model_validate(asked)


def _is_open(folder: Path, plan: Confirm) -> bool:
    """Whether a config of the confirmation needs more seeds; after a fixed number none does."""
    return plan.seeds == AUTO and any(open_trials(folder, plan))


def open_trials(folder: Path, plan: Confirm) -> list[int]:
    """Trials of the search whose configs get more seeds, the baseline last; empty when all comparisons have ended."""
    chosen = worth_confirming(ranked_trials(folder), plan)
    found = read_confirmation(folder)
    if found is None or found.baseline is None or plan.seeds != AUTO:
        return chosen
    baseline = found.baseline.trial
    others = [trial for trial in chosen if trial != baseline and found.is_open(trial)]
    return [*others, baseline] if others else []


def planned_round(
    folder: Path, history: StudyHistory, plan: Confirm, count: int, notify: Callable[[str], None]
) -> tuple[PlannedTrial, ...]:
    """The trials of a round of a confirmation: up to a number of seeds of each config that is open; says what is new.

    Args:
        folder: of the search's results.
        history: of the confirmation so far.
        plan: of the confirmation.
        count: number of seeds after the round.
        notify: is told which configs will be run.

    Raises:
        ResultsError: no trial of the search has a value.
    """
    planned = planned_confirmation(folder, history, trials=open_trials(folder, plan), num_seeds=count)
    if not_begun(planned, history):
        trials = sorted({one.confirms for one in planned if one.confirms is not None})
        plural, listed = "s" if len(trials) > 1 else "", ", ".join(map(str, trials))
        limit = f", {plan.at_most} at most" if plan.seeds == AUTO else ""
        notify(f"confirming the config{plural} of trial{plural} {listed} over {count} seeds{limit}")
    return planned


def planned_confirmation(
    folder: Path, history: StudyHistory, *, trials: Sequence[int], num_seeds: int
) -> tuple[PlannedTrial, ...]:
    """The trials of a confirmation: all configs with the first pair of seeds, then all with the second, and so on.

    Args:
        folder: of the search's results.
        history: of the confirmation so far, whose seeds are reused.
        trials: of the search, whose configs are confirmed.
        num_seeds: number of pairs of seeds.

    Raises:
        ResultsError: no trial of the search has a value.
    """
    rows = {row["trial"]: row for row in read_table(folder, "trials").to_pylist()}
    if all(row["value"] is None for row in rows.values()):
        raise ResultsError(f"{folder}: no trial has finished an epoch yet; `wsml-study run` resumes the study")
    if (none := missed_by_all(ranked_trials(folder))) is not None:
        raise ResultsError(f"{folder}: {none}")
    searched = [TrialConfig.model_validate_json(row["config"]) for row in rows.values()]
    confirmed = [TrialConfig.model_validate(trial.config) for _, trial in sorted(history.trials.items())]
    training_seeds = _fresh(num_seeds, (c.training.seed for c in searched), (c.training.seed for c in confirmed))
    observe_seeds = _fresh(num_seeds, (c.data.observe.seed for c in searched), (c.data.observe.seed for c in confirmed))
    return tuple(
        _planned(rows[number], training_seed, observe_seed)
        for training_seed, observe_seed in zip(training_seeds, observe_seeds, strict=True)
        for number in trials
    )


def confirming(study: Study, plan: Confirm) -> Study:
    """The study that is recorded in a confirmation's folder: the search, with the seeds as further searched keys.

    Args:
        study: whose configs are confirmed.
        plan: of the confirmation, by which its results are judged.
    """
    seeds = {TRAINING_SEED: ANY_SEED}
    if study.data.validation.by_truth:  # else the seed changes the validation labels, and may not vary
        seeds[OBSERVE_SEED] = ANY_SEED
    return study.model_copy(
        update={
            "search": study.search | seeds,
            "sampler": Sampler(name="random"),
            "early_stopping": EarlyStopping(name="none"),
            "fidelity": None,
            "confirm": plan,
            "seeds": None,
            "start_from": None,
            "warm_start": None,
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
