"""Trials of a plan: each once, in order, over any number of interruptions."""

import pytest

from wsml_study.record.event_log import EventLog
from wsml_study.record.trial_history import TrialState
from wsml_study.study.search_space import SearchSpace
from wsml_study.testing.sampler_contract import study_with
from wsml_study.tuning.planned import PlannedTrial, PlannedTrials, not_begun
from wsml_study.workers.protocol import Assignment, StepReport


def plan_of(study, rates):
    space = SearchSpace.from_study(study)
    values = [
        {"method.name": "LL-R", "method.schedule.rate_per_epoch": rate, "training.learning_rate": 1e-3}
        for rate in rates
    ]
    return [PlannedTrial(config=space.resolve(study, one), values=one, confirms=3) for one in values]


class Slot:
    """Plays Tune's part for a plan."""

    def __init__(self, folder, rates, slots=1):
        self.study = study_with("random")
        self.log = EventLog(folder / "events.jsonl")
        plan = plan_of(self.study, rates)
        self.source = PlannedTrials(self.study, self.log, plan=plan, slots=lambda: slots)
        self.count = 0

    def start(self):
        self.count += 1
        suggestion = self.source.suggest(f"tune-{self.count}")
        return f"tune-{self.count}", Assignment.of(suggestion) if isinstance(suggestion, dict) else suggestion

    def end(self, tune_id, assignment, state="complete"):
        self.source.on_trial_complete(tune_id, {"done": True, "report": StepReport(complete=True)})
        self.log.append("ended", trial=assignment.trial, state=state, error=None, sampler_state={})


def test_a_plan_runs_in_its_order_and_then_is_finished(tmp_path):
    slot = Slot(tmp_path, [0.01, 0.02])
    rates = []
    for _ in range(2):
        tune_id, assignment = slot.start()
        rates.append(assignment.config.method.schedule.rate_per_epoch)
        slot.end(tune_id, assignment)
    assert rates == [0.01, 0.02]
    assert slot.start()[1] == "FINISHED"
    assert [trial.confirms for trial in slot.log.history.trials.values()] == [3, 3]


def test_no_more_trials_run_than_there_are_slots(tmp_path):
    slot = Slot(tmp_path, [0.01, 0.02, 0.03], slots=2)
    assert [slot.start()[1].trial for _ in range(2)] == [0, 1]
    assert slot.start()[1] is None


@pytest.mark.parametrize("state", ["complete", "failed"])
def test_what_has_ended_is_not_run_again_and_a_longer_plan_adds_to_it(tmp_path, state):
    slot = Slot(tmp_path, [0.01, 0.02])
    slot.end(*slot.start(), state=state)
    slot.start()
    again = Slot(tmp_path, [0.03, 0.01, 0.02])
    seen = []
    while (started := again.start())[1] != "FINISHED":
        seen.append((started[1].trial, started[1].config.method.schedule.rate_per_epoch))
        again.end(*started)
    assert seen == [(1, 0.02), (2, 0.03)], "the one that was cut short comes first"
    assert len(again.log.history.with_state(TrialState.RUNNING)) == 0


def test_a_plan_knows_what_is_done_by_its_configs(tmp_path):
    slot = Slot(tmp_path, [0.01])
    slot.start()
    plan = plan_of(slot.study, [0.01, 0.02])
    assert not_begun(plan, slot.log.history) == plan[1:]


def test_a_trial_whose_slot_is_lost_before_it_begins_gets_another_as_often_as_trials_are_retried(tmp_path):
    slot = Slot(tmp_path, [0.01, 0.02], slots=2)
    lost, first = slot.start()
    other, second = slot.start()
    slot.log.append("attempt", trial=second.trial, attempt=1)
    for _ in range(slot.study.retries):
        assert slot.start()[1] is None, "both slots are taken"
        slot.source.on_trial_complete(lost, error=True)
        assert slot.source.goes_on(first.trial)
        lost, again = slot.start()
        assert again == first
    slot.source.on_trial_complete(lost, error=True)
    assert not slot.source.goes_on(first.trial)
    slot.log.append("ended", trial=first.trial, state="failed", error="", sampler_state={})
    slot.source.on_trial_complete(other, error=True)
    assert not slot.source.goes_on(second.trial), "Tune retries those that have begun"


def test_the_plan_is_not_finished_while_a_trial_may_lose_its_slot_before_it_begins(tmp_path):
    slot = Slot(tmp_path, [0.01], slots=2)
    _, assignment = slot.start()
    assert slot.start()[1] is None
    slot.log.append("attempt", trial=assignment.trial, attempt=1)
    assert slot.start()[1] == "FINISHED"
