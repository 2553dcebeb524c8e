"""Optuna as a Tune searcher: asks for trials, runs equal ones once, and replays every trial after a restart.

Differs from Ray's OptunaSearch: a stopped trial is reported as PRUNED with its values per epoch, a failed one as FAIL;
the sampler is created anew for each proposal with a seed derived from the study's seed and the proposal's number, so a
resumed study proposes what it would have proposed without the interruption; interrupted trials come first. A proposal
that would compute the same as an earlier trial is no new trial: the sampler is told that trial's value and asked again.
"""

from __future__ import annotations

import hashlib
import itertools
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from statistics import fmean
from typing import Any

from ray.tune.result import DONE

from wsml_study.description import Scalar
from wsml_study.record.config_history import ConfigHistory, config_of, configs_of
from wsml_study.record.event_log import EventLog
from wsml_study.record.measured import measured
from wsml_study.record.trial_history import ENDED, Repeat, TrialHistory, TrialState
from wsml_study.study.batching import can_train_together, is_stackable
from wsml_study.study.config_runs import ConfigRuns
from wsml_study.study.factors import proposed_space
from wsml_study.study.identity import fingerprint
from wsml_study.study.option_fields import option_values
from wsml_study.study.sampler_record import SLOTS_PER_PROPOSAL
from wsml_study.study.spec import Study, TrialConfig
from wsml_study.tuning.lanes import RunKey
from wsml_study.tuning.optuna_study import OptunaStudy, state_for_sampler
from wsml_study.tuning.pausing import Pausing
from wsml_study.tuning.prior_draws import PriorDraws
from wsml_study.tuning.prior_knowledge import record_prior_knowledge
from wsml_study.tuning.racing import has_lost
from wsml_study.tuning.trial_source import TrialSource
from wsml_study.workers.protocol import StepReport

MOST_REPEATS = 10
"""Repeats in a row after which a trial is drawn at random from those that differ."""

MOST_DRAWS = 1000
"""Random draws without a trial that differs, after which the search space counts as exhausted."""


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """A trial that Optuna has proposed and that is not created yet."""

    values: dict[str, Scalar]
    config: TrialConfig
    computes: str | None = None
    repeats: tuple[Repeat, ...] = ()
    origin: str | None = None


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
        computes: Callable[[TrialConfig], str] | None = fingerprint,
        pausing: Pausing | None = None,
    ) -> None:
        """Replay the history into a new Optuna study.

        Args:
            study: what to search.
            log: the study's events; `suggest` adds one per new trial.
            num_trials: total number of trials.
            slots: returns how many trials may run at a time, which changes as machines join and leave.
            exclusive: hand out only the trials that have run out of memory; otherwise all others.
            max_together: linear probes that a worker may train together, at most.
            computes: gives a text that is equal for configs that compute the same, which are run once; None to run all.
            pausing: as in `TrialSource`.
        """
        super().__init__(
            study,
            log,
            num_trials=num_trials,
            slots=slots,
            exclusive=exclusive,
            max_together=max_together,
            pausing=pausing,
        )
        self._computes = computes
        self._space = proposed_space(study)
        self._priors = PriorDraws(study, self._space)
        record_prior_knowledge(study, log)
        self._start = log.history.start_points or ()
        self._asked = OptunaStudy(study, self._space, lambda: slots() > 1 or self._batch > 1)
        self._runs = ConfigRuns(study)
        self._proposal_of: dict[int, int] = {}  # number of a config -> of its proposal
        self._repeats: defaultdict[int, list[int]] = defaultdict(list)  # number of a config -> of proposals
        self._first_to_compute: dict[str | None, int] = {}  # what a config computes -> the first that does
        self._proposals: deque[Proposal] = deque()
        self._none_left = log.history.exhausted
        for one in log.history.observations or ():
            self._asked.observe(one["values"], one["value"])
        for config in configs_of(log.history):
            trial = config.first
            self._repeat_again(trial.repeats)
            self._note_computation(config.number, trial.computes or self._computation_of(trial))
            self._proposal_of[config.number] = self._asked.add_trial(
                trial, *self._outcome(config), measured(trial, study.objective)
            )
        for _, proposed in sorted(log.history.proposed.items()):
            self._propose_again(**proposed)
        self._grid: Iterator[dict[str, Scalar]] | None = None
        if study.sampler.record.exhaustive:
            every = self._space.shuffled(study.sampler.seed) if study.sampler.record.shuffled else self._space.grid()
            self._grid = itertools.islice(every, max(0, self._asked.num_proposed - len(self._start)), None)

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Tell Optuna how a trial ended, a paused one as if it had been stopped.

        One that was interrupted or ran out of memory stays open for a later run.
        """
        number = self._live[trial_id]
        super().on_trial_complete(trial_id, result, error)
        state, trial = ending_of(result, error=error), self._log.history.trials[number]
        if state is None or self.goes_on(number):
            return
        config, objective = config_of(self._log.history, trial.of_config), self._study.objective
        if config.gets_every_run:
            self._tell_mean(config, {number: state})
        elif trial.run == 0 and (state is not TrialState.COMPLETE or config.num_runs == 1):
            self._tell(config, state, trial.value(objective))
        elif state is TrialState.FAILED or config.has_ended:
            self._tell(config, TrialState.COMPLETE, config.mean(objective))

    def sampler_state(self, number: int) -> dict[str, Any]:
        """The sampler's own attributes of a trial (such as its generation), to be kept in the event log."""
        return self._asked.sampler_state(self._proposal_of[self._log.history.trials[number].of_config])

    def _further_run(self) -> TrialHistory | None:
        """The next run of a config that has not lost the race; one that loses now is told with its mean so far.

        With `factors` there is no race.
        """
        if len(self._runs) == 1:
            return None
        for config in configs_of(self._log.history):
            if not config.awaits_run:
                continue
            if config.gets_every_run:
                run = self._next_run(config)
                if run is None:
                    continue
                return self._run_again(config, run)
            if not self._has_lost(config):
                return self._run_again(config, len(config.runs))
            self._log.append("lost", config_number=config.number)
            self._tell(config, TrialState.COMPLETE, config.mean(self._study.objective))
        return None

    def _has_lost(self, config: ConfigHistory) -> bool:
        objective = self._study.objective
        values = {
            one.number: [objective.sign * value for value in one.values(objective)]
            for one in configs_of(self._log.history)
        }
        own = values.pop(config.number)
        num_kept = 1 if self._study.confirm is None else self._study.confirm.top
        return bool(own) and has_lost(own, list(values.values()), num_runs=len(self._runs), num_kept=num_kept)

    def _next_run(self, config: ConfigHistory) -> int | None:
        """The next run for the slot that is free: one that its worker has trained already, else one of no other slot.

        None if all that are left are being trained in other slots.
        """
        own, others = self._lanes.of(self._lanes.next), self._lanes.of_others(self._lanes.next)
        left = [run for run in _not_begun(config) if (config.number, run) not in others]
        return next((run for run in left if (config.number, run) in own), left[0] if left else None)

    @property
    def _holds_back(self) -> bool:
        return any(one.gets_every_run and one.awaits_run for one in configs_of(self._log.history))

    def _companions(self, trial: TrialHistory, first: TrialConfig) -> tuple[TrialConfig, ...]:
        """With `factors`, runs that are kept for the slot; else as for any trial."""
        if not self._study.factors:
            return super()._companions(trial, first)
        run, lane, most = (trial.of_config, trial.run), self._lanes.next, self._most_together
        others, is_kept = self._lanes.of_others(lane), run in self._lanes.of(lane)
        candidates = (
            sorted(self._lanes.of(lane)) if is_kept else [one for one in self._next_runs() if one not in others]
        )
        self._lanes.begin(run)
        if most == 1 or not is_stackable(first):
            return ()
        configs = {key: self._config_at(key) for key in candidates if key != run}
        fitting = [key for key, config in configs.items() if can_train_together(first, config)]
        if not is_kept:  # so that other slots get their share of what is left
            most = min(most, -(-(len(configs) + 1) // max(1, self._slots())))
        # Of one seed, so that they share their order of images.
        of_seed = [key for key in fitting if configs[key].training.seed == first.training.seed]
        chosen = (of_seed if 2 * len(of_seed) >= min(most, len(fitting)) else fitting)[: most - 1]
        self._lanes.promise(lane, chosen)
        return tuple(configs[key] for key in chosen)

    def _run_again(self, config: ConfigHistory, run: int) -> TrialHistory:
        number = len(self._log.history.trials)
        first = config.first
        values, resolved = self._runs.run(first.values if first.proposed is None else first.proposed, run)
        self._log.append(
            "created",
            trial=number,
            values=values,
            config=resolved.model_dump(mode="json"),
            sampler_state={},
            config_number=config.number,
            run=run,
            origin=first.origin,
        )
        return self._log.history.trials[number]

    def _new_trial(self) -> tuple[TrialHistory, TrialConfig] | None:
        number, config_number = len(self._log.history.trials), len(self._log.history.runs_of_config)
        if not self._proposals:
            self._propose_batch()
        if not self._proposals:
            return None
        proposal = self._proposals.popleft()
        self._log.append(
            "created",
            trial=number,
            values=self._runs.values(proposal.values, 0),
            config=proposal.config.model_dump(mode="json"),
            sampler_state=self._asked.sampler_state(self._proposal_of[config_number]),
            computes=proposal.computes,
            origin=proposal.origin,
            **self._of_several_runs(proposal, config_number),
            **_recorded(proposal.repeats),
        )
        return self._log.history.trials[number], self._at_its_data(proposal.config)

    def _of_several_runs(self, proposal: Proposal, config_number: int) -> dict[str, Any]:
        """Keys of the event of a first run; none where a config is one run."""
        keys: dict[str, Any] = {} if len(self._runs) == 1 else {"config_number": config_number}
        return keys | ({"proposed": proposal.values} if self._study.factors else {})

    def _upcoming(self, count: int) -> list[TrialConfig]:
        """Proposals ahead of time, of samplers that are not model-based: these depend only on the trial's number."""
        while not self._study.sampler.record.model_based and self._num_proposed < self._num_wanted:
            if len(self._proposals) >= count or not self._propose():
                break
        return [proposal.config for proposal in itertools.islice(self._proposals, count)]

    def _next_runs(self) -> Iterator[RunKey]:
        """The runs of a study with `factors` that are known to come."""
        self._upcoming(self._most_together)
        for config in configs_of(self._log.history):
            yield from ((config.number, run) for run in _not_begun(config))
        for number in range(len(self._log.history.runs_of_config), self._num_proposed):
            yield from ((number, run) for run in range(len(self._runs)))

    def _config_at(self, run: RunKey) -> TrialConfig:
        """Of a run that is known to come."""
        number, num_begun = run[0], len(self._log.history.runs_of_config)
        if number < num_begun:
            proposed = config_of(self._log.history, number).first.proposed or {}
        else:
            proposed = self._proposals[number - num_begun].values
        return self._at_its_data(self._runs.run(proposed, run[1])[1])

    @property
    def _num_wanted(self) -> int:
        """The number of configs."""
        return -(-self._num_trials // len(self._runs)) if self._study.factors else self._num_trials

    @property
    def _num_proposed(self) -> int:
        return len(self._log.history.runs_of_config) + len(self._proposals)

    @property
    def _batch(self) -> int:
        return int(option_values(self._study.sampler, self._study.sampler.record).get("batch") or 1)

    def _propose_batch(self) -> None:
        """Ask for a batch of proposals; in a long search on many slots for several at once, which costs less.

        Several are written to the log: a model-based sampler would propose others after some have ended.
        """
        first = self._num_proposed
        at_once = self._slots() // SLOTS_PER_PROPOSAL if self._asked.is_long else 1
        number = min(max(self._batch, at_once), self._num_wanted - first)
        with self._asked.at_once(number) if at_once > 1 else nullcontext():
            for _ in range(number):
                if not self._propose():
                    break
        if not self._proposals:
            if not self._log.history.exhausted:
                self._log.append("exhausted")
        elif number > 1:
            proposals = [
                {
                    "values": proposal.values,
                    "sampler_state": self._asked.sampler_state(self._proposal_of[number]),
                    **_recorded(proposal.repeats),
                }
                for number, proposal in enumerate(self._proposals, start=first)
            ]
            self._log.append("proposed", first=first, proposals=proposals)

    def _propose_again(
        self, values: dict[str, Scalar], sampler_state: dict[str, Any], repeats: Sequence[dict[str, Any]] = ()
    ) -> None:
        """Add a proposal of an earlier run to the queue."""
        before = tuple(Repeat(**repeat) for repeat in repeats)
        self._repeat_again(before)
        number = self._asked.add_open(values, sampler_state)
        self._queue(number, replace(self._proposed(values), repeats=before, origin=self._origin(number)))

    def _repeat_again(self, repeats: Sequence[Repeat]) -> None:
        """Add repeats of an earlier run to what was asked for."""
        for repeat in repeats:
            self._share(repeat.trial, self._asked.add_open(repeat.values, repeat.sampler_state))

    def _propose(self) -> bool:
        """Queue one more trial that differs from all others; False if the search space holds none."""
        repeats: list[Repeat] = []
        while not self._none_left:
            prescribed = self._prescribed(len(repeats))
            if self._none_left:
                break
            number, values = self._asked.ask(prescribed)
            proposal = self._proposed(values)
            earlier = self._first_to_compute.get(proposal.computes)
            if earlier is None:
                self._queue(number, replace(proposal, repeats=tuple(repeats), origin=self._origin(number)))
                return True
            self._share(earlier, number)
            repeats.append(Repeat(trial=earlier, values=values, sampler_state=self._asked.sampler_state(number)))
        return False

    def _prescribed(self, num_repeats: int) -> dict[str, Scalar] | None:
        """Values that the next trial must have, after so many repeats; None leaves them to the sampler.

        The start points come first. A grid prescribes all, priors some. A sampler that goes on repeating trials is
        given values that differ.
        """
        values = None
        if self._asked.num_proposed < len(self._start):
            values = dict(self._start[self._asked.num_proposed]["values"])
        elif self._grid is not None:
            values = next(self._grid, None)
        elif num_repeats >= MOST_REPEATS:
            draws = itertools.islice(self._asked.random_values(), MOST_DRAWS)
            values = next((one for one in draws if self._proposed(one).computes not in self._first_to_compute), None)
        else:
            return self._priors.values(self._asked.num_proposed - len(self._start), num_repeats)
        self._none_left = values is None
        return values

    def _origin(self, number: int) -> str | None:
        """The entry of `start_from` that a proposal comes from, by its number; None for one of the sampler."""
        index = number - len(self._asked) + self._asked.num_proposed
        return self._start[index]["origin"] if index < len(self._start) else None

    def _proposed(self, values: dict[str, Scalar]) -> Proposal:
        config = self._runs.run(values, 0)[1]
        return Proposal(values=values, config=config, computes=self._computation(config, values))

    def _queue(self, number: int, proposal: Proposal) -> None:
        config = self._num_proposed
        self._proposal_of[config] = number
        self._note_computation(config, proposal.computes)
        self._proposals.append(proposal)

    def _computation(self, config: TrialConfig, proposed: dict[str, Scalar]) -> str | None:
        """Of a config: of its first run, or with `factors` of all of them."""
        if self._computes is None:
            return None
        if not self._study.factors:
            return self._computes(config)
        runs = (self._runs.run(proposed, number)[1] for number in range(len(self._runs)))
        return hashlib.sha256(" ".join(map(self._computes, runs)).encode()).hexdigest()[:16]

    def _computation_of(self, trial: TrialHistory) -> str | None:
        """Of a trial of an earlier version, which did not record it."""
        return None if self._computes is None else self._computes(TrialConfig.model_validate(trial.config))

    def _note_computation(self, config: int, computes: str | None) -> None:
        if computes is not None:
            self._first_to_compute.setdefault(computes, config)

    def _share(self, number: int, proposal: int) -> None:
        """Let a proposal share the outcome of a config, now and whenever that ends or pauses."""
        self._repeats[number].append(proposal)
        if number not in self._log.history.runs_of_config:
            return
        config = config_of(self._log.history, number)
        state, value = self._outcome(config)
        if state is not None:
            self._asked.tell(proposal, config.first, state, value, measured(config.first, self._study.objective))

    def _tell(self, config: ConfigHistory, state: TrialState, value: float | None) -> None:
        for proposal in (self._proposal_of[config.number], *self._repeats[config.number]):
            self._asked.tell(proposal, config.first, state, value, measured(config.first, self._study.objective))

    def _tell_mean(self, config: ConfigHistory, ending: Mapping[int, TrialState]) -> None:
        """Tell Optuna of a config that gets every run, once all of them have ended; `ending` is not in the log yet."""
        ended = all(run.state in ENDED or run.number in ending for run in config.runs)
        if ended and len(config.runs) == config.num_runs:
            self._tell(config, *self._mean(config, ending))

    def _mean(self, config: ConfigHistory, ending: Mapping[int, TrialState]) -> tuple[TrialState, float | None]:
        """State and mean of a config whose runs have all ended; without one of them it has failed."""
        values = [
            run.value(self._study.objective)
            for run in config.runs
            if ending.get(run.number, run.state) is TrialState.COMPLETE
        ]
        known = [value for value in values if value is not None]
        if len(known) < config.num_runs:
            return TrialState.FAILED, None
        return TrialState.COMPLETE, fmean(known)

    def _outcome(self, config: ConfigHistory) -> tuple[TrialState | None, float | None]:
        """State and value of a config as Optuna knows them: no state while it is open."""
        objective = self._study.objective
        if config.gets_every_run:
            return self._mean(config, {}) if config.has_ended else (None, None)
        if config.first.state is not TrialState.COMPLETE:
            return state_for_sampler(config.first), config.first.value(objective)
        return (TrialState.COMPLETE, config.mean(objective)) if config.has_ended else (None, None)


def _not_begun(config: ConfigHistory) -> list[int]:
    """The runs of a config that have not begun; those of a design begin in any order."""
    begun = {run.run for run in config.runs}
    return [run for run in range(config.num_runs) if run not in begun]


def ending_of(result: dict[str, Any] | None, *, error: bool) -> TrialState | None:
    """How a trial ended, from Tune's last result; None if it was interrupted or ran out of memory."""
    report = StepReport.of_last(result)
    if error or (report is not None and report.error is not None):
        return TrialState.FAILED
    if result is None or report is None or not result.get(DONE) or report.out_of_memory is not None:
        return None
    return TrialState.COMPLETE if report.complete else TrialState.STOPPED


def _recorded(repeats: Sequence[Repeat]) -> dict[str, Any]:
    """As a key of an event; absent if there are none."""
    return {"repeats": [asdict(repeat) for repeat in repeats]} if repeats else {}
