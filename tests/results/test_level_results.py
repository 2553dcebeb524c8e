"""How far levels agree, on values worked out by hand."""

import pytest

from tests.sample_studies.levels import level_events, leveled_study, write_level
from wsml_study.report.figures.figure import Figure, LeftOut
from wsml_study.report.figures.levels import level_agreement
from wsml_study.report.html_report import write_report
from wsml_study.report.loading import load
from wsml_study.report.page.answer import remarks
from wsml_study.report.summary import study_summary
from wsml_study.results.level_results import read_levels
from wsml_study.results.queries import query_study
from wsml_study.results.ranking import ranked_trials
from wsml_study.results.study_results import read_record
from wsml_study.study.fidelity import at_level

BELOW = [(0.1, 50.0, "complete"), (0.2, 40.0, "complete"), (0.3, 30.0, "complete"), (0.4, 20.0, "complete")]
BELOW += [(0.5, 10.0, "complete"), (0.6, None, "failed")]
ABOVE = [(0.1, 70.0, "complete"), (0.2, 80.0, "complete"), (0.3, 60.0, "complete"), (0.4, 55.0, "complete")]
"""The best two stand the other way round at full size."""


def told(folder, above=ABOVE, below=BELOW):
    study = leveled_study()
    write_level(folder / "fidelity" / "level_1", at_level(study, 1), level_events(study, 1, below))
    events = level_events(study, 2, above, promoted=range(len(above)), below=below) if above else []
    write_level(folder, study, events)
    return folder


def test_rank_correlations_are_over_survivors_that_ran_to_their_end_on_both_levels(tmp_path):
    levels = read_levels(told(tmp_path, above=[*ABOVE, (0.5, 90.0, "stopped")]))
    (agreement,) = levels.agreements
    assert (agreement.count, len(agreement.survivors)) == (4, 5)
    assert agreement.spearman == pytest.approx(1 - 6 * 2 / (4 * 15))  # the ranks differ by 1, 1, 0, 0
    assert agreement.kendall == pytest.approx((5 - 1) / 6)  # one pair of six is the other way round


def test_lines_say_where_each_level_stands_and_how_far_they_agree(tmp_path):
    assert read_levels(told(tmp_path)).lines() == [
        "level 1 of 2: training.epochs 1: 6 of 6 trials ended",
        "level 2 of 2: full size: 4 of 4 trials ended",
        "Rank agreement of level 1 with full size: Spearman 0.80, Kendall 0.67 (n = 4); 4 of 4 survivors are complete "
        "at both levels.",
    ]


def test_fewer_than_four_survivors_tell_nothing(tmp_path):
    levels = read_levels(told(tmp_path, above=[*ABOVE[:3], (0.4, 55.0, "stopped")]))
    assert (levels.agreements[0].spearman, levels.agreements[0].kendall) == (None, None)
    assert levels.lines()[-1] == (
        "Rank agreement of level 1 with full size: unknown, it needs 4 configs with different values; 3 of 4 "
        "survivors are complete at both levels."
    )


def test_a_study_at_its_first_level_has_results_without_trials(tmp_path):
    folder = told(tmp_path / "leveled", above=[], below=[*BELOW[:2], (0.3, 30.0, "running")])
    levels = read_levels(folder)
    assert [state.has_ended for state in levels.states] == [False, False]
    assert (levels.agreements, levels.have_ended) == ((), False)
    printed = study_summary(folder, place=str(folder), num_trials=4, study_argument="s.yaml")
    assert "level 1 of 2: training.epochs 1: 2 of 3 trials ended" in printed
    assert printed[-1] == "Not finished; nothing is lost. The same command resumes the study."
    assert remarks(read_record(folder))[0].startswith("This study is not finished: level 1 of 2: training.epochs 1")
    write_report(folder, tmp_path / "report.html", address="s.yaml")


def test_a_study_that_was_extended_is_not_finished_while_its_first_level_has_trials_left(tmp_path):
    folder = told(tmp_path, below=[*BELOW, (0.7, 5.0, "running")])
    printed = study_summary(folder, place=str(folder), num_trials=4, study_argument="s.yaml")
    assert printed[0].endswith("4 of 4 trials ended (4 complete, 0 stopped early, 0 failed)")
    assert printed[-1] == "Not finished; nothing is lost. The same command resumes the study."


def test_trials_at_full_size_say_where_their_configs_come_from(tmp_path):
    ranked = ranked_trials(told(tmp_path))
    assert ranked[["promoted_level", "promoted_trial", "promoted_value"]].to_numpy().tolist() == [
        [1, 1, 40.0],
        [1, 0, 50.0],
        [1, 2, 30.0],
        [1, 3, 20.0],
    ]


def test_a_study_without_levels_has_none(folder):
    assert read_levels(folder) is None
    assert load(folder).levels is None


def test_levels_are_seen_from_python_and_sql(tmp_path):
    folder = told(tmp_path / "leveled")
    assert load(folder).levels == read_levels(folder)
    pytest.importorskip("duckdb")
    joined = "SELECT max(l.value - t.promoted_value) AS off FROM trials t JOIN level_1_trials l ON l.trial = "
    assert query_study(folder, f"{joined} t.promoted_trial").to_pylist() == [{"off": 0.0}]


def test_the_figure_has_a_dot_per_survivor_and_crosses_out_what_did_not_run_to_its_end(tmp_path):
    above = [*ABOVE[:3], (0.4, 55.0, "stopped"), (0.5, None, "running")]
    figure = level_agreement(read_record(told(tmp_path / "a", above=above)))
    assert isinstance(figure, Figure)
    assert [key.label for key in figure.keys] == ["LL-R", "did not run to its end"]
    chart = figure.panels[0].chart.to_dict()
    dots, crosses = (chart["datasets"][layer["data"]["name"]] for layer in chart["layer"])
    assert [(dot["lower"], dot["value"]) for dot in dots] == [(50, 70), (40, 80), (30, 60), (20, 55)]
    assert [dot["trial"] for dot in crosses] == [3]
    assert figure.table.body == (("level 1, full size", "5", "3", "–", "–"),)
    assert isinstance(level_agreement(read_record(told(tmp_path / "b", above=[]))), LeftOut)


def test_a_study_without_levels_does_not_ask_whether_they_choose_well(folder):
    assert level_agreement(read_record(folder)) is None
