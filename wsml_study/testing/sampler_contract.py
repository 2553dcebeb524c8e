"""What every sampler promises, tried on a search without Ray and without training."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from wsml_study.description import Scalar
from wsml_study.options import Value
from wsml_study.record.event_log import EventLog
from wsml_study.study.identity import fingerprint
from wsml_study.study.reading import parse_study
from wsml_study.study.sampler_record import BATCH, SAMPLERS
from wsml_study.study.search_space import SearchSpace
from wsml_study.study.spec import Study, TrialConfig
from wsml_study.testing.promises import expect, keep_promise
from wsml_study.tuning.searcher import OptunaSearcher
from wsml_study.workers.protocol import Assignment, StepReport

NUM_TRIALS = 18
"""More than samplers draw at random before they use their model, by default."""

ValueOf = Callable[[TrialConfig], float]


@dataclass(frozen=True, kw_only=True)
class SamplerCase:
    """A sampler with options.

    Attributes:
        name: of its record.
        options: values of its options; absent ones take their defaults.
    """

    name: str
    options: Mapping[str, Value] = field(default_factory=dict)

    def study(self, **options: Value) -> Study:
        """A study that uses it."""
        return study_with(self.name, {**self.options, **options})

    @property
    def takes_batch(self) -> bool:
        """Whether it can propose several trials at once."""
        return BATCH in SAMPLERS[self.name].options


def check_sampler(name: str, **options: Value) -> None:
    """Check that a registered sampler keeps its contract.

    Args:
        name: of its record.
        options: values of the sampler's options.

    Raises:
        AssertionError: a promise is broken; the message says which.
        KeyError: there is no such sampler.
    """
    case = SamplerCase(name=name, options=options)
    _ = SAMPLERS[name]
    for promise in SAMPLER_CONTRACT:
        keep_promise(promise, case, f"sampler {name}")


def study_with(sampler: str, options: Mapping[str, Value] | None = None, **changes: Any) -> Study:
    """A search over method, rejection rate and learning rate; over lists of values if the sampler tries each of them.

    Args:
        sampler: its name.
        options: of the sampler.
        changes: other sections of the study, as in a study file.
    """
    exhaustive = SAMPLERS[sampler].exhaustive
    rates: dict[str, Any] = {"choice": [0.001, 0.003, 0.01, 0.03]}
    learning_rates: dict[str, Any] = {"choice": [1e-4, 1e-3]}
    if not exhaustive:
        rates = {"float": {"low": 1e-3, "high": 0.1}}
        learning_rates = {"float": {"low": 1e-5, "high": 1e-2, "log": True}}
    content = {
        "name": "searched",
        "data": {"dataset": "digit_scenes"},
        "method": {"name": "LL-R", "schedule": {"rate_per_epoch": 0.002}},
        "search": {
            "method.name": {"choice": ["AN", "LL-R"]},
            "method.schedule.rate_per_epoch": rates | {"when": {"method.name": ["LL-R"]}},
            "training.learning_rate": learning_rates,
        },
        "sampler": {"name": sampler, "seed": 7} | dict(options or {}),
        "trials": 100,
    }
    return parse_study(content | changes, source="test")


def value_of(config: TrialConfig) -> float:
    """An objective with an optimum, as a trial would report it."""
    rate = (config.method.schedule.rate_per_epoch if config.method.schedule else None) or 0.0
    return 80.0 - 100 * abs(rate - 0.02) + 1000 * config.training.learning_rate


class SimulatedSlot:
    """Does what Tune does in a run: takes suggestions, logs what trials report, tells the searcher how they end."""

    def __init__(
        self,
        study: Study,
        folder: Path,
        num_trials: int = 1000,
        slots: int = 1,
        computes: Callable[[TrialConfig], str] | None = fingerprint,
    ) -> None:
        """Start the study, or go on with it from its event log in the folder; `computes` as in `OptunaSearcher`."""
        self.log = EventLog(folder / "events.jsonl")
        self.searcher = OptunaSearcher(study, self.log, num_trials=num_trials, slots=lambda: slots, computes=computes)
        self.count = 0

    def start(self) -> tuple[str, Any]:
        """Tune's name of the next trial, and its `Assignment`; or FINISHED, or None as long as none may start."""
        self.count += 1
        tune_id = f"tune-{self.count}"
        suggestion = self.searcher.suggest(tune_id)
        if not isinstance(suggestion, dict):
            return tune_id, suggestion
        assignment = Assignment.of(suggestion)
        trial = self.log.history.trials[assignment.trial]
        self.log.append("attempt", trial=trial.number, attempt=trial.attempt + (0 if trial.moving else 1))
        return tune_id, assignment

    def epoch(self, assignment: Assignment, number: int, value: float) -> None:
        """A trial has run an epoch."""
        result = {"epoch": number, "val_map": value, "best_epoch": number}
        self.log.append("epoch", trial=assignment.trial, attempt=1, result=result, state="running")

    def end(self, tune_id: str, assignment: Assignment, *, complete: bool = True, error: bool = False) -> None:
        """A trial has ended."""
        result = {"done": True, "report": StepReport(complete=complete)}
        self.searcher.on_trial_complete(tune_id, None if error else result, error)
        state = "failed" if error else "complete" if complete else "stopped"
        attributes = self.searcher.sampler_state(assignment.trial)
        self.log.append("ended", trial=assignment.trial, state=state, error=None, sampler_state=attributes)

    def run(self, num_trials: int, value: ValueOf = value_of) -> None:
        """Trials one after the other, of an epoch each."""
        for _ in range(num_trials):
            tune_id, assignment = self.start()
            if assignment == "FINISHED":
                return
            self.epoch(assignment, 1, value(assignment.config))
            self.end(tune_id, assignment)

    @property
    def proposals(self) -> list[dict[str, Scalar]]:
        """The values of all trials, by number."""
        return [trial.values for _, trial in sorted(self.log.history.trials.items())]


def an_interrupted_search_proposes_what_it_would_have_proposed(case: SamplerCase) -> None:
    """One trial is cut short by the interruption and runs again."""
    study = case.study()
    with _folder() as folder:
        whole = SimulatedSlot(study, folder / "whole")
        whole.run(NUM_TRIALS)
        SimulatedSlot(study, folder / "parts").run(7)
        _, unfinished = SimulatedSlot(study, folder / "parts").start()
        again = SimulatedSlot(study, folder / "parts")
        tune_id, requeued = again.start()
        expect(requeued == unfinished, "the trial that was cut short does not come first")
        if isinstance(requeued, Assignment):
            again.epoch(requeued, 1, value_of(requeued.config))
            again.end(tune_id, requeued)
        again.run(NUM_TRIALS - 8)
        _expect_same(again.proposals, whole.proposals, "after an interruption")


def a_batch_survives_interruptions(case: SamplerCase, cuts: tuple[int, ...]) -> None:
    """Trials that are proposed at once, before any of them has a result; for samplers with the option `batch`."""
    if not case.takes_batch:
        return
    study = case.study(batch=4)
    with _folder() as folder:
        straight = SimulatedSlot(study, folder / "straight")
        straight.run(sum(cuts))
        for count in cuts:
            interrupted = SimulatedSlot(study, folder / "interrupted")
            interrupted.run(count)
            interrupted.log.close()
        _expect_same(interrupted.proposals, straight.proposals, "with batches, after interruptions")


def proposals_lie_within_the_search_space(case: SamplerCase) -> None:
    """Each key that applies to a trial has a value of its range, and no other key has one."""
    study = case.study()
    with _folder() as folder:
        slot = SimulatedSlot(study, folder)
        slot.run(NUM_TRIALS)
        space = SearchSpace.from_study(study)
        for number, values in enumerate(slot.proposals):
            searched = [key for key in space.keys if key.applies(values)]
            expect({key.path for key in searched} == set(values), f"trial {number} has values of keys {sorted(values)}")
            for key in searched:
                value = values[key.path]
                expect(key.contains(value), f"trial {number}: {value!r} is not a value of {key.path}")


def proposals_differ(case: SamplerCase) -> None:
    """A search that repeats one trial finds nothing."""
    with _folder() as folder:
        slot = SimulatedSlot(case.study(), folder, computes=None)  # the searcher would ask again
        slot.run(NUM_TRIALS)
        different = {tuple(sorted(values.items())) for values in slot.proposals}
        expect(len(different) > 1, f"{len(slot.proposals)} trials have the same values {slot.proposals[0]}")


def equal_proposals_are_one_trial(case: SamplerCase) -> None:
    """A search over three configs ends after three trials, however often they are proposed, interrupted or not."""
    values = {"method.name": {"choice": ["AN", "LL-R"]}}
    rates: dict[str, Any] = {"method.schedule.rate_per_epoch": {"float": {"low": 0.001, "high": 0.003, "step": 0.002}}}
    study = study_with(case.name, case.options, search=values | rates)
    with _folder() as folder:
        whole = SimulatedSlot(study, folder / "whole")
        whole.run(NUM_TRIALS)
        different = {tuple(sorted(values.items())) for values in whole.proposals}
        expect(len(different) == len(whole.proposals) == 3, f"the trials of three configs are {whole.proposals}")
        expect(whole.log.history.exhausted, "a search without further configs does not end")
        for _ in range(3):
            parts = SimulatedSlot(study, folder / "parts")
            parts.run(1)
            parts.log.close()
        _expect_same(parts.proposals, whole.proposals, "with repeated proposals, after interruptions")


def what_is_not_model_based_does_not_look_at_results(case: SamplerCase) -> None:
    """Such a sampler is asked ahead, before earlier trials have results."""
    if SAMPLERS[case.name].model_based:
        return
    with _folder() as folder:
        one, other = SimulatedSlot(case.study(), folder / "one"), SimulatedSlot(case.study(), folder / "other")
        one.run(NUM_TRIALS)
        other.run(NUM_TRIALS, lambda config: -value_of(config))
        _expect_same(other.proposals, one.proposals, "after other results")


SAMPLER_CONTRACT: tuple[Callable[[SamplerCase], None], ...] = (
    an_interrupted_search_proposes_what_it_would_have_proposed,
    partial(a_batch_survives_interruptions, cuts=(0, 14, 3, 13)),  # the second and third end within a batch
    proposals_lie_within_the_search_space,
    proposals_differ,
    equal_proposals_are_one_trial,
    what_is_not_model_based_does_not_look_at_results,
)
"""All promises of a sampler."""


@contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def _expect_same(one: list[dict[str, Scalar]], other: list[dict[str, Scalar]], when: str) -> None:
    for number, (proposed, expected) in enumerate(itertools.zip_longest(one, other)):
        expect(proposed == expected, f"{when}, trial {number} has values {proposed} instead of {expected}")
