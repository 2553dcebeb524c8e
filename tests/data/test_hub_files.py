"""Addresses of the Hugging Face hub where a path is read: a local server, huggingface_hub's cache, offline mode."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.data.encoded_images import images
from tests.hub_server import HubServer, hub_server, use_hub
from wsml_study.data.hub_files import is_hub_address, local_path
from wsml_study.data.label_files import LabelFiles
from wsml_study.data.readers import read_dataset
from wsml_study.errors import DataError

constants = pytest.importorskip("huggingface_hub.constants")


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    """A hub with a model and a data set, an empty cache, and no token."""
    with hub_server() as server:
        use_hub(server, tmp_path, monkeypatch)
        monkeypatch.setenv("WSML_CACHE", str(tmp_path / "cache"))
        server.repos["models", "me/net"] = {"a.safetensors": b"weights", "seed_0/config.yaml": b"x", "seed_0/b": b"y"}
        yield server


def parquet(**columns: object) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(pa.table(columns), buffer)
    return buffer.getvalue()


def test_other_paths_are_left_alone() -> None:
    assert local_path("photos/labels.csv") == Path("photos/labels.csv")
    assert not is_hub_address("hf-hub:owner/name")


def test_a_file_is_downloaded_once(hub: HubServer) -> None:
    first = local_path("hf://me/net/a.safetensors")
    num_requests = len(hub.requests)
    assert first.read_bytes() == b"weights"
    assert local_path(Path("hf://me/net/a.safetensors")) == first, "pathlib leaves one slash"
    assert len(hub.requests) == num_requests


def test_a_folder_and_a_whole_repository_are_downloaded(hub: HubServer) -> None:
    folder = local_path("hf://me/net/seed_0")
    assert sorted(path.name for path in folder.iterdir()) == ["b", "config.yaml"]
    assert (local_path("hf://me/net") / "a.safetensors").is_file()


def test_a_revision_is_pinned(hub: HubServer) -> None:
    sha = hub.sha("models", "me/net")
    assert local_path(f"hf://me/net@{sha}/a.safetensors").parent.name == sha
    with pytest.raises(DataError, match="has no such revision"):
        local_path("hf://me/net@v9/a.safetensors")


def test_what_is_in_the_cache_is_read_offline(hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    file, folder = local_path("hf://me/net/a.safetensors"), local_path("hf://me/net/seed_0")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    hub.requests.clear()
    assert (local_path("hf://me/net/a.safetensors"), local_path("hf://me/net/seed_0")) == (file, folder)
    for address in ("hf://me/net/c.safetensors", "hf://me/other"):
        with pytest.raises(DataError, match="in the cache of this machine, and HF_HUB_OFFLINE forbids to ask"):
            local_path(address)
    assert hub.requests == []


def test_a_hub_that_does_not_answer_is_said(hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:1")
    with pytest.raises(DataError, match=r"not in the cache of this machine, and the hub http://127.0.0.1:1 cannot be"):
        local_path("hf://me/net/a.safetensors")


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("hf://me/net/none.pth", "has no such file"),
        ("hf://me/net/folder", "has no such folder"),
        ("hf://me/nothing/a.pth", "no such repository, or it is private and needs a token, as HF_TOKEN"),
        ("hf://datasets/me/net/a.pth", "no such repository"),
        ("hf://net", "expected hf://owner/name/file of a model"),
        ("hf://spaces/me/net/a.pth", "got a space"),
    ],
)
def test_what_cannot_be_had_is_said(hub: HubServer, address: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        local_path(address)


def test_a_data_set_of_the_hub_is_a_table(hub: HubServer) -> None:
    labels = [["cat"], ["dog"], ["cat", "dog"], [], ["dog"]]
    hub.repos["datasets", "me/pets"] = {
        f"data/{name}.parquet": parquet(image=images(), labels=labels)
        for name in ("train-00000-of-00002", "train-00001-of-00002", "test-00000-of-00001")
    }
    files = LabelFiles(
        file="hf://datasets/me/pets/data/train-*.parquet",
        test_file="hf://datasets/me/pets/data/test-00000-of-00001.parquet",
        positives_column="labels",
        unlisted="negative",
    )
    dataset = read_dataset("table", labels=files)
    assert (dataset.classes, len(dataset.train), len(dataset.test)) == (("cat", "dog"), 10, 5)
    assert dataset.train.names[0] == "train-00000-of-00002/red.png"


def test_names_of_a_table_are_in_a_folder_of_the_hub(hub: HubServer) -> None:
    hub.repos["datasets", "me/pets"] = {"labels.csv": b"image,cat\na.png,1\nb.png,0\n"} | {
        f"photos/{name}.png": images()[0]["bytes"] for name in "ab"
    }
    files = LabelFiles(file="hf://datasets/me/pets/labels.csv", test_fraction=0.5)
    dataset = read_dataset("table", root="hf://datasets/me/pets/photos", labels=files)
    assert sorted(dataset.train.names + dataset.test.names) == ["a.png", "b.png"]
