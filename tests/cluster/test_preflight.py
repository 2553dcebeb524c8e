"""The checks before the first trial; several machines are inspected in tests/end_to_end/test_cluster.py."""

from __future__ import annotations

import pytest

from wsml_study.cluster.preflight import (
    Inspection,
    _authentication,
    _plugin_problems,
    _resource_problems,
    _version_problems,
)
from wsml_study.cluster.session import count_slots, worker_resources
from wsml_study.study.resources_section import Resources

CPU_NODE, GPU_NODE = {"CPU": 4.0}, {"CPU": 8.0, "GPU": 2.0}


@pytest.mark.parametrize(
    ("resources", "nodes", "slots"),
    [
        (Resources(), [CPU_NODE], 4),
        (Resources(), [GPU_NODE], 2),
        (Resources(gpus_per_worker=0), [GPU_NODE], 8),
        (Resources(gpus_per_worker=0.25), [GPU_NODE], 8),
        (Resources(), [CPU_NODE, GPU_NODE], 2),
        (Resources(workers_per_trial=2), [CPU_NODE, CPU_NODE], 4),
        (Resources(cpus_per_worker=3), [CPU_NODE, CPU_NODE], 2),
        (Resources(workers_per_trial=2, cpus_per_worker=3), [CPU_NODE, CPU_NODE], 1),
        (Resources(cpus_per_worker=5), [CPU_NODE, CPU_NODE], 0),
    ],
)
def test_slots_follow_the_scarcest_resource_and_no_worker_spans_two_machines(resources, nodes, slots) -> None:
    assert count_slots(resources, nodes) == slots


def test_auto_is_a_whole_gpu_where_there_is_any() -> None:
    assert worker_resources(Resources(), has_gpus=True) == {"CPU": 1.0, "GPU": 1.0}
    assert worker_resources(Resources(), has_gpus=False) == {"CPU": 1.0}


@pytest.mark.parametrize(
    ("resources", "message"),
    [
        (
            Resources(cpus_per_worker=5),
            "a worker needs 5 CPUs on one machine, the largest has 4; lower resources.cpus_per_worker",
        ),
        (
            Resources(workers_per_trial=9),
            "a trial needs 9 CPUs (9 workers), there are 8; lower resources.workers_per_trial or "
            "resources.cpus_per_worker, or add machines",
        ),
        (
            Resources(gpus_per_worker=1),
            "a worker needs 1 GPUs on one machine, the largest has 0; lower resources.gpus_per_worker",
        ),
    ],
)
def test_a_trial_that_never_fits_is_told_with_the_way_out(resources: Resources, message: str) -> None:
    assert list(_resource_problems(resources, [CPU_NODE, CPU_NODE])) == [message]


def inspection(**found) -> Inspection:
    good = {"versions": {}, "sees_marker": True, "can_write": True, "missing_paths": (), "asks_for_token": True}
    return Inspection(**(good | found))


def test_a_cluster_that_serves_anybody_is_told_with_the_way_out() -> None:
    assert _authentication({"a": inspection(), "b": inspection()}) == "token authentication on"
    told = _authentication({"a": inspection(), "b": inspection(asks_for_token=False)})
    assert told.startswith("token authentication is OFF")
    assert "ray get-auth-token --generate" in told


def test_machines_with_different_versions_are_named() -> None:
    inspections = {
        name: inspection(versions={"ray": "2.60.0", "torch": torch})
        for name, torch in (("a", "2.11.0"), ("b", "2.10.0"), ("c", None))
    }
    assert list(_version_problems(inspections)) == [
        "torch differs: 2.11.0 on a; 2.10.0 on b; none on c; install the same version everywhere"
    ]


def test_a_plugin_that_a_machine_lacks_or_has_otherwise_is_named() -> None:
    inspections = {
        "a": inspection(versions={"quiet": "1.2"}),
        "b": inspection(versions={"quiet": "1.1"}),
        "c": inspection(versions={"quiet": None}),
    }
    assert list(_plugin_problems(inspections, {"quiet": "1.2"})) == [
        "b has version 1.1 of the plug-in quiet, the driver has 1.2; install quiet==1.2 on every machine",
        "c has no version of the plug-in quiet, the driver has 1.2; install quiet==1.2 on every machine",
    ]
