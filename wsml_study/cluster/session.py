"""Where trials run: a local Ray on loopback, or a running cluster; and how many fit at once."""

from __future__ import annotations

import logging
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout, suppress
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any, Self, TextIO

import ray
from ray.exceptions import AuthenticationError

from wsml_study.cluster import ray_internals
from wsml_study.cluster.head_address import keeps_to_loopback
from wsml_study.cluster.ray_internals import Node, maybe_enable_token_auth_if_token_available, ray_constants
from wsml_study.errors import ResourcesError
from wsml_study.study.resources_section import Resources

WORKER_ENVIRONMENT = {
    "RAY_CHDIR_TO_TRIAL_DIR": "0",  # paths of a study are relative to where its command runs
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.2",
    "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": "3600",  # room that a lost machine took along may come back
    "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",
    "RAY_TRAIN_METRICS_ENABLED": "0",
    "RAY_TRAIN_ENABLE_STATE_TRACKING": "0",
}
DRIVER_ENVIRONMENT = {
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",  # `uv run` as the driver must not start every worker through uv
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_prestart_worker_first_driver": "0",  # what they start fits none of our actors
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",  # a trial that diverged has no objective, which is no reason to end all
    "TUNE_GLOBAL_CHECKPOINT_S": "1000000000",  # the event log is the truth; Tune's own snapshots grow with the study
    "TUNE_RESULT_BUFFER_LENGTH": "1",
}
SLOTS_AGE_S = 2.0


@contextmanager
def ray_session(address: str | None, log_file: Path) -> Iterator[None]:
    """Ray for the duration of a block: local on loopback, or the cluster at an address.

    Whatever is printed within the block to `sys.stdout` and `sys.stderr` goes to the log file, Ray's logging too.

    Raises:
        ResourcesError: no cluster answers at the address.
    """
    os.environ.update(DRIVER_ENVIRONMENT | WORKER_ENVIRONMENT)
    log_file.parent.mkdir(parents=True, exist_ok=True)
    with _whatever_fits(log_file) as log, redirect_stdout(log), redirect_stderr(log):
        _send_logging_to(log)
        try:
            _start_locally() if address is None else _join(address)
            yield
        finally:
            ray.shutdown()
            os.environ.pop("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", None)
            ray_constants.ENABLE_RAY_CLUSTER = True


class Session:
    """Ray for the duration of a block: started or joined once a study needs it, and once for all studies in there.

    Attributes:
        address: of a Ray cluster; None for a local Ray.
        is_open: whether it was needed yet.
    """

    def __init__(self, address: str | None, log_file: Path) -> None:
        """Nothing is started yet; from its start on the log file receives what `ray_session` says."""
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
        """Start or join Ray, the first time.

        Raises:
            ResourcesError: no cluster answers at the address.
        """
        if not self.is_open:
            self._block.enter_context(ray_session(self.address, self._log_file))
            self.is_open = True


def gpus_per_worker(resources: Resources) -> float:
    """What `auto` means on the connected cluster: a whole GPU where there is any, none elsewhere."""
    return needs_of_a_worker(resources, has_gpus=ray.cluster_resources().get("GPU", 0) > 0).get("GPU", 0.0)


class Slots:
    """How many trials fit on the connected cluster at once, looked up anew as machines come and go."""

    def __init__(self, resources: Resources, on_count: Callable[[int], None] | None = None) -> None:
        """Count for trials with these needs; `on_count` is told each new number."""
        self._resources, self._on_count = resources, on_count
        self._count, self._counted_at = 0, -math.inf

    def __call__(self) -> int:
        """The number, at most `SLOTS_AGE_S` seconds old."""
        if time.monotonic() - self._counted_at > SLOTS_AGE_S:
            self._count = count_slots(self._resources, [node["Resources"] for node in living_nodes()])
            self._counted_at = time.monotonic()
            if self._on_count is not None:
                self._on_count(self._count)
        return self._count


def count_slots(resources: Resources, nodes: Sequence[Mapping[str, float]]) -> int:
    """How many trials fit on machines with these resources at once; a worker never spans two machines.

    >>> count_slots(Resources(workers_per_trial=2), [{"CPU": 3.0}, {"CPU": 2.0}])
    2
    """
    needs = needs_of_a_worker(resources, has_gpus=any(node.get("GPU", 0) > 0 for node in nodes))
    fits = [min(int(node.get(kind, 0) / need) for kind, need in needs.items()) for node in nodes]
    return sum(fits) // resources.workers_per_trial


def needs_of_a_worker(resources: Resources, *, has_gpus: bool) -> dict[str, float]:
    """CPUs and GPUs of one worker on a cluster that has GPUs, or none."""
    gpus = resources.gpus_per_worker
    num_gpus = float(has_gpus) if gpus == "auto" else gpus
    return {"CPU": float(resources.cpus_per_worker)} | ({"GPU": num_gpus} if num_gpus > 0 else {})


def living_nodes() -> list[dict[str, Any]]:
    """What Ray knows of each machine of the connected cluster that is alive."""
    return [node for node in ray.nodes() if node["Alive"]]


def _keep_to_loopback() -> None:
    # Otherwise Ray replaces 127.0.0.1 by an address of the network, and listens there.
    os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
    ray_constants.ENABLE_RAY_CLUSTER = False


class _LocalNode(Node):  # type: ignore[misc]
    """The machine that a local Ray consists of, without the processes that have nothing to do there."""

    def start_monitor(self) -> None:
        """No machine is started or stopped."""

    def start_log_monitor(self) -> None:
        """Nobody is sent what workers print."""

    def start_api_server(self, **settings: Any) -> None:
        """No dashboard, nor what is left of one that is turned off: a counter of usage."""


def _start_locally() -> None:
    _keep_to_loopback()
    with _in_place_of(ray_internals.node, "Node", _LocalNode):
        ray.init(
            address="local",
            num_cpus=len(os.sched_getaffinity(0)),
            include_dashboard=False,
            configure_logging=False,
            log_to_driver=False,
            _node_ip_address="127.0.0.1",
        )


@contextmanager
def _in_place_of(module: ModuleType, name: str, replacement: object) -> Iterator[None]:
    original = getattr(module, name)
    setattr(module, name, replacement)
    try:
        yield
    finally:
        setattr(module, name, original)


def _join(address: str) -> None:
    if keeps_to_loopback(address):
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
def _whatever_fits(log_file: Path) -> Iterator[TextIO]:
    """A file for messages that nobody must have: a full disk is no error when it is closed."""
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
