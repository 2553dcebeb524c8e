"""Configs that run at each combination of levels (`factors`): a config is several trials, and its value is their mean.

With L combinations, trials c * L to c * L + L - 1 are those of config c.
"""

from __future__ import annotations

import hashlib
import itertools
from collections import defaultdict, deque
from statistics import fmean
from typing import Any

from wsml_study.description import Scalar
from wsml_study.record.history import ENDED, StudyHistory, TrialHistory, TrialState
from wsml_study.study.factors import combinations, proposed_space
from wsml_study.study.search_space import SearchSpace
from wsml_study.study.spec import TrialConfig
from wsml_study.tuning.searcher import OptunaSearcher, Proposal, ending_of, recorded_repeats


class FactorialSearcher(OptunaSearcher):
    """As `OptunaSearcher`, whose proposals are configs without levels; each becomes a trial per combination."""

    def _prepare(self) -> None:
        self._levels = combinations(self._study)
        self._whole = SearchSpace.from_study(self._study)
        self._runs: deque[tuple[dict[str, Scalar], TrialConfig]] = deque()  # of the newest config, not created yet
        self._waiting: defaultdict[int, list[int]] = defaultdict(list)  # config -> proposals that repeat it
        self._outcomes: dict[int, tuple[TrialState, float | None]] = {}  # number of a trial -> how it ended
        self._space = proposed_space(self._study)

    @property
    def _num_wanted(self) -> int:
        return -(-self._num_trials // len(self._levels))

    @property
    def _num_proposed(self) -> int:
        return -(-len(self._log.history.trials) // len(self._levels)) + len(self._proposals)

    def sampler_state(self, number: int) -> dict[str, Any]:
        """Of the config that a trial belongs to."""
        return self._asked.sampler_state(self._proposal_of[number // len(self._levels)])

    def _replay(self, history: StudyHistory) -> None:
        for number, trial in sorted(history.trials.items()):
            if trial.state in ENDED:
                self._outcomes[number] = trial.state, trial.value(self._study.objective)
        for first in range(0, len(history.trials), len(self._levels)):
            trial = history.trials[first]
            config = first // len(self._levels)
            self._repeat_again(trial.repeats)
            self._note_computation(config, trial.computes)
            self._proposal_of[config] = self._asked.add_open(trial.proposed or {}, trial.sampler_state)
            self._tell_if_ended(config)
        missing = -len(history.trials) % len(self._levels)
        if missing:
            newest = history.trials[len(history.trials) // len(self._levels) * len(self._levels)]
            self._runs.extend(self._runs_of(newest.proposed or {})[-missing:])

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Tell Optuna of a config once the last of its trials has ended."""
        number = self._live[trial_id]
        super(OptunaSearcher, self).on_trial_complete(trial_id, result, error)
        state = ending_of(result, error=error)
        if state is not None:
            self._outcomes[number] = state, self._log.history.trials[number].value(self._study.objective)
            self._tell_if_ended(number // len(self._levels))

    def _tell_if_ended(self, config: int) -> None:
        outcome = self._outcome_of(config)
        if outcome is not None:
            for proposal in (self._proposal_of[config], *self._waiting.pop(config, ())):
                self._asked.tell_value(proposal, *outcome)

    def _outcome_of(self, config: int) -> tuple[TrialState, float | None] | None:
        """State and mean value of a config; None before all its trials have ended."""
        first = config * len(self._levels)
        outcomes = [self._outcomes.get(number) for number in range(first, first + len(self._levels))]
        ended = [outcome for outcome in outcomes if outcome is not None]
        if len(ended) < len(self._levels):
            return None
        values = [value for state, value in ended if state is TrialState.COMPLETE and value is not None]
        if len(values) < len(self._levels):
            return TrialState.FAILED, None
        return TrialState.COMPLETE, fmean(values)

    def _new_trial(self) -> TrialHistory | None:
        number = len(self._log.history.trials)
        recorded: dict[str, Any] = {}
        if not self._runs:
            if not self._proposals:
                self._propose_batch()
            if not self._proposals:
                return None
            proposal = self._proposals.popleft()
            self._runs.extend(self._runs_of(proposal.values))
            self._begun = proposal
            recorded = recorded_repeats(proposal.repeats)
        first = self._log.history.trials.get(number // len(self._levels) * len(self._levels))
        values, config = self._runs.popleft()
        self._log.append(
            "created",
            trial=number,
            values=values,
            config=config.model_dump(mode="json"),
            sampler_state=self.sampler_state(number),
            computes=self._begun.computes if first is None else first.computes,
            origin=self._begun.origin if first is None else first.origin,
            config_number=number // len(self._levels),
            run=number % len(self._levels),
            proposed=self._begun.values if first is None else first.proposed,
            **recorded,
        )
        return self._log.history.trials[number]

    def _upcoming(self, count: int) -> list[TrialConfig]:
        super()._upcoming(-(-count // len(self._levels)))
        ahead = (config for proposal in self._proposals for _, config in self._runs_of(proposal.values))
        return list(itertools.islice(itertools.chain((config for _, config in self._runs), ahead), count))

    def _runs_of(self, proposed: dict[str, Scalar]) -> list[tuple[dict[str, Scalar], TrialConfig]]:
        """Values and config of a proposal at each combination of levels."""
        values = [self._whole.applicable(proposed | levels) for levels in self._levels]
        return [(one, self._whole.resolve(self._study, one)) for one in values]

    def _proposed(self, values: dict[str, Scalar]) -> Proposal:
        configs = [config for _, config in self._runs_of(values)]
        computed = [self._computation(config) for config in configs]
        whole = hashlib.sha256(" ".join(map(str, computed)).encode()).hexdigest()[:16]
        return Proposal(values=values, config=configs[0], computes=None if self._computes is None else whole)

    def _note_computation(self, trial: int, computes: str | None) -> None:
        """By the first trial of a config, which repeats refer to."""
        super()._note_computation(trial * len(self._levels), computes)

    def _share(self, number: int, proposal: int) -> None:
        config = number // len(self._levels)
        outcome = self._outcome_of(config)
        if outcome is None:
            self._waiting[config].append(proposal)
        else:
            self._asked.tell_value(proposal, *outcome)
