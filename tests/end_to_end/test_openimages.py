"""OpenImages V3 at full width, from the layout of its download to the paper's table: made-up photos, 5,000 classes."""

from __future__ import annotations

import csv
import json
from collections import Counter
from pathlib import Path
from statistics import fmean

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
import pytest
from PIL import Image
from ruamel.yaml import YAML

STUDY = Path(__file__).parents[2] / "studies/paper/openimages_v3.yaml"
NUM_CLASSES = 5000
NUM_IMAGES = {"train": 3000, "validation": 400, "test": 1200}
PER_IMAGE = {"train": 40, "validation": 150, "test": 150}
"""Annotations of an image."""

SMALL = {
    "data": {"root": "openimages", "image_size": 32, "store": "raw"},
    "model": {"backbone": "small_cnn", "weights": None},
    "training": {"epochs": 2, "batch_size": 64, "learning_rate": 1e-3},
    "search": {"method.name": {"choice": ["IU", "AN", "LL-R"]}},
    "factors": {"training.seed": [0, 1]},
}
"""What the study of the paper's table is run with here, and its trials."""


def make_tree(root: Path) -> None:
    """Annotations and photos as the dataset's download has them; often annotated classes come anywhere in the list."""
    random = np.random.default_rng(3)
    ids = [f"/m/{number:05x}" for number in range(NUM_CLASSES)]
    frequency_C = random.permutation(NUM_CLASSES) + 200.0
    (root / "2017_11").mkdir(parents=True)
    (root / "2017_11/classes-trainable.txt").write_text("\n".join(ids) + "\n")
    (root / "2017_11/class-descriptions.csv").write_text("".join(f"{one},thing {one[3:]}\n" for one in ids))
    for part, (subset, num_images) in enumerate(NUM_IMAGES.items()):
        (root / "2017_11" / subset).mkdir()
        (root / subset).mkdir()
        with (root / "2017_11" / subset / "annotations-human.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["ImageID", "Source", "LabelName", "Confidence"])
            for number in range(num_images):
                name = f"{part * 10**6 + number:016x}"
                hue = photo(root / subset / f"{name}.jpg", random)
                weights_C = frequency_C if subset == "train" else np.ones(NUM_CLASSES)
                chosen = random.choice(NUM_CLASSES, PER_IMAGE[subset], replace=False, p=weights_C / weights_C.sum())
                # A class is the likelier, the nearer its own hue is to that of the photo.
                present = random.random(len(chosen)) < np.exp(-4 * np.abs(chosen % 100 / 100 - hue))
                writer.writerows([name, "verification", ids[c], int(p)] for c, p in zip(chosen, present, strict=True))


def photo(path: Path, random: np.random.Generator) -> float:
    """A small photo of one hue from 0 to 1."""
    hue = float(random.random())
    pixels: npt.NDArray[np.uint8] = random.integers(0, 40, (32, 32, 3), dtype=np.uint8)
    pixels[..., 0] += np.uint8(200 * hue)
    pixels[..., 2] += np.uint8(200 * (1 - hue))
    Image.fromarray(pixels).save(path, quality=90)
    return hue


def groups_by_hand(root: Path) -> dict[str, int]:
    """Class -> group, from the file of the training annotations alone."""
    with (root / "2017_11/train/annotations-human.csv").open() as file:
        counts = Counter(row["LabelName"] for row in csv.DictReader(file))
    ids = (root / "2017_11/classes-trainable.txt").read_text().split()
    ordered = sorted(ids, key=lambda one: counts[one])  # stable
    return {f"thing {one[3:]}": place // 1000 + 1 for place, one in enumerate(ordered)}


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_from_the_download_s_layout_to_the_paper_s_table(cli):
    make_tree(cli.folder / "openimages")
    content = YAML(typ="safe").load(STUDY.read_text())
    for section, changes in SMALL.items():
        content[section] = {key: value for key, value in (content[section] | changes).items() if value is not None}
    content |= {"trials": 3}
    with (cli.folder / "wide.yaml").open("w") as file:
        YAML().dump(content, file)

    assert "3,000 of 3,000 annotated images are in" in " ".join(cli("check", "wide.yaml").split())
    assert "6 of 6 trials ended" in cli("run", "wide.yaml")

    classes = pq.read_table(cli.folder / "results/paper_openimages_v3/classes.parquet").to_pandas()
    by_hand = groups_by_hand(cli.folder / "openimages")
    recorded = classes.drop_duplicates("class").set_index("class")["class_group"].to_dict()
    assert len(recorded) == NUM_CLASSES
    assert sum(by_hand[name] != group for name, group in recorded.items()) == 0

    table = {row["method"]: row for row in json.loads(cli("results", "wide.yaml", "--paper", "--format", "json"))}
    assert list(table) == ["AN", "IU", "LL-R", "WAN", "LSAN", "LL-Ct", "LL-Cp", "Curriculum", "IMCL"]
    trials = pq.read_table(cli.folder / "results/paper_openimages_v3/trials.parquet").to_pandas()
    tested = classes[classes["split"] == "test"].dropna(subset=["average_precision"])
    for method, own in trials.groupby("method"):
        for group in range(1, 6):
            means = [
                fmean(
                    ap
                    for name, ap in zip(rows["class"], rows["average_precision"], strict=True)
                    if by_hand[name] == group
                )
                for _, rows in tested[tested["trial"].isin(own["trial"])].groupby("trial")
            ]
            assert table[method][f"g{group}"] == pytest.approx(fmean(means), abs=1e-9)
    assert (table["LL-R"]["published_g1"], table["IMCL"]["published_map"]) == (77.4, 78.1)

    cli("export", "wide.yaml", "--per", "method", "-o", "configs")
    config = next((cli.folder / "configs").glob("*LL-R*.yaml"))
    cli("train", str(config.relative_to(cli.folder)))
    model = next((cli.folder / "models").glob("*/seed_*"))
    cli("evaluate", str(model.relative_to(cli.folder)), "-o", "found.json")
    found = json.loads((cli.folder / "found.json").read_text())
    for group in range(1, 6):
        own = [one["ap"] for one in found["classes"] if by_hand[one["name"]] == group and one["ap"] is not None]
        assert found["groups"][f"G{group}"] == pytest.approx(fmean(own))
    assert found["published_groups"] == [77.4, 79.1, 82.0, 84.5, 89.5]
