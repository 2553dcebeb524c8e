"""`warm_start`: trials of earlier studies inform the sampler, and are no trials of the study."""

import shutil
from pathlib import Path

import pytest

from wsml_study.errors import ResultsError, StudyFileError
from wsml_study.results.warm_start import read_warm_start
from wsml_study.study.spec import Study
from wsml_study.study.writing import dump_config
from wsml_study.testing.sampler_contract import SimulatedSlot, study_with


def earlier(folder: Path, num_trials: int = 12, **changes) -> str:
    """The folder of a study that has run."""
    study = study_with("random", **changes)
    slot = SimulatedSlot(study, folder)
    slot.run(num_trials)
    slot.log.close()
    (folder / "study.yaml").write_text(dump_config(study))
    return str(folder)


def warm(*folders: str, sampler: str = "tpe", **changes) -> Study:
    return study_with(sampler, warm_start=list(folders), **changes)


def test_earlier_trials_inform_the_sampler_and_are_no_trials(tmp_path):
    study = warm(earlier(tmp_path / "earlier"))
    slot = SimulatedSlot(study, tmp_path / "warm")
    cold = SimulatedSlot(study_with("tpe"), tmp_path / "cold")
    slot.run(3)
    cold.run(3)
    assert len(slot.log.history.trials) == 3
    assert len(slot.log.history.observations) == 12
    assert slot.proposals != cold.proposals
    assert [trial.value for trial in slot.searcher._asked.trials[:12]] == [
        one["value"] for one in slot.log.history.observations
    ]


def test_they_are_copied_so_that_an_interrupted_search_goes_on_without_them(tmp_path):
    study = warm(earlier(tmp_path / "earlier"))
    whole = SimulatedSlot(study, tmp_path / "whole")
    whole.run(8)
    SimulatedSlot(study, tmp_path / "parts").run(3)
    shutil.rmtree(tmp_path / "earlier")
    parts = SimulatedSlot(study, tmp_path / "parts")
    parts.run(5)
    assert parts.proposals == whole.proposals


def test_start_points_come_first_after_a_warm_start_too(tmp_path):
    study = warm(earlier(tmp_path / "earlier"), start_from=[{"method.name": "AN"}])
    slot = SimulatedSlot(study, tmp_path / "warm")
    slot.run(2)
    again = SimulatedSlot(study, tmp_path / "warm")
    again.run(1)
    assert [trial.origin for trial in again.log.history.trials.values()] == ["start_from 1", None, None]


def test_trials_outside_the_search_and_other_keys_are_named(tmp_path):
    rates = {"method.schedule.rate_per_epoch": {"float": {"low": 1e-3, "high": 0.1}}}
    base = {"name": "LL-R", "schedule": {"rate_per_epoch": 0.002}}
    folder = earlier(tmp_path / "earlier", search=rates, method=base, training={"epochs": 3})
    narrow = {"method.schedule.rate_per_epoch": {"float": {"low": 1e-3, "high": 0.05}}}
    found = read_warm_start(warm(folder, search=narrow, method=base))
    num_used = sum(one.values["method.schedule.rate_per_epoch"] <= 0.05 for one in found.observations)
    assert 0 < num_used == len(found.observations) < 12
    assert found.notes == (
        f"warm start: {num_used} of 12 complete trials of {folder} inform the sampler; {12 - num_used} have "
        "method.schedule.rate_per_epoch outside this search; not searched here and different there, so not regarded: "
        "training.epochs",
    )


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"data": {"dataset": "digit_scenes", "observe": {"seed": 5}}}, r"data\.observe\.seed: 5 -> 1200"),
        ({"data": {"dataset": "digit_scenes", "validation": {"labels": "observed"}}}, r"data\.validation\.labels"),
        ({"objective": {"metric": "last_val_map"}}, r"objective\.metric: last_val_map -> best_val_map"),
        ({"data": {"dataset": "voc2012", "root": "VOC"}}, r"data\.dataset: voc2012 -> digit_scenes"),
    ],
)
def test_values_of_another_question_are_refused(tmp_path, changes, named):
    folder = earlier(tmp_path / "earlier", **changes)
    with pytest.raises(ResultsError, match=f"none can be used: 12 answer another question .*{named}"):
        read_warm_start(warm(folder))


def test_what_cannot_inform_a_sampler_is_refused(tmp_path):
    with pytest.raises(ResultsError, match="expected the folder of an earlier study's results"):
        read_warm_start(warm(str(tmp_path)))
    with pytest.raises(StudyFileError, match="the sampler `cmaes` does not learn from given trials; use tpe or gp"):
        warm("results/earlier", sampler="cmaes")
    with pytest.raises(StudyFileError, match="the sampler searches the first level"):
        warm("results/earlier", fidelity=[{"set": {"training.epochs": 2}, "survivors": 3}])
