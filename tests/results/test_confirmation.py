"""What a confirmation makes of its runs: means, intervals, comparisons, and what it admits not to know."""

import numpy as np
import pandas as pd
import pytest
from pyarrow.fs import LocalFileSystem

from tests.sample_studies.confirmations import SEARCH, VALUES, Told, ll_r
from wsml_study.errors import ResultsError
from wsml_study.record.events import read_log
from wsml_study.record.resample_files import write_resamples
from wsml_study.report.page.answer import answer as report_answer
from wsml_study.report.summary import answer
from wsml_study.results.confirmation import confirmed_ranking, read_confirmation, worth_confirming
from wsml_study.results.export import export_configs
from wsml_study.results.ranking import ranked_trials
from wsml_study.results.statistics import holm, paired_p_value
from wsml_study.results.study_results import read_record
from wsml_study.results.verdicts import Verdict
from wsml_study.study.confirm_section import Confirm
from wsml_study.study.spec import TrialConfig


@pytest.fixture
def told(tmp_path):
    return Told(tmp_path / "told")


AN_TEST = [66.0, 66.9, 65.8, 66.4, 66.6]
LL_TEST = [68.3, 69.0, 68.2, 68.4, 69.1]
CLOSE_TEST = [68.1, 69.3, 68.0, 68.8, 68.7]


def confirm_all(told):
    for seed, (an, ll, close) in enumerate(zip(AN_TEST, LL_TEST, CLOSE_TEST, strict=True), start=1):
        told.run(1, seed, ll + 1, ll)
        told.run(2, seed, close + 2, close)
        told.run(0, seed, an + 1, an)
    return told.tell()


def test_configs_rank_by_validation_and_are_reported_by_test(told):
    found = confirm_all(told)
    assert [config.trial for config in found.configs] == [2, 1, 0]
    assert [config.described for config in found.configs] == [
        "LL-R, rate_per_epoch 0.02",
        "LL-R, rate_per_epoch 0.01",
        "AN",
    ]
    best = found.configs[0]
    assert best.test.mean == pytest.approx(np.mean(CLOSE_TEST))
    assert best.validation.mean == pytest.approx(np.mean(CLOSE_TEST) + 2)
    assert best.test.low < best.test.mean < best.test.high
    assert found.baseline.trial == 0


def test_configs_are_tested_against_the_baseline_and_corrected_for_these_comparisons_alone(told):
    found = confirm_all(told)
    expected = [paired_p_value(CLOSE_TEST, AN_TEST), paired_p_value(LL_TEST, AN_TEST)]
    assert [one.config.trial for one in found.comparisons] == [2, 1]
    assert [one.judged.p_value for one in found.comparisons] == pytest.approx(expected)
    assert [one.judged.corrected for one in found.comparisons] == pytest.approx(holm(expected))
    assert [one.verdict for one in found.comparisons] == [Verdict.ABOVE, Verdict.ABOVE]
    assert found.comparisons[0].points.mean == pytest.approx(np.mean(CLOSE_TEST) - np.mean(AN_TEST))
    assert found.against(found.baseline) is None


def test_all_pairs_are_compared_for_those_who_ask(told):
    confirm_all(told)
    assert not any("pairs" in line for line in answer(told.folder, study_argument="told.yaml"))
    lines = answer(told.folder, study_argument="told.yaml", pairs=True)
    assert "2 of 3 pairs differ significantly." in lines
    expected = [
        paired_p_value(CLOSE_TEST, LL_TEST),
        paired_p_value(CLOSE_TEST, AN_TEST),
        paired_p_value(LL_TEST, AN_TEST),
    ]
    assert [one.corrected for one in read_confirmation(told.folder).pairs()] == pytest.approx(holm(expected))


def test_the_answer_has_mean_interval_gain_and_the_other_comparisons(told):
    confirm_all(told)
    lines = answer(told.folder, study_argument="told.yaml")
    assert lines[0].endswith("above AN (trial 0)")
    assert lines[4] == "means over fresh seeds and draws of the hidden labels; 95 % intervals over seeds and draws"
    assert lines[5].endswith("Holm-corrected for 2 comparisons with AN (trial 0)")
    (said,) = [line for line in lines if line.startswith("Answer: ")]
    assert said.startswith("Answer: LL-R, rate_per_epoch 0.02 (trial 2) reaches 68.58 % test mAP (95 % interval 68.0")
    assert "2.24 points" in said
    assert lines[-1].startswith("LL-R (trial 1) is above AN (trial 0): +2.26 points (")
    assert not any("75.00" in line for line in lines), "the maximum of the search is no answer"


TEN_NAMES = [
    [73.52, 69.04, 72.98, 59.41, 72.12],
    [62.53, 64.64, 70.01, 63.80, 63.91],
    [74.63, 67.38, 59.61, 67.47, 66.82],
    [72.50, 67.13, 64.83, 63.73, 66.48],
    [66.82, 69.83, 66.74, 61.04, 56.71],
    [70.10, 64.18, 68.74, 70.73, 71.92],
    [68.34, 74.53, 66.82, 62.93, 60.03],
    [65.73, 56.56, 65.37, 56.33, 59.52],
    [60.12, 69.44, 41.79, 68.27, 66.85],
    [48.56, 58.17, 75.85, 69.39, 69.20],
]
"""Test mAP as measured of one config (AN, 5 epochs on digit scenes, batches of 32, Adam at 3e-3), trained 50 times: ten
names by five draws of the hidden labels, each training with a seed of its own."""


def test_one_config_under_ten_names_shows_no_difference(tmp_path):
    names = [ll_r(0.001 * (1 + number)) for number in range(10)]
    told = Told(tmp_path / "null", values=[70.0] * 10, search=names)
    for seed in range(5):
        for name, row in enumerate(TEN_NAMES):
            told.run(name, seed, row[seed], row[seed])
    found = told.tell()
    means = [config.test.mean for config in found.configs]
    assert max(means) - min(means) > 8, "ten names look far apart"
    pairs = found.pairs()
    assert sum(difference.p_value < 0.05 for difference in pairs) == 4, "and by themselves some pairs do too"
    assert not any(difference.is_significant for difference in pairs)
    assert len(found.comparisons) == 9, "with one method, each is compared with the best of the search"
    assert not any(one.is_settled for one in found.comparisons)
    assert found.finding.startswith("No config beats LL-R (trial 0), as far as these seeds can tell: ")
    assert found.recommended.trial == 0


def test_runs_that_failed_or_are_to_come_are_said(told):
    for seed in (1, 2):
        told.run(1, seed, 70.0, 68.0 + seed)
        told.run(0, seed, 69.0, 66.0 + seed)
    told.run(1, 3, 0.0, None, state="failed")
    told.run(0, 3, 60.0, None, state="running")
    found = told.tell(num_trials=8)
    assert (found.num_trials, found.num_ended, found.num_failed) == (8, 5, 1)
    assert [config.test.count for config in found.configs] == [2, 2]
    assert found.lines()[-2:] == [
        "1 of 8 runs failed and are left out.",
        "5 of 8 runs ended; `wsml-study confirm STUDY` runs the others.",
    ]


def test_a_search_that_went_on_and_leads_with_another_config_is_said(told):
    for seed in (1, 2):
        told.run(2, seed, 70.0, 68.0 + seed)
        told.run(0, seed, 69.0, 66.0 + seed)
    told.tell()
    assert answer(told.folder, study_argument="told.yaml")[-2:] == [
        "The search leads with LL-R, rate_per_epoch 0.01 (trial 1), which is not confirmed:",
        "  wsml-study confirm told.yaml",
    ]


def test_one_seed_says_nothing_yet(told):
    told.run(1, 1, 70.0, 68.0)
    assert told.tell(num_trials=10).lines() == [
        "Confirmation: 1 of 10 runs ended, too few for statistics; `wsml-study confirm STUDY` runs the others."
    ]
    with pytest.raises(ResultsError, match="no config is confirmed yet"):
        confirmed_ranking(told.folder)


def test_configs_are_compared_on_the_seeds_that_they_share(told):
    for seed, (an, ll) in enumerate(zip(AN_TEST, LL_TEST, strict=True), start=1):
        told.run(1, seed, ll, ll)
        if seed > 2:
            told.run(0, seed, an, an)
    found = told.tell()
    (one,) = found.comparisons
    assert one.points.count == 3
    assert one.judged.p_value == pytest.approx(paired_p_value(LL_TEST[2:], AN_TEST[2:]))


def test_the_confirmed_ranking_has_the_columns_of_the_search(told):
    confirm_all(told)
    ranked = confirmed_ranking(told.folder)
    assert ranked["trial"].tolist() == [2, 1, 0]
    assert ranked["rank"].tolist() == [1, 2, 3]
    assert ranked["num_seeds"].tolist() == [5, 5, 5]
    assert ranked["confirmed_test_map"].tolist() == pytest.approx([68.58, 68.6, 66.34])
    assert set(ranked_trials(told.folder).columns) <= set(ranked.columns)


WORSE_TEST = [65.0, 65.1, 64.9, 65.3, 65.0]


def confirm_without_a_winner(told):
    """The config that leads on validation images has the lowest test mAP; the other one is as good as AN."""
    for seed, (an, worse) in enumerate(zip(AN_TEST, WORSE_TEST, strict=True), start=1):
        told.run(1, seed, 80.0, worse)
        told.run(2, seed, 79.0, an + (0.2 if seed % 2 else -0.2))
        told.run(0, seed, 70.0, an)
    return told.tell()


def test_where_nothing_beats_the_baseline_the_baseline_is_the_answer(told, tmp_path):
    found = confirm_without_a_winner(told)
    assert [one.verdict for one in found.comparisons] == [Verdict.BELOW, Verdict.OPEN]
    assert found.finding.startswith("No method beats AN, as far as these seeds can tell: AN (trial 0) reaches 66.34 %")
    assert found.recommended.method == "AN"
    assert [config.trial for config in found.ranked] == [0, 1, 2]
    (path,) = export_configs(told.folder, output=tmp_path / "configs", by_confirmed=True)
    assert path.name == "told-AN-trial0.yaml"
    lines = answer(told.folder, study_argument="told.yaml")
    assert any(line.startswith("LL-R (trial 1) is below AN (trial 0): -1.28 points (") for line in lines)
    assert any(line.startswith("5 seeds find a difference of ") for line in lines)
    assert lines[-1].endswith("A difference this small would take more than 1,000 seeds.") or "more seeds" in lines[-1]


def test_report_and_results_give_one_answer(told):
    found = confirm_without_a_winner(told)
    record = read_record(told.folder)
    finding, significance = report_answer(record)
    assert finding == found.finding
    assert f"Answer: {finding}" in answer(told.folder, study_argument="told.yaml")
    for one in found.comparisons:
        assert one.line() in significance


def test_equivalence_within_a_margin_is_a_finding(told):
    for seed, an in enumerate(AN_TEST, start=1):
        told.run(2, seed, 79.0, an + (0.05 if seed % 2 else -0.05))
        told.run(0, seed, 70.0, an)
    assert told.tell().comparisons[0].verdict is Verdict.OPEN
    told.plan(Confirm(margin=0.5))
    found = told.tell()
    (one,) = found.comparisons
    assert one.verdict is Verdict.EQUIVALENT
    assert one.line().startswith("LL-R (trial 2) is equivalent to AN (trial 0) within 0.5 points: +0.01 points (")
    assert found.finding.startswith("No method beats AN: AN (trial 0) reaches")


def test_a_config_that_joins_later_does_not_take_the_place_of_the_baseline(tmp_path):
    """With answers, or more trials, the search may come to rank another config of the baseline's method first."""
    told = Told(tmp_path / "joined", values=[70.0, 74.0, 75.0])
    told.plan(Confirm(baseline="LL-R"))
    for seed, (an, ll) in enumerate(zip(AN_TEST, LL_TEST, strict=True), start=1):
        told.run(0, seed, an, an)
        told.run(1, seed, ll, ll)
    for seed in (1, 2):
        told.run(2, seed, 99.0, 60.0)
    assert told.tell().baseline.trial == 1


def test_the_study_names_the_baseline(told):
    confirm_all(told)
    told.plan(Confirm(baseline="LL-R"))
    found = told.tell()
    assert found.baseline.trial == 1, "the best of LL-R in the search"
    assert [one.config.trial for one in found.comparisons] == [2, 0]
    assert worth_confirming(ranked_trials(told.folder), Confirm(top=2, baseline="LL-R")) == [0, 2, 1]


def test_the_study_names_a_config_as_the_baseline(tmp_path):
    told = Told(tmp_path / "named", values=[70.0, 74.0, 75.0], origins={1: "start_from 1"})
    told.plan(plan := Confirm(top=1, baseline="start_from 1"))
    assert worth_confirming(ranked_trials(told.folder), plan) == [0, 1], "of another method first"
    confirm_all(told)
    found = told.tell()
    assert found.baseline.trial == 1
    assert [one.config.trial for one in found.comparisons] == [2, 0]


def test_a_config_that_has_no_value_is_no_baseline(told):
    with pytest.raises(ResultsError, match="no trial of the search that start_from 4 gave has a value"):
        worth_confirming(ranked_trials(told.folder), Confirm(baseline="start_from 4"))
    confirm_all(told)
    told.plan(Confirm(baseline="start_from 4"))
    assert told.tell().baseline is None, "and nothing else takes its place"


def test_seeds_in_rounds_count_when_their_round_has_ended_and_cost_more_evidence(told):
    confirm_all(told)
    once = read_confirmation(told.folder).comparisons[0].judged
    told.plan(Confirm(seeds="auto", at_most=20))
    in_rounds = told.tell().comparisons[0].judged
    assert in_rounds.p_value > once.p_value
    told.run(2, 6, 90.0, 20.0)
    told.run(0, 6, 90.0, 90.0)
    assert told.tell().comparisons[0].judged == in_rounds, "six seeds are no whole round"


def test_intervals_cover_the_test_images_where_their_resamples_are_kept(told):
    found = confirm_all(told)
    narrow = found.comparisons[0].points
    rng = np.random.default_rng(0)
    noise_R = rng.normal(0, 3, 500)
    found = with_other_images(told, noise_R)
    assert found.resampled == "seeds, draws of the hidden labels and test images"
    wide = found.comparisons[0].points
    assert wide.mean == narrow.mean
    assert wide.high - wide.low == pytest.approx(2 * 1.96 * np.hypot(1.5, (narrow.high - narrow.low) / 3.92), rel=0.15)
    (row,) = found.comparisons[0].by_class.to_dict("records")
    assert (row["class"], row["gain"], row["low"]) == (
        "cat",
        pytest.approx(wide.mean),
        pytest.approx(wide.low, abs=0.01),
    )


def test_a_difference_that_other_test_images_may_not_show_is_told_with_that_caution(told):
    confirm_all(told)
    noise_R = np.random.default_rng(0).normal(0, 10, 500)
    (line,) = [line for line in with_other_images(told, noise_R).lines() if line.startswith("Answer: ")]
    assert "That holds for these test images; with others of their kind it may be -" in line


def with_other_images(told, noise_R):
    """The confirmation with resamples of the test images: one is good or bad for all configs, but not equally."""
    for number, trial in enumerate(read_log(told.folder / "confirm/events.jsonl")[1].trials.values()):
        share = 1.0 if trial.values["method.name"] == "AN" else 1.5
        ap_RC = (trial.test["test_map"] + share * noise_R)[:, None].astype(np.float32)
        write_resamples(LocalFileSystem(), str(told.folder / "confirm/test_resamples"), number, ("cat",), ap_RC)
    return read_confirmation(told.folder)


def test_configs_are_exported_by_confirmed_mean(told, tmp_path):
    confirm_all(told)
    paths = export_configs(told.folder, top=2, per_method=False, output=tmp_path / "configs", by_confirmed=True)
    assert [path.name for path in paths] == ["told-LL-R-trial2.yaml", "told-LL-R-trial1.yaml"]
    (best,) = export_configs(told.folder, top=1, per_method=False, output=tmp_path / "configs")
    assert best == paths[1]


def test_before_a_confirmation_there_is_none(told):
    assert read_confirmation(told.folder) is None
    with pytest.raises(ResultsError, match="wsml-study confirm STUDY"):
        confirmed_ranking(told.folder)


def chosen(tmp_path, search, values, top):
    told = Told(tmp_path / "chosen", values=values, search=search)
    return worth_confirming(ranked_trials(told.folder), Confirm(top=top))


@pytest.mark.parametrize(
    ("search", "values", "top", "expected"),
    [
        (SEARCH, VALUES, 3, [1, 2, 0]),
        (SEARCH, VALUES, 1, [1, 0]),
        ([ll_r(0.01), ll_r(0.02), ll_r(0.03)], [70.0, 72.0, 71.0], 2, [1, 2]),
        ([{"method.name": "AN"}] * 2, [70.0, 70.0], 3, [0]),
        ([ll_r(0.01), {"method.name": "AN"}, ll_r(0.02)], [70.0, 80.0, 71.0], 2, [2, 0, 1]),
    ],
    ids=["best two and AN", "best and AN", "one method has no baseline", "equal configs count once", "AN leads"],
)
def test_the_best_configs_and_the_baseline_are_chosen(tmp_path, search, values, top, expected):
    assert chosen(tmp_path, search, values, top) == expected


def methods_table(rows):
    """A ranked search of these methods, rate None for a method without a schedule."""
    content = []
    for trial, (method, rate, value) in enumerate(rows):
        schedule = {} if rate is None else {"schedule": {"rate_per_epoch": rate}}
        config = TrialConfig.model_validate(
            {"data": {"dataset": "digit_scenes"}, "method": {"name": method} | schedule}
        )
        content.append({"trial": trial, "method": method, "value": value, "config": config.model_dump_json()})
    return pd.DataFrame(content).assign(missed=None).sort_values("value", ascending=False, ignore_index=True)


def test_every_good_method_has_its_best_before_any_has_a_second():
    rows = [
        ("LL-R", 0.01, 90.0),
        ("LL-R", 0.02, 89.0),
        ("LL-Ct", 0.01, 85.0),
        ("LL-Cp", 0.01, 84.0),
        ("AN", None, 83.0),
    ]
    assert worth_confirming(methods_table(rows), Confirm(top=3)) == [0, 2, 3, 4]
    assert worth_confirming(methods_table(rows), Confirm(top=4)) == [0, 2, 3, 1, 4]


def test_without_an_the_baseline_is_the_best_method_without_a_schedule():
    rows = [("LL-R", 0.01, 90.0), ("ROLE", None, 88.0), ("WAN", None, 86.0), ("full", None, 99.0)]
    assert worth_confirming(methods_table(rows), Confirm(top=2)) == [0, 2, 1]
    assert worth_confirming(methods_table([*rows[:1], ("LL-Ct", 0.01, 80.0)]), Confirm(top=2)) == [0, 1]
