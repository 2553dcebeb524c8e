"""Optuna behind Tune: what it is told, and that an interruption changes nothing of what it proposes."""

from dataclasses import replace

import pytest
from optuna.trial import TrialState as OptunaState

from wsml_study.record.event_log import EventLog
from wsml_study.record.events import read_events
from wsml_study.record.trial_history import TrialState
from wsml_study.study.computation import computation
from wsml_study.study.sampler_record import SAMPLERS
from wsml_study.study.search_space import SearchSpace
from wsml_study.testing.promises import promise_in_words
from wsml_study.testing.sampler_contract import SAMPLER_CONTRACT, SamplerCase, SimulatedSlot, study_with
from wsml_study.tuning.optuna_study import optuna_outcome
from wsml_study.tuning.searcher import OptunaSearcher
from wsml_study.workers.protocol import Assignment, StepReport


@pytest.mark.parametrize("promise", SAMPLER_CONTRACT, ids=promise_in_words)
@pytest.mark.parametrize("name", [name for name in SAMPLERS if name != "optunahub"])  # test_hub_sampler.py
def test_every_sampler_keeps(name, promise):
    promise(SamplerCase(name=name))


def test_a_grid_runs_each_combination_once_and_then_is_finished(tmp_path):
    slot = SimulatedSlot(study_with("grid"), tmp_path)
    slot.run(50)
    seen = [tuple(sorted(values.items())) for values in slot.proposals]
    assert len(seen) == len(set(seen)) == 2 * (1 + 4)


def test_stopped_and_failed_trials_are_told_as_what_they_are(tmp_path):
    slot = SimulatedSlot(study_with("random"), tmp_path, slots=3)
    (first, a), (second, b), (third, c) = slot.start(), slot.start(), slot.start()
    assert slot.start()[1] is None, "all slots are taken"
    for assignment in (a, b, c):
        slot.epoch(assignment, 1, 50.0 + assignment.trial)
    slot.end(first, a)
    slot.end(second, b, complete=False)
    slot.end(third, c, error=True)
    told = slot.searcher._asked.trials
    assert [t.state for t in told] == [OptunaState.COMPLETE, OptunaState.PRUNED, OptunaState.FAIL]
    assert [t.intermediate_values for t in told] == [{1: 50.0}, {1: 51.0}, {1: 52.0}]
    assert told[0].value == 50.0
    replayed = SimulatedSlot(study_with("random"), tmp_path).searcher._asked.trials
    assert [t.state for t in replayed] == [t.state for t in told]
    assert [t.params for t in replayed] == [t.params for t in told]


def test_a_trial_cut_short_comes_first_with_its_checkpoint(tmp_path):
    study = study_with("random")
    slot = SimulatedSlot(study, tmp_path)
    tune_id, assignment = slot.start()
    slot.epoch(assignment, 1, 50.0)
    slot.log.append("saved", trial=0, epoch=1, checkpoint="checkpoints/1")
    slot.searcher.on_trial_complete(tune_id, {"done": False, "report": StepReport()})
    again = SimulatedSlot(study, tmp_path)
    _, requeued = again.start()
    assert requeued == replace(assignment, checkpoint="checkpoints/1")
    assert len(again.log.history.trials) == 1


def test_the_total_counts_what_ran_before(tmp_path):
    study = study_with("random")
    SimulatedSlot(study, tmp_path).run(3)
    slot = SimulatedSlot(study, tmp_path, num_trials=4)
    assert slot.start()[1].trial == 3
    more = SimulatedSlot(study, tmp_path, num_trials=4)
    tune_id, assignment = more.start()
    more.epoch(assignment, 1, 50.0)
    more.end(tune_id, assignment)
    assert more.start()[1] == "FINISHED"


def test_no_trial_is_left_running_in_optuna(tmp_path):
    slot = SimulatedSlot(study_with("tpe"), tmp_path)
    slot.run(5)
    assert all(trial.state.is_finished() for trial in slot.searcher._asked.trials)


def test_a_trial_without_a_value_is_not_told_as_complete():
    assert optuna_outcome(TrialState.COMPLETE, 70.0) == (OptunaState.COMPLETE, 70.0)
    assert optuna_outcome(TrialState.COMPLETE, None) == (OptunaState.FAIL, None)
    assert optuna_outcome(TrialState.STOPPED, 70.0) == (OptunaState.PRUNED, None)


def test_the_proposals_of_a_batch_are_logged_together_before_any_has_a_result(tmp_path):
    for count in (14, 3, 13):  # the second and third end within a batch
        slot = SimulatedSlot(study_with("tpe", {"batch": 4}), tmp_path)
        slot.run(count)
        slot.log.close()
    events = read_events(tmp_path / "events.jsonl")
    proposed = [(event["first"], len(event["proposals"])) for event in events if event["event"] == "proposed"]
    assert proposed == [(first, 4) for first in range(0, 30, 4)]


@pytest.mark.parametrize("sampler", ["random", "grid"])
def test_what_comes_next_is_known_without_being_created(sampler, tmp_path):
    features = {"data": {"dataset": "features", "root": ".", "features": {"file": "x.npy", "labels_file": "y.npy"}}}
    study = study_with(sampler, model={"backbone": "linear"}, **features)
    log = EventLog(tmp_path / "events.jsonl")
    searcher = OptunaSearcher(study, log, num_trials=8, slots=lambda: 1, max_together=64)
    companions = Assignment.of(searcher.suggest("tune-1")).companions
    assert list(log.history.trials) == [0]
    assert len(companions) == 7
    later = [searcher_config(searcher, f"tune-{number}", log) for number in range(2, 9)]
    assert tuple(later) == companions


def searcher_config(searcher, tune_id, log):
    """The next trial as a worker is told of it; the one before has ended."""
    searcher.on_trial_complete(f"tune-{int(tune_id[5:]) - 1}", {"done": True, "report": StepReport(out_of_memory="")})
    return Assignment.of(searcher.suggest(tune_id)).config


def test_a_backbone_that_learns_has_no_companions(tmp_path):
    searcher = OptunaSearcher(
        study_with("random"), EventLog(tmp_path / "e.jsonl"), num_trials=8, slots=lambda: 1, max_together=64
    )
    assert Assignment.of(searcher.suggest("tune-1")).companions == ()


def test_two_slots_share_what_comes_next(tmp_path):
    features = {"data": {"dataset": "features", "root": ".", "features": {"file": "x.npy", "labels_file": "y.npy"}}}
    study = study_with("random", model={"backbone": "linear"}, **features)
    searcher = OptunaSearcher(study, EventLog(tmp_path / "e.jsonl"), num_trials=8, slots=lambda: 2, max_together=64)
    first, second = (set(Assignment.of(searcher.suggest(f"tune-{number}")).companions) for number in (1, 2))
    assert (len(first), len(second), first & second) == (3, 3, set())


def test_an_id_of_tune_that_comes_twice_gets_no_trial_while_the_first_is_at_work(tmp_path):
    log = EventLog(tmp_path / "e.jsonl")
    searcher = OptunaSearcher(study_with("random"), log, num_trials=8, slots=lambda: 8)
    assert Assignment.of(searcher.suggest("e9de080f")).trial == 0
    assert searcher.suggest("e9de080f") is None
    assert list(log.history.trials) == [0]
    assert Assignment.of(searcher.suggest("0bad5eed")).trial == 1
    for number, tune_id in enumerate(("e9de080f", "0bad5eed")):
        searcher.on_trial_complete(tune_id, {"done": True, "report": StepReport(complete=True)})
        log.append("ended", trial=number, state="complete", error=None, sampler_state={})
    assert Assignment.of(searcher.suggest("e9de080f")).trial == 2


def study_of_three_rates(sampler="random", **options):
    """LL-Cp with batches of 16 images of 20 classes: 1 label per batch at .001 and .002, 4 at .01."""
    rates = {"method.schedule.rate_per_epoch": {"choice": [0.001, 0.002, 0.01]}}
    method = {"name": "LL-Cp", "schedule": {"rate_per_epoch": 0.002}}
    return study_with(sampler, options, search=rates, method=method, training={"batch_size": 16})


def distrusts(config):
    return computation(config, num_images=160, num_classes=20)


def test_two_rates_that_distrust_the_same_labels_are_one_trial(tmp_path):
    slot = SimulatedSlot(study_of_three_rates("grid"), tmp_path, computes=distrusts)
    slot.run(5)
    history = slot.log.history
    assert [trial.values["method.schedule.rate_per_epoch"] for trial in history.trials.values()] == [0.001, 0.01]
    assert [(repeat.trial, repeat.values) for repeat in history.trials[1].repeats] == [
        (0, {"method.schedule.rate_per_epoch": 0.002})
    ]
    assert [trial.value for trial in slot.searcher._asked.trials] == [78.11, 78.11, 79.01]


def test_a_repeat_of_a_running_trial_is_told_when_that_ends(tmp_path):
    slot = SimulatedSlot(study_of_three_rates("grid"), tmp_path, slots=2, computes=distrusts)
    (first, a), (_, b) = slot.start(), slot.start()
    assert [trial.state for trial in slot.searcher._asked.trials] == [OptunaState.RUNNING] * 3
    slot.epoch(a, 1, 50.0)
    slot.end(first, a, complete=False)
    states = [trial.state for trial in slot.searcher._asked.trials]
    assert states == [OptunaState.PRUNED, OptunaState.PRUNED, OptunaState.RUNNING]
    replayed = SimulatedSlot(study_of_three_rates("grid"), tmp_path, computes=distrusts)
    assert [trial.state for trial in replayed.searcher._asked.trials] == states
    assert [trial.intermediate_values for trial in replayed.searcher._asked.trials] == [{1: 50.0}, {1: 50.0}, {}]
    assert b.trial == 1


def test_trials_recorded_without_what_they_compute_are_known_again(tmp_path):
    study = study_of_three_rates()
    log = EventLog(tmp_path / "events.jsonl")
    for number, rate in enumerate((0.001, 0.002)):  # earlier versions ran both
        values = {"method.schedule.rate_per_epoch": rate}
        config = SearchSpace.from_study(study).resolve(study, values).model_dump(mode="json")
        log.append("created", trial=number, values=values, config=config, sampler_state={})
        log.append("ended", trial=number, state="failed", error="x", sampler_state={})
    log.close()
    slot = SimulatedSlot(study, tmp_path, computes=distrusts)
    slot.run(5)
    assert [trial.values["method.schedule.rate_per_epoch"] for trial in slot.log.history.trials.values()] == [
        0.001,
        0.002,
        0.01,
    ]


def test_a_used_up_search_space_adds_nothing_to_the_log(tmp_path):
    slot = SimulatedSlot(study_of_three_rates("tpe", batch=4), tmp_path, computes=distrusts)
    slot.run(5)
    before = read_events(tmp_path / "events.jsonl")
    assert slot.start()[1] == "FINISHED"
    assert read_events(tmp_path / "events.jsonl") == before
    assert [event["event"] for event in before].count("exhausted") == 1


def test_brute_force_tries_every_combination_of_a_conditional_space_once_in_an_order_of_the_seed():
    space = SearchSpace.from_study(study_with("brute_force"))
    listed = [tuple(sorted(values.items())) for values in space.grid()]
    drawn = [tuple(sorted(values.items())) for values in space.shuffled(0)]
    assert sorted(map(str, drawn)) == sorted(map(str, listed))
    assert drawn != listed
    assert drawn != [tuple(sorted(values.items())) for values in space.shuffled(1)]


def test_points_of_a_quasi_random_sequence_cover_a_range_evenly(tmp_path):
    slot = SimulatedSlot(
        study_with("qmc", search={"training.weight_decay": {"float": {"low": 0, "high": 16}}}), tmp_path
    )
    slot.run(16)
    assert sorted(int(values["training.weight_decay"]) for values in slot.proposals) == list(range(16))


START = [{"method.name": "LL-R", "method.schedule.rate_per_epoch": 0.02, "training.learning_rate": 1e-3}]


@pytest.mark.parametrize("sampler", ["tpe", "random", "qmc"])
def test_a_search_begins_with_its_start_points_interrupted_or_not(tmp_path, sampler):
    study = study_with(sampler, start_from=[*START, {"method.name": "AN"}, *START])
    whole = SimulatedSlot(study, tmp_path / "whole")
    whole.run(8)
    assert whole.proposals[:2] == [START[0], {"method.name": "AN", "training.learning_rate": 1e-5}]
    trials = whole.log.history.trials
    assert [trials[number].origin for number in range(3)] == ["start_from 1", "start_from 2", None]
    assert [repeat.trial for repeat in trials[2].repeats] == [0], "equal ones run once"
    for count in (1, 1, 3, 3):
        parts = SimulatedSlot(study, tmp_path / "parts")
        parts.run(count)
        parts.log.close()
    assert parts.proposals == whole.proposals
    assert len(parts.log.history.trials) == 8


def test_a_grid_runs_its_start_points_first_and_each_combination_once(tmp_path):
    start = {"method.name": "LL-R", "method.schedule.rate_per_epoch": 0.03, "training.learning_rate": 1e-3}
    slot = SimulatedSlot(study_with("grid", start_from=[start]), tmp_path)
    slot.run(50)
    seen = [tuple(sorted(values.items())) for values in slot.proposals]
    assert slot.proposals[0] == start
    assert len(seen) == len(set(seen)) == 2 * (1 + 4)


def test_a_batch_begins_with_the_start_points(tmp_path):
    study = study_with("tpe", {"batch": 3}, start_from=[*START, {"method.name": "AN"}])
    SimulatedSlot(study, tmp_path).run(1)
    slot = SimulatedSlot(study, tmp_path)
    slot.run(3)
    assert [slot.log.history.trials[number].origin for number in range(4)] == [
        "start_from 1",
        "start_from 2",
        None,
        None,
    ]
