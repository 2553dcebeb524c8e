"""Exported configs: the best trials, as files that `check` accepts and `train` trains."""

import pytest

from tests.results.stories import small_study, told_history
from wsml_study.errors import ResultsError
from wsml_study.results.export import export_configs
from wsml_study.results.ranking import best_per_method, ranked_trials, top_trials
from wsml_study.results.summary import study_summary, trials_table
from wsml_study.results.tables import write_tables
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


def test_an_export_never_overwrites_what_differs(folder, tmp_path):
    (path,) = export_configs(folder, top=1, per_method=False, output=tmp_path)
    assert export_configs(folder, top=1, per_method=False, output=tmp_path) == [path]
    path.write_text(path.read_text() + "# mine\n")
    with pytest.raises(ResultsError, match="exists and differs"):
        export_configs(folder, top=1, per_method=False, output=tmp_path)


def test_the_table_and_the_answer_are_as_printed(folder):
    assert trials_table(folder) == [
        "rank  trial  method  rate_per_epoch  val mAP  best epoch  epochs  state",
        "1     1      LL-R    0.01            70.00    2           2       stopped",
        "2     0      AN      -               60.00    1           2       complete",
        "3     3      AN      -               52.00    1           1       running",
        "4     2      LL-R    0.02            -        -           0       failed: the worker group stopped",
    ]
    summary = study_summary(folder, place=str(folder), num_trials=4, study_argument="told.yaml")
    assert "told: 3 of 4 trials ended (1 complete, 1 stopped early, 1 failed)" in summary
    assert "Best in this search: LL-R at rate_per_epoch 0.01, 70.00 % validation mAP (trial 1)" in summary
    assert "That is 10.00 points above the best AN trial (60.00 %)." in summary
    assert summary[-1] == "Not finished; nothing is lost. Go on with the same command."


def test_full_labels_are_an_upper_bound_and_no_contender(tmp_path):
    study, folder = small_study(), tmp_path / "told"
    history = told_history(study)
    history.trials[1].config["method"]["name"] = "full"
    folder.mkdir()
    write_tables(folder, study, history)
    summary = study_summary(folder, place=str(folder), num_trials=3, study_argument="told.yaml")
    assert "Best in this search: AN, 60.00 % validation mAP (trial 0)" in summary
    assert "With all labels (full), which is no contender, it is 70.00 %." in summary
    assert summary[-1] == "  wsml-study train configs/told-AN-trial0.yaml --seeds 3"
