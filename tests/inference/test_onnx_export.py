"""ONNX files compute what torch does, in a runtime without torch."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from wsml_study.data.digit_scenes import render_scenes
from wsml_study.errors import ResourcesError, ResultsError
from wsml_study.inference import onnx_export
from wsml_study.inference.model import TrainedModel, load_model

onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")


@pytest.fixture
def training(model_folder: Path, tmp_path: Path) -> Path:
    shutil.copytree(model_folder, tmp_path / "training" / "seed_0")
    return tmp_path / "training"


def test_an_exported_model_predicts_as_the_model_does(training: Path, model: TrainedModel) -> None:
    (line,) = onnx_export.export_models(training)
    assert "as torch on 5 images" in line
    session = onnxruntime.InferenceSession(training / "seed_0" / "model.onnx")
    images = render_scenes("test", 7)
    (found,) = session.run(None, {"images": images})
    np.testing.assert_allclose(found, model.probabilities(images), atol=1e-5)
    assert session.get_modelmeta().custom_metadata_map["classes"].splitlines() == list(model.classes)
    assert load_model(training / "seed_0").classes == model.classes


def test_an_export_that_computes_something_else_is_not_kept(training: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_export, "LARGEST_DIFFERENCE", -1.0)
    with pytest.raises(ResultsError, match="the exported network differs from torch by"):
        onnx_export.export_models(training)
    assert not (training / "seed_0" / "model.onnx").exists()


def test_packages_that_are_missing_are_named_before_anything_is_trained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_export, "NEEDED", ("onnx", "no_such_package"))
    with pytest.raises(ResourcesError, match=r"ONNX needs no_such_package: pip install 'wsml-study\[onnx\]'"):
        onnx_export.check_onnx()
