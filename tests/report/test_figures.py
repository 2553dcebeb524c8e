"""The numbers that figures draw, and why a figure is left out."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from tests.report.drawn_data import data_of, values
from tests.sample_studies.stories import small_study, told_events
from tests.sample_studies.synthetic import (
    synthetic_confirmation,
    synthetic_events,
    synthetic_study,
    write_events,
    write_folder,
)
from wsml_study.report.figures.all_figures import SECTIONS
from wsml_study.report.figures.confirmed import confirmed
from wsml_study.report.figures.confirmed_classes import confirmed_classes
from wsml_study.report.figures.figure import Figure, LeftOut
from wsml_study.report.figures.importance import importance, ped_anova
from wsml_study.report.figures.learning import distrust, learning_curves, memorization
from wsml_study.report.figures.look import LOOKS, ON_DARK
from wsml_study.report.figures.methods import ap_per_class, gain_over_baseline, trials_by_method
from wsml_study.report.figures.parallel import ABSENT, axis_of, parallel_coordinates
from wsml_study.report.figures.parts import sample
from wsml_study.report.figures.rate_effect import map_over_rate
from wsml_study.report.figures.rate_lines import rate_effect
from wsml_study.report.figures.search import best_so_far, rank_agreement, slots_over_time
from wsml_study.report.html_report import write_report
from wsml_study.results.best_so_far import Devices, Improvement, devices_per_trial, improvements
from wsml_study.results.study_results import StudyRecord, read_record
from wsml_study.study.method_section import MethodName
from wsml_study.study.reading import parse_study
from wsml_study.study.resources_section import Resources
from wsml_study.study.search_section import FloatRange, IntRange, Parameter


@pytest.fixture
def record(tmp_path) -> StudyRecord:
    """AN 60 (complete), LL-R at rate .01 70 (stopped), LL-R failed before its first epoch, AN 52 (running)."""
    study = small_study()
    write_folder(tmp_path / "told", study, told_events(study))
    return read_record(tmp_path / "told")


@pytest.fixture(scope="module")
def large(tmp_path_factory) -> StudyRecord:
    study = synthetic_study(120)
    folder = tmp_path_factory.mktemp("large") / "synthetic"
    write_folder(folder, study, synthetic_events(study))
    return read_record(folder)


def test_every_trial_with_a_value_is_drawn_and_the_best_of_each_method(record):
    rule, every, best = data_of(trials_by_method(record).panels[0])
    assert rule == [{"at": 60}]
    assert values(every, "trial", "method", "value") == [(1, "LL-R", 70), (0, "AN", 60), (3, "AN", 52)]
    assert values(best, "trial", "label") == [(1, "LL-R, rate per epoch 0.01"), (0, "AN")]
    assert "AN 2, LL-R 1" in trials_by_method(record).caption


def test_map_is_drawn_over_the_searched_rate_with_the_ramp_of_the_best(record):
    figure = map_over_rate(record)
    assert [panel.title for panel in figure.panels] == ["By rate per epoch", "The schedule's ramp"]
    points, rule = data_of(figure.panels[0])
    assert values(points, "rate", "value", "stopped") == [(0.01, 70, 1)]
    assert rule == [{"at": 60}]
    assert values(data_of(figure.panels[1])[0], "epoch", "rejection_rate") == [(1, 0), (2, 0.01)]


def grid_record(folder, shapes: list[str]) -> StudyRecord:
    """A made-up grid search over four rates of each shape of schedule, with several seeds and learning rates."""
    methods = ["LL-R", "LL-Ct"]
    rates = {
        f"method.schedule.{key}": {
            "when": {"method.schedule.shape": [shape], "method.name": methods},
            "choice": [0.001, 0.002, 0.003, 0.004],
        }
        for shape, key in (("linear", "rate_per_epoch"), ("constant", "final_rate"))
        if shape in shapes
    }
    content = {
        "name": "grid",
        "data": {"dataset": "digit_scenes"},
        "method": {"name": "LL-R", "schedule": {"rate_per_epoch": 0.01}},
        "training": {"epochs": 5},
        "search": {
            "method.name": {"choice": ["AN", *methods]},
            "method.schedule.shape": {"when": {"method.name": methods}, "choice": shapes},
            **rates,
            "training.seed": {"choice": [0, 1, 2]},
        },
        "trials": 80,
    }
    study = parse_study(content, source="grid")
    write_folder(folder, study, synthetic_events(study))
    return read_record(folder)


@pytest.mark.parametrize("shapes", [["linear"], ["linear", "constant"]], ids=len)
def test_the_effect_of_the_rate_is_the_mean_and_range_of_each_rates_trials(tmp_path, shapes):
    record = grid_record(tmp_path, shapes)
    complete = record.trials[record.trials["state"] == "complete"]
    baseline, *lines = data_of(rate_effect(record).panels[0])
    of_an = complete[complete["method"] == "AN"]["value"]
    assert values(baseline, "mean", "low", "high")[0] == pytest.approx((of_an.mean(), of_an.min(), of_an.max()))
    keys = {"linear": "method.schedule.rate_per_epoch", "constant": "method.schedule.final_rate"}
    for point in itertools.chain(*lines):
        key = keys[point["shape"]]
        # Over the rate per epoch where all schedules are linear, else over the rate of the last of five epochs.
        factor = 4 if len(shapes) > 1 and point["shape"] == "linear" else 1
        column = key if key in complete else key.rpartition(".")[2]
        same = np.isclose(factor * complete[column].astype(float), point["rate"], rtol=1e-6)
        found = complete[(complete["method"] == point["method"]) & same]["value"]
        expected = (found.mean(), found.min(), found.max(), len(found))
        assert (point["mean"], point["low"], point["high"], point["trials"]) == pytest.approx(expected, rel=1e-6)
    drawn = sum(point["trials"] for point in itertools.chain(*lines))
    assert drawn == (complete["method"] != "AN").sum() > 20
    labels = [key.label for key in rate_effect(record).keys]
    assert labels[-1] == "AN, mean"
    assert ("constant schedule" in labels) == (len(shapes) > 1)


def test_many_rates_are_joined_and_stopped_trials_left_out(large):
    figure = rate_effect(large)
    _, *lines = data_of(figure.panels[0])
    complete = large.trials[(large.trials["state"] == "complete") & (large.trials["method"] != "AN")]
    assert [len(line) for line in lines] == [
        min(6, max(2, n // 3)) for n in complete.groupby("method", sort=False).size()
    ]
    assert sum(point["trials"] for line in lines for point in line) == len(complete)
    assert all(point["low"] <= point["mean"] <= point["high"] for line in lines for point in line)
    assert f"{large.counts['stopped']} trials that were stopped early are left out" in figure.caption


def test_learning_curves_mark_the_trials_that_were_stopped(record):
    curves, ends = data_of(learning_curves(record).panels[0])
    assert values(curves, "trial", "epoch", "val_map") == [(0, 1, 60), (0, 2, 55), (1, 1, 50), (1, 2, 70), (3, 1, 52)]
    assert values(ends, "trial", "epoch", "val_map", "state") == [(1, 2, 70, "stopped")]
    assert learning_curves(record).caption.startswith(
        "1 of 4 trials were stopped early, which a cross marks; 1 failed."
    )


def test_parallel_coordinates_place_values_along_their_ranges(record):
    _, lines, *_ = data_of(parallel_coordinates(record).panels[0])
    objective = (60 - 52) / (70 - 52)
    places = {trial: [row["at"] for row in lines if row["trial"] == trial] for trial in (0, 1)}
    assert places[0] == pytest.approx([0, ABSENT, objective], abs=1e-4)  # AN has no rate
    assert places[1] == pytest.approx([1, 0.5, 1], abs=1e-4)  # .01 is the middle of .001 to .1, logarithmically


def test_axes_write_their_ends_and_a_middle_that_exists():
    linear = axis_of("x", Parameter(float=FloatRange(low=0.0, high=1.0)))
    assert linear.ticks == ((0.0, "0"), (0.5, "0.5"), (1.0, "1"))
    whole = axis_of("x", Parameter(int=IntRange(low=1, high=4)))
    assert [text for _, text in whole.ticks] == ["1", "2", "4"]
    assert whole.ticks[1][0] == pytest.approx(1 / 3)
    names = axis_of("x", Parameter(choice=tuple(f"a long name {n}" for n in range(10))))
    assert len(names.ticks) < 10  # as many as a phone has room for
    assert names.position("a long name 9") == 1.0


def test_slots_show_each_attempt_in_minutes_of_work(record):
    (bars, broken) = data_of(slots_over_time(record).panels[0])
    assert values(bars, "trial", "slot", "state") == [
        (0, 1, "complete"),
        (1, 2, "stopped"),
        (2, 3, "failed"),
        (3, 4, "running"),
    ]
    assert values(bars, "start", "end")[0] == (pytest.approx(10 / 60, rel=1e-4), 0.5)
    assert values(broken, "trial") == [(2,)]


def test_the_best_so_far_grows_as_trials_end_over_time_and_over_what_was_used(record):
    assert devices_per_trial(record) == Devices(number=1, kind="CPU")
    # Trials 0 to 3 ran from 10, 11, 12 and 13 to 30 seconds.
    assert improvements(record) == [
        Improvement(seconds=30, device_seconds=20 + 19 + 18 + 17, trial=0, value=60),
        Improvement(seconds=30, device_seconds=20 + 19 + 18 + 17, trial=1, value=70),
    ]
    assert [panel.title for panel in best_so_far(record).panels] == ["Over time", "Over CPU-hours"]


@pytest.mark.parametrize(
    ("figure", "why"),
    [
        (rate_effect, "at least two different rejection rates"),
        (importance, "at least 10 trials with a value, and there are 3"),
        (gain_over_baseline, "Fewer than two classes"),
        (memorization, "no false negatives to memorize"),
        (distrust, "No method here distrusts"),
        (rank_agreement, "It takes 4 trials that ran to their end"),
    ],
)
def test_what_there_is_no_data_for_is_left_out_with_a_word_why(record, figure, why):
    left_out = figure(record)
    assert isinstance(left_out, LeftOut)
    assert why in left_out.why


def test_gpu_hours_count_the_gpus_of_a_trial(record):
    several = record.study.model_copy(update={"resources": Resources(workers_per_trial=2, cpus_per_worker=3)})
    assert devices_per_trial(replace(record, study=several)) == Devices(number=6, kind="CPU")
    environment = {"environment": {"gpus": ["NVIDIA H100 80GB HBM3"]}}
    history = replace(record.history, runs=({"time": 0.0} | environment,))
    assert devices_per_trial(replace(record, study=several, history=history)) == Devices(number=2, kind="GPU")
    shared = record.study.model_copy(update={"resources": Resources(gpus_per_worker=0.25)})
    assert devices_per_trial(replace(record, study=shared)) == Devices(number=0.25, kind="GPU")


def test_a_study_without_an_epoch_leaves_out_all_figures_with_a_word_why(tmp_path):
    study = small_study()
    write_folder(tmp_path, study, told_events(study)[:3])
    record = read_record(tmp_path)
    made = {one.name: one for section in SECTIONS for make in section.figures if (one := make(record))}
    assert [name for name, one in made.items() if isinstance(one, Figure)] == ["slots"]
    assert all(one.why.endswith(".") for one in made.values() if isinstance(one, LeftOut))


def test_epochs_without_validation_images_leave_out_what_is_judged_by_them(tmp_path):
    study, events = small_study(), told_events(small_study())
    for event in events:
        if event["event"] == "epoch":
            event["result"] |= dict.fromkeys(("val_map", "val_map_true", "val_map_observed", "best_val_map"))
            event["result"] |= {"val_ap_C": [None, None], "loss_false_negative": 0.5}
    write_folder(tmp_path, study, events)
    made = [make(read_record(tmp_path)) for section in SECTIONS for make in section.figures]
    assert [one.name for one in made if isinstance(one, Figure)] == ["slots"]
    write_report(tmp_path, tmp_path / "report.html", address="x")


def test_importance_finds_the_keys_that_decide(large):
    shares = ped_anova(large)
    assert sum(shares.values()) == pytest.approx(1)
    assert set(shares) == set(large.study.search)
    assert list(shares)[-1] == "method.schedule.warmup_epochs"  # which decides nothing in this made-up study
    assert values(data_of(importance(large).panels[0])[0], "key")[0] == (large.key_names[next(iter(shares))],)


def test_gains_and_classes_compare_the_best_trials_class_by_class(large):
    ap = large.classes.set_index(["trial", "class"])["average_precision"]
    best, baseline = large.contenders.iloc[0]["trial"], large.baseline["trial"]
    differences = ap[best] - ap[baseline]
    _, gains = data_of(gain_over_baseline(large).panels[0])
    assert gains[0]["gain"] == pytest.approx(differences.mean(), rel=1e-4)
    assert gains[0]["low"] < gains[0]["gain"] < gains[0]["high"]
    ends, points = data_of(ap_per_class(large).panels[0])
    assert values(ends, "class") == [(name,) for name in differences.sort_values(ascending=False).index]
    assert ends[0]["high"] - ends[0]["low"] == pytest.approx(differences.max(), abs=1e-2)
    assert {row["method"] for row in points} == {"AN", large.contenders.iloc[0]["method"]}


def test_the_confirmed_gain_of_each_class_is_drawn_with_its_interval(tmp_path):
    study = synthetic_study(40)
    history = write_folder(tmp_path, study, synthetic_events(study))
    write_events(tmp_path / "confirm", synthetic_confirmation(study, history))
    record = read_record(tmp_path)
    best = record.confirmation.against(record.confirmation.recommended)
    figure = confirmed_classes(record)
    _, gains = data_of(figure.panels[0])
    assert [row["class"] for row in gains] == ["class 0"]
    assert gains[0]["gain"] == pytest.approx(best.points.mean)
    assert gains[0]["low"] < gains[0]["gain"] < gains[0]["high"]
    assert "mean over 5 seeds, with 95 % intervals over seeds and draws." in figure.caption


def test_confirmed_means_and_their_differences_to_the_baseline_are_drawn(tmp_path):
    study = synthetic_study(40)
    history = write_folder(tmp_path, study, synthetic_events(study))
    write_events(tmp_path / "confirm", synthetic_confirmation(study, history))
    record = read_record(tmp_path)
    found = record.confirmation
    seeds, means = data_of(confirmed(record).panels[0])
    assert [row["mean"] for row in means] == pytest.approx([config.test.mean for config in found.configs])
    assert len(seeds) == 5 * len(means) == 20
    _, gains = data_of(confirmed(record).panels[1])
    by_called = {row["called"]: row for row in gains}
    assert len(by_called) == 3
    for config in found.configs:
        if config is not found.baseline:
            pairs = [config.test_map[seed] - found.baseline.test_map[seed] for seed in config.test_map]
            row = by_called[config.called]
            assert row["gain"] == pytest.approx(sum(pairs) / 5)
            assert row["low"] < row["gain"] < row["high"]
            assert row["text"].startswith(f"{row['gain']:+.2f}, p ")


def test_memorization_and_distrust_are_of_the_best_trial_of_each_method(large):
    figure = memorization(large)
    assert figure.panels[0].title.startswith("AN")
    assert len(figure.panels) == 4
    row = next(row for row in data_of(figure.panels[0])[0] if (row["kind"], row["epoch"]) == ("false negatives", 6))
    assert (row["loss"], row["trial"]) == (0.3, large.baseline["trial"])
    precision, recall = (data_of(panel)[0] for panel in distrust(large).panels)
    assert {row["method"] for row in precision} == {"LL-R", "LL-Ct", "LL-Cp"}
    assert [row["epoch"] for row in precision] == [row["epoch"] for row in recall]


def test_rank_agreement_has_a_row_for_each_rung(large):
    table = rank_agreement(large).table
    assert [row[0] for row in table.body] == ["4", "8"]
    assert [int(row[1]) for row in table.body] == [int((large.epochs["epoch"] == epoch).sum()) for epoch in (4, 8)]


def test_a_sample_keeps_the_best_of_each_method_and_the_others_evenly():
    trials = pd.DataFrame({"rank": range(1, 101), "method": ["a"] * 50 + ["b"] * 50})
    chosen = sample(trials, 12)
    assert chosen["rank"].tolist() == [1, 2, 13, 24, 34, 45, 51, 57, 68, 78, 89, 100]
    assert sample(trials, 100) is trials


def test_every_method_has_a_look_of_its_own_on_both_grounds():
    assert set(LOOKS) == {str(name) for name in MethodName}
    assert len({(look.color, look.shape) for look in LOOKS.values()}) == len(LOOKS)
    assert len({(look.color, look.dash) for look in LOOKS.values()}) == len(LOOKS)
    assert all(contrast(look.color, "#ffffff") >= 3 for look in LOOKS.values())
    assert all(contrast(ON_DARK[look.color], ON_DARK["#ffffff"]) >= 3 for look in LOOKS.values())


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("vision", ["normal", "protanopia", "deuteranopia", "tritanopia"])
def test_an_and_the_large_loss_methods_keep_apart_for_any_colour_vision(vision, dark):
    colors = [LOOKS[name].color for name in ("AN", "LL-R", "LL-Ct", "LL-Cp")]
    seen = [lab(VISIONS[vision] @ linear(ON_DARK[color] if dark else color)) for color in colors]
    assert min(np.linalg.norm(one - other) for one, other in itertools.combinations(seen, 2)) > 19


VISIONS = {
    "normal": np.eye(3),
    "protanopia": np.array([[0.1523, 1.0526, -0.2049], [0.1145, 0.7863, 0.0992], [-0.0039, -0.0481, 1.0520]]),
    "deuteranopia": np.array([[0.3673, 0.8606, -0.2280], [0.2801, 0.6725, 0.0474], [-0.0118, 0.0429, 0.9689]]),
    "tritanopia": np.array([[1.2555, -0.0767, -0.1788], [-0.0784, 0.9308, 0.1476], [0.0047, 0.6914, 0.3039]]),
}
"""Linear RGB to what is left of it: Machado et al., "Simulation of Color Vision Deficiency", 2009."""

TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
WHITE = TO_XYZ @ np.ones(3)


def linear(color: str) -> np.ndarray:
    channels = np.array([int(color[at : at + 2], 16) / 255 for at in (1, 3, 5)])
    return np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)


def lab(rgb: np.ndarray) -> np.ndarray:
    """CIE L*a*b*, in which a distance of 2 can just be seen."""
    x, y, z = np.cbrt(TO_XYZ @ np.clip(rgb, 0, 1) / WHITE)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def contrast(one: str, other: str) -> float:
    """As WCAG 2 defines it; 3 is what it asks of graphics."""
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def luminance(color: str) -> float:
    return float(TO_XYZ[1] @ linear(color))
