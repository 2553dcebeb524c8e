"""`cluster.yaml` and the manifest for Kubernetes, against Ray's own schema and their own promises."""

from __future__ import annotations

from pathlib import Path

import pytest
from ray.autoscaler._private.util import prepare_config, validate_config
from ruamel.yaml import YAML

ROOT = Path(__file__).parent.parent
LINES = (ROOT / "cluster.yaml").read_text().splitlines()
AWS = next(number for number, line in enumerate(LINES) if line.startswith("# On AWS"))


def uncommented() -> str:
    """The variant for AWS as its comment says to make it."""
    common = [line for line in LINES[:AWS] if not line.startswith(("min_workers", "max_workers"))]
    text = "\n".join(common)
    for section in ("provider:", "auth:"):
        before, _, after = text.partition(f"\n{section}")
        text = before + "\n" + after.partition("\n\n")[2]
    start = next(number for number, line in enumerate(LINES) if line.startswith("# provider:"))
    return text + "\n" + "\n".join(line.removeprefix("# ") for line in LINES[start:])


@pytest.mark.parametrize("text", ["\n".join(LINES), uncommented()], ids=["ssh", "aws"])
def test_cluster_yaml_satisfies_rays_schema(text: str) -> None:
    content = YAML(typ="safe").load(text)
    # What `ray up` does first.
    validate_config(prepare_config(content))


def test_the_variant_for_aws_has_its_node_types() -> None:
    content = YAML(typ="safe").load(uncommented())
    assert content["provider"]["type"] == "aws"
    assert content["head_node_type"] in content["available_node_types"]
    assert content["available_node_types"]["gpu"]["node_config"]["InstanceMarketOptions"] == {"MarketType": "spot"}


def test_the_job_for_kubernetes_runs_a_study_that_we_ship() -> None:
    content = YAML(typ="safe").load((ROOT / "docs/cluster/rayjob.yaml").read_text())
    command = content["spec"]["entrypoint"].split()
    assert (content["apiVersion"], content["kind"]) == ("ray.io/v1", "RayJob")
    assert command[:2] == ["wsml-study", "run"]
    assert (ROOT / command[2]).exists()
