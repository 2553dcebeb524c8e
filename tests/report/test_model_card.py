"""What a model's folder says of it."""

from __future__ import annotations

import json

import pytest

from wsml_study.errors import ResultsError
from wsml_study.record.model_folder import write_model_folder
from wsml_study.report.model_card import model_card
from wsml_study.study.provenance_section import Provenance
from wsml_study.study.reading import parse_study, read_study
from wsml_study.study.search_space import SearchSpace
from wsml_study.study.spec import TrialConfig

METRICS = {
    "classes": ("cat", "dog | hound", "sheep"),
    "best_epoch": 4,
    "best_val_map": 61.25,
    "test_map": 58.125,
    "test_ap_C": (70.0, 46.25, 0.0),
    "test_metrics": {"ranking_loss": 0.125, "coverage": 1.5, "one_error": None, "overall_f1": 0.5, "class_f1": 0.25},
    "preprocessing": {"image_size": 96, "channels": 3, "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]},
    "num_images": {"train": 754, "validation": 188, "test": 965},
}
PROVENANCE = Provenance(study="search", trial=7, value=61.5, best_epoch=4, fingerprint="0123456789abcdef")


def config(**changes) -> TrialConfig:
    content = {
        "name": "c",
        "data": {"dataset": "voc2007", "root": "VOC2007", "image_size": 96},
        "model": {"backbone": "mobilenet_v2", "weights": "somewhere/mobilenet.pth"},
        "method": {"name": "LL-R", "schedule": {"rate_per_epoch": 0.004}},
        "training": {"epochs": 5, "batch_size": 16, "learning_rate": 1e-4, "seed": 2},
    }
    study = parse_study(content | changes, source="c")
    return SearchSpace.from_study(study).resolve(study, {})


def write(folder, of=None, metrics=METRICS):
    write_model_folder(
        folder,
        name="vocs",
        config=of or config(),
        provenance=PROVENANCE,
        metrics=metrics,
        weights=b"weights",
        card=model_card,
    )
    return (folder / "README.md").read_text()


def test_the_card_says_what_the_model_is_and_how_good(tmp_path):
    card = write(tmp_path / "vocs" / "seed_2")
    for words in (
        "# vocs, seed 2",
        "| network | mobilenet_v2, from the weights mobilenet.pth, head linear |",
        "| data | voc2007: 754 images to train on, 188 to choose the epoch by, 965 to test on |",
        "| labels | seen of the training labels: 1 positive and 0 negative per image, drawn with seed 1200 |",
        "| its settings | rejection rate linear, warmup_epochs 1, rate_per_epoch 0.004 |",
        "| training | weights of epoch 4 of 5, the best on the validation images; batches of 16, adam at 0.0001 (the "
        "head 10 times as much), seed 2 |",
        "| config from | trial 7 of study search (61.50 % best_val_map in the search, fingerprint 0123456789abcdef) |",
        "| mAP (percent) | 61.25 | 58.12 |",
        "| one-error (fraction, lower is better) | - | - |",
        "| cat | 70.00 |",
        "| dog \\| hound | 46.25 |",
        "Not measured on 1 class, which no test image shows or annotates: sheep; 1 of these count 0 in mAP.",
        'model = wsml_study.load_model("vocs/seed_2")',
    ):
        assert words in card
    assert "somewhere" not in card, "paths of the machine are nobody's business"


def test_the_card_says_over_how_many_classes_map_is_a_mean(tmp_path):
    metrics = METRICS | {"test_ap_C": (70.0, 46.25, None), "num_val_classes": 3}
    of = config(objective={"classes": "present"})
    card = write(tmp_path / "vocs" / "seed_2", of, metrics)
    assert "| mAP (percent; mean over 2 of 3 classes in test) | 61.25 | 58.12 |" in card
    assert "- Not measured on 1 class, which no test image shows or annotates: sheep.\n" in card
    card = write(
        tmp_path / "vocs" / "seed_3",
        config(objective={"classes": {"min_positives": 5}}),
        metrics | {"num_val_classes": 1},
    )
    assert "| mAP (percent; mean over 1 of 3 classes in validation, 2 of 3 classes in test) |" in card
    assert "which fewer than 5 test images show: sheep" in card


def test_the_card_of_a_model_trained_on_both_says_so(tmp_path):
    data = {"dataset": "voc2007", "root": "VOC2007", "train_on": "train+validation"}
    training = {"epochs": 5, "stop_after_epoch": 4}
    metrics = METRICS | {"best_val_map": None, "num_images": {"train": 942, "validation": 0, "test": 965}}
    card = write(tmp_path / "vocs" / "seed_0", config(data=data, training=training), metrics)
    assert "942 images to train on, none held out for validation, 965 to test on" in card
    assert "weights of epoch 4 of 5, the last one, since no image was held out" in card
    assert "| mAP (percent) | - | 58.12 |" in card
    assert "It was trained on the validation images as well" in card


def test_a_folder_holds_what_programs_need(tmp_path):
    write(tmp_path / "vocs" / "seed_2")
    folder = tmp_path / "vocs" / "seed_2"
    assert sorted(path.name for path in folder.iterdir()) == [
        "README.md",
        "classes.json",
        "config.yaml",
        "metrics.json",
        "model.safetensors",
        "preprocessing.json",
    ]
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["test_ap"] == {"cat": 70.0, "dog | hound": 46.25, "sheep": 0.0}
    assert metrics["num_images"]["test"] == 965
    study = read_study(folder / "config.yaml")
    assert (study.name, study.provenance, study.training.seed) == ("vocs", PROVENANCE, 2)


def test_a_folder_with_weights_is_complete(tmp_path):
    """What keeps the card from being written keeps the weights from it too."""
    folder = tmp_path / "vocs" / "seed_2"
    (folder / "README.md").mkdir(parents=True)
    with pytest.raises(ResultsError, match=r"README.md: Is a directory"):
        write(folder)
    assert not (folder / "model.safetensors").exists()
