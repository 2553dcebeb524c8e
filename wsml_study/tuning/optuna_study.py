"""Optuna's study of a search: kept in memory, rebuilt from the history, with a fresh sampler for each proposal."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from types import MappingProxyType
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.trial import FrozenTrial, create_trial
from optuna.trial import TrialState as OptunaState

from wsml_study.description import Scalar
from wsml_study.record.measured import Measured
from wsml_study.record.trial_history import TrialHistory, TrialState
from wsml_study.registry import implementation
from wsml_study.study.objective_section import Objective
from wsml_study.study.option_fields import option_values
from wsml_study.study.sampler_record import WINDOWED_FROM, SamplerRequest
from wsml_study.study.sampler_section import Sampler
from wsml_study.study.search_space import SearchSpace
from wsml_study.study.spec import Study
from wsml_study.tuning.proposal_window import WindowedStorage

OPTUNA_STATES = {
    TrialState.RUNNING: OptunaState.RUNNING,
    TrialState.PAUSED: OptunaState.RUNNING,
    TrialState.COMPLETE: OptunaState.COMPLETE,
    TrialState.STOPPED: OptunaState.PRUNED,
    TrialState.FAILED: OptunaState.FAIL,
}


OPTUNAS_CONSTRAINT = "constraints:"
"""What the system attributes begin with in which Optuna keeps how far a trial misses a constraint."""


class OptunaStudy:
    """Proposals of a sampler, numbered from 0 in the order in which they were asked for, and what it was told of them.

    A proposal that repeats an earlier one is a trial of Optuna's as well, so these numbers are not those of our trials.
    """

    def __init__(self, study: Study, space: SearchSpace, several_at_once: Callable[[], bool]) -> None:
        """Start without proposals.

        Args:
            study: with sampler and objective.
            space: what to propose values of.
            several_at_once: whether other proposals may be open while the sampler is asked for one.
        """
        self._settings, self._space, self._several_at_once = study, space, several_at_once
        self._num_observed = 0
        self._shared: BaseSampler | None = None
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        # In memory and rebuilt for every run: the event log is the only storage, and proposals never wait for a file.
        objective = study.objective
        self._storage = WindowedStorage(objective.sign if study.sampler_sees_window else None)
        signs = [objective.sign, *([] if objective.second is None else [objective.second.sign])]
        self._study = optuna.create_study(
            storage=self._storage, directions=["maximize" if sign > 0 else "minimize" for sign in signs]
        )

    def __len__(self) -> int:
        return len(self._storage)

    @property
    def trials(self) -> list[FrozenTrial]:
        """Optuna's own trials, by number; not to be changed."""
        return self._study.get_trials(deepcopy=False)

    @property
    def num_proposed(self) -> int:
        """The number of proposals, without what earlier studies have observed."""
        return len(self) - self._num_observed

    def observe(self, values: dict[str, Scalar], value: float) -> None:
        """Add a complete trial of an earlier study, before the first proposal."""
        assert self.num_proposed == 0, "observations come first"
        self._add(values, {}, state=OptunaState.COMPLETE, values=[value])
        self._num_observed += 1

    def ask(self, values: dict[str, Scalar] | None = None) -> tuple[int, dict[str, Scalar]]:
        """Ask the sampler for a proposal, or register these values as its next one.

        Returns:
            the number of the proposal and its values.
        """
        if values is not None:
            self._study.enqueue_trial(values)
        if self._shared is not None:
            self._study.sampler = self._shared
            return self._suggested()
        with self._sampler_for(len(self)), self._storage.window() if self.is_long else nullcontext():
            return self._suggested()

    def _suggested(self) -> tuple[int, dict[str, Scalar]]:
        trial = self._study.ask()
        return trial.number, self._space.suggest(trial)

    @property
    def is_long(self) -> bool:
        """Whether the sampler is shown a part of the trials only."""
        return self._settings.sampler_sees_window and len(self) >= WINDOWED_FROM

    @contextmanager
    def at_once(self, num_proposals: int) -> Iterator[None]:
        """Let one sampler make the proposals that the block asks for, in a long search, from what is told now."""
        with self._sampler_for(len(self), num_proposals), self._storage.window():
            self._shared = self._study.sampler
            try:
                yield
            finally:
                self._shared = None

    def tell(
        self, number: int, trial: TrialHistory, state: TrialState, value: float | None, measured: Measured
    ) -> None:
        """Tell the sampler that a proposal ended in this state with this value; replaces what it was told before.

        Args:
            number: of the proposal.
            trial: with the values after each epoch.
            state, value, measured: of the config, which may have several runs; the trial is the first of them.
        """
        optuna_state, values, violations = self._outcome(state, value, measured)
        epochs = self._epochs(trial, state)
        if self._storage.one(number).state.is_finished():
            self._replace(number, optuna_state, values, epochs, violations)
            return
        asked = optuna.trial.Trial(self._study, self._storage.one(number)._trial_id)
        for epoch, reported in epochs.items():
            asked.report(reported, epoch)
        for name, violation in violations.items():
            asked.set_constraint(name, violation)
        # To be told does not change a sampler that sees a window, so any of them will do.
        with nullcontext() if self.is_long else self._sampler_for(number):
            self._study.tell(asked, values, state=optuna_state)

    def add_trial(self, trial: TrialHistory, told: TrialState | None, value: float | None, measured: Measured) -> int:
        """Add a trial of an earlier run, and return the number of its proposal.

        Args:
            trial: the first run of its config.
            told: the state of the config that the sampler knows; None if it has not been told any.
            value, measured: of the config.
        """
        state, values, violations = self._outcome(told or TrialState.RUNNING, value, measured)
        proposed = trial.values if trial.proposed is None else trial.proposed
        return self._add(
            proposed,
            trial.sampler_state,
            state=state,
            values=values,
            constraints=violations,
            intermediate_values=self._epochs(trial, told),
        )

    def add_open(self, values: dict[str, Scalar], sampler_state: dict[str, Any]) -> int:
        """Add a proposal of an earlier run that the sampler has not been told of, and return its number."""
        return self._add(values, sampler_state, state=OptunaState.RUNNING)

    def sampler_state(self, number: int) -> dict[str, Any]:
        """The sampler's own attributes of a proposal, such as its generation."""
        return dict(self._storage.one(number).system_attrs)

    def random_values(self) -> Iterator[dict[str, Scalar]]:
        """Values drawn at random, of which the sampler is not told; the same after an interruption."""
        draws = optuna.create_study(sampler=RandomSampler(seed=self._seed(len(self))))
        while True:
            yield self._space.suggest(draws.ask())

    def _outcome(
        self, state: TrialState, value: float | None, measured: Measured
    ) -> tuple[OptunaState, list[float] | None, dict[str, float]]:
        """State, values of the objectives and violations of the constraints to tell; a config without one has failed.

        All come from the log alone, so that a resumed study proposes what it would have proposed.
        """
        objective = self._settings.objective
        values = [value, *([] if objective.beside is None else [measured.get(objective.beside)])]
        violations = objective.violations(measured) if state in (TrialState.COMPLETE, TrialState.STOPPED) else {}
        known = [one for one in values if one is not None]
        if len(known) < len(values) or violations is None:
            value = None
        optuna_state, value = optuna_outcome(state, value)
        return optuna_state, None if value is None else known, violations or {}

    def _epochs(self, trial: TrialHistory, state: TrialState | None) -> dict[int, float]:
        """As `values_for_sampler`; with two objectives Optuna takes none."""
        objective = self._settings.objective
        return {} if objective.beside is not None else values_for_sampler(trial, objective, state)

    def _replace(
        self,
        number: int,
        state: OptunaState,
        values: list[float] | None,
        epochs: dict[int, float],
        violations: dict[str, float],
    ) -> None:
        """Change a finished proposal, as if it had been told so first."""
        before = self._storage.one(number)
        outcome = {"values": values, "constraints": violations, "intermediate_values": epochs}
        self._storage.replace(number, self._created(before.params, before.system_attrs, state=state, **outcome))

    def _add(self, params: dict[str, Scalar], sampler_state: dict[str, Any], **outcome: Any) -> int:
        self._study.add_trial(self._created(params, sampler_state, **outcome))
        return len(self) - 1

    def _created(self, params: dict[str, Scalar], sampler_state: dict[str, Any], **outcome: Any) -> FrozenTrial:
        others = {key: kept for key, kept in sampler_state.items() if not key.startswith(OPTUNAS_CONSTRAINT)}
        return create_trial(
            params=params, distributions=self._space.distributions(params), system_attrs=others, **outcome
        )

    @contextmanager
    def _sampler_for(self, number: int, num_proposals: int = 1) -> Iterator[None]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            # With several trials open, TPE needs `constant_liar`: it counts them as bad and so avoids proposing them
            # twice.
            self._study.sampler = sampler_of(
                self._settings.sampler,
                seed=self._seed(number),
                several_at_once=self._several_at_once(),
                number=number,
                space=self._space.distribution_of,
                num_proposals=num_proposals,
            )
            yield

    def _seed(self, number: int) -> int:
        return (self._settings.sampler.seed * 1_000_003 + number) % 2**32


def state_for_sampler(trial: TrialHistory) -> TrialState | None:
    """The state that a sampler is told of; None before the first pause or end.

    A paused trial is told as stopped, since most paused trials never go on and a sampler is to learn from them. It
    stays so while it goes on, until it ends or is paused again.
    """
    if trial.state is TrialState.PAUSED or (trial.state is TrialState.RUNNING and trial.paused_after is not None):
        return TrialState.STOPPED
    return None if trial.state is TrialState.RUNNING else trial.state


def values_for_sampler(trial: TrialHistory, objective: Objective, state: TrialState | None) -> dict[int, float]:
    """Epoch -> objective that a sampler is told of a trial in this state; see `state_for_sampler`.

    Epochs are reported when a trial ends or pauses, so one that is running has none but those before its last pause: a
    sampler would otherwise see more of it after an interruption than without.
    """
    epochs = trial.values_by_epoch(objective)
    if state is None:
        return {}
    if state is TrialState.STOPPED and trial.state is TrialState.RUNNING and trial.paused_after is not None:
        return {epoch: value for epoch, value in epochs.items() if epoch <= trial.paused_after}
    return epochs


def optuna_outcome(state: TrialState, value: float | None) -> tuple[OptunaState, float | None]:
    """State and value to report to Optuna: FAIL for a complete trial without a value, since COMPLETE requires one."""
    if state is not TrialState.COMPLETE:
        return OPTUNA_STATES[state], None
    return (OptunaState.FAIL, None) if value is None else (OptunaState.COMPLETE, value)


def sampler_of(
    sampler: Sampler,
    *,
    seed: int,
    several_at_once: bool,
    number: int = 0,
    space: Mapping[str, BaseDistribution] = MappingProxyType({}),
    num_proposals: int = 1,
) -> BaseSampler:
    """A sampler for one proposal; other arguments as in `SamplerRequest`."""
    record = sampler.record
    create = implementation(record.create) if isinstance(record.create, str) else record.create
    request = SamplerRequest(
        seed=seed,
        several_at_once=several_at_once,
        options=option_values(sampler, record),
        arguments=sampler.options or {},
        study_seed=sampler.seed,
        number=number,
        space=space,
        num_proposals=num_proposals,
    )
    made: BaseSampler = create(request)
    return made
