"""Models of the Hugging Face hub in use, from a server on this machine."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.hub_server import TOKEN, hub_server, use_hub
from wsml_study.errors import DataError
from wsml_study.inference.model import load_model
from wsml_study.inference.onnx_export import export_model
from wsml_study.inference.thresholds import choose_thresholds

pytest.importorskip("huggingface_hub")

MODEL = Path(__file__).parents[1] / "recorded/trained/models/finished-LL-R-trial2/seed_0"


def test_a_model_of_the_hub_predicts_as_its_folder_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.new("L", (40, 40), 99).save(tmp_path / "gray.png")
    with hub_server() as server:
        use_hub(server, tmp_path, monkeypatch)
        server.repos["models", "me/net"] = {path.name: path.read_bytes() for path in MODEL.iterdir()}
        model = load_model("hf://me/net", device="cpu")
    here = load_model(MODEL, device="cpu").predict([tmp_path / "gray.png"])
    assert np.array_equal(model.predict([tmp_path / "gray.png"]), here)


@pytest.mark.slow
def test_the_commands_publish_a_model_and_use_it(tmp_path: Path) -> None:
    Image.new("L", (40, 40), 99).save(tmp_path / "gray.png")
    with hub_server() as server:
        settings = {"HF_ENDPOINT": server.address, "HF_HOME": str(tmp_path / "home"), "HF_TOKEN": TOKEN}

        def command(*words: str, **more: str) -> str:
            return subprocess.run(
                [sys.executable, "-m", "wsml_study", *words],
                cwd=tmp_path,
                env=os.environ | settings | more,
                capture_output=True,
                text=True,
                check=True,
            ).stdout

        assert "nothing was uploaded" in command("push", str(MODEL), "me/net", "--dry-run")
        assert server.repos == {}
        assert "published: " in command("push", str(MODEL), "me/net", "--private")
        shown = command("predict", "hf://me/net", "gray.png")
    assert shown == command("predict", str(MODEL), "gray.png")
    assert shown == command("predict", "hf://me/net", "gray.png", HF_HUB_OFFLINE="1"), "from the cache"


def test_nothing_is_written_into_the_cache_of_the_hub() -> None:
    with pytest.raises(DataError, match="thresholds are written into the folder; get a copy first"):
        list(choose_thresholds("hf://me/net", best="f1"))
    with pytest.raises(DataError, match=r"model.onnx is written into the folder"):
        export_model(Path("hf://me/net"), None)
