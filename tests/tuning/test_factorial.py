"""`factors`: every config at every level, its mean for the sampler, and interruptions that change nothing."""

import itertools
from statistics import fmean

import pytest

from wsml_study.errors import StudyFileError
from wsml_study.record.event_log import EventLog
from wsml_study.record.study_folder import refuse_new
from wsml_study.study.config_runs import ConfigRuns
from wsml_study.study.factors import combinations
from wsml_study.study.new_study import problems_of_new_study
from wsml_study.study.reading import parse_study, read_study
from wsml_study.study.writing import dump_config
from wsml_study.testing.sampler_contract import SimulatedSlot, study_with, value_of

LEVELS = {"data.train_share": [0.5, 1.0], "training.seed": [1, 2, 3]}
LEARNING_RATE = {"training.learning_rate": {"float": {"low": 1e-5, "high": 1e-2, "log": True}}}


class FactorialSlot(SimulatedSlot):
    def __init__(self, study, folder, **settings):
        log = EventLog(folder / "events.jsonl")
        log.append("run", classes=["a"], environment={}, runs_per_config=len(ConfigRuns(study)), every_run=True)
        log.close()
        super().__init__(study, folder, **settings)


def factorial(name="tpe", options=None, **changes):
    return study_with(name, options, **({"factors": LEVELS, "search": LEARNING_RATE} | changes))


def test_every_config_runs_at_every_combination_of_levels(tmp_path):
    slot = FactorialSlot(factorial(), tmp_path)
    slot.run(12)
    trials = slot.log.history.trials
    assert [trial.config_number for trial in trials.values()] == [0] * 6 + [1] * 6
    assert [trial.run for trial in trials.values()] == [*range(6)] * 2
    at = [(trial.values["data.train_share"], trial.config["training"]["seed"]) for trial in trials.values()]
    assert at == list(itertools.product([0.5, 1.0], [1, 2, 3])) * 2
    rates = [trial.config["training"]["learning_rate"] for trial in trials.values()]
    assert len(set(rates[:6])) == len(set(rates[6:])) == 1
    assert rates[0] != rates[6]


def test_the_sampler_is_told_the_mean_once_all_trials_of_a_config_have_ended(tmp_path):
    slot = FactorialSlot(factorial(), tmp_path)
    slot.run(5, lambda config: 10.0 * config.training.seed * (config.data.train_share or 1))
    assert [trial.value for trial in slot.searcher._asked.trials] == [None]
    slot.run(1, lambda config: 10.0 * config.training.seed * (config.data.train_share or 1))
    (told,) = slot.searcher._asked.trials
    assert told.value == pytest.approx(fmean([5, 10, 15, 10, 20, 30]))
    assert told.params.keys() == LEARNING_RATE.keys()


@pytest.mark.parametrize(("sampler", "options"), [("tpe", {}), ("random", {}), ("tpe", {"batch": 2})])
def test_an_interrupted_study_goes_on_as_if_it_had_not_been(tmp_path, sampler, options):
    study = factorial(sampler, options, start_from=[{"training.learning_rate": 1e-3}])
    whole = FactorialSlot(study, tmp_path / "whole", num_trials=24)
    whole.run(24)
    for count in (1, 4, 3, 9, 7):
        parts = FactorialSlot(study, tmp_path / "parts", num_trials=24)
        parts.run(count)
        parts.log.close()
    assert parts.proposals == whole.proposals
    assert len(parts.proposals) == 24
    assert [trial.value for trial in parts.searcher._asked.trials] == [
        trial.value for trial in whole.searcher._asked.trials
    ]
    assert parts.log.history.trials[5].origin == "start_from 1"


def test_equal_configs_run_once_and_a_grid_ends(tmp_path):
    search = {"training.learning_rate": {"choice": [1e-4, 1e-3]}}
    for sampler in ("grid", "tpe"):
        slot = FactorialSlot(factorial(sampler, search=search), tmp_path / sampler)
        slot.run(50)
        assert len(slot.log.history.trials) == 2 * 6, sampler
        assert slot.log.history.exhausted


def test_a_failed_trial_makes_its_config_fail(tmp_path):
    slot = FactorialSlot(factorial(factors={"training.seed": [1, 2]}), tmp_path)
    tune_id, assignment = slot.start()
    slot.epoch(assignment, 1, 50.0)
    slot.end(tune_id, assignment, error=True)
    slot.run(1)
    assert slot.searcher._asked.trials[0].state.name == "FAIL"


def test_without_a_search_the_study_is_the_design(tmp_path):
    study = factorial(search={}, trials=1, factors=LEVELS | {"method.name": ["AN", "LL-R"]})
    slot = FactorialSlot(study, tmp_path, num_trials=12)
    slot.run(20)
    assert len(slot.log.history.trials) == 12
    assert {trial.config["method"]["name"] for trial in slot.log.history.trials.values()} == {"AN", "LL-R"}


def test_a_level_that_does_not_apply_multiplies_nothing():
    factors = {"method.name": ["AN", "LL-R"], "method.schedule.rate_per_epoch": [0.001, 0.01]}
    study = factorial(search={}, trials=1, factors=factors)
    assert combinations(study) == [
        {"method.name": "AN"},
        {"method.name": "LL-R", "method.schedule.rate_per_epoch": 0.001},
        {"method.name": "LL-R", "method.schedule.rate_per_epoch": 0.01},
    ]


def test_a_searched_key_is_in_the_trials_of_the_levels_that_take_it(tmp_path):
    rate = {"method.schedule.rate_per_epoch": {"float": {"low": 0.001, "high": 0.1}}}
    study = factorial(search=LEARNING_RATE | rate, factors={"method.name": ["AN", "LL-R"]})
    slot = FactorialSlot(study, tmp_path)
    slot.run(4, value_of)
    trials = slot.log.history.trials
    assert [set(trial.values) - set(LEARNING_RATE) for trial in trials.values()] == [
        {"method.name"},
        {"method.name", "method.schedule.rate_per_epoch"},
    ] * 2
    assert {"training.learning_rate", "method.schedule.rate_per_epoch"} == set(slot.searcher._asked.trials[0].params)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"factors": {"training.learning_rate": [1e-3]}}, "training.learning_rate: is searched as well"),
        ({"factors": {"data.validation.seed": [1, 2]}}, "data.validation.seed: cannot be a factor: it changes what"),
        ({"factors": {"training.sed": [1, 2]}}, "training.sed: unknown key; did you mean `training.seed`"),
        ({"factors": {"training.seed": [1, -2]}}, "training.seed: expected a whole number from 0"),
        ({"factors": {"training.seed": [1, 1]}}, "training.seed: the choice 1 is listed twice"),
        (
            {"early_stopping": {"name": "asha"}},
            "early_stopping.name: it compares trials, and those of different levels",
        ),
        ({"confirm": {}}, "confirm: does not go with `factors`"),
        ({"warm_start": ["results/x"]}, "warm_start: earlier trials have a value at one level"),
        (
            {"factors": {"data.observe.share": [0.1, 0.5], "data.observe.positives": [1, 2]}},
            "at data.observe.positives 2, data.observe.share 0.1: `share` replaces `positives`",
        ),
        ({"search": {}}, "trials: expected 1, got 100: without `search` there is one config"),
        (
            {
                "search": {"method.schedule.rate_per_epoch": {"float": {"low": 0.001, "high": 0.1}}},
                "factors": {"method.name": ["AN", "LL-R"]},
            },
            "at method.name AN no searched key applies",
        ),
    ],
)
def test_impossible_factors_are_refused(changes, message):
    with pytest.raises(StudyFileError, match=message):
        factorial(**changes)


@pytest.mark.parametrize("key", ["training.seed", "data.observe.seed"])
def test_a_new_study_does_not_search_what_changes_the_question(key):
    content = {
        "name": "s",
        "data": {"dataset": "digit_scenes"},
        "method": {"name": "AN"},
        "search": {key: {"choice": [1, 2]}},
        "trials": 2,
    }
    study = parse_study(content, source="s")  # as an earlier version recorded it
    (problem,) = problems_of_new_study(study)
    assert problem.path == ("search", key)
    assert "list its values under `factors`" in problem.message
    assert (
        problems_of_new_study(parse_study(content | {"search": {}, "trials": 1, "factors": {key: [1, 2]}}, source="s"))
        == []
    )


def test_a_recorded_study_that_searches_a_seed_goes_on(tmp_path):
    study = study_with("random", search={"training.seed": {"choice": [1, 2, 3]}}, storage=str(tmp_path))
    with pytest.raises(StudyFileError, match=r"training\.seed: changes the question"):
        refuse_new(study)
    folder = tmp_path / study.name
    SimulatedSlot(study, folder).run(1)
    (folder / "study.yaml").write_text(dump_config(study))
    refuse_new(study)
    slot = SimulatedSlot(read_study(folder / "study.yaml"), folder)
    slot.run(5)
    assert len(slot.log.history.trials) == 3
