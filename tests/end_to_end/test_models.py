"""Final training and its models, as a user meets them: equal seeds give equal models, which then are put to use."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
from PIL import Image

from tests.end_to_end.processes import kill_driver
from wsml_study.data.digit_scenes import CLASSES, read_digit_scenes, render_scenes
from wsml_study.data.label_states import POSITIVE

CONFIG = """\
name: best
data: {dataset: digit_scenes}
method: {name: LL-Cp, schedule: {shape: linear, rate_per_epoch: 0.01}}
training: {epochs: 3, batch_size: 64, learning_rate: 2e-3, head_learning_rate_multiplier: 1}
provenance: {study: searched, trial: 4, value: 51.5, best_epoch: 2, fingerprint: 0123456789abcdef}
"""
TIMES = ["train_seconds", "validation_seconds", "time", "attempt"]


def assert_equal_trainings(one: Path, other: Path) -> None:
    """To the last digit: weights, metrics, and every figure of every epoch but times."""
    for name in ("model.safetensors", "metrics.json", "config.yaml"):
        assert (one / "seed_0" / name).read_bytes() == (other / "seed_0" / name).read_bytes(), name
    curves = [pq.read_table(folder / "epochs.parquet").to_pandas().drop(columns=TIMES) for folder in (one, other)]
    pd.testing.assert_frame_equal(*curves, check_exact=True)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_config_trained_twice_gives_one_model_that_is_put_to_use(cli):
    cli.write("best.yaml", CONFIG)
    printed = cli("train", "best.yaml", "-o", "one", "--onnx")
    assert "LL-Cp" in printed
    assert "model.onnx: as predict on 8 pictures of 4 sizes" in printed
    cli("train", "best.yaml", "-o", "two")
    assert_equal_trainings(cli.folder / "one/best", cli.folder / "two/best")

    model = "one/best/seed_0"
    written = json.loads((cli.folder / model / "metrics.json").read_text())
    found = json.loads(cli("evaluate", model, "--json"))
    assert found["map"] == written["test_map"]
    assert {one["name"]: one["ap"] for one in found["classes"]} == written["test_ap"]

    labels = write_scenes(cli.folder / "scenes", 40)
    printed = cli("predict", model, "scenes", "-o", "predictions.parquet")
    assert "predictions.parquet: 40 images" in printed
    assert "2 images could not be read; they are listed in predictions.unreadable.csv" in printed
    assert "1 other files of the folder have no suffix of an image" in printed
    predictions = pd.read_parquet(cli.folder / "predictions.parquet")
    assert list(predictions.columns) == ["image", *CLASSES]
    assert len(predictions) == 40
    by_list = json.loads(cli("evaluate", model, labels, "--json"))
    assert by_list["map"] == pytest.approx(map_of(predictions), abs=1e-9)
    assert "--overwrite" in cli("predict", model, "scenes", "-o", "predictions.parquet", status=1)

    cli("maps", model, "two/best/seed_0", "test-0003", "scenes/007.png", "-o", "maps.png")
    assert Image.open(cli.folder / "maps.png").width > 3 * 224

    assert "trial 0 (LL-Cp) corrected " in cli("corrections", "one/best", "--picture", "corrected.png")
    assert Image.open(cli.folder / "corrected.png").height > 3 * 224

    printed = cli("train", "best.yaml", "-o", "one", "--on", "train+validation")
    assert "trained on train and validation images for 2 of 3 epochs, as trial 4 was best in the search" in printed
    both = json.loads((cli.folder / "one/best-trainval/seed_0/metrics.json").read_text())
    assert (both["best_epoch"], both["best_val_map"]) == (2, None)
    assert both["num_images"] == {"train": 1500, "validation": 0, "test": 1000}
    summary = (cli.folder / "one/summary.md").read_text()
    assert "| LL-Cp, train+validation |" in summary
    assert "| LL-Cp |" in summary


def write_scenes(folder: Path, count: int) -> Path:
    """Test scenes as files, two that are broken and one that is no image; a list of what they show."""
    folder.mkdir()
    scenes, labels_NC = render_scenes("test", count), read_digit_scenes().test.labels_NC
    lines = []
    for number, image_1HW in enumerate(scenes):
        Image.fromarray(image_1HW[0]).save(folder / f"{number:03d}.png")
        present = [str(column) for column in range(10) if labels_NC[number, column] == POSITIVE]
        lines.append(f"{number:03d}.png, {' '.join(present)}\n")
    (folder / "empty.png").write_bytes(b"")
    (folder / "text.jpg").write_text("no picture")
    (folder / "labels.txt").write_text("".join(lines))
    return folder / "labels.txt"


def map_of(predictions: pd.DataFrame) -> float:
    """Mean AP in percent by scikit-learn; a class that no image shows counts 0."""
    from sklearn.metrics import average_precision_score

    rows = predictions["image"].str.slice(0, 3).astype(int)
    truth = read_digit_scenes().test.labels_NC[rows] == POSITIVE
    scores = predictions[list(CLASSES)].to_numpy()
    ap = [average_precision_score(truth[:, c], scores[:, c]) if truth[:, c].any() else 0.0 for c in range(10)]
    return 100 * sum(ap) / 10


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("on", ["train", "train+validation"])
def test_a_training_that_was_killed_goes_on_to_the_same_model(cli, on):
    """Killed after a checkpoint, so that it goes on from one."""
    config = CONFIG.replace("epochs: 3", "epochs: 40").replace("best_epoch: 2", "best_epoch: 38")
    cli.write("best.yaml", config)
    process = cli.start("train", "best.yaml", "-o", "killed", "--on", on)
    name = "best" if on == "train" else "best-trainval"
    events = cli.folder / "killed" / name / "events.jsonl"
    while not events.exists() or '"event": "saved"' not in events.read_text():
        time.sleep(0.2)
        assert process.poll() is None, process.communicate()[0]
    kill_driver(process)
    printed = cli("train", "best.yaml", "-o", "killed", "--on", on)
    assert "starts again (attempt 2) after epoch" in printed
    cli("train", "best.yaml", "-o", "straight", "--on", on)
    assert_equal_trainings(cli.folder / "killed" / name, cli.folder / "straight" / name)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("evaluate", "nowhere"), "nowhere: expected a model's folder, got nothing"),
        (("predict", "nowhere", "scenes", "-o", "p.parquet"), "scenes: there is no such image, folder or list"),
        (("predict", "nowhere", ".", "-o", "p.txt"), "p.txt: expected a file that ends in .parquet, .csv or .json"),
        (("maps", "image.jpg", "-o", "m.png"), "expected folders of models and then images"),
        (("run", "both.yaml"), "no image is left to evaluate a trial on; train the config with `wsml-study train`"),
    ],
)
def test_what_a_user_can_get_wrong_costs_nothing(cli, arguments, words):
    cli.write("both.yaml", CONFIG.replace("digit_scenes}", "digit_scenes, train_on: train+validation}"))
    assert words in cli(*arguments, status=1)
