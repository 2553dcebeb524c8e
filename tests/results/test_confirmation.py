"""What a confirmation makes of its runs: means, intervals, comparisons, and what it admits not to know."""

import numpy as np
import pandas as pd
import pytest

from tests.sample_studies.confirmations import SEARCH, VALUES, Told, ll_r
from wsml_study.errors import ResultsError
from wsml_study.report.summary import answer
from wsml_study.results.confirmation import confirmed_ranking, read_confirmation, worth_confirming
from wsml_study.results.export import export_configs
from wsml_study.results.ranking import ranked_trials
from wsml_study.results.statistics import holm, paired_p_value
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


def test_pairs_are_tested_on_equal_seeds_and_corrected_for_all_pairs(told):
    found = confirm_all(told)
    expected = [
        paired_p_value(CLOSE_TEST, LL_TEST),
        paired_p_value(CLOSE_TEST, AN_TEST),
        paired_p_value(LL_TEST, AN_TEST),
    ]
    assert [one.p_value for one in found.differences] == pytest.approx(expected)
    assert [one.corrected for one in found.differences] == pytest.approx(holm(expected))
    assert [one.is_significant for one in found.differences] == [False, True, True]
    gain = found.between(found.configs[0], found.baseline)
    assert gain.points.mean == pytest.approx(np.mean(CLOSE_TEST) - np.mean(AN_TEST))


def test_the_answer_has_mean_interval_gain_and_what_cannot_be_told_apart(told):
    confirm_all(told)
    lines = answer(told.folder, study_argument="told.yaml")
    assert lines[0].endswith("above AN (trial 0)")
    assert lines[4].startswith("means over fresh seeds and draws of the hidden labels, 95 % intervals")
    (confirmed,) = [line for line in lines if line.startswith("Confirmed: ")]
    assert confirmed.startswith("Confirmed: LL-R, rate_per_epoch 0.02 (trial 2): 68.58 % test mAP (68.0")
    assert "2.24 points" in confirmed
    assert "above AN (trial 0), p " in confirmed
    assert lines[-1].startswith("Trials that do not differ significantly: 1 and 2 (p ") or lines[-1].startswith(
        "Trials that do not differ significantly: 2 and 1 (p "
    )
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
    assert sum(difference.p_value < 0.05 for difference in found.differences) == 4, (
        "and by themselves some pairs do too"
    )
    assert not any(difference.is_significant for difference in found.differences)
    assert "No two of these 10 configs differ significantly." in found.lines()


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
    assert told.tell(num_trials=10).lines() == ["Confirmation: 1 of 10 runs ended, too few for statistics."]
    with pytest.raises(ResultsError, match="no config is confirmed yet"):
        confirmed_ranking(told.folder)


def test_configs_are_compared_on_the_seeds_that_they_share(told):
    for seed, (an, ll) in enumerate(zip(AN_TEST, LL_TEST, strict=True), start=1):
        told.run(1, seed, ll, ll)
        if seed > 2:
            told.run(0, seed, an, an)
    found = told.tell()
    (difference,) = found.differences
    assert difference.points.count == 3
    assert difference.p_value == pytest.approx(paired_p_value(LL_TEST[2:], AN_TEST[2:]))


def test_the_confirmed_ranking_has_the_columns_of_the_search(told):
    confirm_all(told)
    ranked = confirmed_ranking(told.folder)
    assert ranked["trial"].tolist() == [2, 1, 0]
    assert ranked["rank"].tolist() == [1, 2, 3]
    assert ranked["num_seeds"].tolist() == [5, 5, 5]
    assert ranked["confirmed_test_map"].tolist() == pytest.approx([68.58, 68.6, 66.34])
    assert set(ranked_trials(told.folder).columns) <= set(ranked.columns)


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
    return worth_confirming(ranked_trials(told.folder), top=top)


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
    return pd.DataFrame(content).sort_values("value", ascending=False, ignore_index=True)


def test_every_good_method_has_its_best_before_any_has_a_second():
    rows = [
        ("LL-R", 0.01, 90.0),
        ("LL-R", 0.02, 89.0),
        ("LL-Ct", 0.01, 85.0),
        ("LL-Cp", 0.01, 84.0),
        ("AN", None, 83.0),
    ]
    assert worth_confirming(methods_table(rows), top=3) == [0, 2, 3, 4]
    assert worth_confirming(methods_table(rows), top=4) == [0, 2, 3, 1, 4]


def test_without_an_the_baseline_is_the_best_method_without_a_schedule():
    rows = [("LL-R", 0.01, 90.0), ("ROLE", None, 88.0), ("WAN", None, 86.0), ("full", None, 99.0)]
    assert worth_confirming(methods_table(rows), top=2) == [0, 2, 1]
    assert worth_confirming(methods_table([*rows[:1], ("LL-Ct", 0.01, 80.0)]), top=2) == [0, 1]
