"""Half-labelled photos, from a table to predictions, as an engineer would: no clean label, and a few answers."""

from __future__ import annotations

import csv
import random
import time
from pathlib import Path

import pandas as pd
import pytest

from tests.browser import PATIENCE_S, opened, press
from tests.report.keyboard import SCREEN, begin, press_download
from wsml_study.record.answer_log import AnswerLog
from wsml_study.record.storage import StudyStorage
from wsml_study.report.question_page import asking_order

CLASSES = ("person", "car", "cat", "train", "bus", "motorbike")
KNOWN_SHARE, WRONG_SHARE = 0.4, 0.025
STUDY = """\
name: NAME
data:
  dataset: table
  root: ROOT/JPEGImages
  labels: {file: LABELS, split_column: split}
  image_size: 96
  validation: {fraction: 0.3}
model: {backbone: mobilenet_v2, weights: WEIGHTS}
method: {name: LL-R, schedule: {rate_per_epoch: 0.001}}
training: {mode: linear, epochs: 10, batch_size: 16, learning_rate: 1e-3}
search:
  method.name: {choice: [AN, LL-R, LL-Ct]}
  training.learning_rate: {choice: [1e-4, 1e-3]}
sampler: {name: grid}
trials: 6
"""


def truth_of(root: Path) -> dict[str, dict[str, int]]:
    """Image -> class -> 1 or 0, of the photos of trainval and of part of test; difficult ones count as shown."""
    truth: dict[str, dict[str, int]] = {}
    for split in ("trainval", "test"):
        for name in CLASSES:
            lines = (root / "ImageSets/Main" / f"{name}_{split}.txt").read_text().split("\n")
            for image, label in (line.split() for line in lines if line.strip()):
                if (root / "JPEGImages" / f"{image}.jpg").exists():
                    truth.setdefault(f"{image}.jpg", {"test": int(split == "test")})[name] = int(label != "-1")
    return truth


def half_labelled(truth: dict[str, dict[str, int]], path: Path) -> None:
    """A table in which most labels are blank, and some of the others wrong; test labels are as they are."""
    drawn = random.Random(0)
    with path.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["image", "split", *CLASSES])
        for image, labels in truth.items():
            cells: list[object] = []
            for name in CLASSES:
                label = labels[name] ^ (not labels["test"] and drawn.random() < WRONG_SHARE)
                cells.append(label if labels["test"] or drawn.random() < KNOWN_SHARE else "")
            table.writerow([image, "test" if labels["test"] else "train", *cells])


def answered(page: Path, storage: StudyStorage, number: int, truth: dict[str, dict[str, int]], folder: Path) -> Path:
    """Answer every question of a page by keyboard, and download the answers."""
    asked = AnswerLog(storage).question_sets()[number - 1]
    with opened(page.as_uri(), width=1280) as browser:
        begin(browser, "Ann")
        for question in asking_order(asked):
            press(browser, "y" if truth[question.image][question.class_name] else "n")
        browser.wait_until(f"{SCREEN} === 'done'")
        press_download(browser, str(folder))
        deadline = time.monotonic() + PATIENCE_S
        while not (found := list(folder.glob(f"*-answers-{number}-*.json"))):
            assert time.monotonic() < deadline, "nothing is downloaded"
            time.sleep(0.05)
    return found[0]


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_from_a_table_of_blanks_to_decisions_about_new_photos(cli, shared_data):
    root = shared_data / "VOCdevkit/VOC2007"
    truth = truth_of(root)
    half_labelled(truth, cli.folder / "labels.csv")
    weights = shared_data / "weights/mobilenet_v2-b0353104.pth"
    study = STUDY.replace("ROOT", str(root)).replace("WEIGHTS", str(weights))
    cli.write("first.yaml", study.replace("NAME", "first").replace("LABELS", "labels.csv"))
    checked = " ".join(cli("check", "first.yaml").split())
    assert "figures will be judged on" in checked
    assert "`wsml-study ask STUDY --answers 100`" in checked
    cli("run", "first.yaml")
    storage = StudyStorage(folder=cli.folder / "results/first", remote=None)

    cli("ask", "first.yaml", "--answers", "60", "-o", "ask.html")
    answers = answered(cli.folder / "ask.html", storage, 1, truth, cli.folder)
    assert "60 answers" in cli("answers", "first.yaml", answers)
    assert "Ranked by the mAP estimated from 60 answers" in cli("results", "first.yaml")
    cli("confirm", "first.yaml", "--top", "1", "--seeds", "2")
    assert "confirmation: 4 of 4 runs ended" in cli("status", "first.yaml")

    cli("audit", "first.yaml", "--folds", "2", "--page", "audit.html", "--answers", "40")
    corrections = answered(cli.folder / "audit.html", storage, 2, truth, cli.folder)
    assert "40 labels have answers" in cli("audit", "first.yaml", "--apply", corrections, "-o", "corrected.csv")
    before, after = (pd.read_csv(cli.folder / name) for name in ("labels.csv", "corrected.csv"))
    changed = before[list(CLASSES)].ne(after[list(CLASSES)]) & ~(
        before[list(CLASSES)].isna() & after[list(CLASSES)].isna()
    )
    assert changed.to_numpy().sum() >= 20, "most doubtful labels were blank or wrong"

    cli.write("second.yaml", study.replace("NAME", "second").replace("LABELS", "corrected.csv"))
    cli("run", "second.yaml")
    assert "60 answers" in cli("answers", "second.yaml", "--from", "results/first")
    cli("export", "second.yaml", "--top", "1", "-o", "configs")
    (config,) = (cli.folder / "configs").glob("*.yaml")
    cli("train", config, "--seeds", "1", "-o", "models")
    (model,) = (cli.folder / "models").glob("**/seed_*")
    chosen = " ".join(cli("thresholds", model, "--precision", "0.8", "--answers", "second.yaml").split())
    assert "completions of them were drawn by what the study's trials and 60 answers say" in chosen
    photos = sorted(photo.name for photo in root.glob("JPEGImages/*.jpg"))[:20]
    (cli.folder / "new.txt").write_text("\n".join(photos))
    cli("predict", model, "new.txt", "--root", root / "JPEGImages", "--decide", "-o", "decided.csv")
    decided = pd.read_csv(cli.folder / "decided.csv")
    assert decided["image"].tolist() == photos
    assert {"yes", "no", "no threshold"} >= set(decided["person decision"])
