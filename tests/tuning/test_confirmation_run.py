"""What a confirmation plans: fresh seeds, the same for all configs, and those that it has begun with again."""

import pytest

from tests.sample_studies.confirmations import Told, ll_r
from tests.sample_studies.levels import leveled_study
from wsml_study.errors import ResultsError
from wsml_study.record.history import StudyHistory
from wsml_study.record.tables import write_tables
from wsml_study.results.confirmation import worth_confirming
from wsml_study.results.ranking import ranked_trials
from wsml_study.study.confirm_section import Confirm
from wsml_study.study.identity import fingerprint
from wsml_study.study.reading import parse_study, read_study
from wsml_study.study.spec import Study
from wsml_study.study.writing import dump_config
from wsml_study.tuning.confirmation_run import confirming, planned_confirmation, planned_round


@pytest.fixture
def told(tmp_path):
    return Told(tmp_path / "told")


def seeds_of(planned):
    return planned.config.training.seed, planned.config.data.observe.seed


def plan(told, history=None, *, top=2, num_seeds=2):
    trials = worth_confirming(ranked_trials(told.folder), Confirm(top=top))
    return planned_confirmation(told.folder, history or StudyHistory(), trials=trials, num_seeds=num_seeds)


def test_every_config_runs_with_the_same_seeds_one_pair_after_the_other(told):
    planned = plan(told)
    assert [(one.confirms, seeds_of(one)) for one in planned] == [
        (1, (1, 1)),
        (2, (1, 1)),
        (0, (1, 1)),
        (1, (2, 2)),
        (2, (2, 2)),
        (0, (2, 2)),
    ]
    assert planned[0].values == ll_r(0.01) | {"training.seed": 1, "data.observe.seed": 1}
    assert planned[0].config.method.schedule.rate_per_epoch == 0.01


def test_seeds_that_the_search_has_seen_are_left_out(told, tmp_path):
    seen = Told(tmp_path / "seen")
    configs = [seen.config(number) for number in range(3)]
    for number, config in enumerate(configs):
        config["training"]["seed"] = number
    seen.config = lambda number: configs[number]
    again = StudyHistory()
    again.apply({"event": "run", "time": 0.0, "classes": ["cat"]})
    for number, value in enumerate([70.0, 75.0, 74.0]):
        for event in seen.trial(number, seen.search[number], configs[number], value):
            again.apply(event)
    write_tables(seen.folder, seen.study, again)
    assert {seeds_of(one) for one in plan(seen)} == {(3, 1), (4, 2)}


def test_a_longer_confirmation_goes_on_with_the_seeds_that_it_has(told):
    for seed in (7, 9):
        told.run(1, seed, 70.0, 68.0)
    history = StudyHistory.replay(told.events)
    assert [seeds_of(one) for one in plan(told, history, top=1, num_seeds=4)][::2] == [(7, 7), (9, 9), (1, 1), (2, 2)]
    assert [seeds_of(one) for one in plan(told, history, top=1, num_seeds=2)][::2] == [(7, 7), (9, 9)]


def test_a_search_without_a_value_has_nothing_to_confirm(tmp_path):
    told = Told(tmp_path / "told", values=[], search=[])
    with pytest.raises(ResultsError, match="no trial has finished an epoch yet"):
        plan(told)


@pytest.mark.parametrize("labels", ["clean", "observed"])
@pytest.mark.parametrize("sampler", ["tpe", "grid"])
def test_the_study_of_a_confirmation_reads_back(tmp_path, labels, sampler):
    rates = {"float": {"low": 0.001, "high": 0.1}} if sampler == "tpe" else {"choice": [0.01, 0.02]}
    study = parse_study(
        {
            "name": "searched",
            "data": {"dataset": "digit_scenes", "validation": {"labels": labels}},
            "method": {"name": "LL-R", "schedule": {"rate_per_epoch": 0.01}},
            "search": {
                "method.name": {"choice": ["AN", "LL-R"]},
                "method.schedule.rate_per_epoch": rates | {"when": {"method.name": ["LL-R"]}},
                "training.seed": {"int": {"low": 1, "high": 9}},
            },
            "sampler": {"name": sampler},
            "early_stopping": {"name": "asha", "grace_epochs": 2},
            "trials": 4,
            "confirm": {"top": 1, "seeds": 3},
        },
        source="test",
    )
    file = tmp_path / "study.yaml"
    file.write_text(dump_config(confirming(study, study.confirm)))
    read: Study = read_study(file)
    assert read.early_stopping.name == "none"
    assert read.confirm == study.confirm, "its results are judged by it"
    assert ("data.observe.seed" in read.search) == (labels == "clean")


def in_round(told, plan, count):
    """What a round would run: trials of the search, and numbers of seeds."""
    told.plan(plan)
    told.tell()
    history, said = StudyHistory.replay(told.events), []
    planned = planned_round(told.folder, history, plan, count, said.append)
    return sorted({one.confirms for one in planned}), len({seeds_of(one) for one in planned}), said


AUTO = Confirm(top=2, seeds="auto", at_most=15)


def test_a_round_adds_seeds_to_configs_that_are_open_and_to_the_baseline(told):
    for seed, noise in enumerate([0.5, -0.4, 0.1, 0.7, -0.6], start=1):
        told.run(1, seed, 70.0, 90.0 + noise)  # far above AN
        told.run(2, seed, 70.0, 60.9 + 2 * noise)  # perhaps above AN
        told.run(0, seed, 60.0, 60.0)
    said = ["confirming the configs of trials 0, 2 over 10 seeds, 15 at most"]
    assert in_round(told, AUTO, 10) == ([0, 2], 10, said)
    told.run(2, 6, 70.0, 61.0)  # killed in the second round
    told.run(0, 6, 60.0, 60.0, state="running")
    assert in_round(told, AUTO, 10)[:2] == ([0, 2], 10)


def test_rounds_end_when_every_comparison_has(told):
    for seed, noise in enumerate([0.5, -0.4, 0.1, 0.7, -0.6], start=1):
        told.run(1, seed, 70.0, 90.0 + noise)
        told.run(2, seed, 70.0, 40.0 + 2 * noise)
        told.run(0, seed, 60.0, 60.0)
    assert in_round(told, AUTO, 10) == ([], 0, [])
    assert in_round(told, Confirm(top=2, seeds=10), 10)[:2] == ([0, 1, 2], 10), "a fixed number is run by all"


def test_confirm_is_no_part_of_what_a_study_is(told):
    assert fingerprint(told.study.model_copy(update={"confirm": Confirm(top=9)})) == fingerprint(told.study)


def test_a_confirmation_runs_at_full_size_alone():
    study = leveled_study()
    assert confirming(study, Confirm()).fidelity is None
    assert confirming(study, Confirm()).training == study.training
