"""Trials that are paused at a rung and go on later: which, when, what the sampler knows, what a restart changes."""

from __future__ import annotations

import json

import pytest
from optuna.trial import TrialState as OptunaState

from wsml_study.record.event_log import EventLog
from wsml_study.record.history import StudyHistory
from wsml_study.record.trial_history import TrialState
from wsml_study.study.early_stopping_record import ResumingRule
from wsml_study.study.early_stopping_section import EarlyStopping
from wsml_study.testing.sampler_contract import study_with, value_of
from wsml_study.tuning.early_stopping_scheduler import EarlyStoppingScheduler, rule_of
from wsml_study.tuning.pausing import Pausing
from wsml_study.tuning.searcher import OptunaSearcher
from wsml_study.tuning.stopping_rules.successive_halving import PromotingAsha
from wsml_study.workers.protocol import Assignment, StepReport


def told(asha: PromotingAsha, epoch: int, *values: float) -> PromotingAsha:
    for trial, value in enumerate(values):
        asha.record(trial, epoch, value)
    return asha


def test_a_paused_trial_goes_on_once_enough_trials_have_reached_its_rung() -> None:
    asha = told(PromotingAsha(rungs=[1, 2, 4], reduction_factor=2), 1, 50.0, 40.0)
    assert not asha.goes_on(1, 1)
    assert asha.to_resume({1: 1}) == []
    told(asha, 1, 50.0, 40.0, 30.0, 20.0)  # two of four go on now
    assert asha.to_resume({1: 1, 2: 1, 3: 1}) == [1]


def test_the_highest_rung_comes_first_and_there_the_best() -> None:
    asha = told(PromotingAsha(rungs=[1, 2, 4], reduction_factor=2), 1, *(90.0 - trial for trial in range(8)))
    for trial, value in {0: 9.0, 1: 8.0, 4: 7.0, 5: 6.0}.items():
        asha.record(trial, 2, value)
    assert asha.to_resume({1: 2, 3: 1, 2: 1, 7: 1}) == [1, 2, 3]


def test_a_trial_with_no_chance_is_known_from_the_number_of_trials() -> None:
    asha = told(PromotingAsha(rungs=[1], reduction_factor=3), 1, 50.0, 40.0, 30.0, 20.0)
    assert asha.hopeless({1: 1, 2: 1, 3: 1}, 9) == [3], "of nine three go on"
    assert asha.hopeless({1: 1, 2: 1, 3: 1}, 8) == [2, 3], "of eight two"


def test_only_a_rule_that_promotes_pauses() -> None:
    for name in ("asha", "hyperband"):
        assert not isinstance(rule_of(EarlyStopping(name=name), epochs=9), ResumingRule)
        assert isinstance(rule_of(EarlyStopping(name=name, promote=True), epochs=9), ResumingRule)


def test_a_trial_that_went_on_is_not_named_again_though_nothing_was_told_since() -> None:
    history = StudyHistory()
    for number, value in enumerate((50.0, 40.0)):
        created = {"event": "created", "time": 0.0, "values": {}, "config": {}, "sampler_state": {}}
        epoch = {"event": "epoch", "time": 1.0, "attempt": 1, "state": "paused"}
        history.apply(created | {"trial": number})
        history.apply({"event": "attempt", "time": 0.0, "attempt": 1, "trial": number})
        history.apply(epoch | {"trial": number, "result": {"epoch": 1, "val_map": value}})
    asha = told(PromotingAsha(rungs=[1], reduction_factor=2), 1, 50.0, 40.0)
    pausing = Pausing(asha, history, num_trials=4, has_state=lambda config: True)
    risen = pausing.next_to_resume(())
    assert risen is not None
    assert risen.number == 0
    history.apply({"event": "resumed", "time": 2.0, "trial": 0, "epoch": 1})
    assert pausing.next_to_resume(()) is None, "it may have lost its slot before an epoch"


EPOCHS = 8


class OneSlot:
    """Plays the parts of Tune, the ledger and the workers, in one slot, after which a log is left."""

    def __init__(self, folder, num_trials: int = 12) -> None:
        self.study = study_with("tpe", {"n_startup_trials": 4}, early_stopping=RULE, training={"epochs": EPOCHS})
        self.log = EventLog(folder / "events.jsonl")
        rule = rule_of(self.study.early_stopping, epochs=EPOCHS)
        assert isinstance(rule, ResumingRule)
        self.scheduler = EarlyStoppingScheduler(rule, self.log.history, self.study.objective)
        self.pausing = Pausing(rule, self.log.history, num_trials=num_trials, has_state=lambda config: True)
        self.searcher = OptunaSearcher(
            self.study, self.log, num_trials=num_trials, slots=lambda: 1, pausing=self.pausing
        )

    def run(self, steps: int = 10_000) -> None:
        """So many epochs, then the plug is pulled."""
        while steps > 0 and isinstance(suggestion := self.searcher.suggest("slot"), dict):
            steps = self._trial(Assignment.of(suggestion), steps)

    def _trial(self, assignment: Assignment, steps: int) -> int:
        number, history = assignment.trial, self.log.history.trials[assignment.trial]
        self.log.append("attempt", trial=number, attempt=history.attempt + (0 if history.moving else 1))
        start = 0 if assignment.checkpoint is None else int(assignment.checkpoint.rpartition("/")[2])
        for epoch in range(start + 1, EPOCHS + 1):
            value = value_of(assignment.config) - 30 / epoch
            result = {"epoch": epoch, "val_map": value, "best_epoch": epoch, "best_val_map": value}
            self.scheduler._record(number, epoch, value)
            state = "complete" if epoch == EPOCHS else "running"
            if state == "running" and not self.scheduler.rule.goes_on(number, epoch):
                state = "paused" if self.pausing.may_go_on(number, epoch) else "stopped"
            self.log.append("epoch", trial=number, attempt=1, result=result, state=state)
            steps -= 1
            if state == "running" and steps == 0:
                return 0
            if state in ("running", "paused"):
                self.log.append("saved", trial=number, epoch=epoch, checkpoint=f"{number}/{epoch}")
            if state != "running":
                report = StepReport(complete=state == "complete")
                self.searcher.on_trial_complete("slot", {"done": True, "report": report})
                if state != "paused":
                    self.log.append("ended", trial=number, state=state, error=None, sampler_state={})
                return steps
        raise AssertionError("a trial ends with its last epoch")


RULE = {"name": "asha", "grace_epochs": 1, "reduction_factor": 2, "promote": True}


def resumed(slot: OneSlot) -> list[tuple[int, int]]:
    lines = slot.log.path.read_text().splitlines()
    events = [json.loads(line) for line in lines]
    return [(event["trial"], event["epoch"]) for event in events if event["event"] == "resumed"]


@pytest.mark.parametrize("parts", [[5, 1, 9], [3] * 7])
def test_an_interrupted_search_proposes_pauses_and_resumes_as_if_nothing_had_happened(parts, tmp_path) -> None:
    whole = OneSlot(tmp_path / "whole")
    whole.run()
    assert len(resumed(whole)) >= 2
    for steps in parts:
        OneSlot(tmp_path / "parts").run(steps)
    again = OneSlot(tmp_path / "parts")
    again.run()
    assert resumed(again) == resumed(whole)
    for number, trial in whole.log.history.trials.items():
        other = again.log.history.trials[number]
        assert (trial.values, trial.state, list(trial.epochs)) == (other.values, other.state, list(other.epochs))


def test_the_sampler_knows_a_paused_trial_as_stopped_until_it_ends(tmp_path) -> None:
    seen = set()
    for _ in range(16):
        slot = OneSlot(tmp_path)
        slot.run(3)
        for number, trial in slot.log.history.trials.items():
            if trial.paused_after is not None:
                known = slot.searcher._asked.trials[slot.searcher._proposal_of[number]]
                seen.add((trial.state, known.state))
                open_ = trial.state in (TrialState.PAUSED, TrialState.RUNNING)
                assert max(known.intermediate_values) == (trial.paused_after if open_ else trial.last_epoch)
        slot.log.close()
    assert seen >= {
        (TrialState.PAUSED, OptunaState.PRUNED),
        (TrialState.RUNNING, OptunaState.PRUNED),
        (TrialState.COMPLETE, OptunaState.COMPLETE),
    }
