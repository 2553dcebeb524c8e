"""A report of a study of thousands of trials stays small, and its figures show a fair part of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from tests.report.drawn_data import data_of, values
from tests.sample_studies.synthetic import synthetic_events, synthetic_study, write_folder
from wsml_study.report.figures.all_figures import SECTIONS
from wsml_study.report.figures.at_work import clock_of, mean_at_work
from wsml_study.report.figures.drawing import page_spec
from wsml_study.report.figures.figure import Figure
from wsml_study.report.figures.importance import importance
from wsml_study.report.figures.methods import trials_by_method
from wsml_study.report.figures.parts import sample_by_method
from wsml_study.report.figures.rate_effect import map_over_rate
from wsml_study.report.figures.search import slots_over_time
from wsml_study.results.study_results import StudyRecord, read_record
from wsml_study.results.timeline import attempts, busy_seconds, spans

TIMES, NUM_TRIALS = 120, 50


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> StudyRecord:
    """Of 6,000 trials: the trials of a made-up study, again and again with slightly other values."""
    study = synthetic_study(NUM_TRIALS, epochs=6)
    folder = tmp_path_factory.mktemp("large") / "synthetic"
    write_folder(folder, study, synthetic_events(study))
    one = read_record(folder)
    draws = np.random.default_rng(0)
    trials = repeated(one.trials)
    trials["value"] += draws.normal(0, 0.5, len(trials))
    trials = trials.sort_values("value", ascending=False, ignore_index=True)
    trials["rank"] = range(1, len(trials) + 1)
    run, *events = one.events
    many = [
        event | {"trial": event["trial"] + NUM_TRIALS * time, "time": event["time"] + 7 * time}
        for time in range(TIMES)
        for event in events
    ]
    return replace(
        one,
        trials=trials,
        epochs=repeated(one.epochs),
        classes=repeated(one.classes),
        events=[run, *sorted(many, key=lambda event: event["time"])],
    )


def repeated(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of a table for trials that are numbered on."""
    parts = [table.assign(trial=table["trial"] + NUM_TRIALS * time) for time in range(TIMES)]
    return pd.concat(parts, ignore_index=True)


def test_all_figures_of_6000_trials_take_less_than_two_megabytes(record):
    made = [make(record) for section in SECTIONS for make in section.figures]
    sizes = {
        figure.name: sum(len(page_spec(panel)) for panel in figure.panels)
        for figure in made
        if isinstance(figure, Figure)
    }
    assert len(sizes) >= 13
    assert sum(sizes.values()) < 2e6
    assert max(sizes.values()) < 6e5


def test_a_chart_with_a_mark_per_trial_draws_a_sample_and_says_so(record):
    figure = trials_by_method(record)
    _, every, best = data_of(figure.panels[0])
    valued = record.trials.dropna(subset=["value"])
    assert 1900 < len(every) < 2100
    assert f"Drawn are {len(every):,} of {len(valued):,} trials" in figure.caption
    assert set(values(best, "trial")) < set(values(every, "trial"))
    points, _ = data_of(map_over_rate(record).panels[0])
    assert 1900 < len(points) < 2100
    assert f"Drawn are {len(points):,} of" in map_over_rate(record).caption


def test_a_sample_has_the_best_and_the_worst_of_each_method_and_enough_of_a_rare_one():
    methods = ["common"] * 5000 + ["rare"] * 30 + ["once"]
    ranked = pd.DataFrame({"method": methods, "trial": range(5031)}).sample(frac=1, random_state=0, ignore_index=True)
    found = sample_by_method(ranked, 1000)
    assert found["method"].value_counts().to_dict() == {"common": 994, "rare": 20, "once": 1}
    assert found.index.is_monotonic_increasing
    assert found.index.is_unique
    for _, trials in ranked.groupby("method"):
        assert {trials.index[0], trials.index[-1]} <= set(found.index)
    common = found[found["method"] == "common"]["trial"]
    assert common.mean() == pytest.approx(2499.5, rel=0.05)
    assert sample_by_method(ranked, 5031) is ranked


def test_with_many_slots_it_is_drawn_how_many_trials_were_at_work(record):
    figure = slots_over_time(record)
    (area,) = data_of(figure.panels[0])
    assert "6,000 starts of 6,000 trials" in figure.caption
    assert {row["method"] for row in area} == {"AN", "LL-R", "LL-Ct", "LL-Cp"}
    (run,) = record.runs
    edges = sorted({row["time"] for row in area})
    drawn = sum(row["number"] for row in area if row["time"] < edges[-1]) * (run.ended - run.started) / 100
    assert len(edges) == 101
    assert drawn == pytest.approx(busy_seconds(record.attempts, run.ended), rel=1e-6)


def test_the_mean_at_work_is_that_of_the_attempts_in_each_part():
    events = [
        {"event": "run", "time": 0.0},
        {"event": "attempt", "trial": 0, "attempt": 1, "time": 0.0},
        {"event": "attempt", "trial": 1, "attempt": 1, "time": 60.0},
        {"event": "ended", "trial": 0, "state": "complete", "time": 90.0},
        {"event": "ended", "trial": 1, "state": "complete", "time": 240.0},
    ]
    found = mean_at_work(attempts(events), clock_of(spans(events)), np.array([0.0, 1.0, 2.0, 3.0, 4.0]))
    assert found == pytest.approx([1, 1.5, 1, 1])


def test_the_importance_of_many_trials_is_that_of_a_sample(record, monkeypatch):
    whole = importance(record)
    monkeypatch.setattr("wsml_study.report.figures.importance.MOST_TRIALS", 1000)
    sampled = importance(record)
    assert "Computed from 1,000 of these trials" in sampled.caption
    assert "Computed from" not in whole.caption
    shares, some = ({row["key"]: row["share"] for row in data_of(one.panels[0])[0]} for one in (whole, sampled))
    assert some == pytest.approx(shares, abs=0.05)
