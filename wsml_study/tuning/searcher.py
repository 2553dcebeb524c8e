"""Optuna as a Tune searcher: ask, tell, and replay every trial after a restart.

Differs from Ray's OptunaSearch: a stopped trial is reported as PRUNED with its values per epoch, a failed one as FAIL;
the sampler is created anew for each proposal with a seed derived from the study's seed and the trial's number, so a
resumed study proposes what it would have proposed without the interruption; interrupted trials come first.
"""

from __future__ import annotations

import itertools
import warnings
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.trial import TrialState as OptunaState
from ray.tune.result import DONE

from wsml_study.description import Scalar
from wsml_study.record.event_log import EventLog
from wsml_study.record.history import TrialHistory, TrialState
from wsml_study.registry import implementation
from wsml_study.study.option_fields import option_values
from wsml_study.study.sampler_record import SamplerRequest
from wsml_study.study.sampler_section import Sampler
from wsml_study.study.search_space import SearchSpace
from wsml_study.study.spec import Study, TrialConfig
from wsml_study.tuning.trial_source import TrialSource
from wsml_study.workers.protocol import StepReport

OPTUNA_STATES = {
    TrialState.RUNNING: OptunaState.RUNNING,
    TrialState.COMPLETE: OptunaState.COMPLETE,
    TrialState.STOPPED: OptunaState.PRUNED,
    TrialState.FAILED: OptunaState.FAIL,
}


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """A trial that Optuna has proposed and that is not created yet."""

    values: dict[str, Scalar]
    config: TrialConfig


class OptunaSearcher(TrialSource):
    """Proposes trials until the study has as many as it should."""

    def __init__(
        self,
        study: Study,
        log: EventLog,
        *,
        num_trials: int,
        slots: Callable[[], int],
        exclusive: bool = False,
        max_together: int = 1,
    ) -> None:
        """Replay the history into a new Optuna study.

        Args:
            study: what to search.
            log: the study's events; `suggest` adds one per new trial.
            num_trials: total number of trials.
            slots: returns how many trials may run at a time, which changes as machines join and leave.
            exclusive: hand out only the trials that have run out of memory; otherwise all others.
            max_together: linear probes that a worker may train together, at most.
        """
        super().__init__(study, log, num_trials=num_trials, slots=slots, exclusive=exclusive, max_together=max_together)
        self._space = SearchSpace.from_study(study)
        self._grid = list(itertools.islice(self._space.grid(), num_trials)) if study.sampler.record.exhaustive else None
        if self._grid is not None:
            self._num_trials = min(self._num_trials, len(self._grid))
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        # In memory and rebuilt for every run: the event log is the only storage, and proposals never wait for a file.
        self._optuna = optuna.create_study(direction="maximize" if study.objective.sign > 0 else "minimize")
        for _, trial in sorted(log.history.trials.items()):
            self._optuna.add_trial(self._as_optuna(trial))
        self._proposals: deque[Proposal] = deque()
        for _, proposed in sorted(log.history.proposed.items()):
            self._propose_again(**proposed)

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Tell Optuna how a trial ended; one that was interrupted or ran out of memory stays open for a later run."""
        number = self._live[trial_id]
        super().on_trial_complete(trial_id, result, error)
        state = ending_of(result, error=error)
        if state is None or self._log.history.trials[number].moving:
            return
        trial = optuna.trial.Trial(self._optuna, self._optuna.get_trials(deepcopy=False)[number]._trial_id)
        history = self._log.history.trials[number]
        objective = self._study.objective
        for epoch, reported in history.values_by_epoch(objective).items():
            trial.report(reported, epoch)
        optuna_state, value = optuna_outcome(state, history.value(objective))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            self._optuna.sampler = self._sampler(number)
            self._optuna.tell(trial, value, state=optuna_state)

    def sampler_state(self, number: int) -> dict[str, Any]:
        """The sampler's own attributes of a trial (such as its generation), to be kept in the event log."""
        return dict(self._optuna.get_trials(deepcopy=False)[number].system_attrs)

    def _new_trial(self) -> TrialHistory:
        number = len(self._log.history.trials)
        if not self._proposals:
            self._propose_batch()
        proposal = self._proposals.popleft()
        self._log.append(
            "created",
            trial=number,
            values=proposal.values,
            config=proposal.config.model_dump(mode="json"),
            sampler_state=self.sampler_state(number),
        )
        return self._log.history.trials[number]

    def _upcoming(self, count: int) -> list[TrialConfig]:
        """Proposals ahead of time, of samplers that are not model-based: these depend only on the trial's number."""
        while not self._study.sampler.record.model_based and self._num_proposed < self._num_trials:
            if len(self._proposals) >= count:
                break
            self._propose()
        return [proposal.config for proposal in itertools.islice(self._proposals, count)]

    @property
    def _num_proposed(self) -> int:
        return len(self._log.history.trials) + len(self._proposals)

    @property
    def _batch(self) -> int:
        return int(option_values(self._study.sampler, self._study.sampler.record).get("batch") or 1)

    def _propose_batch(self) -> None:
        """Ask for a batch of proposals.

        A batch of several is written to the log: a model-based sampler would propose others after some have ended.
        """
        first = self._num_proposed
        for _ in range(min(self._batch, self._num_trials - first)):
            self._propose()
        if self._batch > 1:
            proposals = [
                {"values": proposal.values, "sampler_state": self.sampler_state(number)}
                for number, proposal in enumerate(self._proposals, start=first)
            ]
            self._log.append("proposed", first=first, proposals=proposals)

    def _propose_again(self, values: dict[str, Scalar], sampler_state: dict[str, Any]) -> None:
        """Add a proposal of an earlier run to the queue."""
        trial = optuna.trial.create_trial(
            state=OptunaState.RUNNING,
            params=values,
            distributions=self._space.distributions(values),
            system_attrs=sampler_state,
        )
        self._optuna.add_trial(trial)
        self._proposals.append(Proposal(values=values, config=self._space.resolve(self._study, values)))

    def _propose(self) -> None:
        """Ask Optuna for one more trial."""
        number = self._num_proposed
        if self._grid is not None:
            self._optuna.enqueue_trial(self._grid[number])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            self._optuna.sampler = self._sampler(number)
            values = self._space.suggest(self._optuna.ask())
        self._proposals.append(Proposal(values=values, config=self._space.resolve(self._study, values)))

    def _as_optuna(self, trial: TrialHistory) -> optuna.trial.FrozenTrial:
        objective = self._study.objective
        distributions: dict[str, BaseDistribution] = self._space.distributions(trial.values)
        state, value = optuna_outcome(trial.state, trial.value(objective))
        return optuna.trial.create_trial(
            state=state,
            params=trial.values,
            distributions=distributions,
            value=value,
            # Epochs are reported when a trial ends, so an interrupted trial must have none here either: a sampler would
            # otherwise see more of it than without the interruption.
            intermediate_values={} if trial.state is TrialState.RUNNING else trial.values_by_epoch(objective),
            system_attrs=trial.sampler_state,
        )

    def _sampler(self, number: int) -> BaseSampler:
        # With several trials open, TPE needs `constant_liar`: it counts them as bad and so avoids proposing them twice.
        return sampler_of(self._study.sampler, number=number, several_at_once=self._slots() > 1 or self._batch > 1)


def ending_of(result: dict[str, Any] | None, *, error: bool) -> TrialState | None:
    """How a trial ended, from Tune's last result; None if it was interrupted or ran out of memory."""
    report = StepReport.of_last(result)
    if error or (report is not None and report.error is not None):
        return TrialState.FAILED
    if result is None or report is None or not result.get(DONE) or report.out_of_memory is not None:
        return None
    return TrialState.COMPLETE if report.complete else TrialState.STOPPED


def optuna_outcome(state: TrialState, value: float | None) -> tuple[OptunaState, float | None]:
    """State and value to report to Optuna: FAIL for a complete trial without a value, since COMPLETE requires one."""
    if state is not TrialState.COMPLETE:
        return OPTUNA_STATES[state], None
    return (OptunaState.FAIL, None) if value is None else (OptunaState.COMPLETE, value)


def sampler_of(sampler: Sampler, *, number: int, several_at_once: bool) -> BaseSampler:
    """A sampler for one proposal, seeded by the study's seed and the trial's number."""
    seed = (sampler.seed * 1_000_003 + number) % 2**32
    record = sampler.record
    create = implementation(record.create) if isinstance(record.create, str) else record.create
    request = SamplerRequest(seed=seed, several_at_once=several_at_once, options=option_values(sampler, record))
    made: BaseSampler = create(request)
    return made
