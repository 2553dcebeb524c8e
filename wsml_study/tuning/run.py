"""Run, resume and extend a study."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from ray import tune
from ray.tune import TuneError
from ray.tune.schedulers import TrialScheduler

from wsml_study.cluster.autoscaling import CapacityRequest, wait_for_capacity
from wsml_study.cluster.event_groups import events_in_groups, starting_at_a_time
from wsml_study.cluster.leaked_placement_groups import LeakedPlacementGroups
from wsml_study.cluster.preflight import preflight
from wsml_study.cluster.session import Session, Slots, gpus_per_worker
from wsml_study.cluster.trainable_class import trainable_read_once
from wsml_study.cluster.tune_records import EndedTrialsEmptied, no_records_of_tune
from wsml_study.data.judged_classes import unjudged
from wsml_study.data.label_states import NEGATIVE
from wsml_study.data.validation_labels import incomplete
from wsml_study.errors import DataError, ResourcesError, ResultsError
from wsml_study.record.config_history import num_ended
from wsml_study.record.event_log import EventLog
from wsml_study.record.events import read_history
from wsml_study.record.history import StudyHistory
from wsml_study.record.lease import Lease
from wsml_study.record.log_snapshot import write_snapshot
from wsml_study.record.score_files import write_partial_labels
from wsml_study.record.storage import TABLE_FILES, EventMirror, StudyStorage, open_storage
from wsml_study.record.study_folder import claim, locked, set_aside, settled
from wsml_study.record.tables import damaged_tables, refuse_lost_events, write_tables
from wsml_study.record.trial_history import TrialState
from wsml_study.report.estimated_ranges import range_lines, with_estimated_ranges
from wsml_study.report.failing_methods import failing_methods
from wsml_study.report.model_card import model_card
from wsml_study.study.batching import is_stackable
from wsml_study.study.budget_section import UNBOUNDED_TRIALS
from wsml_study.study.computation import computation
from wsml_study.study.config_runs import runs_of
from wsml_study.study.early_stopping_record import ResumingRule, Rule
from wsml_study.study.factors import num_runs, proposed_space
from wsml_study.study.fidelity import at_level, heading, num_levels
from wsml_study.study.resources_section import MOST_FUSED
from wsml_study.study.search_space import longest_training
from wsml_study.study.spec import Study, TrialConfig
from wsml_study.training.trial_data import TrialData, dataset_of, open_trial_data
from wsml_study.tuning.early_stopping_scheduler import EarlyStoppingScheduler, rule_of
from wsml_study.tuning.environment import data_fingerprint, environment
from wsml_study.tuning.expected_regret import ExpectedRegret
from wsml_study.tuning.label_counts import judged_labels, partial_labels
from wsml_study.tuning.ledger import Ledger, Listener, StopOnRequest
from wsml_study.tuning.limited_run import LimitedScheduler, PausedAreSaved, StopAtLimits
from wsml_study.tuning.limits import Limits, still_holds
from wsml_study.tuning.model_checks import check_models, joined_batches
from wsml_study.tuning.pausing import Pausing
from wsml_study.tuning.planned import PlannedTrial, PlannedTrials, not_begun
from wsml_study.tuning.population import Population, PopulationScheduler
from wsml_study.tuning.preparation import Preparation
from wsml_study.tuning.prior_knowledge import record_prior_knowledge
from wsml_study.tuning.promotion import survivors
from wsml_study.tuning.searcher import OptunaSearcher
from wsml_study.tuning.tracking.opening import tracked
from wsml_study.tuning.trial_source import TrialSource
from wsml_study.workers.checkpoint_files import whole_state
from wsml_study.workers.loop import OpenTrial, open_trial
from wsml_study.workers.protocol import Assignment
from wsml_study.workers.slot import WorkerSettings
from wsml_study.workers.warm_trial import WarmTrial

CHECKPOINT_INTERVAL_S = 15.0
SLOT_MEMORY_BYTES = 2**20
"""Resources of a slot's Tune actor. It requests memory, since any share of a CPU would be missing to the workers."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a run of a study ended.

    Attributes:
        folder: the study's, or the local copy of it.
        place: where the study is kept, for messages.
        history: of this run and earlier ones.
        num_trials: how many trials the study should have.
        stopped_on_request: `wsml-study stop` ended it.
        cut_short_at: the level of fidelity that it has not ended; None at full size.
    """

    folder: Path
    place: str
    history: StudyHistory
    num_trials: int
    stopped_on_request: bool = False
    cut_short_at: int | None = None

    @property
    def finished(self) -> bool:
        """Whether every trial that the study should have has ended, or a limit of the search was reached."""
        has_ended = self.history.search_ended is not None or _finished(self.history, self.num_trials)
        return self.cut_short_at is None and has_ended

    @property
    def all_failed(self) -> bool:
        """Whether there are trials, and every one of them has failed."""
        trials = self.history.trials
        return bool(trials) and self.history.num_with_state(TrialState.FAILED) == len(trials)


@dataclass(frozen=True, kw_only=True)
class Task:
    """What the trials of a run are for.

    Attributes:
        plan: a fixed list of trials; None if Optuna proposes them.
        tested: evaluate each trial's best epoch on the test images.
        resampled: also compute AP in resamples of the test images, for intervals.
        model_folder: receives a trained model per trial (final training); None otherwise.
        rule: for early stopping; None for the study's own.
        open_trial: makes a trial in a worker process.
        whole: the study whose level this run is, so that the models of all levels are checked before the first trial
            of the first level; None for a run that is no level.
    """

    plan: tuple[PlannedTrial, ...] | None = None
    tested: bool = False
    resampled: bool = False
    model_folder: Path | None = None
    rule: Rule | None = None
    open_trial: OpenTrial = open_trial
    whole: Study | None = None

    @property
    def keeps_scores(self) -> bool:
        """Whether trials that partial labels judge leave their validation scores: those that are to be ranked."""
        return not self.tested and self.model_folder is None


def run_study(
    study: Study,
    listener: Listener,
    *,
    num_trials: int | None = None,
    restart: bool = False,
    address: str | None = None,
    session: Session | None = None,
    model_folder: Path | None = None,
    open_trial: OpenTrial = open_trial,
) -> Outcome:
    """Run a study, or resume it where an earlier run stopped.

    Args:
        study: what to run; its results are written to `study.storage`/`study.name`.
        listener: follows the run.
        num_trials: total number of trials (with `fidelity`, of the first level); by default that of the study, or
            the number that it has already.
        restart: move the results of earlier runs aside and start over.
        address: of a Ray cluster; None starts a local one.
        session: Ray for this run and others, in place of `address`; it is left open.
        model_folder: receives a trained model per trial (final training); None for a search.
        open_trial: makes a trial in a worker process.

    Raises:
        ResultsError: the folder belongs to a different study, another run has locked it, or it cannot be written; or
            there are no validation images to search with; or a level of `fidelity` has fewer trials than survivors,
            or none with a value.
        DataError: images or labels are missing or malformed.
        TrainingError: a backbone or its weights are not available, or do not accept the study's images.
        ResourcesError: the cluster is too small for one trial, or cannot be reached.
    """
    if model_folder is None and not study.data.holds_out:
        raise ResultsError(
            f"{study.name}: data.train_on is train+validation, so no image is left to evaluate a trial on; train the "
            f"config with `wsml-study train`"
        )
    _refuse_too_few(study, num_trials)
    storage = open_storage(study.storage, study.name)
    if restart:
        set_aside(storage, listener.on_notice)
    task = Task(tested=model_folder is not None, model_folder=model_folder, open_trial=open_trial)
    with locked(storage, listener.on_notice) as lease, session_of(storage, address, session) as session:
        study = with_estimated_ranges(settled(storage, study))
        for line in range_lines(study):
            listener.on_notice(line)
        if study.fidelity is not None and model_folder is None:
            return _run_levels(study, storage, lease, session, listener, task, num_trials=num_trials)
        return run_leased(study, storage, lease, session, listener, task, num_trials=num_trials)


def session_of(
    storage: StudyStorage, address: str | None, session: Session | None = None
) -> AbstractContextManager[Session]:
    """The Ray session for the runs of a study, its levels and its confirmation; Ray's output goes to ray.log there.

    A session that is handed in is used, and left open after the block.
    """
    return Session(address, storage.folder / "ray.log") if session is None else nullcontext(session)


def _run_levels(
    study: Study,
    storage: StudyStorage,
    lease: Lease,
    session: Session,
    listener: Listener,
    task: Task,
    *,
    num_trials: int | None,
) -> Outcome:
    """As `run_study`, with multi-fidelity: each level is a study whose survivors are the plan of the next."""
    claim(storage, study)
    history = read_history(storage.folder)
    if not (storage.folder / TABLE_FILES[0]).exists():  # `results` and `report` read the tables before full size begins
        write_tables(storage.folder, study, history)
        storage.upload(*TABLE_FILES)
    task = replace(task, whole=study)
    for number in range(1, num_levels(study)):
        level, place = at_level(study, number), storage.level(number)
        listener.on_notice(heading(study, number))
        outcome = run_leased(level, place, lease, session, listener, task, num_trials=num_trials)
        stopped = lease.stop_requested.is_set()
        if stopped or not outcome.finished:
            return Outcome(
                folder=storage.folder,
                place=storage.described,
                history=history,
                num_trials=study.full_size_trials,
                stopped_on_request=stopped,
                cut_short_at=number,
            )
        task = replace(task, plan=survivors(study, number, outcome.history))
    listener.on_notice(heading(study, num_levels(study)))
    return run_leased(study, storage, lease, session, listener, task)


def _refuse_too_few(study: Study, num_trials: int | None) -> None:
    least = 0 if study.fidelity is None else study.fidelity[0].survivors
    if num_trials is not None and num_trials <= least:
        raise ResultsError(
            f"--trials {num_trials}: with `fidelity` this is the number of trials of the first level, of which the "
            f"best {least} are promoted; ask for more than {least}"
        )


def run_leased(
    study: Study,
    storage: StudyStorage,
    lease: Lease,
    session: Session,
    listener: Listener,
    task: Task,
    *,
    num_trials: int | None = None,
) -> Outcome:
    """As `run_study`, in a folder that is locked already: the study's, or one inside it.

    Args:
        storage: where the results go.
        lease: of the study, or of the one that it belongs to.
        session: opened if there is anything left to run.
        task: what its trials are for.
    """
    claim(storage, study)
    log = _open_log(storage, listener.on_notice)
    try:
        total = _total(study, task, num_trials or study.trials, log.history)
        if not _finished(log.history, total) and not still_holds(log.history.search_ended, study):
            with tracked(study, storage.folder, listener) as followers:
                _begin(study, storage, log, lease, session, followers, task, num_trials=total)
            total = _total(study, task, num_trials or study.trials, log.history)
        write_tables(storage.folder, study, log.history)
        storage.upload(*TABLE_FILES)
        write_snapshot(storage, log.history)
        outcome = Outcome(
            folder=storage.folder,
            place=storage.described,
            history=log.history,
            num_trials=total,
            stopped_on_request=lease.stop_requested.is_set(),
        )
        if outcome.finished and not log.history.paused:  # paused trials go on from their checkpoints
            storage.delete_scratch()
        return outcome
    finally:
        log.close()


def _begin(
    study: Study,
    storage: StudyStorage,
    log: EventLog,
    lease: Lease,
    session: Session,
    listener: Listener,
    task: Task,
    *,
    num_trials: int,
) -> None:
    """Open the data, start or connect to Ray, and run the remaining trials."""
    listener.on_phase("reading data")
    data = open_trial_data(study.data, progress=listener.on_images)
    if task.plan is None and study.provenance is None and not log.history.trials:  # else as it was begun
        _refuse_incomplete(study, data)
        _refuse_failing(study, data)
    _check_validation_classes(study, data, task, listener)
    dataset = dataset_of(study.data)
    check_models(task.whole or study, image_size=dataset.image_size, num_channels=dataset.channels)
    joined = joined_batches(
        study, num_images=len(data.train), image_size=dataset.image_size, num_channels=dataset.channels
    )
    if joined is not None:
        listener.on_notice(joined)
    log.append(
        "run",
        classes=list(data.classes),
        **({} if dataset.class_groups is None else {"class_groups": list(dataset.class_groups)}),
        num_trials=None if num_trials >= UNBOUNDED_TRIALS else num_trials,
        **(_runs_per_config(study) if task.plan is None else {}),
        limits={
            key: section.model_dump(mode="json", exclude_none=True)
            for key, section in (("budget", study.budget), ("stop_when", study.stop_when))
            if section is not None
        },
        judged_labels=judged_labels(study, data, task.plan or ()),
        environment=environment(),
        data_fingerprint=data_fingerprint(data),
    )
    labels = partial_labels(study, data)
    if labels is not None and task.keeps_scores:
        write_partial_labels(storage, labels)
    if task.plan is None:
        record_prior_knowledge(study, log, listener.on_notice)
    if not session.is_open:
        listener.on_phase("starting Ray")
        session.open()
    if session.address is not None:
        wait_for_capacity(study.resources, listener.on_notice)
    preflight(study, storage, listener.on_notice)
    _Run(
        study=study,
        storage=storage,
        log=log,
        lease=lease,
        listener=listener,
        num_trials=num_trials,
        task=task,
        computes=partial(
            computation,
            num_images=len(data.train),
            num_classes=len(data.classes),
            num_ranks=study.resources.workers_per_trial,
        ),
        capacity=None if session.address is None else CapacityRequest(study.resources),
    ).trials()


def _refuse_incomplete(study: Study, data: TrialData) -> None:
    """Refuse a study that is to be judged by clean labels where the validation images have unknown ones.

    Raises:
        DataError: they have.
    """
    error = incomplete(study.data.record, data.validation.truth_MC)
    if error is not None and study.data.validation.by_truth:
        raise error


def _refuse_failing(study: Study, data: TrialData) -> None:
    """Refuse a study some of whose trials are known to fail.

    Raises:
        DataError: there are such trials.
    """
    num_negatives = int((data.train.observed_MC == NEGATIVE).sum())
    failing = failing_methods(study, num_negatives=num_negatives, mirrors=data.horizontal_flip)
    if failing:
        raise DataError("\n  ".join([f"{study.name}: trials of this study would fail:", *failing]))


def _check_validation_classes(study: Study, data: TrialData, task: Task, listener: Listener) -> None:
    """Refuse a search in which no class can be evaluated on the validation images.

    Final training is not refused: it keeps the last epoch.

    Raises:
        DataError: no class can be evaluated, and this is a search.
    """
    if "data.validation.labels" in study.search:
        return
    validation = data.validation
    labels_MC = validation.judged_by(study.data.validation.labels)
    objective = study.objective
    least = objective.least_positives if objective.record.over_classes else 1
    error = unjudged(data.classes, labels_MC, metric=objective.record.name, least_positives=least)
    if error is not None and task.model_folder is None:
        raise error
    if error is not None:
        listener.on_notice(f"{str(error).splitlines()[0]}; the last epoch is kept")


def _open_log(storage: StudyStorage, notify: Callable[[str], None]) -> EventLog:
    """The study's event log; notices about what an earlier crash has damaged."""
    log = EventLog(storage.folder / "events.jsonl", mirror=None if storage.remote is None else EventMirror(storage))
    if log.dropped is not None:
        notify(
            f"{log.path}: the last line was cut short and is dropped ({len(log.dropped)} characters, "
            f"{log.dropped[:60]!r}); what it recorded is done again"
        )
    refuse_lost_events(storage.folder, log.history)
    for name in damaged_tables(storage.folder):
        notify(f"{storage.folder / name}: damaged table; it is rebuilt from the event log")
    return log


def _finished(history: StudyHistory, num_trials: int) -> bool:
    return num_ended(history) >= num_trials


def _total(study: Study, task: Task, wanted: int, history: StudyHistory) -> int:
    """Total number of trials: as requested, at least those that exist, at most those that differ."""
    if task.plan is not None:
        return len(history.trials) + len(not_begun(task.plan, history))
    if history.exhausted or (history.search_ended is not None and still_holds(history.search_ended, study)):
        return history.num_begun
    total = max(num_runs(study, wanted), history.num_begun)
    size = proposed_space(study).size() if study.sampler.record.exhaustive else None
    return total if size is None else min(total, num_runs(study, size))


def _runs_per_config(study: Study) -> dict[str, Any]:
    """Keys of a run's event where a config has several runs."""
    number = len(runs_of(study))
    if number == 1:
        return {}
    return {"runs_per_config": number, "every_run": study.seeds is None}


@dataclass(frozen=True, kw_only=True)
class _Run:
    """A run of a study's remaining trials under Ray Tune."""

    study: Study
    storage: StudyStorage
    log: EventLog
    lease: Lease
    listener: Listener
    num_trials: int
    task: Task
    computes: Callable[[TrialConfig], str]
    capacity: CapacityRequest | None

    def trials(self) -> None:
        """Run the remaining trials; then, one at a time, those that ran out of memory while sharing a machine."""
        limits = self._limits()
        if self._num_left(out_of_memory=False) > 0:
            self._fit(limits, exclusive=False)
        if self.log.history.exhausted:
            self.listener.on_notice(
                f"the search space holds no other trial than these {self.log.history.num_begun}: every other "
                f"proposal would compute the same as one of them"
            )
        num_exclusive = self._num_left(out_of_memory=True)
        if num_exclusive > 0 and self._only_paused_are_left() and not self.lease.stop_requested.is_set():
            self.listener.on_notice(f"{num_exclusive} trials that ran out of memory are retried, one at a time")
            self._fit(limits, exclusive=True)
        within_limits = limits is None or limits.reached is None
        if within_limits and self._only_paused_are_left() and not self.lease.stop_requested.is_set():
            self._end_paused()
        if limits is not None and limits.reached is not None and not _finished(self.log.history, self.num_trials):
            self.log.append("search_ended", **asdict(limits.reached))
            paused = len(self.log.history.paused)
            kept = (
                f"; {paused} unfinished {'trials are' if paused > 1 else 'trial is'} kept as paused" if paused else ""
            )
            self.listener.on_notice(f"search ended: {limits.reached.message}{kept}")

    def _only_paused_are_left(self) -> bool:
        """Whether every trial that did not run out of memory has ended or is paused."""
        return self._num_left(out_of_memory=False) == self.log.history.num_with_state(TrialState.PAUSED)

    def _end_paused(self) -> None:
        """End the trials that no later trial has let go on; their checkpoints go with the scratch folder."""
        history = self.log.history
        with self.log.grouped(self.lease.check):  # an object store would take minutes for thousands of writes
            for trial in history.with_state(TrialState.PAUSED):
                ending = {"state": TrialState.STOPPED, "error": None, "sampler_state": trial.sampler_state}
                self.log.append("ended", trial=trial.number, **ending)
                self.log.once_durable(partial(self.listener.on_event, history, "ended", trial.number))

    def _limits(self) -> Limits | None:
        """The limits of the search; None for a plan, which is no search, and without any.

        Raises:
            ResourcesError: GPU hours are limited, and trials use no GPU here.
        """
        study = self.study
        if self.task.plan is not None or (study.budget is None and study.stop_when is None):
            return None
        gpus = gpus_per_worker(study.resources) * study.resources.workers_per_trial
        if study.budget is not None and study.budget.gpu_hours is not None and gpus == 0:
            raise ResourcesError(
                f"budget.gpu_hours: {study.budget.gpu_hours:g}: trials use no GPU here, so this would never be spent; "
                f"use `hours` or `epochs`"
            )
        regret = None if study.stop_when is None else ExpectedRegret(study)
        return Limits(study, self.log.history, gpus_per_trial=gpus, regret=regret)

    def _num_left(self, *, out_of_memory: bool) -> int:
        history = self.log.history
        exclusive = sum(trial.out_of_memory is not None for trial in history.with_state(TrialState.RUNNING))
        num_trials = history.num_begun if history.exhausted else self.num_trials
        return exclusive if out_of_memory else num_trials - num_ended(history) - exclusive

    def _fit(self, limits: Limits | None, *, exclusive: bool) -> None:
        study, log = self.study, self.log
        slots: Callable[[], int] = _one if exclusive else Slots(study.resources, self._request_capacity)
        filesystem, scratch = self.storage.scratch()
        population = _population(study, log.history, self.storage)
        rule = self.task.rule or rule_of(study.early_stopping, epochs=longest_training(study))
        pausing = self._pausing(rule, exclusive) if isinstance(rule, ResumingRule) else None
        source = self._source(slots, exclusive, pausing)
        source.limits = limits
        settings = self._settings(exclusive)
        gpus = settings.gpus_per_worker * settings.num_workers
        ledger = Ledger(
            study,
            self.storage,
            log,
            self.lease,
            source,
            self.listener,
            population,
            pausing,
            gpus_per_trial=gpus,
        )
        self.listener.on_slots(min(slots(), self._num_left(out_of_memory=exclusive)), self.num_trials, log.history)
        tuner = tune.Tuner(
            tune.with_resources(
                tune.with_parameters(WarmTrial, settings=settings),
                tune.PlacementGroupFactory([{"memory": SLOT_MEMORY_BYTES}]),
            ),
            tune_config=tune.TuneConfig(
                search_alg=source,
                scheduler=_scheduler(study, rule, log.history, population, limits),
                num_samples=-1,
                reuse_actors=True,
                trial_dirname_creator=_trial_folder_name,
                trial_name_creator=_trial_folder_name,
            ),
            run_config=tune.RunConfig(
                name=f"run_{len(log.history.runs):04d}{'_exclusive' if exclusive else ''}",
                storage_path=scratch,
                storage_filesystem=filesystem,
                failure_config=tune.FailureConfig(max_failures=study.retries),
                # No checkpoint at the end: no trial resumes from it, and a slot may have lost its worker group by then.
                # Older ones are deleted by the ledger: Tune would wait for that.
                checkpoint_config=tune.CheckpointConfig(num_to_keep=None, checkpoint_at_end=False),
                callbacks=[
                    ledger,
                    LeakedPlacementGroups(),
                    Preparation(self.listener),
                    *([] if limits is None else [PausedAreSaved(limits)]),
                    EndedTrialsEmptied(),
                ],
                stop=StopOnRequest(self.lease) if limits is None else StopAtLimits(limits, self.lease),
                verbose=0,
            ),
        )
        try:
            starting = starting_at_a_time(slots(), on_cluster=self.capacity is not None)
            with (
                log.grouped(self.lease.check),
                events_in_groups(log, starting=starting),
                no_records_of_tune(),
                trainable_read_once(),
            ):
                tuner.fit()
        except TuneError:
            if log.failure is not None:  # the original error, which Tune reports only as text
                raise log.failure from None
            self.lease.check()
            raise
        finally:
            ledger.close()

    def _pausing(self, rule: ResumingRule, exclusive: bool) -> Pausing:
        # The state of a trial in a batch would have to be trained again to be saved; it is trained again when it goes
        # on, beside others.
        batches = not exclusive and self._max_together() > 1
        return Pausing(
            rule,
            self.log.history,
            num_trials=self.num_trials,
            has_state=lambda config: not (batches and is_stackable(config)),
        )

    def _source(self, slots: Callable[[], int], exclusive: bool, pausing: Pausing | None) -> TrialSource:
        study, log, plan = self.study, self.log, self.task.plan
        max_together = 1 if exclusive else self._max_together()
        if plan is None:
            return OptunaSearcher(
                study,
                log,
                num_trials=self.num_trials,
                slots=slots,
                exclusive=exclusive,
                max_together=max_together,
                # Members of a population begin alike and part at their first exploit.
                computes=None if study.early_stopping.record.is_population else self.computes,
                pausing=pausing,
            )
        return PlannedTrials(
            study, log, plan=plan, slots=slots, exclusive=exclusive, max_together=max_together, pausing=pausing
        )

    def _max_together(self) -> int:
        """Trials that a worker may train together: 1 if several ranks share a trial or a population swaps networks."""
        resources = self.study.resources
        one_at_a_time = resources.workers_per_trial > 1 or self.study.early_stopping.record.is_population
        return 1 if one_at_a_time or self.task.open_trial is not open_trial else resources.fused_trials or MOST_FUSED

    def _request_capacity(self, slots: int) -> None:
        if self.capacity is not None:
            self.capacity.update(self._num_left(out_of_memory=False) - slots)

    def _settings(self, exclusive: bool) -> WorkerSettings:
        resources, stopping, task = self.study.resources, self.study.early_stopping, self.task
        filesystem, scratch = self.storage.scratch()
        gpus = gpus_per_worker(resources)
        return WorkerSettings(
            num_workers=resources.workers_per_trial,
            cpus_per_worker=resources.cpus_per_worker,
            gpus_per_worker=math.ceil(gpus) if exclusive else gpus,
            filesystem=filesystem,
            scratch_folder=scratch,
            corrections_folder=self.storage.corrections()[1],
            distrust_folder=self.storage.distrusted()[1],
            scores_folder=self.storage.scores()[1] if task.keeps_scores else None,
            resamples_folder=self.storage.test_resamples()[1] if task.resampled else None,
            checkpoint_interval_s=CHECKPOINT_INTERVAL_S,
            checkpoint_interval_epochs=stopping.first_decision_epoch if stopping.record.is_population else None,
            exclusive=exclusive,
            tested=task.tested or bool(self.study.test_trials),
            model_folder=None if task.model_folder is None else str(task.model_folder.absolute()),
            model_card=model_card,
            provenance=self.study.provenance,
            open_trial=task.open_trial,
        )


def _one() -> int:
    return 1


def _population(study: Study, history: StudyHistory, storage: StudyStorage) -> Population | None:
    if not study.early_stopping.record.is_population:
        return None
    filesystem, _ = storage.scratch()
    return Population(study, history, lambda folder: whole_state(filesystem, folder) is not None)


def _scheduler(
    study: Study, rule: Rule | None, history: StudyHistory, population: Population | None, limits: Limits | None
) -> TrialScheduler:
    if population is not None:
        return PopulationScheduler(population)
    if limits is not None:
        return LimitedScheduler(rule, history, study.objective, limits)
    return EarlyStoppingScheduler(rule, history, study.objective)


def _trial_folder_name(trial: Any) -> str:
    return f"trial_{Assignment.of(trial.config).trial:05d}_{trial.trial_id}"
