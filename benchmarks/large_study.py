"""What it takes to read a large study, and to go on with it.

    python benchmarks/large_study.py --trials 100000 --folder FOLDER

A folder with the event log, the tables and the snapshot of a made-up study is written once, a tenth of whose trials are
at work. Then its commands read it, each in a process of its own: CPU time, time by the clock, peak memory. `resume` is
what a driver does before its first trial goes on.
"""

from __future__ import annotations

import argparse
import copy
import heapq
import itertools
import json
import math
import multiprocessing
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
EPOCH_S = 60.0
COMMANDS = ("resume", "status", "results", "report", "paper")


def study_of(arguments: argparse.Namespace) -> Any:
    from wsml_study.study.reading import parse_study

    def floats(low: float, high: float) -> dict[str, Any]:
        return {"float": {"low": low, "high": high, "log": True}}

    return parse_study(
        {
            "name": "thousand",
            "data": {"dataset": "digit_scenes"},
            "method": {"name": "LL-R"},
            "training": {"epochs": arguments.epochs, "learning_rate": 1e-3},
            "search": {
                "method.name": {"choice": ["AN", "LL-R", "LL-Ct", "LL-Cp"]},
                "method.schedule.rate_per_epoch": floats(0.0003, 0.03),
                "training.learning_rate": floats(0.0001, 0.03),
                "training.weight_decay": floats(1e-6, 0.01),
            },
            "sampler": {"name": arguments.sampler, "seed": arguments.seed},
            "early_stopping": {"name": arguments.rule} | ({"promote": True} if arguments.rule == "asha" else {}),
            "trials": arguments.trials,
            "retries": 5,
            "resources": {"gpus_per_worker": 0},
            "tracking": {"tensorboard": arguments.trackers, "optuna_journal": arguments.trackers},
            "storage": str(arguments.folder),
        },
        source="thousand nodes",
    )


def reading(arguments: argparse.Namespace) -> None:
    """What it takes to read a large study: a folder of `arguments.trials` is made, then read by the commands."""
    folder = arguments.folder / "thousand"
    if not (folder / "trials.parquet").exists():
        process = multiprocessing.Process(target=make_folder, args=(arguments,))
        process.start()
        process.join()
    report, paper = arguments.folder / "report.html", arguments.folder / "paper"
    for what in COMMANDS:
        if what in arguments.commands:
            command = [sys.executable, "-m", "wsml_study", what, str(folder)]
            command += {"report": ["-o", str(report)], "paper": ["-o", str(paper), "--overwrite"]}.get(what, [])
            if what == "resume":
                command = [sys.executable, "-c", f"from large_study import resume; resume({str(folder)!r})"]
            measure(what, command)
    if report.exists():
        print(f"the page of report: {report.stat().st_size / 1e6:.2f} MB")


def resume(folder: str) -> None:
    """Do what a driver does with a long study before its first trial goes on, and print the CPU time of each step."""
    from wsml_study.record.event_log import EventLog
    from wsml_study.record.kept_rows import kept_rows
    from wsml_study.record.tables import TableWriter
    from wsml_study.study.reading import read_study
    from wsml_study.tuning.searcher import OptunaSearcher

    steps = [("the log", time.process_time())]
    study, log = read_study(Path(folder, "study.yaml")), EventLog(Path(folder, "events.jsonl"))
    steps.append(("the sampler's trials", time.process_time()))
    OptunaSearcher(study, log, num_trials=study.trials, slots=lambda: 8000)
    steps.append(("rows of the tables", time.process_time()))
    rows = kept_rows(Path(folder), study, log.history)
    steps.append(("the first tables", time.process_time()))
    TableWriter(Path(folder), study, rows).write(log.history)
    steps.append(("", time.process_time()))
    for (name, began), (_, ended) in itertools.pairwise(steps):
        print(f"  {name}: {ended - began:.1f} s of CPU time", file=sys.stderr)


def measure(what: str, command: list[str]) -> None:
    """Run a command and print what it took."""
    began, silent = time.perf_counter(), subprocess.DEVNULL
    process = subprocess.Popen(command, stdout=silent, env={**os.environ, "PYTHONPATH": str(HERE)})
    _, status, used = os.wait4(process.pid, 0)
    took, cpu = time.perf_counter() - began, used.ru_utime + used.ru_stime
    ended = "" if status == 0 else f", exit status {os.waitstatus_to_exitcode(status)}"
    print(f"{what}: {took:.1f} s, {cpu:.1f} s of CPU time, {used.ru_maxrss / 2**20:.2f} GiB{ended}", flush=True)


def make_folder(arguments: argparse.Namespace) -> None:
    """Write the log, the tables and the snapshot of a study, and print what the last two take."""
    from wsml_study.record.events import replayed
    from wsml_study.record.log_snapshot import write_snapshot
    from wsml_study.record.storage import StudyStorage
    from wsml_study.record.tables import TableWriter
    from wsml_study.study.writing import dump_config

    study = study_of(arguments)
    storage = StudyStorage(folder=arguments.folder / "thousand", remote=None)
    storage.folder.mkdir(parents=True, exist_ok=True)
    (storage.folder / "study.yaml").write_text(dump_config(study))
    log = storage.folder / "events.jsonl"
    with log.open("w") as file:
        for number, event in enumerate(in_slots(study, arguments), start=1):
            head = {"event": event.pop("event"), "number": number, "time": event.pop("time")}  # as in a real log
            file.write(json.dumps(head | event) + "\n")
    print(f"{number:,} events, {log.stat().st_size / 2**20:.0f} MiB")
    history = replayed(log)[1]
    writer = TableWriter(storage.folder, study)
    for what, act in (
        ("tables written", lambda: writer.write(history)),
        ("tables written again", lambda: writer.write(history)),
        ("snapshot written", lambda: write_snapshot(storage, history)),
    ):
        began = time.process_time()
        act()
        print(f"{what} in {time.process_time() - began:.2f} s of CPU time", flush=True)


def in_slots(study: Any, arguments: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """The events of a run whose slots take one trial after the other, in the order of time.

    A tenth of the trials, the newest, are still at work.
    """
    from wsml_study.study.search_space import SearchSpace

    space, draws = SearchSpace.from_study(study), random.Random(0)
    fixed = {"training.learning_rate": 1e-3, "training.weight_decay": 1e-4, "method.schedule.rate_per_epoch": 1e-3}
    # One each: to resolve the config of a trial takes some milliseconds.
    configs = {name: space.resolve(study, {"method.name": name, **fixed}).model_dump(mode="json") for name in BETTER_BY}
    environment = {"packages": {}, "gpus": []}
    yield {"event": "run", "time": 1.8e9, "classes": CLASSES, "num_trials": study.trials, "environment": environment}
    num_ended = study.trials - study.trials // 10
    slots = [(1.8e9 + draws.random(), slot, iter(())) for slot in range(max(1, study.trials // 10))]
    created = 0
    while slots:
        now, slot, events = heapq.heappop(slots)
        event = next(events, None)
        if event is None:
            if created < study.trials:
                events = made_trial(study, configs, created, draws, ends=created < num_ended)
                heapq.heappush(slots, (now, slot, events))
                created += 1
            continue
        yield event | {"time": round(now, 3)}
        an_epoch_follows = event["event"] == "attempt" or event.get("state") == "running"
        heapq.heappush(slots, (now + EPOCH_S * draws.uniform(0.7, 1.3) * an_epoch_follows, slot, events))


CLASSES = [f"class {number}" for number in range(20)]
BETTER_BY = {"AN": 0.0, "LL-R": 3.0, "LL-Ct": 2.0, "LL-Cp": -1.0}


def made_trial(
    study: Any, configs: dict[str, Any], trial: int, draws: random.Random, *, ends: bool
) -> Iterator[dict[str, Any]]:
    """The events of a trial."""
    values: dict[str, Any] = {"method.name": draws.choice(list(BETTER_BY))}
    values["training.learning_rate"] = 10 ** draws.uniform(-4, -1.6)
    values["training.weight_decay"] = 10 ** draws.uniform(-6, -2)
    level = 60 + BETTER_BY[values["method.name"]] - 6 * (math.log10(values["training.learning_rate"]) + 2.8) ** 2
    if values["method.name"] != "AN":
        values["method.schedule.rate_per_epoch"] = 10 ** draws.uniform(-3.4, -1.6)
        level -= 4 * (math.log10(values["method.schedule.rate_per_epoch"]) + 2.5) ** 2
    level += draws.gauss(0, 0.5)
    config = copy.deepcopy(configs[values["method.name"]])
    for key, value in values.items():
        *path, name = key.split(".")
        section = config
        for part in path:
            section = section[part]
        section[name] = value
    # What a trial computes is in the log, so that a driver which goes on need not validate its config.
    known = {"computes": f"{trial:016x}", "sampler_state": {}}
    yield {"event": "created", "trial": trial, "values": values, "config": config, **known}
    yield {"event": "attempt", "trial": trial, "attempt": 1, "gpus": 0.0}
    best: tuple[float, int] = (-1.0, 0)
    num_epochs = study.training.epochs
    for epoch in range(1, num_epochs + ends):
        val_map = level * (1 - math.exp(-epoch / 2)) + draws.gauss(0, 0.4)
        best = max(best, (val_map, epoch))
        result = {name: draws.random() for name in FRACTIONS} | {"epoch": epoch, "best_epoch": best[1]}
        result |= dict.fromkeys(("val_map", "val_map_true", "val_map_observed", "objective"), val_map)
        result |= dict.fromkeys(("best_val_map", "best_objective"), best[0]) | {"num_distrusted": 7}
        result |= {"phase": "end_to_end", "val_ap_C": [val_map + draws.gauss(0, 9) for _ in CLASSES]}
        state = "complete" if epoch == num_epochs else "running"
        yield {"event": "epoch", "trial": trial, "attempt": 1, "result": result, "state": state}
    if ends:
        yield {"event": "ended", "trial": trial, "state": "complete", "error": None, "sampler_state": {}}


FRACTIONS = (
    *("train_loss", "rejection_rate", "distrust_precision", "distrust_recall", "loss_true_positive"),
    *("loss_true_negative", "loss_false_negative", "train_seconds", "validation_seconds"),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=30_000)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--commands", nargs="*", default=COMMANDS)
    parser.set_defaults(sampler="tpe", seed=0, rule="none", trackers=False)
    reading(parser.parse_args())


if __name__ == "__main__":
    main()
