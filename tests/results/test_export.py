"""Exported configs: the best trials, as files that `check` accepts and `train` trains."""

import pytest

from wsml_study.errors import ResultsError
from wsml_study.results.export import export_configs
from wsml_study.results.ranking import best_per_method, ranked_trials, top_trials
from wsml_study.study.reading import read_study


def test_trials_rank_by_value_and_those_without_come_last(folder):
    ranked = ranked_trials(folder)
    assert ranked["trial"].tolist() == [1, 0, 3, 2]
    assert ranked["rank"].tolist() == [1, 2, 3, 4]
    assert best_per_method(ranked)["trial"].tolist() == [1, 0]
    assert top_trials(ranked, top=2, per_method=True)["trial"].tolist() == [1, 0, 3]
    assert top_trials(ranked, top=9, per_method=False)["trial"].tolist() == [1, 0, 3]


def test_exported_configs_are_studies_with_nothing_left_to_search(folder, tmp_path):
    paths = export_configs(folder, top=1, per_method=True, output=tmp_path / "configs")
    assert [path.name for path in paths] == ["told-LL-R-trial1.yaml", "told-AN-trial0.yaml"]
    best, baseline = (read_study(path) for path in paths)
    assert not best.search
    assert best.method.schedule.rate_per_epoch == 0.01
    assert baseline.method.schedule is None
    assert (best.provenance.study, best.provenance.trial, best.provenance.value) == ("told", 1, 70.0)
    assert (best.provenance.best_epoch, baseline.provenance.best_epoch) == (2, 1)


def test_a_certain_trial_can_be_exported(folder, tmp_path):
    (path,) = export_configs(folder, trial=3, output=tmp_path / "configs")
    assert path.name == "told-AN-trial3.yaml"
    assert path.read_text().startswith("# Trial 3 of study told: 52.00 % best_val_map in the search.\n")
    with pytest.raises(ResultsError, match="there is no trial 9; they are numbered from 0 to 3"):
        export_configs(folder, trial=9, output=tmp_path)
    with pytest.raises(ResultsError, match="trial 2 has not completed an epoch"):
        export_configs(folder, trial=2, output=tmp_path)


def test_an_export_never_overwrites_what_differs(folder, tmp_path):
    (path,) = export_configs(folder, top=1, per_method=False, output=tmp_path)
    assert export_configs(folder, top=1, per_method=False, output=tmp_path) == [path]
    path.write_text(path.read_text() + "# mine\n")
    with pytest.raises(ResultsError, match="exists and differs"):
        export_configs(folder, top=1, per_method=False, output=tmp_path)
