"""Checks before the first trial that every machine of a cluster can run the study."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
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
from wsml_study.cluster.session import alive_nodes, count_slots, worker_resources
from wsml_study.errors import ResourcesError
from wsml_study.record.storage import StudyStorage
from wsml_study.study.paths import is_downloaded, named_files
from wsml_study.study.resources_section import Resources
from wsml_study.study.spec import Study
from wsml_study.study.used_plugins import used_plugins

PACKAGES = ("wsml-study", "ray", "torch", "torchvision", "timm", "open_clip_torch", "optuna", "numpy")
INSPECTION_TIMEOUT_S = 120.0
MACHINE_LOST = (NodeDiedError, ObjectLostError, TaskUnschedulableError, WorkerCrashedError)
"""Ray's errors for a machine that left the cluster during its inspection."""


@dataclass(frozen=True, kw_only=True)
class Inspection:
    """What was found on one machine.

    Attributes:
        versions: of Python, `PACKAGES` and the plug-ins that the study uses; None for a package that is not installed.
        sees_marker: whether it can read a file that the driver wrote into the storage.
        can_write: whether it can write into the storage.
        missing_paths: paths that the study names and the machine does not have.
        asks_for_token: whether its Ray requires the cluster's token.
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
        notify: receives a summary of a cluster of several machines.

    Raises:
        ResourcesError: the message lists all problems, each with a remedy.
    """
    nodes = alive_nodes()
    answers = _inspect_all(study, storage, nodes) if len(nodes) > 1 else {}
    inspections = {name: inspection for name, inspection in answers.items() if inspection is not None}
    for name in answers.keys() - inspections.keys():
        notify(f"{name} left the cluster while it was inspected; the study starts without it")
        nodes = alive_nodes()
    problems = list(_resource_problems(study.resources, [node["Resources"] for node in nodes]))
    problems += [
        problem for name, inspection in inspections.items() for problem in _problems_there(name, inspection, storage)
    ]
    problems += _version_problems(inspections)
    problems += _plugin_problems(inspections, used_plugins(study))
    if problems:
        raise ResourcesError("\n".join(["this cluster cannot run the study:", *(f"  {one}" for one in problems)]))
    if inspections:
        cpus, gpus = (sum(node["Resources"].get(kind, 0) for node in nodes) for kind in ("CPU", "GPU"))
        notify(f"cluster of {len(nodes)} machines, {cpus:g} CPUs, {gpus:g} GPUs; {_authentication(inspections)}")


def _authentication(inspections: Mapping[str, Inspection]) -> str:
    if all(inspection.asks_for_token for inspection in inspections.values()):
        return "token authentication on"
    return (
        "token authentication is OFF: any user who can reach the cluster's ports can run code on it. Make a token with "
        "`ray get-auth-token --generate`, copy it to every machine and start Ray there with RAY_AUTH_MODE=token"
    )


def _resource_problems(resources: Resources, nodes: list[Mapping[str, float]]) -> Iterator[str]:
    if count_slots(resources, nodes) > 0:
        return
    workers = resources.workers_per_trial
    needs = worker_resources(resources, has_gpus=any(node.get("GPU", 0) > 0 for node in nodes))
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


def _inspect_all(study: Study, storage: StudyStorage, nodes: list[dict[str, Any]]) -> dict[str, Inspection | None]:
    """Inspect all machines in parallel: machine -> what was found, None for one that left the cluster meanwhile."""
    filesystem, scratch = storage.scratch()
    marker = uuid.uuid4().hex
    root = study.data.root
    paths = (*([] if root is None or is_downloaded(root) else [root]), *named_files(study))
    filesystem.create_dir(scratch, recursive=True)
    _write(filesystem, f"{scratch}/{marker}", marker)
    inspect = ray.remote(num_cpus=0)(_inspect)
    pending = {
        f"{node['NodeManagerAddress']} ({node['NodeID'][:6]})": inspect.options(
            scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        ).remote(filesystem, scratch, marker, node["NodeID"], paths, tuple(used_plugins(study)))
        for node in nodes
    }
    try:
        return {name: _answer(name, reference) for name, reference in pending.items()}
    finally:
        for name in [marker, *(f"{marker}-{node['NodeID']}" for node in nodes)]:
            _delete(filesystem, f"{scratch}/{name}")


def _answer(name: str, reference: ray.ObjectRef[Inspection]) -> Inspection | None:
    try:
        inspection: Inspection = ray.get(reference, timeout=INSPECTION_TIMEOUT_S)
    except MACHINE_LOST:
        return None
    except GetTimeoutError as error:
        raise ResourcesError(
            f"{name} has not answered for {INSPECTION_TIMEOUT_S:.0f} s; see `ray status` there, or remove it from the "
            f"cluster"
        ) from error
    return inspection


def _inspect(
    filesystem: fs.FileSystem, scratch: str, marker: str, node: str, paths: tuple[str, ...], plugins: tuple[str, ...]
) -> Inspection:
    return Inspection(
        versions={"python": python_version(), **{package: _version(package) for package in (*PACKAGES, *plugins)}},
        sees_marker=_succeeds(lambda: _read(filesystem, f"{scratch}/{marker}") == marker),
        can_write=_succeeds(lambda: _write(filesystem, f"{scratch}/{marker}-{node}", marker)),
        missing_paths=tuple(path for path in paths if not Path(path).exists()),
        asks_for_token=is_token_auth_enabled(),
    )


def _problems_there(name: str, inspection: Inspection, storage: StudyStorage) -> Iterator[str]:
    if not inspection.sees_marker:
        yield (
            f"{name} does not see {storage.described}, which this machine wrote to; give a `storage` that all machines "
            f"share: a network folder mounted everywhere, or s3://bucket/folder"
        )
    elif not inspection.can_write:
        yield f"{name} cannot write to {storage.described}; give it the rights or the credentials"
    for path in inspection.missing_paths:
        yield f"{name} has no {path}; copy it there, or mount it in the same place on every machine"


def _version_problems(inspections: Mapping[str, Inspection]) -> Iterator[str]:
    for package in ("python", *PACKAGES):
        machines: dict[str | None, list[str]] = defaultdict(list)
        for name, inspection in inspections.items():
            machines[inspection.versions.get(package)].append(name)
        if len(machines) > 1:
            found = "; ".join(f"{version or 'none'} on {', '.join(names)}" for version, names in machines.items())
            yield f"{package} differs: {found}; install the same version everywhere"


def _plugin_problems(inspections: Mapping[str, Inspection], plugins: Mapping[str, str]) -> Iterator[str]:
    """Plug-ins that a machine lacks, or has in another version than the driver, which checked the study."""
    for name, inspection in inspections.items():
        for plugin, version in plugins.items():
            there = inspection.versions.get(plugin)
            if there != version:
                yield (
                    f"{name} has {f'version {there}' if there else 'no version'} of the plug-in {plugin}, the driver "
                    f"has {version}; install {plugin}=={version} on every machine"
                )


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _succeeds(action: Callable[[], object]) -> bool:
    try:
        return action() is not False
    except OSError:
        return False


def _read(filesystem: fs.FileSystem, path: str) -> str:
    with filesystem.open_input_file(path) as file:
        return bytes(file.read()).decode()


def _write(filesystem: fs.FileSystem, path: str, text: str) -> None:
    with filesystem.open_output_stream(path) as file:
        file.write(text.encode())


def _delete(filesystem: fs.FileSystem, path: str) -> None:
    with suppress(OSError):
        filesystem.delete_file(path)
