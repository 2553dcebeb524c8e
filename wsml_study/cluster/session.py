"""Starts a local Ray on loopback or connects to a running cluster, and counts the trials that fit on it."""

from __future__ import annotations

import logging
import math
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout, suppress
from functools import partial
from pathlib import Path
from types import FrameType, ModuleType, TracebackType
from typing import Any, Self, TextIO

import ray
from ray.exceptions import AuthenticationError

from wsml_study.cluster import ray_internals
from wsml_study.cluster.head_address import listens_on_loopback_only
from wsml_study.cluster.ray_internals import Node, maybe_enable_token_auth_if_token_available, ray_constants
from wsml_study.errors import ResourcesError
from wsml_study.study.resources_section import Resources

WORKER_ENVIRONMENT = {
    "RAY_CHDIR_TO_TRIAL_DIR": "0",  # paths of a study are relative to where its command runs
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.2",
    "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": "3600",  # a lost machine may come back
    "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",
    "RAY_TRAIN_METRICS_ENABLED": "0",
    "RAY_TRAIN_ENABLE_STATE_TRACKING": "0",
}
DRIVER_ENVIRONMENT = {
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",  # `uv run` as the driver must not start every worker through uv
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_prestart_worker_first_driver": "0",  # our actors cannot use prestarted workers
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_GLOBAL_CHECKPOINT_S": "1000000000",  # the event log is the truth; Tune's own snapshots grow with the study
    "TUNE_RESULT_BUFFER_LENGTH": "1",
}
COUNT_INTERVAL_S, COUNTING_SHARE = 2.0, 0.02
"""Slots are counted again after so many seconds at least, and take at most this share of the time."""
LONGEST_SOCKET = 107
"""Bytes that Linux allows in the path of a socket."""


@contextmanager
def ray_session(address: str | None, log_file: Path) -> Iterator[None]:
    """Ray for the duration of a block: local on loopback, or the cluster at an address.

    Ray's logging goes to the log file, and so does everything that the block prints to `sys.stdout` and `sys.stderr`:
    Ray prints as well.

    Raises:
        ResourcesError: no cluster answers at the address, or a local Ray has no folder that it can use.
    """
    os.environ.update(DRIVER_ENVIRONMENT | WORKER_ENVIRONMENT)
    log_file.parent.mkdir(parents=True, exist_ok=True)
    with _opened_log(log_file) as log, redirect_stdout(log), redirect_stderr(log):
        _send_logging_to(log)
        try:
            with _interrupts_kept(), _signals_kept():
                _start_local_ray() if address is None else _connect(address)
            yield
        finally:
            ray.shutdown()
            os.environ.pop("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", None)
            ray_constants.ENABLE_RAY_CLUSTER = True


@contextmanager
def _interrupts_kept() -> Iterator[None]:
    """Ends the program after the block if a signal that should have ended it got lost there.

    Python turns a signal into an exception wherever the main thread is, and Ray's callbacks drop exceptions.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}

    def noted(number: int, frame: FrameType | None) -> None:
        came.append(number)
        handler = handlers[signal.Signals(number)]
        assert callable(handler)
        handler(number, frame)

    for number, handler in handlers.items():
        if callable(handler):
            signal.signal(number, noted)
    try:
        yield
    finally:
        for number, handler in handlers.items():
            if callable(handler) and signal.getsignal(number) is noted:
                signal.signal(number, handler)
    if came:
        raise KeyboardInterrupt


@contextmanager
def _signals_kept() -> Iterator[None]:
    """The program's own handler of SIGTERM, while Ray starts and afterwards; no-op if it has none."""
    handler = signal.getsignal(signal.SIGTERM)
    if not callable(handler) or threading.current_thread() is not threading.main_thread():
        yield
        return
    with (
        _replaced(ray_internals.utils, "set_sigterm_handler", lambda _: None),
        _replaced(ray_internals._raylet, "CoreWorker", partial(_core_worker, ray_internals._raylet.CoreWorker)),
    ):
        yield


def _core_worker(original: Callable[..., Any], *arguments: Any, **settings: Any) -> Any:
    """Ray's part of the driver in C++, without the handler of SIGTERM that it sets, which prints a C++ stack."""
    handler = signal.getsignal(signal.SIGTERM)
    with _blocked(signal.SIGTERM):
        try:
            return original(*arguments, **settings)
        finally:
            signal.signal(signal.SIGTERM, handler)


@contextmanager
def _blocked(number: signal.Signals) -> Iterator[None]:
    """A signal that arrives during the block is delivered after it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {number})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class Session:
    """Ray for the duration of a block, started or connected to when the first of several studies needs it.

    Attributes:
        address: of a Ray cluster; None for a local Ray.
        is_open: whether Ray is started or connected.
    """

    def __init__(self, address: str | None, log_file: Path) -> None:
        """Start nothing yet; `log_file` is that of `ray_session`."""
        self.address, self._log_file = address, log_file
        self.is_open = False
        self._block = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._block.__exit__(kind, error, trace)

    def open(self) -> None:
        """Start Ray or connect to it; no-op if it is open.

        Raises:
            ResourcesError: no cluster answers at the address.
        """
        if not self.is_open:
            self._block.enter_context(ray_session(self.address, self._log_file))
            self.is_open = True


def gpus_per_worker(resources: Resources) -> float:
    """GPUs of one worker on the connected cluster; `auto` is a whole GPU if the cluster has any, else none."""
    return worker_resources(resources, has_gpus=ray.cluster_resources().get("GPU", 0) > 0).get("GPU", 0.0)


class Slots:
    """How many trials fit on the connected cluster at once; counted again as machines come and go."""

    def __init__(self, resources: Resources, on_count: Callable[[int], None] | None = None) -> None:
        """Count nothing yet.

        Args:
            resources: of each trial.
            on_count: called with each new count.
        """
        self._resources, self._on_count = resources, on_count
        self._count, self._count_again_at = 0, -math.inf

    def __call__(self) -> int:
        """The number; of a large cluster it is counted less often."""
        started = time.monotonic()
        if started > self._count_again_at:
            self._count = count_slots(self._resources, [node["Resources"] for node in alive_nodes()])
            ended = time.monotonic()
            self._count_again_at = ended + max(COUNT_INTERVAL_S, (ended - started) / COUNTING_SHARE)
            if self._on_count is not None:
                self._on_count(self._count)
        return self._count


def count_slots(resources: Resources, nodes: Sequence[Mapping[str, float]]) -> int:
    """How many trials fit at once on machines with these resources; a worker never spans two machines.

    >>> count_slots(Resources(workers_per_trial=2), [{"CPU": 3.0}, {"CPU": 2.0}])
    2
    """
    worker = worker_resources(resources, has_gpus=any(node.get("GPU", 0) > 0 for node in nodes))
    num_workers = [min(int(node.get(kind, 0) / amount) for kind, amount in worker.items()) for node in nodes]
    return sum(num_workers) // resources.workers_per_trial


def worker_resources(resources: Resources, *, has_gpus: bool) -> dict[str, float]:
    """CPUs and GPUs of one worker, by Ray's names of resources; `has_gpus` says whether the cluster has any GPU."""
    gpus = resources.gpus_per_worker
    num_gpus = float(has_gpus) if gpus == "auto" else gpus
    return {"CPU": float(resources.cpus_per_worker)} | ({"GPU": num_gpus} if num_gpus > 0 else {})


def alive_nodes() -> list[dict[str, Any]]:
    """Ray's record of each machine of the connected cluster that is alive."""
    return [node for node in ray.nodes() if node["Alive"]]


def _keep_to_loopback() -> None:
    # Without these Ray replaces 127.0.0.1 by the machine's network address, and listens there.
    os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
    ray_constants.ENABLE_RAY_CLUSTER = False


class _LocalNode(Node):  # type: ignore[misc]
    """The node of a local Ray, without three processes that a study does not need."""

    def start_monitor(self) -> None:
        """No-op: skips the autoscaler."""

    def start_log_monitor(self) -> None:
        """No-op: skips the process that forwards what workers print."""

    def start_api_server(self, **settings: Any) -> None:
        """No-op: skips the dashboard's process, which counts usage even with the dashboard turned off."""


def check_temporary_folder(environ: Mapping[str, str]) -> None:
    """Refuse a folder in which Ray cannot make its sockets; it would fail with a traceback.

    Args:
        environ: `RAY_TMPDIR` counts, else `TMPDIR`, else the folder is /tmp.

    Raises:
        ResourcesError: the folder's path is too long for a socket in it, or has other characters than ASCII.
    """
    variable = next((name for name in ("RAY_TMPDIR", "TMPDIR") if name in environ), None)
    if variable is None:
        return
    folder = environ[variable]
    most = LONGEST_SOCKET - len(f"/ray/session_2026-01-01_00-00-00_000000_{os.getpid()}/sockets/plasma_store")
    if len(os.fsencode(folder)) > most or not folder.isascii():
        raise ResourcesError(
            f"{variable}={folder}: Ray keeps sockets there, and needs a path of at most {most} ASCII characters; "
            f"set RAY_TMPDIR to a shorter folder, such as RAY_TMPDIR=/tmp"
        )


def _start_local_ray() -> None:
    check_temporary_folder(os.environ)
    _keep_to_loopback()
    services = ray_internals.services
    with (
        _replaced(ray_internals.node, "Node", _LocalNode),
        # A process group of its own for each: a closed terminal, `timeout` and job schedulers signal the driver's whole
        # group, and the driver needs Ray to save its trials. Linux kills Ray's processes if the driver dies.
        _replaced(services, "ConsolePopen", partial(services.ConsolePopen, process_group=0)),
    ):
        ray.init(
            address="local",
            num_cpus=len(os.sched_getaffinity(0)),
            include_dashboard=False,
            configure_logging=False,
            log_to_driver=False,
            _node_ip_address="127.0.0.1",
        )


@contextmanager
def _replaced(module: ModuleType, name: str, replacement: object) -> Iterator[None]:
    """Another value of a module's attribute for the duration of a block."""
    original = getattr(module, name)
    setattr(module, name, replacement)
    try:
        yield
    finally:
        setattr(module, name, original)


def _connect(address: str) -> None:
    if listens_on_loopback_only(address):
        _keep_to_loopback()
    environment = {"env_vars": WORKER_ENVIRONMENT}
    maybe_enable_token_auth_if_token_available(warn_if_disabled=False)
    try:
        ray.init(address=address, configure_logging=False, log_to_driver=False, runtime_env=environment)
    except AuthenticationError as error:
        raise ResourcesError(
            f"the Ray cluster at {address!r} asks for its token; copy ~/.ray/auth_token of its head here"
        ) from error
    except (ConnectionError, RuntimeError) as error:
        raise ResourcesError(
            f"no Ray cluster answers at {address!r}: {error}; leave out --address for a local one"
        ) from error


@contextmanager
def _opened_log(log_file: Path) -> Iterator[TextIO]:
    """The log file. Closing it flushes it, which fails on a full disk; the study must not fail with it."""
    log = log_file.open("a")
    try:
        yield log
    finally:
        with suppress(OSError):
            log.close()


def _send_logging_to(log: TextIO) -> None:
    handler = logging.StreamHandler(log)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logger = logging.getLogger("ray")
    logger.handlers = [handler]
    logger.propagate = False
    logger.setLevel(logging.INFO)
