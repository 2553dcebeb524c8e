"""Studies with factors: means by level, the best config of each method, and the curves in the report."""

import pandas as pd
import pytest

from tests.results.study_records import record_of
from wsml_study.report.figures.factor_curves import factor_curves
from wsml_study.report.figures.figure import Figure, LeftOut
from wsml_study.results.factor_means import level_means
from wsml_study.testing.sampler_contract import study_with

SHARES, SEEDS = [0.1, 0.5], [1, 2, 3]
STUDY = study_with(
    "random",
    search={"training.learning_rate": {"float": {"low": 1e-5, "high": 1e-2, "log": True}}},
    factors={"data.observe.share": SHARES, "data.observe.seed": SEEDS, "method.name": ["AN", "LL-R"]},
)


def trials(best_of: dict[str, int]) -> pd.DataFrame:
    """Two configs; a method's values are 10 higher in its best one, and grow with share and seed."""
    rows = [
        {
            "method": method,
            "config_number": config,
            "state": "complete",
            "value": 50 + 10 * (config == best_of[method]) + 20 * share + seed,
            "test_map": None,
            "data.observe.share": share,
            "data.observe.seed": seed,
            "method.name": method,
        }
        for config in (0, 1)
        for share in SHARES
        for seed in SEEDS
        for method in ("AN", "LL-R")
    ]
    return pd.DataFrame(rows)


def test_each_method_has_its_best_config_and_means_over_the_draws():
    means = level_means(STUDY, trials({"AN": 0, "LL-R": 1}))
    assert {(one.method, one.config) for one in means} == {("AN", 0), ("LL-R", 1)}
    by_level = {(one.method, one.levels["data.observe.share"]): one.value for one in means}
    assert by_level["AN", 0.1].mean == pytest.approx(60 + 2 + 2)
    assert by_level["LL-R", 0.5].mean == pytest.approx(60 + 10 + 2)
    assert {value.count for value in by_level.values()} == {3}
    assert all(one.levels.keys() == {"data.observe.share"} for one in means)


def test_a_config_that_did_not_complete_at_every_level_is_not_the_best():
    table = trials({"AN": 0, "LL-R": 1})
    table.loc[(table["data.observe.share"] == 0.1) & (table["config_number"] == 0), "state"] = "failed"
    means = level_means(STUDY, table)
    assert {(one.method, one.config, one.value.count) for one in means} == {("AN", 1, 3), ("LL-R", 1, 3)}


def test_the_curves_have_a_point_per_method_and_level():
    figure = factor_curves(record_of(trials({"AN": 0, "LL-R": 1}), STUDY))
    assert isinstance(figure, Figure)
    (panel,) = figure.panels
    drawn = {(row["method"], row["level"]) for rows in panel.chart.to_dict()["datasets"].values() for row in rows}
    assert drawn == {(method, share) for method in ("AN", "LL-R") for share in SHARES}
    assert "mean and 95 % interval over data.observe.seed" in figure.caption
    assert len(figure.table.body) == 4


def test_one_level_makes_no_curve_and_a_study_without_numeric_factors_none():
    table = trials({"AN": 0, "LL-R": 1})
    assert isinstance(factor_curves(record_of(table[table["data.observe.share"] == 0.1], STUDY)), LeftOut)
    assert factor_curves(record_of(table, study_with("random", factors={"training.seed": [1, 2]}))) is None
