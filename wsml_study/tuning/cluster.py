"""Where trials run: a local Ray on loopback, or a running cluster; and how many fit at once."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from pathlib import Path
from typing import TextIO

import ray

from wsml_study.errors import ResourcesError
from wsml_study.study.spec import Resources

WORKER_ENVIRONMENT = {
    "RAY_CHDIR_TO_TRIAL_DIR": "0",  # paths of a study are relative to where its command runs
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.2",
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
    "TUNE_GLOBAL_CHECKPOINT_S": "1000000000",  # the event log is the truth; Tune's own snapshots grow with the study
    "TUNE_RESULT_BUFFER_LENGTH": "1",
}


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


def gpus_per_worker(resources: Resources) -> float:
    """What `auto` means on the connected cluster: a whole GPU where there is any, none elsewhere."""
    if resources.gpus_per_worker != "auto":
        return resources.gpus_per_worker
    return 1.0 if ray.cluster_resources().get("GPU", 0) > 0 else 0.0


def count_slots(resources: Resources) -> int:
    """How many trials fit on the connected cluster at once, by the scarcest resource.

    Raises:
        ResourcesError: not even one fits.
    """
    available = ray.cluster_resources()
    workers = resources.workers_per_trial
    needs = {"CPU": workers * resources.cpus_per_worker, "GPU": workers * gpus_per_worker(resources)}
    fits = {kind: int(available.get(kind, 0) / need) for kind, need in needs.items() if need > 0}
    scarce = min(fits, key=lambda kind: fits[kind])
    if fits[scarce] == 0:
        raise ResourcesError(
            f"a trial needs {needs[scarce]:g} {scarce}s ({workers} workers), there are {available.get(scarce, 0):g}; "
            f"lower resources.workers_per_trial or resources.{scarce.lower()}s_per_worker"
        )
    return fits[scarce]


def _start_locally() -> None:
    ray.init(
        address="local",
        num_cpus=len(os.sched_getaffinity(0)),
        include_dashboard=False,
        configure_logging=False,
        log_to_driver=False,
        _node_ip_address="127.0.0.1",
    )


def _join(address: str) -> None:
    environment = {"env_vars": WORKER_ENVIRONMENT}
    try:
        ray.init(address=address, configure_logging=False, log_to_driver=False, runtime_env=environment)
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
