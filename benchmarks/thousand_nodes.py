"""A study on a thousand machines in virtual time: the driver is the real one, the slots are simulated.

    python benchmarks/thousand_nodes.py run --trials 1000 --nodes 10 --folder FOLDER
    python benchmarks/thousand_nodes.py tune --trials 1000 --nodes 10 --folder FOLDER
    python benchmarks/thousand_nodes.py proposals
    python benchmarks/thousand_nodes.py constants --slots 8

Real are `run_study` with all that it does in the driver (Ray Tune's controller, searcher, ledger, early stopping, event
log, history, tables, lease, storage) and the time that it takes. Simulated is what is behind Ray: actors that answer
from the measured curves of `benchmarks/curves`, after epochs as long as those of the recorded studies in
`tests/recorded` vary; machines of 8 slots that fail, join and stall; a storage that takes 30 ms a write.

Time: the driver's CPU time, plus 30 ms for each write that it waits for, plus what it waits for slots, which is
skipped. So one busy machine plays a thousand, and other work on this machine does not count. `constants` measures on a
real Ray what is taken for granted here: what a wait for many futures, a command and a start of an actor take.

`tune` runs Ray Tune alone against the same slots: its ASHA, random configs, no log, no checkpoint, no storage. What it
takes for a result is the least that any driver on top of Tune takes.

A driver is killed by `run --until SECONDS`: it ends without a word, whatever it has not written is lost.
"""

from __future__ import annotations

import argparse
import contextlib
import heapq
import itertools
import json
import os
import random
import resource
import statistics
import sys
import threading
import time
from array import array
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from large_study import study_of
from search_engines import Curves, read_curves

HERE = Path(__file__).parent
SLOTS_OF_NODE = 8
EPOCH_S = 60.0
START_S, RESET_S, SAVE_S, RESTORE_S = 1.5, 0.01, 0.5, 0.5
GROUP_START_S = 10.0
"""How much longer the first epoch of a slot takes: its workers start."""

PLACEMENT_S = 0.003
WRITE_S = 0.03
WAIT_S, WAIT_PER_FUTURE_S = 0.0001, 3e-7
"""What `ray.wait` takes for itself, and for each future; from `constants`: .12 ms for 10, 2.4 ms for 8,000."""

COMMAND_S, ANSWER_S = 0.0002, 1e-5
"""What sending a command to an actor takes, and fetching an answer that has arrived; from `constants`: 212 and 8 us."""

DEAD_AFTER_S = 30.0
"""After how long Ray tells that a machine has died."""

CURVES = "table_positive_steps"

REAL_CPU = time.process_time
REAL_TIME = time.time


class Clock:
    """CPU time of this process, plus what was waited for."""

    def __init__(self, began: float) -> None:
        self._began, self._skipped = began, 0.0
        self._base = REAL_CPU()
        self.not_counted = 0.0

    def now(self) -> float:
        return self._began + REAL_CPU() - self._base - self.not_counted + self._skipped

    def skip(self, seconds: float) -> None:
        self._skipped += max(0.0, seconds)


CLOCK = Clock(1.8e9)
REAL_SLEEP = time.sleep


def sleep(seconds: float) -> None:
    """Skip the time that the driver sleeps; other threads sleep beside it, and a real process is really waited for."""
    waits_for_process = sys._getframe(1).f_globals["__name__"] == "subprocess"
    if threading.current_thread() is threading.main_thread() and not waits_for_process:
        CLOCK.skip(seconds)
    else:
        REAL_SLEEP(seconds)


def uncounted(function):
    """Lets a function of the simulation take no time."""

    def wrapped(*arguments, **settings):
        before = REAL_CPU()
        try:
            return function(*arguments, **settings)
        finally:
            CLOCK.not_counted += REAL_CPU() - before

    return wrapped


class Future:
    """What an actor will answer."""

    __slots__ = ("answer", "error", "is_done", "ready_at", "slot")

    def __init__(self, slot: Slot | None, ready_at: float, answer: Any = None, error: Exception | None = None) -> None:
        self.slot, self.ready_at, self.answer, self.error, self.is_done = slot, ready_at, answer, error, False


@dataclass
class Node:
    """A machine of `SLOTS_OF_NODE` slots."""

    number: int
    is_alive: bool = True
    slots: set[Any] = field(default_factory=set)
    stalled_until: float = 0.0


@dataclass
class Measured:
    """What slots saw."""

    busy_s: float = 0.0
    reported_at: array[float] = field(default_factory=lambda: array("d"))
    waited_s: array[float] = field(default_factory=lambda: array("d"))
    epochs: int = 0
    first_command_s: float | None = None
    writes: int = 0


class Cluster:
    """Machines, their slots, and what is to happen."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.slot_class: type[Slot] = Slot
        self.is_writer = False
        self.nodes = [Node(number) for number in range(arguments.nodes)]
        self.measured = Measured()
        self._events: list[tuple[float, int, Any]] = []
        self._order = itertools.count()
        self._random = random.Random(arguments.seed)
        self._ready: dict[Future, None] = {}
        self.curves: Curves = read_curves(CURVES)
        self.spreads = spreads()
        self.epoch_s = arguments.epoch_s
        self.killed: list[int] = []
        self._until = CLOCK.now() + arguments.until if arguments.until else float("inf")
        for at in arguments.kill_at:
            self._at(CLOCK.now() + at, self._kill_tenth)
        for at in arguments.stall_at:
            self._at(CLOCK.now() + at, self._stall_tenth)

    def _at(self, when: float, what: Any) -> None:
        heapq.heappush(self._events, (when, next(self._order), what))

    def num_free(self) -> int:
        return sum(SLOTS_OF_NODE - len(node.slots) for node in self.nodes if node.is_alive)

    def place(self, slot: Slot) -> Node:
        """The machine of a new slot."""
        node = next(node for node in self.nodes if node.is_alive and len(node.slots) < SLOTS_OF_NODE)
        node.slots.add(slot)
        return node

    def future(self, slot: Slot | None, after: float, answer: Any = None, error: Exception | None = None) -> Future:
        """An answer after so many seconds."""
        now = CLOCK.now()
        stalled = 0.0 if slot is None else max(0.0, slot.node.stalled_until - now)
        future = Future(slot, now + after + stalled, answer, error)
        if slot is not None:
            slot.pending = future
        self._at(future.ready_at, future)
        return future

    def spread(self) -> float:
        return self._random.choice(self.spreads)

    def _kill_tenth(self) -> None:
        """A tenth of the machines dies and comes back two minutes later."""
        from ray.exceptions import ActorDiedError

        alive = [node for node in self.nodes if node.is_alive]
        for node in self._random.sample(alive, max(1, len(alive) // 10)):
            node.is_alive = False
            self.killed.append(node.number)
            for slot in node.slots:
                slot.is_dead = True
                if slot.pending is not None and not slot.pending.is_done:
                    slot.pending.is_done = True  # the answer never comes
                if slot.pending is not None:
                    slot.pending.answer, slot.pending.error = None, ActorDiedError()
                    revived = slot.pending
                    revived.is_done, revived.ready_at = False, CLOCK.now() + DEAD_AFTER_S
                    self._at(revived.ready_at, revived)
            node.slots = set()
            self._at(CLOCK.now() + 120.0, lambda node=node: setattr(node, "is_alive", True))

    def _stall_tenth(self) -> None:
        """A tenth of the machines does nothing for five minutes."""
        alive = [node for node in self.nodes if node.is_alive]
        for node in self._random.sample(alive, max(1, len(alive) // 10)):
            node.stalled_until = CLOCK.now() + 300.0
            for slot in node.slots:
                if slot.pending is not None and not slot.pending.is_done:
                    slot.pending.ready_at += 300.0

    def _happen(self) -> bool:
        """Let happen what is due; returns whether it was more than answers."""
        now, other = CLOCK.now(), False
        while self._events and self._events[0][0] <= now:
            _, _, what = heapq.heappop(self._events)
            if not isinstance(what, Future):
                what()
                other = True
            elif what.ready_at > now:  # stalled
                self._at(what.ready_at, what)
            elif not what.is_done:
                what.is_done = True
                self._ready[what] = None
        if now >= self._until:
            finish(self, killed=True)
        return other

    # What is used of Ray.

    @uncounted
    def wait(self, futures: list[Future], num_returns: int = 1, timeout: float | None = None, **_: Any):
        CLOCK.skip(WAIT_S + WAIT_PER_FUTURE_S * len(futures))
        wanted = set(futures)
        while True:
            other = self._happen()
            found = [future for future in self._ready if future in wanted][:num_returns]
            if found or other or timeout == 0:
                break
            # Tune waits a tenth of a second at a time; where nothing happens, one wait is as good as many.
            if not self._events:
                assert timeout is not None, "nothing will ever happen"
                CLOCK.skip(timeout)
                break
            CLOCK.skip(self._events[0][0] - CLOCK.now() + 1e-6)
        for future in found:
            del self._ready[future]
        taken = set(found)
        return found, [future for future in futures if future not in taken]

    @uncounted
    def get(self, futures: Any, **_: Any) -> Any:
        if isinstance(futures, list):
            return [self.get(one) for one in futures]
        CLOCK.skip(ANSWER_S)
        self._ready.pop(futures, None)
        if futures.error is not None:
            raise futures.error
        return futures.answer

    def kill(self, actor: Slot) -> None:
        actor.leave()

    def node_table(self) -> list[dict[str, Any]]:
        return [
            {"Alive": True, "Resources": {"CPU": float(SLOTS_OF_NODE), "memory": 2.0**36}, "NodeID": str(node.number)}
            for node in self.nodes
            if node.is_alive
        ]


class Method:
    """A method of an actor: `actor.train.remote()`."""

    def __init__(self, call: Any) -> None:
        self._call = call

    def remote(self, *arguments: Any, **settings: Any) -> Future:
        return self._call(*arguments, **settings)


class Slot:
    """An actor as Tune sees it."""

    def __init__(self, cluster: Cluster, config: dict[str, Any]) -> None:
        self._cluster, self.is_dead, self.pending = cluster, False, None
        self.node = cluster.place(self)
        self._reported_at: float | None = None
        self._starts_in = GROUP_START_S
        self._take(config)
        for name in ("train", "reset", "save", "restore", "stop"):
            setattr(self, name, Method(uncounted(getattr(self, f"_{name}"))))
        self.__ray_ready__ = Method(lambda: cluster.future(self, START_S * cluster.spread(), True))
        self.get_auto_filled_metrics = Method(lambda **_: {})

    def leave(self) -> None:
        self.node.slots.discard(self)

    def _take(self, config: dict[str, Any]) -> None:
        from wsml_study.workers.protocol import Assignment

        self._assignment = Assignment.of(config)
        trial = self._assignment.config
        values = {"method.name": trial.method.name, "training.learning_rate": trial.training.learning_rate}
        values["training.weight_decay"] = trial.training.weight_decay
        schedule = getattr(trial.method, "schedule", None)
        values["method.schedule.rate_per_epoch"] = getattr(schedule, "rate_per_epoch", None) or 0.001
        self._curve = self._cluster.curves.objective_SNE[0, self._cluster.curves.nearest(values)]
        self._last_epoch = trial.training.epochs
        saved = self._assignment.checkpoint
        self._epoch = 0 if saved is None else int(saved.rpartition("_")[2])
        self._saved_at = CLOCK.now()

    def _commanded(self) -> None:
        CLOCK.skip(COMMAND_S)
        measured, now = self._cluster.measured, CLOCK.now()
        if measured.first_command_s is None:
            measured.first_command_s = now
        if self._reported_at is not None:
            measured.reported_at.append(self._reported_at)
            measured.waited_s.append(now - self._reported_at)
            self._reported_at = None

    def _answer(self, seconds: float, answer: Any) -> Future:
        future = self._cluster.future(self, seconds, answer)
        self._cluster.measured.busy_s += future.ready_at - CLOCK.now()
        self._reported_at = future.ready_at
        return future

    def _reset(self, config: dict[str, Any], **_: Any) -> Future:
        self._commanded()
        self._take(config)
        return self._answer(RESET_S, True)

    def _begin_epoch(self) -> tuple[float, dict[str, Any]]:
        """How long the next epoch takes, and what Tune adds to its result."""
        self._commanded()
        seconds = self._cluster.epoch_s * self._cluster.spread() + self._starts_in
        self._starts_in = 0.0
        self._epoch += 1
        self._cluster.measured.epochs += 1
        filled = {"training_iteration": self._epoch, "time_this_iter_s": seconds, "pid": 1, "node_ip": "10.0.0.1"}
        return seconds, filled

    def _train(self) -> Future:
        from ray.tune.result import DONE, SHOULD_CHECKPOINT

        from wsml_study.workers.protocol import REPORT, StepReport

        seconds, filled = self._begin_epoch()
        done = self._epoch >= self._last_epoch
        due = not done and CLOCK.now() + seconds - self._saved_at > 15.0
        report = StepReport(
            result=self._result(seconds),
            value=float(max(self._curve[: self._epoch])),
            complete=done,
            host=f"node{self.node.number:04d}",
        )
        return self._answer(seconds, {REPORT: report, DONE: done, SHOULD_CHECKPOINT: due, **filled})

    def _result(self, seconds: float) -> dict[str, Any]:
        values = self._curve[: self._epoch]
        best = int(values.argmax())
        newest = float(values[-1])
        return {
            "epoch": self._epoch,
            "phase": "end_to_end",
            "train_loss": 0.1234567,
            "val_map": newest,
            "val_map_true": newest,
            "val_map_observed": newest * 0.71,
            "val_ap_C": [newest * share for share in (0.5, 0.75, 1.0, 1.1, 1.15) * 2],
            "best_val_map": float(values[best]),
            "best_epoch": best + 1,
            "objective": newest,
            "best_objective": float(values[best]),
            "rejection_rate": 0.002,
            "num_distrusted": 1234,
            "distrust_precision": 0.34567,
            "distrust_recall": 0.12345,
            "loss_true_positive": 1.234567,
            "loss_true_negative": 0.0123456,
            "loss_false_negative": 0.3456789,
            "train_seconds": seconds * 0.9,
            "validation_seconds": seconds * 0.1,
            "trained_together": 1,
            "ends_trial": False,
        }

    def _save(self) -> Future:
        from ray.train import Checkpoint
        from ray.train._internal.session import _TrainingResult

        self._commanded()
        self._saved_at = CLOCK.now()
        path = f"{CLUSTER.scratch}/trial_{self._assignment.trial:05d}/checkpoint_{self._epoch:06d}"
        saved = _TrainingResult(Checkpoint(path, CLUSTER.far), {"training_iteration": self._epoch})
        return self._answer(SAVE_S, saved)

    def _restore(self, saved: Any) -> Future:
        self._commanded()
        self._epoch = int(saved.checkpoint.path.rpartition("_")[2])
        return self._answer(RESTORE_S, None)

    def _stop(self) -> Future:
        future = self._cluster.future(self, 0.1, None)
        self.leave()
        return future


class PlainSlot(Slot):
    """A slot of Tune's own: its config is that of the trial, and its results are numbers."""

    def _take(self, config: dict[str, Any]) -> None:
        values = {key: value for key, value in config.items() if key != "epochs"}
        self._curve = self._cluster.curves.objective_SNE[0, self._cluster.curves.nearest(values)]
        self._epoch, self._last_epoch = 0, config["epochs"]

    def _train(self) -> Future:
        from ray.tune.result import DONE

        seconds, filled = self._begin_epoch()
        objective = float(max(self._curve[: self._epoch]))
        return self._answer(seconds, {"objective": objective, DONE: self._epoch >= self._last_epoch, **filled})


class SlotClass:
    """What is started on a placement group."""

    def remote(self, config: dict[str, Any], **_: Any) -> Slot:
        CLOCK.skip(COMMAND_S)
        return CLUSTER.slot_class(CLUSTER, config)


@dataclass
class Acquired:
    resource_request: Any

    def annotate_remote_entities(self, entities: list[Any]) -> list[Any]:
        return [SlotClass() for _ in entities]


class Placements:
    """Tune's manager of resources: a placement group is ready as soon as a slot is free."""

    def __init__(self) -> None:
        self._waiting: list[Any] = []

    def request_resources(self, resource_request: Any) -> None:
        CLOCK.skip(PLACEMENT_S)
        self._waiting.append(resource_request)

    def cancel_resource_request(self, resource_request: Any) -> None:
        self._waiting.remove(resource_request)

    def has_resources_ready(self, resource_request: Any) -> bool:
        return bool(self._waiting) and CLUSTER.num_free() > 0

    def acquire_resources(self, resource_request: Any) -> Acquired | None:
        if not self.has_resources_ready(resource_request):
            return None
        self._waiting.remove(resource_request)
        return Acquired(resource_request)

    def free_resources(self, acquired_resource: Acquired) -> None:
        pass

    def get_resource_futures(self) -> list[Any]:
        return []

    def update_state(self) -> None:
        pass

    def clear(self) -> None:
        pass


CLUSTER: Any = None


def spreads() -> list[float]:
    """How long an epoch took, as a multiple of its trial's median: all but the first epochs of the recorded studies."""
    ratios: list[float] = []
    for path in sorted((HERE.parent / "tests" / "recorded").glob("*/results/**/events.jsonl")):
        seconds: dict[int, list[float]] = {}
        for line in path.read_text().splitlines():
            event = json.loads(line)
            if event["event"] == "epoch":
                result = event["result"]
                took = result["train_seconds"] + result["validation_seconds"]
                seconds.setdefault(event["trial"], []).append(took)
        for taken in seconds.values():
            ratios += [one / statistics.median(taken) for one in taken[1:] if len(taken) > 2]
    return ratios


class Quiet:
    """A listener that says nothing but notices."""

    def __getattr__(self, name: str) -> Any:
        return lambda *arguments, **settings: print(*arguments) if name == "on_notice" else None


def begin(arguments: argparse.Namespace, began: float) -> None:
    """Put simulated machines and their clock in the place of Ray."""
    global CLUSTER, CLOCK
    os.environ |= {"TUNE_DISABLE_AUTO_INIT": "1", "TUNE_GLOBAL_CHECKPOINT_S": "1000000000"}
    os.environ |= {"TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1", "RAY_AIR_NEW_OUTPUT": "0"}
    os.environ |= {"RAY_CHDIR_TO_TRIAL_DIR": "0", "TUNE_RESULT_BUFFER_LENGTH": "1"}
    import ray
    from ray.train._internal import storage as train_storage
    from ray.tune.execution import tune_controller

    CLOCK = Clock(began)
    CLUSTER = Cluster(arguments)
    CLUSTER.cpu_before, CLUSTER.began, CLUSTER.arguments = REAL_CPU(), CLOCK.now(), arguments
    time.time = time.monotonic = CLOCK.now
    time.sleep = sleep
    ray.wait, ray.get, ray.kill, ray.nodes = CLUSTER.wait, CLUSTER.get, CLUSTER.kill, CLUSTER.node_table
    ray.cluster_resources = lambda: {"CPU": float(arguments.nodes * SLOTS_OF_NODE)}
    tune_controller.PlacementGroupResourceManager = Placements
    train_storage._get_ray_train_session_dir = lambda: str(arguments.folder / "session")


def tune_alone(arguments: argparse.Namespace) -> None:
    """Run Ray Tune as it is with simulated slots, and print what was measured as JSON."""
    begin(arguments, 1.8e9)
    os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = "1000"
    CLUSTER.slot_class = PlainSlot
    from ray import tune

    space = {
        "method.name": tune.choice(["AN", "LL-R", "LL-Ct", "LL-Cp"]),
        "method.schedule.rate_per_epoch": tune.loguniform(0.0003, 0.03),
        "training.learning_rate": tune.loguniform(0.0001, 0.03),
        "training.weight_decay": tune.loguniform(1e-6, 0.01),
        "epochs": arguments.epochs,
    }
    rule = tune.schedulers.ASHAScheduler(metric="objective", mode="max", max_t=arguments.epochs, reduction_factor=3)
    settings = tune.TuneConfig(num_samples=arguments.trials, scheduler=rule, reuse_actors=True)
    checkpoints = tune.CheckpointConfig(checkpoint_at_end=False)
    where = tune.RunConfig(name="tune", storage_path=str(arguments.folder), checkpoint_config=checkpoints, verbose=0)
    with in_groups_and_without_records() if arguments.grouped else contextlib.nullcontext():
        tune.Tuner(tune.Trainable, param_space=space, tune_config=settings, run_config=where).fit()
    print_measured(CLUSTER.measured.epochs, began=CLOCK.now())


@contextlib.contextmanager
def in_groups_and_without_records() -> Iterator[None]:
    """What this project changes about Tune's own handling of events."""
    from wsml_study.cluster.event_groups import events_in_groups
    from wsml_study.cluster.trainable_class import trainable_read_once
    from wsml_study.cluster.tune_records import no_records_of_tune
    from wsml_study.record.event_log import EventLog

    log = EventLog(CLUSTER.arguments.folder / "empty" / "events.jsonl")
    with events_in_groups(log, starting=1000), no_records_of_tune(), trainable_read_once():
        yield


def simulate(arguments: argparse.Namespace) -> None:
    """Run a study with simulated slots, and print what was measured as JSON."""
    folder = arguments.folder / "thousand"
    begin(arguments, 1.8e9 + last_time(folder))
    import ray
    from fsspec.implementations.local import LocalFileSystem
    from pyarrow import fs

    from wsml_study.record import event_log
    from wsml_study.record.storage import RemoteFolder, StudyStorage
    from wsml_study.tuning import run

    class Checkpoints(LocalFileSystem):
        """Where checkpoints are; there are none, which nobody notices, and deleting one takes as long as a write."""

        def info(self, path: str, **settings: Any) -> dict[str, Any]:
            try:
                return super().info(path, **settings)
            except FileNotFoundError:
                return {"name": path, "size": 0, "type": "directory"}

        def ls(self, path: str, detail: bool = False, **settings: Any) -> list[Any]:
            try:
                return super().ls(path, detail=detail, **settings)
            except FileNotFoundError:
                return []

        def rm(self, path: Any, recursive: bool = False, maxdepth: int | None = None) -> None:
            if arguments.far and threading.current_thread() is threading.main_thread():
                CLOCK.skip(WRITE_S)
            with contextlib.suppress(FileNotFoundError):
                super().rm(path, recursive=recursive, maxdepth=maxdepth)

        def __reduce__(self) -> tuple[type, tuple[()]]:
            return LocalFileSystem, ()

    class SlowFolder(RemoteFolder):
        def write(self, name: str, content: bytes) -> None:
            (far / name).parent.mkdir(parents=True, exist_ok=True)
            super().write(name, content)
            CLUSTER.measured.writes += 1
            if not CLUSTER.is_writer:
                CLOCK.skip(WRITE_S)

    far = arguments.folder / "far"
    far.mkdir(parents=True, exist_ok=True)
    storage = StudyStorage(
        folder=folder,
        remote=SlowFolder(fs.LocalFileSystem(), str(far), "far") if arguments.far else None,
    )
    CLUSTER.storage, CLUSTER.scratch = storage, storage.scratch()[1]
    CLUSTER.far = fs.PyFileSystem(fs.FSSpecHandler(Checkpoints(auto_mkdir=True)))
    StudyStorage.scratch = lambda self: (CLUSTER.far, CLUSTER.scratch)
    event_log.ThreadPoolExecutor = Writer
    run.open_storage = lambda *_: storage
    run.preflight = lambda *_: None
    run.LeakedPlacementGroups = ray.tune.Callback
    run.Preparation = lambda _: ray.tune.Callback()
    run.session_of = lambda *_: NoSession()
    outcome = run.run_study(study_of(arguments), Quiet())
    CLUSTER.outcome = outcome
    finish(CLUSTER, killed=False)


class Writer:
    """Stands for the thread that writes the log: it is done as long after it has begun as its writes take."""

    def __init__(self, *_: Any, **__: Any) -> None:
        """Take no arguments of a thread pool."""

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, *_: Any) -> None:
        pass

    def submit(self, act: Any, *arguments: Any) -> Written:
        before, CLUSTER.is_writer = CLUSTER.measured.writes, True
        try:
            act(*arguments)
        finally:
            CLUSTER.is_writer = False
        return Written(CLOCK.now() + WRITE_S * (CLUSTER.measured.writes - before))


@dataclass(frozen=True)
class Written:
    """What is done at a time."""

    at: float

    def done(self) -> bool:
        return CLOCK.now() >= self.at

    def result(self) -> None:
        CLOCK.skip(self.at - CLOCK.now())


class NoSession:
    address, is_open = None, True

    def __enter__(self) -> NoSession:
        return self

    def __exit__(self, *_: Any) -> None:
        pass


def last_time(folder: Path) -> float:
    """Virtual seconds of earlier runs."""
    path = folder / "events.jsonl"
    if not path.exists():
        return 0.0
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 100_000))
        lines = file.read().splitlines()
    return next(json.loads(line)["time"] for line in reversed(lines) if line.endswith(b"}")) - 1.8e9 + 10.0


def finish(cluster: Cluster, *, killed: bool) -> None:
    """Print what was measured, and end the process at once if its driver is killed."""
    log = cluster.storage.folder / "events.jsonl"
    events, last_created, outcome = 0, 0.0, Counter()
    for line in log.open("rb"):
        events += 1
        kind = line[11:20]
        if kind.startswith(b"created"):
            last_created = float(line.partition(b'"time": ')[2].partition(b",")[0])
        if kind.startswith((b"attempt", b"ended")):
            outcome[kind.rstrip(b'", ').decode()] += 1
    size = {"log_mib": round(log.stat().st_size / 2**20, 1)}
    ended = {"ended": outcome["ended"], "attempts": outcome["attempt"], "driver_killed": killed}
    print_measured(events, began=last_created, **ended, **size)
    if killed:
        os._exit(9)


def print_measured(events: int, *, began: float, **more: Any) -> None:
    """Print what slots saw until the last new trial began, after which they may have nothing to do."""
    cluster, measured = CLUSTER, CLUSTER.measured
    waits = [waited for at, waited in zip(measured.reported_at, measured.waited_s, strict=True) if at < began]
    latencies = sorted(waits) or [0.0]
    report = {
        "trials": cluster.arguments.trials,
        "slots": cluster.arguments.nodes * SLOTS_OF_NODE,
        "virtual_s": round(CLOCK.now() - cluster.began, 1),
        "driver_cpu_s": round(REAL_CPU() - CLOCK.not_counted, 1),
        "events": events,
        "epochs": measured.epochs,
        "idle": round(sum(waits) / max(1e-9, sum(waits) + measured.busy_s), 5),
        "events_per_cpu_s": round(events / max(1e-9, REAL_CPU() - CLOCK.not_counted - cluster.cpu_before), 1),
        "latency_p50_s": round(latencies[len(latencies) // 2], 4),
        "latency_p99_s": round(latencies[int(len(latencies) * 0.99)], 4),
        "latency_max_s": round(latencies[-1], 2),
        "first_command_s": round((measured.first_command_s or 0.0) - cluster.began, 2),
        "writes": measured.writes,
        "peak_gib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 3),
        "killed_nodes": len(cluster.killed),
    }
    print(json.dumps(report | more), flush=True)


def constants(arguments: argparse.Namespace) -> None:
    """Measure on a real local Ray what the simulation takes for granted."""
    import ray
    from ray.util.placement_group import placement_group, remove_placement_group

    ray.init(address="local", num_cpus=arguments.slots, include_dashboard=False, log_to_driver=False)

    @ray.remote(num_cpus=0, max_concurrency=2)
    class Silent:
        def __init__(self) -> None:
            self._stays = __import__("threading").Event()

        def wait(self) -> None:
            self._stays.wait()

        def answer(self, size: int) -> bytes:
            return b"x" * size

    silent = Silent.remote()
    ray.get(silent.answer.remote(1))
    pending: list[Any] = []
    for number in (10, 100, 1000, 8000):
        pending += [silent.wait.remote() for _ in range(number - len(pending))]
        taken = [timed(partial(ray.wait, pending, num_returns=1, timeout=0)) for _ in range(5)]
        print(f"ray.wait for {number} futures: {statistics.median(taken) * 1e3:.2f} ms")
    sent = [timed(lambda: pending.append(silent.answer.remote(2500))) for _ in range(500)]
    print(f"sending a command: {statistics.median(sent) * 1e6:.0f} us")
    other = Silent.remote()
    ready = [other.answer.remote(2500) for _ in range(300)]
    ray.wait(ready, num_returns=len(ready))
    fetched = [timed(lambda one=one: ray.get(one)) for one in ready]
    print(f"fetching an answer of 2,500 bytes: {statistics.median(fetched) * 1e6:.0f} us")
    groups = []
    placed = [
        timed(lambda: groups.append(placement_group([{"CPU": 1}])) or ray.get(groups[-1].ready())) for _ in "1234"
    ]
    print(f"a placement group: {statistics.median(placed) * 1e3:.1f} ms")
    for group in groups:
        remove_placement_group(group)
    started = [timed(lambda: ray.get(Silent.remote().answer.remote(1))) for _ in "1234"]
    print(f"an actor without torch, until it answers: {statistics.median(started):.2f} s")
    ray.shutdown()


def proposals(arguments: argparse.Namespace) -> None:
    """CPU time of a proposal of TPE with 8 keys, with and without its window."""
    import optuna

    from wsml_study.tuning.proposal_window import WindowedStorage

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    draws = random.Random(0)
    keys = {f"key{number}": optuna.distributions.FloatDistribution(0, 1) for number in range(8)}
    for num_trials in arguments.trials:
        storage = WindowedStorage(1)
        study = optuna.create_study(storage=storage, direction="maximize")
        for _ in range(num_trials):
            values = {key: draws.random() for key in keys}
            value = -sum((one - 0.3) ** 2 for one in values.values())
            study.add_trial(optuna.trial.create_trial(params=values, distributions=keys, value=value))
        taken = {}
        for what, window in (("1,000", storage.window), ("all", contextlib.nullcontext)):
            for _ in range(3):
                study.sampler = optuna.samplers.TPESampler(seed=1, constant_liar=True)
                began = REAL_CPU()
                with window():
                    study.ask(keys)
                taken.setdefault(what, []).append(REAL_CPU() - began)
        medians = ", ".join(f"{statistics.median(times) * 1e3:.0f} ms seeing {what}" for what, times in taken.items())
        print(f"{num_trials:,} trials: {medians}")


def timed(act: Any) -> float:
    """Seconds that it takes."""
    began = time.perf_counter()
    act()
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    one, five = commands.add_parser("run"), commands.add_parser("tune")
    for both in (one, five):
        both.add_argument("--trials", type=int, default=1000)
        both.add_argument("--nodes", type=int, default=10)
        both.add_argument("--epochs", type=int, default=10)
        both.add_argument("--epoch-s", type=float, default=EPOCH_S)
        both.add_argument("--seed", type=int, default=0)
        both.add_argument("--profile", type=Path)
        both.add_argument("--folder", type=Path, required=True)
    five.add_argument("--grouped", action="store_true")
    five.set_defaults(until=None, kill_at=[], stall_at=[])
    one.add_argument("--sampler", default="tpe")
    one.add_argument("--rule", default="asha")
    one.add_argument("--far", action="store_true")
    one.add_argument("--trackers", action="store_true")
    one.add_argument("--until", type=float)
    one.add_argument("--kill-at", type=float, nargs="*", default=[])
    one.add_argument("--stall-at", type=float, nargs="*", default=[])
    four = commands.add_parser("proposals")
    four.add_argument("--trials", type=int, nargs="+", default=[1000, 2000, 10_000])
    two = commands.add_parser("constants")
    two.add_argument("--slots", type=int, default=8)
    arguments = parser.parse_args()
    if arguments.command == "constants":
        constants(arguments)
    elif arguments.command == "proposals":
        proposals(arguments)
    else:
        act = simulate if arguments.command == "run" else tune_alone
        with profiled(arguments.profile):
            act(arguments)


@contextlib.contextmanager
def profiled(path: Path | None) -> Iterator[None]:
    """Write a profile of the block to a file, if one is given."""
    if path is None:
        yield
        return
    import cProfile

    profile = cProfile.Profile()
    try:
        profile.enable()
        yield
    finally:
        profile.disable()
        profile.dump_stats(path)


if __name__ == "__main__":
    main()
