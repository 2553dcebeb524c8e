"""Models and studies on a hub: a server on this machine that speaks its protocol."""

from __future__ import annotations

import io
import shutil
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.hub_server import TOKEN, HubServer, hub_server, use_hub
from wsml_study.errors import ResultsError
from wsml_study.report.hub_push import planned_upload, push

pytest.importorskip("huggingface_hub")

RECORDED = Path(__file__).parents[1] / "recorded"
MODEL = RECORDED / "trained/models/finished-LL-R-trial2/seed_0"
STUDY = RECORDED / "confirmed/results/confirmed"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    with hub_server() as server:
        use_hub(server, tmp_path, monkeypatch)
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        yield server


def test_a_model_is_published_with_its_card(hub: HubServer) -> None:
    assert push(planned_upload(MODEL, "me/net"), private=False).endswith("/me/net")
    published = hub.repos["models", "me/net"]
    assert sorted(published) == sorted(path.name for path in MODEL.iterdir())
    assert published["model.safetensors"] == (MODEL / "model.safetensors").read_bytes()
    assert published["README.md"].startswith(b"---\nlibrary_name: wsml-study\n")
    assert published["README.md"].endswith((MODEL / "README.md").read_bytes())
    assert hub.private == set()


def test_a_study_is_published_as_a_data_set(hub: HubServer) -> None:
    push(planned_upload(STUDY, "me/study"), private=True)
    published = hub.repos["datasets", "me/study"]
    assert pq.read_table(io.BytesIO(published["trials.parquet"])).num_rows == 13 + 6
    assert b"config_name: results" in published["README.md"]
    assert hub.private == {"me/study"}


def test_a_public_repository_does_not_become_private(hub: HubServer) -> None:
    hub.repos["models", "me/net"] = {}
    with pytest.raises(ResultsError, match="is there already and is public"):
        push(planned_upload(MODEL, "me/net"), private=True)
    assert hub.repos["models", "me/net"] == {}


def test_only_files_of_the_model_are_published(tmp_path: Path) -> None:
    folder = shutil.copytree(MODEL, tmp_path / "seed_0")
    (folder / ".env").write_text("HF_TOKEN=x")
    (folder / "notes.txt").write_text("mine")
    upload = planned_upload(folder, "me/net")
    assert not {".env", "notes.txt"} & set(upload.files)
    assert next(upload.lines()).startswith("model me/net: 6 files, ")


def test_absolute_paths_are_refused_or_shortened(tmp_path: Path) -> None:
    folder = shutil.copytree(MODEL, tmp_path / "seed_0")
    config = folder / "config.yaml"
    config.write_text(config.read_text().replace("storage: results", "storage: /home/me/results"))
    with pytest.raises(ResultsError, match=r"(?s)not published:\n  config.yaml: /home/me/results\n.*--strip-paths"):
        planned_upload(folder, "me/net")
    assert b"storage: results\n" in planned_upload(folder, "me/net", strip_paths=True).files["config.yaml"]


def test_what_the_hub_refuses_is_said(hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ResultsError, match="me/net/more: could not be published"):
        push(planned_upload(MODEL, "me/net/more"), private=False)
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(ResultsError, match="needs a token that may write there; `hf auth login`"):
        push(planned_upload(MODEL, "me/net"), private=False)


def test_other_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match="is not a complete model"):
        planned_upload(tmp_path, "me/net")
