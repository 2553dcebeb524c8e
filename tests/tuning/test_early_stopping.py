"""Which trials each rule ends, and that a restart finds the same ones."""

from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ray.tune.schedulers import TrialScheduler

from wsml_study.record.history import StudyHistory
from wsml_study.study.early_stopping_record import EARLY_STOPPING
from wsml_study.study.early_stopping_section import EarlyStopping
from wsml_study.study.objective_section import Objective
from wsml_study.testing import check_early_stopping
from wsml_study.testing.promises import promise_in_words
from wsml_study.testing.rule_contract import RULE_CONTRACT, RuleCase
from wsml_study.tuning.early_stopping_scheduler import EarlyStoppingScheduler, rule_of
from wsml_study.tuning.stopping_rules.median_stopping import MedianStopping
from wsml_study.tuning.stopping_rules.successive_halving import Asha, PromotingAsha
from wsml_study.workers.protocol import Assignment, StepReport

RULES = [name for name, record in EARLY_STOPPING.items() if record.create is not None]


@pytest.mark.parametrize("promise", RULE_CONTRACT, ids=promise_in_words)
@pytest.mark.parametrize("name", RULES)
def test_every_rule_keeps(name, promise):
    promise(RuleCase(name=name))


def test_what_ends_no_trial_cannot_be_checked():
    with pytest.raises(ValueError, match="pbt ends no trial"):
        check_early_stopping("pbt")


def test_one_in_three_goes_on_and_the_best_so_far_always():
    asha = Asha(rungs=[1, 3], reduction_factor=3)
    decisions = []
    for trial, value in enumerate([50.0, 40.0, 45.0, 60.0, 55.0, 58.0, 60.0]):
        asha.record(trial, 1, value)
        decisions.append(asha.goes_on(trial, 1))
    #                    first  worse  of 3: 1  best  2nd of 5  2nd of 6: 2 go on  tie with the best
    assert decisions == [True, False, False, True, False, True, True]


def test_between_rungs_every_trial_goes_on():
    asha = Asha(rungs=[3, 9], reduction_factor=3)
    asha.record(0, 3, 90.0)
    asha.record(1, 2, 0.0)
    assert asha.goes_on(1, 2)
    assert asha.rungs == {3: {0: 90.0}, 9: {}}


def test_none_is_no_rule():
    assert rule_of(EarlyStopping(name="none"), epochs=10) is None
    assert rule_of(EarlyStopping(name="asha"), epochs=10).rungs == {1: {}, 3: {}, 9: {}}


def test_hyperbands_brackets_start_later_and_trials_take_turns():
    rule = rule_of(EarlyStopping(name="hyperband", brackets=3), epochs=10)
    assert [bracket.rungs for bracket in rule.brackets] == [{1: {}, 3: {}, 9: {}}, {3: {}, 9: {}}, {9: {}}]
    for trial, value in enumerate([50.0, 50.0, 50.0, 40.0, 40.0, 40.0]):
        rule.record(trial, 1, value)
    assert [rule.goes_on(trial, 1) for trial in range(6)] == [True, True, True, False, True, True]


def test_the_median_rule_compares_the_best_with_averages_of_the_others():
    rule = rule_of(EarlyStopping(name="median", grace_epochs=2, min_trials=2), epochs=10)
    for trial, curve in enumerate([[10.0, 30.0], [20.0, 40.0], [24.0, 24.0], [26.0, 1.0]]):
        for epoch, value in enumerate(curve, start=1):
            rule.record(trial, epoch, value)
    # Averages after epoch 2: 20, 30, 24, 13.5. Trial 2's best of 24 is above the median 20 of the others'.
    assert [rule.goes_on(trial, 2) for trial in range(4)] == [True, True, True, True]
    rule.record(2, 1, 19.0)
    rule.record(2, 2, 19.0)
    assert not rule.goes_on(2, 2)
    assert rule.goes_on(2, 1), "the grace period"


def test_the_median_rule_needs_company():
    rule = MedianStopping(grace_epochs=1, min_trials=2)
    rule.record(0, 1, 90.0)
    rule.record(1, 1, 1.0)
    assert rule.goes_on(1, 1)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.lists(st.floats(0, 100), min_size=1, max_size=9), min_size=1, max_size=12), st.data())
def test_rungs_after_a_restart_equal_those_without(curves, data):
    """Trials report in any interleaving, and some begin again from an earlier epoch; the rungs replayed from the events
    are the rungs that saw them live."""
    live = EarlyStoppingScheduler(Asha(rungs=[1, 3, 9], reduction_factor=3), StudyHistory(), Objective())
    history = StudyHistory()
    for trial in range(len(curves)):
        event = {"event": "created", "trial": trial, "values": {}, "config": {}, "sampler_state": {}}
        history.apply(event)
    waiting = dict.fromkeys(range(len(curves)), 0)
    while waiting:
        trial = data.draw(st.sampled_from(sorted(waiting)))
        again = waiting[trial] > 0 and data.draw(st.integers(0, 4)) == 0
        epoch = data.draw(st.integers(1, waiting[trial])) if again else waiting[trial] + 1
        result = {"epoch": epoch, "val_map": curves[trial][epoch - 1]}
        history.apply(
            {"event": "epoch", "trial": trial, "attempt": 1, "time": 0.0, "result": result, "state": "running"}
        )
        report = StepReport(result=result, value=max(curves[trial][:epoch]))
        config = Assignment(trial=trial, config=None).as_tune_config()
        decision = live.on_trial_result(None, SimpleNamespace(config=config), {"report": report})
        waiting[trial] = epoch
        if epoch == len(curves[trial]) or decision == TrialScheduler.STOP:
            del waiting[trial]
    replayed = EarlyStoppingScheduler(Asha(rungs=[1, 3, 9], reduction_factor=3), history, Objective())
    assert replayed.rule.rungs == live.rule.rungs


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 9), st.sampled_from([1, 2, 3, 4]), st.integers(0, 5)), max_size=60))
def test_the_order_of_a_rung_is_that_of_all_values_there(told):
    """Against counting: with ties, repeated epochs, and epochs between rungs."""
    asha = PromotingAsha(rungs=[1, 3], reduction_factor=2)
    epochs: dict[int, dict[int, float]] = {}
    for trial, epoch, value in told:
        asha.record(trial, epoch, float(value))
        kept = {at: one for at, one in epochs.get(trial, {}).items() if at < epoch}
        epochs[trial] = kept | {epoch: float(value)}
    at_rung = {rung: {trial: own[rung] for trial, own in epochs.items() if rung in own} for rung in (1, 3)}
    paused = {trial: max(own) for trial, own in epochs.items() if max(own) in (1, 3) and trial % 2}
    risen = []
    for rung, values in at_rung.items():
        for trial, value in values.items():
            better = sum(other > value for other in values.values())
            assert asha.goes_on(trial, rung) == (better < max(1, len(values) // 2))
            if paused.get(trial) == rung and asha.goes_on(trial, rung):
                risen.append(trial)
    order = sorted(risen, key=lambda trial: (-paused[trial], -at_rung[paused[trial]][trial], trial))
    assert asha.to_resume(paused) == order
