"""ONNX files compute what `predict` does, decode and thresholds included, in a runtime without torch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from wsml_study.data.dataset import Interpolation
from wsml_study.data.digit_scenes import render_scenes
from wsml_study.errors import ResourcesError, ResultsError
from wsml_study.inference import onnx_check, onnx_export
from wsml_study.inference.calibration import apply
from wsml_study.inference.model import TrainedModel, load_model
from wsml_study.inference.onnx_network import CalibrationLayer, PillowResize
from wsml_study.record.decision_rules import Curve

onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")


@pytest.fixture(scope="module")
def exported(decided_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("onnx") / "digits.onnx"
    assert "as predict on 8 pictures of 4 sizes, up to" in onnx_export.export_model(decided_folder, path)
    return path


@pytest.fixture
def session(exported: Path) -> Any:
    return onnxruntime.InferenceSession(exported)


def test_an_exported_model_predicts_as_the_model_does(session: Any, decided_folder: Path, model: TrainedModel) -> None:
    images = render_scenes("test", 7)
    probabilities, calibrated, decisions = session.run(None, {"images": images})
    expected = model.probabilities(images)
    decider = load_model(decided_folder, device="cpu").decider()
    np.testing.assert_allclose(probabilities, expected, atol=1e-5)
    np.testing.assert_allclose(calibrated, decider.calibrated(expected), atol=1e-5)
    assert np.array_equal(decisions, decider.decisions(expected))


@pytest.mark.parametrize("size", [(1, 1), (200, 31), (20, 90)])
def test_photos_of_any_size_go_in_as_they_are(session: Any, model: TrainedModel, size: tuple[int, int]) -> None:
    photo = Image.fromarray(render_scenes("test", 1)[0, 0]).resize(size)
    found = session.run(["probabilities"], {"images": np.asarray(photo)[None, None]})[0]
    np.testing.assert_allclose(found, model.predict([photo]), atol=onnx_check.LARGEST_DIFFERENCE)


def test_the_file_says_what_it_takes_and_gives(session: Any, decided_folder: Path, model: TrainedModel) -> None:
    kept = session.get_modelmeta().custom_metadata_map
    assert json.loads(kept["classes"]) == list(model.classes)
    assert json.loads(kept["thresholds"]) == json.loads((decided_folder / "thresholds.json").read_text())
    preprocessing = json.loads(kept["preprocessing"])
    stored = json.loads((decided_folder / "preprocessing.json").read_text())
    assert {key: preprocessing[key] for key in stored} == stored


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("size", [(48, 48), (96, 48), (131, 47), (20, 300), (1, 500)])
def test_resizing_is_that_of_pillow(size: tuple[int, int], interpolation: Interpolation) -> None:
    pixels = np.random.RandomState(0).randint(0, 256, (size[1], size[0], 3)).astype(np.uint8)
    kind = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}[interpolation]
    expected = np.asarray(Image.fromarray(pixels).resize((48, 48), kind)).astype(int)
    resized = PillowResize(48, interpolation)(torch.from_numpy(pixels.transpose(2, 0, 1))[None])
    found = resized[0].numpy().transpose(1, 2, 0)
    # Bicubic filters leave the range of pixels, so that it matters which direction Pillow takes first.
    assert np.abs(found - expected).max() <= (1 if interpolation == "bilinear" else 6)
    assert np.abs(found - expected).mean() < 0.5


def test_curves_of_all_kinds_calibrate_as_outside() -> None:
    curves = [
        Curve(kind="isotonic", logits=(-2.0, -1.0, 3.0), probabilities=(0.1, 0.4, 0.9)),
        Curve(kind="isotonic", logits=(0.5,), probabilities=(0.3,)),
        Curve(kind="isotonic", logits=(0.25, 0.25 + 1e-12), probabilities=(0.2, 0.8)),
        Curve(kind="platt", slope=2.0, offset=-1.0),
        Curve(kind="none"),
    ]
    logits = np.array([-9.0, -2.0, -1.5, 0.0, 0.5, 3.0, 40.0])
    expected = np.stack([apply(curve, logits) for curve in curves], axis=1)
    found = CalibrationLayer(curves)(torch.from_numpy(logits).float()[:, None].expand(-1, len(curves)))
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-6)


def test_a_file_that_computes_something_else_is_told(exported: Path, decided_folder: Path) -> None:
    model = load_model(decided_folder, device="cpu")
    same = onnx_check.compare(exported.read_bytes(), model, model.decider())
    assert (same.problem(), same.num_pictures, same.num_sizes) == (None, 8, 4)
    with torch.no_grad():
        model.classifier.head.bias += 1.0
    other = onnx_check.compare(exported.read_bytes(), model, model.decider())
    assert "differs from predict by" in (other.problem() or "")
    assert not other.calibrated


def test_what_is_in_the_way_is_named(exported: Path, decided_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match=r"expected a file that ends in \.onnx"):
        onnx_export.export_model(decided_folder, tmp_path / "model.pt")
    with pytest.raises(ResultsError, match="exists; name another file, or replace it with --overwrite"):
        onnx_export.export_model(decided_folder, exported)


def test_packages_that_are_missing_are_named_before_anything_is_trained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_export, "NEEDED", ("onnx", "no_such_package"))
    with pytest.raises(ResourcesError, match=r"ONNX needs no_such_package: pip install 'wsml-study\[onnx\]'"):
        onnx_export.check_onnx()
