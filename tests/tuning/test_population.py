"""Who takes over whom, and that a restart goes on with the same population."""

from __future__ import annotations

import random

import pytest

from wsml_study.record.event_log import EventLog
from wsml_study.record.history import StudyHistory
from wsml_study.study.perturbation import perturbed
from wsml_study.study.reading import parse_study
from wsml_study.study.search_space import SearchSpace
from wsml_study.study.spec import Study
from wsml_study.tuning.population import Population, Takeover
from wsml_study.tuning.searcher import OptunaSearcher
from wsml_study.workers.protocol import Assignment, StepReport

RATE = "method.schedule.rate_per_epoch"


def study_with(**rule) -> Study:
    content = {
        "name": "population",
        "data": {"dataset": "digit_scenes"},
        "method": {"name": "LL-R", "schedule": {"rate_per_epoch": 0.002}},
        "training": {"epochs": 6, "learning_rate": 1e-3},
        "search": {
            RATE: {"float": {"low": 0.001, "high": 0.1, "log": True}},
            "training.weight_decay": {"choice": [0.0, 1e-4, 1e-3]},
        },
        "sampler": {"name": "random", "seed": 5},
        "early_stopping": {"name": "pbt"} | rule,
        "trials": 12,
    }
    return parse_study(content, source="test")


def told(study: Study, curves: dict[int, list[float]]) -> StudyHistory:
    """A history of trials with these curves, a checkpoint after each epoch."""
    history, space = StudyHistory(), SearchSpace.from_study(study)
    for number, curve in curves.items():
        values = {RATE: 0.01 * (number + 1), "training.weight_decay": 0.0}
        config = space.resolve(study, values).model_dump(mode="json")
        event = {"event": "created", "trial": number, "values": values, "config": config, "sampler_state": {}}
        history.apply(event)
        for epoch, val_map in enumerate(curve, start=1):
            result = {"epoch": epoch, "val_map": val_map, "best_epoch": epoch, "best_val_map": val_map}
            history.apply(
                {"event": "epoch", "trial": number, "attempt": 1, "time": 0.0, "result": result, "state": "running"}
            )
            history.apply({"event": "saved", "trial": number, "epoch": epoch, "checkpoint": f"{number}/{epoch}"})
    return history


def population_of(study: Study, curves: dict[int, list[float]], whole=lambda folder: True) -> Population:
    return Population(study, told(study, curves), whole)


def test_the_worst_quarter_takes_over_one_of_the_best() -> None:
    curves = {number: [10.0 * number] for number in range(8)} | {8: []}
    sources = {}
    for value in (5.0, 15.0, 25.0, 35.0):
        population = population_of(study_with(), curves)
        decided = population.decide(8, 1, value)
        sources[value] = population.pop(8).source if decided else None
        assert population.pop(8) is None
    # Of nine, three are the worst: 0, and what is below 30.
    assert sources[35.0] is None
    assert all(sources[value] in (5, 6, 7) for value in (5.0, 15.0))


def test_few_trials_are_no_population() -> None:
    assert not population_of(study_with(), {0: [90.0], 1: [80.0], 2: []}).decide(2, 1, 0.0)
    assert population_of(study_with(min_trials=2), {0: [90.0], 1: [80.0], 2: []}).decide(2, 1, 0.0)


def test_trials_are_compared_after_the_interval_alone() -> None:
    curves = {0: [90.0, 90.0], 1: [80.0, 80.0], 2: [70.0, 70.0], 3: []}
    assert not population_of(study_with(interval_epochs=2), curves).decide(3, 1, 0.0)
    assert population_of(study_with(interval_epochs=2), curves).decide(3, 2, 0.0)


def test_a_network_that_is_gone_is_not_taken_over() -> None:
    curves = {0: [90.0], 1: [80.0], 2: [70.0], 3: []}
    assert not population_of(study_with(), curves, whole=lambda folder: False).decide(3, 1, 0.0)
    population = population_of(study_with(), curves)
    assert population.decide(3, 1, 0.0)
    takeover = population.pop(3)
    assert (takeover.source, takeover.checkpoint, takeover.epoch) == (0, "0/1", 1)


def test_equals_do_not_take_each_other_over() -> None:
    assert not population_of(study_with(), {0: [50.0], 1: [50.0], 2: [50.0], 3: []}).decide(3, 1, 50.0)


def test_values_stay_in_their_domains() -> None:
    space = SearchSpace.from_study(study_with())
    keys = {key.path: key for key in space.keys}
    values = {RATE: 0.1, "training.weight_decay": 0.0}
    draw = random.Random(0)
    near = [perturbed(values, keys, resample_probability=0.0, draw=draw) for _ in range(50)]
    assert {round(v[RATE], 10) for v in near} == {0.08, 0.1}, "clipped at the end of the range"
    assert {v["training.weight_decay"] for v in near} == {0.0, 1e-4}, "a choice moves to its neighbour"
    anew = [perturbed(values, keys, resample_probability=1.0, draw=draw) for _ in range(200)]
    assert all(0.001 <= v[RATE] <= 0.1 for v in anew)
    assert {v["training.weight_decay"] for v in anew} == {0.0, 1e-4, 1e-3}
    assert sum(v[RATE] < 0.01 for v in anew) == pytest.approx(100, abs=30), "drawn evenly on the logarithm"


class Slot:
    """Plays the parts of Tune, the ledger and the workers, in one slot, after which a log is left."""

    def __init__(self, study: Study, folder) -> None:
        self.study, self.log = study, EventLog(folder / "events.jsonl")
        self.searcher = OptunaSearcher(study, self.log, num_trials=study.trials, slots=lambda: 1)
        self.population = Population(study, self.log.history, lambda folder: True)

    def run(self, steps: int) -> None:
        """So many epochs, then the plug is pulled."""
        while steps > 0:
            suggestion = self.searcher.suggest("slot")
            if suggestion == "FINISHED":
                return
            steps = self._trial(Assignment.of(suggestion), steps)

    def _trial(self, assignment: Assignment, steps: int) -> int:
        number = assignment.trial
        history = self.log.history.trials[number]
        self.log.append("attempt", trial=number, attempt=history.attempt + (0 if history.moving else 1))
        state = 0.0 if assignment.checkpoint is None else float(assignment.checkpoint.rpartition("/")[2])
        start = 0 if assignment.checkpoint is None else history.checkpoint[0]
        for epoch in range(start + 1, self.study.training.epochs + 1):
            state += 10 - abs(assignment.config.method.schedule.rate_per_epoch - 0.02) * 100
            result = {"epoch": epoch, "val_map": state, "best_epoch": epoch, "best_val_map": state}
            result |= {"train_loss": 1.0, "num_distrusted": 0, "train_seconds": 1.0, "validation_seconds": 1.0}
            done = epoch == self.study.training.epochs
            moves = not done and self.population.decide(number, epoch, state)
            self.log.append("epoch", trial=number, attempt=1, result=result, state="complete" if done else "running")
            steps -= 1
            if moves:
                self.log.append("exploited", trial=number, **vars(self.population.pop(number)))
                self.searcher.on_trial_complete("slot", {"done": True, "report": StepReport(complete=False)})
                return steps
            self.log.append("saved", trial=number, epoch=epoch, checkpoint=f"{number}/{epoch}/{state}")
            if steps == 0:
                return 0
        self.searcher.on_trial_complete("slot", {"done": True, "report": StepReport(complete=True)})
        self.log.append("ended", trial=number, state="complete", error=None, sampler_state={})
        return steps


def outcome(slot: Slot):
    return {
        number: (trial.values, trial.exploits, {epoch: result["val_map"] for epoch, result in trial.epochs.items()})
        for number, trial in slot.log.history.trials.items()
    }


@pytest.mark.parametrize("parts", [[7, 1, 20], [13, 25, 2], [1] * 12])
def test_an_interrupted_population_goes_on_as_if_nothing_had_happened(parts, tmp_path) -> None:
    study = study_with(interval_epochs=2)
    whole = Slot(study, tmp_path / "whole")
    whole.run(1000)
    assert sum(len(trial.exploits) for trial in whole.log.history.trials.values()) >= 3
    for steps in parts:
        Slot(study, tmp_path / "parts").run(steps)
    again = Slot(study, tmp_path / "parts")
    again.run(1000)
    assert outcome(again) == outcome(whole)


def test_an_epochs_values_are_those_that_it_ran_with() -> None:
    study = study_with()
    history = told(study, {0: [1.0, 2.0, 3.0]})
    before = dict(history.trials[0].values)
    for epoch, rate in ((1, 0.03), (2, 0.04)):
        event = {
            "event": "exploited",
            "trial": 0,
            "epoch": epoch,
            "source": 9,
            "checkpoint": f"9/{epoch}",
            "config": {},
        }
        history.apply(event | {"values": {RATE: rate}})
    trial = history.trials[0]
    assert [trial.values_in(epoch) for epoch in (1, 2, 3)] == [before, {RATE: 0.03}, {RATE: 0.04}]
    assert trial.takes_over
    history.apply({"event": "attempt", "trial": 0, "attempt": 1, "time": 0.0})
    assert trial.takes_over, "until it has a checkpoint of its own"
    history.apply({"event": "saved", "trial": 0, "epoch": 3, "checkpoint": "0/3"})
    assert not trial.takes_over


def test_the_last_trial_may_take_over_another_after_all_others_have_ended(tmp_path) -> None:
    study = study_with()
    log = EventLog(tmp_path / "events.jsonl")
    searcher = OptunaSearcher(study, log, num_trials=2, slots=lambda: 2)
    first = Assignment.of(searcher.suggest("left"))
    ended, last = first.trial, Assignment.of(searcher.suggest("right")).trial
    searcher.on_trial_complete("left", {"done": True, "report": StepReport(complete=True)})
    log.append("ended", trial=ended, state="complete", error=None, sampler_state={})
    assert searcher.suggest("left") is None, "Tune would ask no more"
    result = {"epoch": 1, "val_map": 1.0, "best_epoch": 1, "best_val_map": 1.0}
    log.append("epoch", trial=last, attempt=1, result=result, state="running")
    takeover = Takeover(epoch=1, source=ended, checkpoint="0/1", values={RATE: 0.02}, config=first.config.model_dump())
    log.append("exploited", trial=last, **vars(takeover))
    searcher.on_trial_complete("right", {"done": True, "report": StepReport(complete=False)})
    assert Assignment.of(searcher.suggest("right")).trial == last
