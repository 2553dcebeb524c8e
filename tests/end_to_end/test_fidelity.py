"""Small images first, the best of them at full size: killed on any level, the same command goes on."""

import re
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.end_to_end.processes import kill_driver
from tests.end_to_end.progress import events_so_far, num_epochs_so_far, wait_for_epochs

STUDY = """\
name: leveled
data: {dataset: digit_scenes}
method: {name: LL-R, schedule: {shape: linear, rate_per_epoch: 0.01}}
training: {epochs: 3, batch_size: 64, learning_rate: 2e-3, head_learning_rate_multiplier: 1}
search:
  method.schedule.rate_per_epoch: {float: {low: 0.001, high: 0.1, log: true}}
  training.learning_rate: {float: {low: 5e-4, high: 5e-3, log: true}}
sampler: {name: tpe, seed: 3}
trials: 6
fidelity:
  - set: {data.image_size: 24, training.epochs: 2}
    survivors: 4
"""


def folders(cli) -> tuple[Path, Path]:
    """Of the study, and of its level."""
    folder = cli.folder / "results/leveled"
    return folder, folder / "fidelity/level_1"


def assert_whole(folder: Path, *, num_trials: int, num_epochs: int) -> list[dict]:
    trials = pq.read_table(folder / "trials.parquet").to_pylist()
    epochs = pq.read_table(folder / "epochs.parquet").to_pandas()
    assert [trial["state"] for trial in trials] == ["complete"] * num_trials
    for trial in trials:
        assert epochs[epochs["trial"] == trial["trial"]]["epoch"].tolist() == list(range(1, num_epochs + 1))
    ended = [event["trial"] for event in events_so_far(folder / "events.jsonl") if event["event"] == "ended"]
    assert sorted(ended) == list(range(num_trials)), "none twice"
    return trials


def assert_best_went_on(cli, *, num_trials: int) -> None:
    """All trials are whole, on the level and at full size, where the level's best are."""
    folder, level = folders(cli)
    lower = assert_whole(level, num_trials=num_trials, num_epochs=2)
    upper = assert_whole(folder, num_trials=4, num_epochs=3)
    best = sorted(lower, key=lambda trial: -trial["value"])[: len(upper)]
    assert [trial["promoted_trial"] for trial in upper] == [trial["trial"] for trial in best]
    assert [trial["promoted_value"] for trial in upper] == [trial["value"] for trial in best]
    assert [trial["values"] for trial in upper] == [trial["values"] for trial in best]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_study_killed_at_full_size_goes_on_there(cli):
    cli.write("study.yaml", STUDY)
    folder, level = folders(cli)
    process = cli.start("run", "study.yaml")
    wait_for_epochs(process, folder / "events.jsonl", 2)
    kill_driver(process)
    printed = process.stdout.read()
    assert printed.index("level 1 of 2") < printed.index("level 2 of 2: full size")
    assert printed.count("starting Ray") == 1, "one session serves both levels"
    done = events_so_far(level / "events.jsonl")
    printed = cli("run", "study.yaml")
    assert events_so_far(level / "events.jsonl") == done, "a level that has ended is not touched"
    assert_best_went_on(cli, num_trials=6)
    assert "Rank agreement of level 1 with full size: Spearman" in printed
    again = cli("run", "study.yaml")
    assert "Rank agreement of level 1 with full size: Spearman" in again
    assert "starting Ray" not in again


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_study_killed_on_a_level_goes_on_there(cli):
    cli.write("study.yaml", STUDY)
    _, level = folders(cli)
    process = cli.start("run", "study.yaml")
    wait_for_epochs(process, level / "events.jsonl", 3)
    kill_driver(process)
    assert "level 1 of 2: data.image_size 24, training.epochs 2:" in cli("status", "study.yaml")
    assert "No trial has finished an epoch yet." in cli("results", "study.yaml")
    cli("run", "study.yaml")
    assert_best_went_on(cli, num_trials=6)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_level_is_followed_stopped_extended_and_started_anew(cli):
    cli.write("study.yaml", STUDY.replace("trials: 6", "trials: 30"))  # a request to stop is seen within seconds
    _, level = folders(cli)
    process = cli.start("run", "study.yaml")
    wait_for_epochs(process, level / "events.jsonl", 2)
    follower = cli.start("run", "study.yaml", "--watch")
    assert "30 trials" in follower.stdout.readline()
    seen = num_epochs_so_far(level / "events.jsonl")
    wait_for_epochs(process, level / "events.jsonl", seen + 4)  # of which one ends a trial
    assert "stopped; `wsml-study run` resumes it" in cli("stop", "study.yaml")
    printed, _ = process.communicate(timeout=120)
    assert process.returncode == 0, printed
    assert "Not finished; nothing is lost" in printed
    assert "level 2 of 2" not in printed.partition("rank")[0]
    followed = follower.stdout.read()
    assert follower.wait(timeout=60) == 0, followed
    assert re.search(r"\[\d+/30\] trial \d+: rate_per_epoch", followed)

    cli("run", "study.yaml", "--trials", "32")
    assert_best_went_on(cli, num_trials=32)

    printed = cli("run", "study.yaml", "--restart")
    assert "set earlier results aside as" in printed
    assert_best_went_on(cli, num_trials=30)
    assert (cli.folder / "results/leveled.1/fidelity/level_1/events.jsonl").exists()
