"""The same command resumes an interrupted study: nothing lost, nothing twice."""

import json
import os
import random
import signal
import time
from pathlib import Path

import pytest

from tests.end_to_end.interrupted_study import LOG, STUDY
from tests.end_to_end.processes import command_of, descendants, kill_driver
from tests.end_to_end.progress import events_so_far, num_epochs_so_far, wait_for_epochs
from tests.end_to_end.whole_tables import assert_whole


@pytest.mark.timeout(900)
def test_ctrl_c_loses_nothing(cli):
    cli.write("study.yaml", STUDY)
    process = cli.start("run", "study.yaml")
    wait_for_epochs(process, cli.folder / LOG, 5)
    os.killpg(process.pid, signal.SIGINT)
    printed, _ = process.communicate(timeout=120)
    assert process.returncode == 130, printed
    assert "The same command resumes the study" in printed
    assert "Traceback" not in printed
    before = events_so_far(cli.folder / LOG)
    cli("run", "study.yaml")
    assert events_so_far(cli.folder / LOG)[: len(before)] == before
    assert_whole(cli.folder, 8)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_reader_that_leaves_and_sigterm_lose_nothing(cli):
    cli.write("study.yaml", STUDY)
    process = cli.start("run", "study.yaml")
    process.stdout.readline()
    process.stdout.close()  # as `| head -1` does
    wait_for_epochs(process, cli.folder / LOG, 5)
    os.killpg(process.pid, signal.SIGTERM)  # as `timeout` and job schedulers send it
    assert process.wait(timeout=120) == 130
    assert "interrupted" in cli("status", "study.yaml")
    cli("run", "study.yaml")
    assert_whole(cli.folder, 8)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_kill_of_the_driver_loses_nothing(cli):
    storm(cli, kills=1, seed=1)


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_ten_kills_of_the_driver_lose_nothing(cli):
    storm(cli, kills=10, seed=2)


def storm(cli, *, kills: int, seed: int) -> None:
    """Kill the driver after a random number of further epochs, again and again; then let it finish."""
    moments = random.Random(seed)
    cli.write("study.yaml", STUDY.replace("trials: 8", "trials: 12"))
    for _ in range(kills):
        process = cli.start("run", "study.yaml")
        seen = num_epochs_so_far(cli.folder / LOG)
        wait_for_epochs(process, cli.folder / LOG, seen + moments.randint(0, 5))
        time.sleep(moments.random())
        if process.poll() is None:
            kill_driver(process)
    cli("run", "study.yaml")
    assert_whole(cli.folder, 12)


@pytest.mark.timeout(600)
def test_a_killed_worker_is_replaced_and_its_trial_goes_on(cli):
    cli.write("study.yaml", STUDY.replace("trials: 8", "trials: 2").replace("epochs: 4", "epochs: 10"))
    process = cli.start("run", "study.yaml")
    wait_for_epochs(process, cli.folder / LOG, 3)
    kill_one(process, b"RayTrainWorker")
    printed, _ = process.communicate(timeout=400)
    assert process.returncode == 0, printed
    assert "starts again (attempt 2)" in printed
    assert_whole(cli.folder, 2)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_cpus_of_a_lost_worker_group_are_free_again(cli):
    """Its workers hold all CPUs, in a placement group that outlives the Tune actor that created it."""
    cpus = len(os.sched_getaffinity(0))
    text = STUDY.replace("trials: 8", "trials: 2") + f"resources: {{cpus_per_worker: {cpus}}}\n"
    cli.write("study.yaml", text)
    process = cli.start("run", "study.yaml")
    wait_for_epochs(process, cli.folder / LOG, 1)
    kill_one(process, b"ResourceTrainable")
    printed, _ = process.communicate(timeout=400)
    assert process.returncode == 0, printed
    assert_whole(cli.folder, 2)


def kill_one(process, name: bytes) -> None:
    """Kill -9 of one process of a run that goes by this name."""
    found = [pid for pid in descendants(process.pid) if name in command_of(pid)]
    assert found
    os.kill(found[0], signal.SIGKILL)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_second_run_of_the_same_study_is_refused_while_the_first_is_at_work(cli):
    cli.write("study.yaml", STUDY)
    process = cli.start("run", "study.yaml")
    try:
        while not (cli.folder / LOG).exists():
            time.sleep(0.05)
            assert process.poll() is None
        assert "another run of this study is in progress" in cli("run", "study.yaml", status=1)
    finally:
        kill_driver(process)


@pytest.mark.timeout(600)
def test_a_study_is_seen_followed_and_stopped_from_elsewhere(cli):
    cli.write("study.yaml", STUDY)
    process = cli.start("run", "study.yaml")
    wait_for_epochs(process, cli.folder / LOG, 3)
    status = json.loads(cli("status", "study.yaml", "--json"))
    assert (status["state"], status["driver"]["pid"], status["num_trials"]) == ("running", process.pid, 8)
    follower = cli.start("run", "study.yaml", "--watch")
    wait_for_epochs(process, cli.folder / LOG, 8)
    assert "stopped; `wsml-study run` resumes it" in cli("stop", "study.yaml")
    printed, _ = process.communicate(timeout=120)
    assert process.returncode == 0, printed
    assert "The same command resumes the study" in printed
    followed, _ = follower.communicate(timeout=60)
    assert follower.returncode == 0, followed
    assert "interrupted: interrupted" in followed
    assert (
        cli("status", "study.yaml").splitlines()[-1]
        == "What has ended is kept, and the last checkpoint of interrupted trials; `wsml-study run` goes on with it."
    )
    assert "this study is not running" in cli("stop", "study.yaml", status=1)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_what_a_crash_has_torn_is_dropped_and_said(cli):
    """The event log, a table and a checkpoint, all cut in half."""
    cli.write("study.yaml", STUDY.replace("trials: 8", "trials: 1").replace("epochs: 4", "epochs: 60"))
    process = cli.start("run", "study.yaml")
    # Not in the last line, which is to be cut.
    while "saved" not in [event["event"] for event in events_so_far(cli.folder / LOG)[:-1]]:
        time.sleep(0.2)
        assert process.poll() is None
    kill_driver(process)
    folder = cli.folder / "results/interrupted"
    saved = next(event for event in reversed(events_so_far(cli.folder / LOG)) if event["event"] == "saved")
    for path in (Path(saved["checkpoint"]) / "state.pt", folder / "events.jsonl"):
        os.truncate(path, path.stat().st_size - 20)
    (folder / "trials.parquet").write_bytes(b"PAR1 and no more")
    printed = cli("run", "study.yaml")
    assert "the last line was cut short and is dropped" in printed
    assert "trials.parquet: damaged table; it is rebuilt" in printed
    assert "is gone or damaged and is dropped; the trial starts anew" in printed
    assert_whole(cli.folder, 1)
