"""`model.weights: hf://...`: files of weights from a server on this machine that speaks the hub's protocol."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
import safetensors.torch
import torch
import torchvision

from tests.hub_server import HubServer, hub_server, use_hub
from wsml_study.errors import TrainingError
from wsml_study.training.torchvision_backbones import torchvision_network
from wsml_study.training.weight_files import digest_of_file

pytest.importorskip("huggingface_hub")


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    with hub_server() as server:
        use_hub(server, tmp_path, monkeypatch)
        server.repos["models", "me/net"] = {}
        yield server


def test_weights_of_the_hub_are_those_of_the_network(hub: HubServer) -> None:
    published = torchvision.models.mobilenet_v3_small(weights=None).state_dict()
    content = safetensors.torch.save(published)
    hub.repos["models", "me/net"]["net.safetensors"] = content
    loaded, _ = torchvision_network("mobilenet_v3_small", "hf://me/net/net.safetensors", num_classes=3)
    assert torch.equal(loaded.state_dict()["features.0.0.weight"], published["features.0.0.weight"])
    assert digest_of_file("hf://me/net/net.safetensors") == hashlib.sha256(content).hexdigest()


def test_weights_that_the_hub_does_not_have_are_said_with_their_key(hub: HubServer) -> None:
    with pytest.raises(TrainingError, match=r"^model.weights: hf://me/net/a.pth: the repository has no such file$"):
        digest_of_file("hf://me/net/a.pth")
