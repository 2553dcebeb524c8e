"""A storm of kills: whatever process dies, at whatever moment, nothing is lost, nothing runs twice, nothing is torn.

`make storm` runs 50 kills over five studies; WSML_STORM_KILLS=n makes it n kills a study, WSML_STORM_SEED another
storm.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

from tests.end_to_end.machines import machines
from tests.end_to_end.processes import alive, command_of, descendants
from wsml_study.record.history import StudyHistory
from wsml_study.record.tables import write_tables
from wsml_study.study.reading import read_study
from wsml_study.study.search_space import longest_training
from wsml_study.study.spec import Study
from wsml_study.tuning.early_stopping_scheduler import EarlyStoppingScheduler, rule_of

KILLS = int(os.environ.get("WSML_STORM_KILLS", "10"))
SEED = int(os.environ.get("WSML_STORM_SEED", "0"))

COMMANDS = {
    "trial actor": b"ray::ResourceTrainable",
    "worker": b"ray::RayTrainWorker",
    "mailbox": b"ray::Mailbox",
    "raylet": b"/raylet/raylet",
}
"""What the victims call themselves; the driver is the command itself."""

LOCAL = ("driver", "trial actor", "worker", "mailbox", "raylet")
MINUTES_S = 300

BASE = """\
name: storm
data: {dataset: digit_scenes}
method: {name: LL-Cp, schedule: {shape: linear, rate_per_epoch: 0.01}}
training: {epochs: 4, batch_size: 64, learning_rate: 2e-3, head_learning_rate_multiplier: 1}
search:
  method.schedule.rate_per_epoch: {float: {low: 0.001, high: 0.1, log: true}}
retries: 10
"""
STUDIES = {
    "asha": "early_stopping: {name: asha, grace_epochs: 1, reduction_factor: 2}\nsampler: {name: tpe, seed: 3}\n"
    "trials: 14\n",
    "two workers": "early_stopping: {name: median, min_trials: 2}\nsampler: {name: tpe, seed: 5}\ntrials: 8\n"
    "resources: {workers_per_trial: 2}\n",
    "one slot": "early_stopping: {name: hyperband, brackets: 2}\nsampler: {name: tpe, seed: 4}\ntrials: 12\n"
    "resources: {cpus_per_worker: 2}\n",
    "population": "early_stopping: {name: pbt, min_trials: 2}\nsampler: {name: random, seed: 6}\ntrials: 8\n"
    "resources: {cpus_per_worker: 2}\n",
}
ORDERED = ("one slot", "population")
"""With one slot and a sampler with a seed a study has one course."""

CHANGING = ["attempt", "attempts", "started", "ended", "time", "train_seconds", "validation_seconds"]
"""Columns about when and how often, not about what."""


@dataclass
class Storm:
    """Kills that befall the runs of a study in a folder."""

    cli: object
    study: Study
    draw: random.Random

    @property
    def folder(self) -> Path:
        return self.cli.folder / "results" / self.study.name

    def events(self) -> list[dict]:
        path = self.folder / "events.jsonl"
        text = path.read_text() if path.exists() else ""
        return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]

    def num_epochs(self) -> int:
        return sum(event["event"] == "epoch" for event in self.events())

    def rage(self, kills: int, victims: tuple[str, ...], *arguments: str) -> None:
        """Start the study again whenever it has ended, until so many processes were killed or it is done."""
        process = None
        for _ in range(kills):
            if process is None or process.poll() is not None:
                if self.is_done():
                    break
                process = self.cli.start("run", "study.yaml", *arguments)
            self.wait_for_a_moment(process)
            victim = self.draw.choice(victims)
            print(f"{time.strftime('%H:%M:%S')} after {self.num_epochs()} epochs: {victim}", flush=True)
            self.kill(victim, process)
            if victim in ("driver", "raylet"):
                wait_for_the_end(process)
        if process is not None and process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            wait_for_the_end(process)

    def wait_for_a_moment(self, process: subprocess.Popen[str]) -> None:
        wanted = self.num_epochs() + self.draw.choice((0, 1, 1, 2, 3, 5))
        deadline = time.monotonic() + MINUTES_S
        while process.poll() is None and self.num_epochs() < wanted:
            assert time.monotonic() < deadline, f"stuck after {self.num_epochs()} epochs: {self.events()[-3:]}"
            time.sleep(0.02)
        time.sleep(self.draw.random() ** 2 * 3)

    def kill(self, victim: str, process: subprocess.Popen[str]) -> None:
        """Kill -9 of one process of this kind, of the driver if there is none yet."""
        named = COMMANDS.get(victim)
        found = [pid for pid in descendants(process.pid) if named is not None and named in command_of(pid)]
        target = self.draw.choice(found) if found else process.pid
        children = descendants(target) if target == process.pid else []
        try:
            os.kill(target, signal.SIGKILL)
        except ProcessLookupError:
            return
        if target == process.pid:
            process.wait()
            wait_until_gone(children)

    def is_done(self) -> bool:
        return (self.folder / "trials.parquet").exists() and not (self.folder / "ray").exists()

    def assert_whole(self) -> None:
        """Each trial once, each epoch once, tables as the log has them, every decision as the log's own past says."""
        events = self.events()
        history = StudyHistory.replay(events)
        numbers = list(range(self.study.trials))
        assert [event["trial"] for event in events if event["event"] == "created"] == numbers, "lost or repeated"
        ended = [event["trial"] for event in events if event["event"] == "ended"]
        assert len(ended) == len(set(ended)), "ended twice"
        assert {trial.state.value for trial in history.trials.values()} <= {"complete", "stopped"}
        assert all(sorted(t.epochs) == list(range(1, t.last_epoch + 1)) for t in history.trials.values())
        again = self.folder / "again"
        write_tables(again, self.study, history)
        for table in ("trials", "epochs", "classes"):
            assert pq.read_table(self.folder / f"{table}.parquet").equals(pq.read_table(again / f"{table}.parquet"))
        assert_decided_by_the_past(self.study, events)


def assert_decided_by_the_past(study: Study, events: list[dict]) -> None:
    """Whoever was stopped or went on: the rule, rebuilt from the log as it was then, says the same."""
    history, last = StudyHistory(), longest_training(study)
    for event in events:
        history.apply(event)
        if event["event"] != "epoch" or event["result"]["epoch"] == last or study.early_stopping.name == "pbt":
            continue
        rule = rule_of(study.early_stopping, epochs=last)
        EarlyStoppingScheduler(rule, history, study.objective)
        goes_on = rule.goes_on(event["trial"], event["result"]["epoch"])
        assert (event["state"] == "running") == goes_on, event


def wait_for_the_end(process: subprocess.Popen[str]) -> None:
    children = descendants(process.pid)
    printed, _ = process.communicate(timeout=MINUTES_S)
    assert "Traceback" not in printed, printed
    wait_until_gone(children)


def wait_until_gone(pids: list[int]) -> None:
    deadline = time.monotonic() + 90
    while any(alive(pid) for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not any(alive(pid) for pid in pids), "processes of a dead run live on"


def storm_over(cli, name: str) -> Storm:
    text = BASE + STUDIES[name]
    cli.write("study.yaml", text)
    return Storm(cli, read_study(cli.folder / "study.yaml"), random.Random(f"{SEED} {name}"))


def course(folder: Path, table: str) -> pd.DataFrame:
    """A table without what may differ between two runs of one study."""
    frame = pq.read_table(folder / f"{table}.parquet").to_pandas()
    return frame.drop(columns=[column for column in CHANGING if column in frame.columns])


@pytest.mark.storm
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", STUDIES)
def test_a_storm_changes_nothing(name, cli):
    storm = storm_over(cli, name)
    storm.rage(KILLS, LOCAL)
    cli("run", "study.yaml", timeout=MINUTES_S)
    storm.assert_whole()
    if name in ORDERED:
        stormy = storm.folder
        cli("run", "study.yaml", "--storage", "calm", timeout=2 * MINUTES_S)
        for table in ("trials", "epochs", "classes"):
            pd.testing.assert_frame_equal(course(stormy, table), course(cli.folder / "calm" / "storm", table))


@pytest.mark.storm
@pytest.mark.timeout(3600)
def test_a_storm_over_three_machines_changes_nothing(cli, tmp_path):
    """Machines go with all that runs there, and others come; the driver's own stays."""
    storm = storm_over(cli, "two workers")
    with machines(tmp_path, others=2) as cluster:
        cli.environment |= cluster.token
        address = ("--address", cluster.gcs)
        process = None
        for _ in range(KILLS):
            if process is None or process.poll() is not None:
                if storm.is_done():
                    break
                process = cli.start("run", "study.yaml", *address)
            storm.wait_for_a_moment(process)
            victim = storm.draw.choice(("driver", "machine", "machine"))
            print(f"after {storm.num_epochs()} epochs: {victim}", flush=True)
            if process.poll() is not None:
                printed, _ = process.communicate()
                assert process.returncode == 0, printed
            elif victim == "driver":
                os.kill(process.pid, signal.SIGKILL)
                process.communicate()
            else:
                cluster.pull_the_plug(storm.draw.choice(cluster.running[1:]))
                cluster.join()
        if process is not None and process.poll() is None:
            printed, _ = process.communicate(timeout=2 * MINUTES_S)
            assert process.returncode == 0, printed
        cli("run", "study.yaml", *address, timeout=2 * MINUTES_S)
    storm.assert_whole()
