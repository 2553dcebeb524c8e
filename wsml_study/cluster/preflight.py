"""What must hold on every machine of a cluster before the first trial starts, looked at there."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from platform import python_version
from typing import Any

import ray
from pyarrow import fs
from ray.exceptions import GetTimeoutError, NodeDiedError, ObjectLostError, TaskUnschedulableError, WorkerCrashedError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from wsml_study.cluster.ray_internals import is_token_auth_enabled
from wsml_study.cluster.session import count_slots, living_nodes, needs_of_a_worker
from wsml_study.errors import ResourcesError
from wsml_study.record.storage import StudyStorage
from wsml_study.study.paths import named_files
from wsml_study.study.resources_section import Resources
from wsml_study.study.spec import Study

PACKAGES = ("wsml-study", "ray", "torch", "torchvision", "optuna", "numpy")
LOOK_TIMEOUT_S = 120.0
GONE = (NodeDiedError, ObjectLostError, TaskUnschedulableError, WorkerCrashedError)
"""What Ray says of a machine that went while somebody looked at it."""


@dataclass(frozen=True, kw_only=True)
class Look:
    """What one machine shows.

    Attributes:
        versions: of Python and of the packages that matter; None for one that is not installed.
        sees_marker: whether it reads what the driver wrote into the storage.
        can_write: whether the driver's file system takes what it writes into the storage.
        missing_paths: out of those that the study names.
        asks_for_token: whether its Ray serves only those who have the cluster's token.
    """

    versions: dict[str, str | None]
    sees_marker: bool
    can_write: bool
    missing_paths: tuple[str, ...]
    asks_for_token: bool


def preflight(study: Study, storage: StudyStorage, notify: Callable[[str], None]) -> None:
    """Refuse a study that would fail, or spoil its results, on the connected cluster.

    Args:
        study: what is to run.
        storage: where its results go; every machine must see the same.
        notify: told what was found on a cluster of several machines.

    Raises:
        ResourcesError: all that is wrong, and what to do about each.
    """
    nodes = living_nodes()
    answers = _look_everywhere(study, storage, nodes) if len(nodes) > 1 else {}
    looks = {name: look for name, look in answers.items() if look is not None}
    for name in answers.keys() - looks.keys():
        notify(f"{name} went while it was looked at; the study begins without it")
        nodes = living_nodes()
    problems = list(_resource_problems(study.resources, [node["Resources"] for node in nodes]))
    problems += [problem for name, look in looks.items() for problem in _problems_there(name, look, storage)]
    problems += _version_problems(looks)
    if problems:
        raise ResourcesError("\n".join(["this cluster cannot run the study:", *(f"  {one}" for one in problems)]))
    if looks:
        cpus, gpus = (sum(node["Resources"].get(kind, 0) for node in nodes) for kind in ("CPU", "GPU"))
        notify(f"cluster of {len(nodes)} machines, {cpus:g} CPUs, {gpus:g} GPUs; {_authentication(looks)}")


def _authentication(looks: Mapping[str, Look]) -> str:
    if all(look.asks_for_token for look in looks.values()):
        return "token authentication on"
    return (
        "token authentication is OFF: whoever reaches its ports runs what they like there. Make a token with `ray "
        "get-auth-token --generate`, copy it to every machine and start Ray there with RAY_AUTH_MODE=token"
    )


def _resource_problems(resources: Resources, nodes: list[Mapping[str, float]]) -> Iterator[str]:
    if count_slots(resources, nodes) > 0:
        return
    workers = resources.workers_per_trial
    needs = needs_of_a_worker(resources, has_gpus=any(node.get("GPU", 0) > 0 for node in nodes))
    for kind, need in needs.items():
        total, largest = sum(node.get(kind, 0) for node in nodes), max(node.get(kind, 0) for node in nodes)
        remedy = f"resources.{kind.lower()}s_per_worker"
        if largest < need:
            yield f"a worker needs {need:g} {kind}s on one machine, the largest has {largest:g}; lower {remedy}"
        elif total < need * workers:
            yield (
                f"a trial needs {need * workers:g} {kind}s ({workers} workers), there are {total:g}; lower "
                f"resources.workers_per_trial or {remedy}, or add machines"
            )


def _look_everywhere(study: Study, storage: StudyStorage, nodes: list[dict[str, Any]]) -> dict[str, Look | None]:
    """Machine -> what it shows, all of them at once; None for one that went meanwhile."""
    filesystem, scratch = storage.scratch()
    marker = uuid.uuid4().hex
    paths = (*([] if study.data.root is None else [study.data.root]), *named_files(study))
    filesystem.create_dir(scratch, recursive=True)
    _write(filesystem, f"{scratch}/{marker}", marker)
    look = ray.remote(num_cpus=0)(_look)
    asked = {
        f"{node['NodeManagerAddress']} ({node['NodeID'][:6]})": look.options(
            scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        ).remote(filesystem, scratch, marker, node["NodeID"], paths)
        for node in nodes
    }
    try:
        return {name: _answer(name, reference) for name, reference in asked.items()}
    finally:
        for name in [marker, *(f"{marker}-{node['NodeID']}" for node in nodes)]:
            _delete(filesystem, f"{scratch}/{name}")


def _answer(name: str, reference: ray.ObjectRef[Look]) -> Look | None:
    try:
        look: Look = ray.get(reference, timeout=LOOK_TIMEOUT_S)
    except GONE:
        return None
    except GetTimeoutError as error:
        raise ResourcesError(
            f"{name} does not answer for {LOOK_TIMEOUT_S:.0f} s; see `ray status` there, or take it out of the cluster"
        ) from error
    return look


def _look(filesystem: fs.FileSystem, scratch: str, marker: str, node: str, paths: tuple[str, ...]) -> Look:
    return Look(
        versions={"python": python_version(), **{package: _version(package) for package in PACKAGES}},
        sees_marker=_try(lambda: _read(filesystem, f"{scratch}/{marker}") == marker),
        can_write=_try(lambda: _write(filesystem, f"{scratch}/{marker}-{node}", marker)),
        missing_paths=tuple(path for path in paths if not Path(path).exists()),
        asks_for_token=is_token_auth_enabled(),
    )


def _problems_there(name: str, look: Look, storage: StudyStorage) -> Iterator[str]:
    if not look.sees_marker:
        yield (
            f"{name} does not see {storage.described}, which this machine wrote to; give a `storage` that all machines "
            f"share: a network folder mounted everywhere, or s3://bucket/folder"
        )
    elif not look.can_write:
        yield f"{name} cannot write to {storage.described}; give it the rights or the credentials"
    for path in look.missing_paths:
        yield f"{name} has no {path}; copy it there, or mount it in the same place on every machine"


def _version_problems(looks: Mapping[str, Look]) -> Iterator[str]:
    for package in ("python", *PACKAGES):
        machines: dict[str | None, list[str]] = defaultdict(list)
        for name, look in looks.items():
            machines[look.versions.get(package)].append(name)
        if len(machines) > 1:
            found = "; ".join(f"{version or 'none'} on {', '.join(names)}" for version, names in machines.items())
            yield f"{package} differs: {found}; install the same version everywhere"


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _try(look: Callable[[], object]) -> bool:
    try:
        return look() is not False
    except OSError:
        return False


def _read(filesystem: fs.FileSystem, path: str) -> str:
    with filesystem.open_input_file(path) as file:
        return bytes(file.read()).decode()


def _write(filesystem: fs.FileSystem, path: str, text: str) -> None:
    with filesystem.open_output_stream(path) as file:
        file.write(text.encode())


def _delete(filesystem: fs.FileSystem, path: str) -> None:
    _try(lambda: filesystem.delete_file(path))
