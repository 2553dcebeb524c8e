"""An audit from a study to the next: doubtful labels, questions, answers, a corrected table, by the command line."""

from __future__ import annotations

import csv
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.training.small_backbone import small_model, striped_photos

STUDY = """\
name: NAME
data:
  dataset: table
  root: photos
  labels: {file: LABELS}
  image_size: 32
  validation: {fraction: 0.25, labels: known}
model: {backbone: shufflenet_v2_x0_5, weights: backbone.pth}
method: {name: AN, schedule: {rate_per_epoch: 0.05}}
training: {mode: linear, epochs: 4, learning_rate: 1e-3}
search: {method.name: {choice: [AN, LL-R]}}
sampler: {name: grid}
trials: 2
"""


def read(path: Path) -> dict[str, dict[str, str]]:
    """Rows by image."""
    with path.open(encoding="utf-8-sig") as file:
        return {row["image"]: row for row in csv.DictReader(file)}


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_from_a_study_to_the_next_with_corrected_labels(cli):
    photos = cli.folder / "photos"
    photos.mkdir()
    striped_photos(photos)
    small_model(cli.folder)
    truth = read(photos / "labels.csv")
    blanks = [dict(row) for row in truth.values()]
    for number, row in enumerate(blanks):  # one label of each row, in turn
        row[list(row)[1 + number % (len(row) - 1)]] = ""
    with (cli.folder / "blanks.csv").open("w", newline="") as file:
        table = csv.DictWriter(file, list(blanks[0]))
        table.writeheader()
        table.writerows(blanks)
    before = (cli.folder / "blanks.csv").read_bytes()
    cli.write("study.yaml", STUDY.replace("NAME", "first").replace("LABELS", "blanks.csv"))
    assert "no results of study first yet" in cli("audit", "study.yaml", status=1)
    cli("run", "study.yaml")
    printed = cli("audit", "study.yaml", "--folds", "3", "--page", "ask.csv", "--answers", "7")
    assert "2 configs x 3 folds" in printed
    assert "The study has kept which labels 1 trial of LL-R and LL-Ct distrusted; these weigh too" in printed
    assert "set 1, 7 questions about training images" in printed
    doubtful = pq.read_table(cli.folder / "results/first/audit.parquet").to_pandas()
    assert doubtful["probability"].is_monotonic_decreasing
    assert (doubtful["distrusted"] > 0).any()
    assert (doubtful.loc[doubtful["given"] != "unobserved", "distrusted"] == 0).all()
    assert set(doubtful["kind"]) == {"missing", "wrong"}
    page = cli("audit", "study.yaml", "--folds", "2", "--page", "ask.html", "--answers", "3")
    assert "set 2, 3 questions" in page
    assert "--apply {file} -o NEW_LABELS.csv" in (cli.folder / "ask.html").read_text()
    with (cli.folder / "ask.csv").open(encoding="utf-8-sig") as file:
        asked = list(csv.DictReader(file))
    for row in asked:
        row |= {"answer": "yes" if truth[row["image"]][row["class"]] == "1" else "no", "by": "ann"}
    with (cli.folder / "answered.csv").open("w", newline="") as file:
        table = csv.DictWriter(file, list(asked[0]))
        table.writeheader()
        table.writerows(asked)
    assert "exists" in cli("audit", "study.yaml", "--apply", "answered.csv", "-o", "blanks.csv", status=1)
    assert "7 labels have answers" in cli("audit", "study.yaml", "--apply", "answered.csv", "-o", "new.csv")
    assert (cli.folder / "blanks.csv").read_bytes() == before
    new = read(cli.folder / "new.csv")
    assert all(new[row["image"]][row["class"]] == ("1" if row["answer"] == "yes" else "0") for row in asked)
    cli.write("second.yaml", STUDY.replace("NAME", "second").replace("LABELS", "new.csv"))
    assert "2 of 2 trials ended" in cli("run", "second.yaml")
