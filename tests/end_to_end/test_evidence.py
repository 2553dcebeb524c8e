"""From a search to what is sure: confirmed, compared, questioned, reproduced."""

import json
import time

import pyarrow.parquet as pq
import pytest

from tests.end_to_end.processes import kill_driver
from tests.end_to_end.progress import events_so_far

NULL_STUDY = """\
name: nothing_differs
data: {dataset: digit_scenes, train_share: 0.25}
method: {name: LL-R, schedule: {shape: linear, rate_per_epoch: 1e-6}}
training: {epochs: 2, batch_size: 64, learning_rate: 2e-3, head_learning_rate_multiplier: 1, optimizer: sgd}
search:
  # Three configs whose trainings are equal: float32 weights do not notice so little decay.
  training.weight_decay: {choice: [0.0, 1e-30, 2e-30]}
sampler: {name: grid}
trials: 3
confirm: {top: 3, seeds: 2}
"""


NO_WINNER = "Answer: No config beats LL-R (trial 0), as far as these seeds can tell"


def seeds_of(row: dict) -> tuple[int, int]:
    config = json.loads(row["config"])
    return config["training"]["seed"], config["data"]["observe"]["seed"]


@pytest.mark.timeout(900)
def test_a_null_study_is_confirmed_to_show_nothing_and_its_trials_reproduce(cli):
    cli.write("study.yaml", NULL_STUDY)
    printed = cli("run", "study.yaml")
    assert NO_WINNER in printed
    assert "wsml-study export study.yaml --by confirmed" in printed
    runs = pq.read_table(cli.folder / "results/nothing_differs/confirm/trials.parquet").to_pylist()
    assert_planned(runs, num_seeds=2)
    by_seed = {seed: {run["test_map"] for run in runs if seeds_of(run)[0] == seed} for seed in (1, 2)}
    assert [len(values) for values in by_seed.values()] == [1, 1], "equal configs with equal seeds are equal"
    assert by_seed[1] != by_seed[2]

    again = cli("run", "study.yaml")
    assert NO_WINNER in again
    assert [text.count("starting Ray") for text in (printed, again)] == [1, 0], "one session for both"
    assert "all equal to the last bit" in cli("reproduce", "study.yaml", "1")
    assert "there is no trial 9; the study has 3" in cli("reproduce", "study.yaml", "9", status=1)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_confirmation_that_was_cut_short_goes_on_and_grows(cli):
    cli.write("study.yaml", NULL_STUDY)
    log = cli.folder / "results/nothing_differs/confirm/events.jsonl"
    process = cli.start("run", "study.yaml")
    while sum(event["event"] == "ended" for event in events_so_far(log)) < 2:
        time.sleep(0.05)
        assert process.poll() is None
    kill_driver(process)
    before = events_so_far(log)
    assert NO_WINNER in cli("run", "study.yaml")
    assert events_so_far(log)[: len(before)] == before
    assert_planned(pq.read_table(log.parent / "trials.parquet").to_pylist(), num_seeds=2)
    assert "confirmation: 6 of 6 runs ended" in cli("status", "study.yaml")

    done = events_so_far(log)
    assert NO_WINNER in cli("confirm", "results/nothing_differs", "--seeds", "3")
    assert events_so_far(log)[: len(done)] == done
    assert_planned(pq.read_table(log.parent / "trials.parquet").to_pylist(), num_seeds=3)


def assert_planned(runs: list[dict], *, num_seeds: int) -> None:
    expected = [(trial, (seed, seed)) for seed in range(1, num_seeds + 1) for trial in (0, 1, 2)]
    assert [(run["confirms"], seeds_of(run)) for run in runs] == expected


def test_before_there_are_results_there_is_nothing_to_confirm(cli):
    cli.write("study.yaml", NULL_STUDY)
    for command in (["confirm"], ["reproduce"], ["query"]):
        rest = {"confirm": [], "reproduce": ["0"], "query": ["SELECT 1"]}[command[0]]
        assert "no results of study nothing_differs yet" in cli(*command, "study.yaml", *rest, status=1)
