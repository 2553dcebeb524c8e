"""Predictions over all real photos there are, with broken files among them, judged from outside and by `evaluate`."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
from sklearn.metrics import average_precision_score

from tests.inference.models import config_of, train_model
from wsml_study.data.voc2012 import CLASSES, read_voc2007
from wsml_study.inference.evaluation import evaluate_model
from wsml_study.inference.prediction import predict_images

BROKEN = ("000000.jpg", "000500 cut.jpg", "004000.png", "text.jpeg", "zzz.gif")


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_1907_photos_have_rows_five_broken_files_are_listed_and_map_is_that_of_evaluate(
    shared_data: Path, tmp_path: Path
) -> None:
    root = shared_data / "VOCdevkit" / "VOC2007"
    config = config_of(
        {
            "data": {"dataset": "voc2007", "root": str(root), "image_size": 96},
            "model": {
                "backbone": "mobilenet_v2",
                "weights": str(shared_data / "weights" / "mobilenet_v2-b0353104.pth"),
            },
            "method": {"name": "LL-R", "schedule": {"rate_per_epoch": 0.002}},
            "training": {"mode": "linear", "epochs": 10, "learning_rate": 1e-3},
        }
    )
    folder = train_model(tmp_path, config)
    photos = tmp_path / "photos"
    shutil.copytree(root / "JPEGImages", photos)
    whole = (photos / "000012.jpg").read_bytes()
    for name, content in zip(BROKEN, (b"", whole[:2000], b"\x89PNG\r\n\x1a\n", b"no photo", bytes(99)), strict=True):
        (photos / name).write_bytes(content)

    found = predict_images(folder, photos, tmp_path / "p.parquet", progress=lambda done, total: None)
    assert found.num_images == 1907
    assert sorted(name for name, _ in found.unreadable) == sorted(BROKEN)
    predictions = pd.read_parquet(tmp_path / "p.parquet").set_index("image")
    assert predictions.shape == (1907, 20)

    dataset = read_voc2007(root)
    shown = {
        name: [column for column in range(20) if labels_C[column] > 0]
        for split in (dataset.train, dataset.test)
        for name, labels_C in zip(split.names, split.labels_NC, strict=True)
    }
    lines = [f"{name}, {' '.join(map(str, shown[name]))}" for name in predictions.index]
    (photos / "labels.txt").write_text("\n".join(lines) + "\n")
    everything = evaluate_model(folder, photos / "labels.txt")
    assert everything.num_images == 1907
    assert everything.map == pytest.approx(map_of(predictions, shown), abs=1e-9)

    test_rows = predictions.loc[list(dataset.test.names)]
    evaluated = evaluate_model(folder, None)
    # The photos share their batches with others than in `evaluate`, which can change last digits.
    assert evaluated.map == pytest.approx(map_of(test_rows, shown), abs=1e-3)
    assert evaluated.map == pytest.approx(json.loads((folder / "metrics.json").read_text())["test_map"], abs=1e-3)


def map_of(predictions: pd.DataFrame, shown: dict[str, list[int]]) -> float:
    """Mean AP in percent by scikit-learn; a class that no image shows counts 0."""
    ap = []
    for column, name in enumerate(CLASSES):
        truth = [column in shown[image] for image in predictions.index]
        ap.append(average_precision_score(truth, predictions[name]) if any(truth) else 0.0)
    return 100 * sum(ap) / len(ap)
