"""Evaluation: on a model's own data the figures of its training, on other data by the names of the classes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
import torch

from tests.inference.models import digits_config, label_rows, train_model
from wsml_study.data.digit_scenes import CLASSES, read_digit_scenes, render_scenes
from wsml_study.errors import DataError, ResultsError
from wsml_study.inference.evaluation import evaluate_model
from wsml_study.inference.model import TrainedModel
from wsml_study.training.average_precision import average_precision_C, mean_average_precision


def metrics_of(folder: Path) -> dict:
    return json.loads((folder / "metrics.json").read_text())


def test_its_own_test_images_give_the_figures_of_its_training(model_folder: Path) -> None:
    found, written = evaluate_model(model_folder, None), metrics_of(model_folder)
    assert found.map == written["test_map"]
    assert {one.name: one.ap for one in found.classes} == written["test_ap"]
    assert found.metrics == written["test_metrics"]
    assert found.num_images == written["num_images"]["test"] == 1000
    assert sum(one.positives + one.negatives for one in found.classes) == 10_000


def test_its_validation_images_give_the_figure_that_chose_the_epoch(model_folder: Path) -> None:
    assert evaluate_model(model_folder, None, split="validation").map == metrics_of(model_folder)["best_val_map"]


def test_a_model_trained_on_both_has_no_validation_images(tmp_path: Path) -> None:
    config = digits_config(epochs=1)
    config = config.model_copy(update={"data": config.data.model_copy(update={"train_on": "train+validation"})})
    folder = train_model(tmp_path, config)
    assert metrics_of(folder)["num_images"] == {"train": 1500, "validation": 0, "test": 1000}
    assert evaluate_model(folder, None).map == metrics_of(folder)["test_map"]
    assert evaluate_model(folder, None, split="train").num_images == 1500
    with pytest.raises(DataError, match="no image is held out for validation; take --split test"):
        evaluate_model(folder, None, split="validation")


def test_a_study_names_the_data(model_folder: Path, tmp_path: Path) -> None:
    study = tmp_path / "study.yaml"
    study.write_text("name: s\ndata: {dataset: digit_scenes, image_size: 16}\nmethod: {name: AN}\n")
    assert evaluate_model(model_folder, study).map == metrics_of(model_folder)["test_map"], "at the model's own size"


def test_tables_and_lists_of_one_s_own_agree(
    model_folder: Path, model: TrainedModel, scenes: Path, tmp_path: Path
) -> None:
    """The table's columns stand in another order, and say nothing of some labels."""
    rows = label_rows(70)
    shuffled = list(reversed(CLASSES))
    table = pd.DataFrame({"image": [name for name, _ in rows]} | dict.fromkeys(shuffled, 0))
    for number, (_, present) in enumerate(rows):
        for column in present:
            table.loc[number, CLASSES[column]] = 1
    table.to_csv(scenes / "labels.csv", index=False)
    (tmp_path / "labels.txt").write_text("".join(f"{name}, {' '.join(map(str, c))}\n" for name, c in rows))
    by_table = evaluate_model(model_folder, scenes / "labels.csv")
    by_list = evaluate_model(model_folder, tmp_path / "labels.txt", data_root=str(scenes))
    assert by_table.classes == by_list.classes
    labels_NC = torch.from_numpy(read_digit_scenes().test.labels_NC[:70].copy())
    ap_C = average_precision_C(model.logits([render_scenes("test", 70)]), labels_NC)
    assert by_table.map == pytest.approx(100 * mean_average_precision(ap_C), abs=1e-9)

    table = table.astype({"zero": "Int64"})
    table.loc[:4, "zero"] = pd.NA
    table.to_csv(scenes / "partial.csv", index=False)
    found = evaluate_model(model_folder, scenes / "partial.csv")
    assert found.classes[0].positives + found.classes[0].negatives == 65
    assert found.lines()[1] == "judged on 695 of 700 labels; the others are unknown and left out"


def test_a_class_that_no_image_shows_is_left_out_of_the_mean_or_counts_0(
    model_folder: Path, scenes: Path, tmp_path: Path
) -> None:
    rows = [(name, present) for name, present in label_rows(70) if 9 not in present]
    (tmp_path / "labels.txt").write_text("".join(f"{name}, {' '.join(map(str, c))}\n" for name, c in rows))
    present = tmp_path / "present"
    shutil.copytree(model_folder, present)
    text = (present / "config.yaml").read_text()
    assert "mode: max}" in text
    (present / "config.yaml").write_text(text.replace("mode: max}", "mode: max, classes: present}"))
    of_all, of_present = (
        evaluate_model(folder, tmp_path / "labels.txt", data_root=str(scenes)) for folder in (model_folder, present)
    )
    assert of_all.map == pytest.approx(of_present.map * 9 / 10)
    assert [one.ap for one in of_all.classes] == [*(one.ap for one in of_present.classes[:9]), 0.0]
    assert (of_all.num_classes, of_present.num_classes, of_present.classes[9].ap) == (10, 9, None)
    assert of_all.lines()[0].endswith(" % over 10 of 10 classes, of which 1 without a positive count 0")
    assert of_present.lines()[0].endswith(" % over 9 of 10 classes")
    assert " over " not in evaluate_model(present, None).lines()[0]
    assert of_all.metrics["class_recall"] == pytest.approx(of_present.metrics["class_recall"] * 9 / 10)


def test_other_classes_are_refused(model_folder: Path, scenes: Path, tmp_path: Path) -> None:
    (scenes / "labels.csv").write_text("image,zero,cat\n00s/000.png,1,0\n")
    with pytest.raises(DataError, match="no column for the classes one, two"):
        evaluate_model(model_folder, scenes / "labels.csv")
    copy = tmp_path / "copy"
    shutil.copytree(model_folder, copy)
    (copy / "classes.json").write_text(json.dumps(["cat", *CLASSES[1:]]))
    with pytest.raises(DataError, match=r"1 are missing \(cat\); 1 are unknown to it \(zero\)"):
        evaluate_model(copy, None)


def test_images_that_a_list_names_must_be_there(model_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_text("gone.png, 1\n")
    with pytest.raises(DataError, match=r"no image gone.png, which labels.txt lists"):
        evaluate_model(model_folder, tmp_path / "labels.txt")
    with pytest.raises(DataError, match="there is no such file"):
        evaluate_model(model_folder, tmp_path / "gone.csv")


def test_an_evaluation_is_written_and_never_overwritten_unasked(model_folder: Path, tmp_path: Path) -> None:
    found = evaluate_model(model_folder, None, output=tmp_path / "e.json")
    assert json.loads((tmp_path / "e.json").read_text()) == json.loads(json.dumps(found.as_json()))
    evaluate_model(model_folder, None, output=tmp_path / "e.csv")
    table = pd.read_csv(tmp_path / "e.csv")
    assert table["average_precision"].tolist() == [one.ap for one in found.classes]
    with pytest.raises(ResultsError, match=r"e.json exists; name another file, or replace it with --overwrite"):
        evaluate_model(model_folder, None, output=tmp_path / "e.json")
    evaluate_model(model_folder, None, output=tmp_path / "e.json", overwrite=True)
    with pytest.raises(ResultsError, match=r"ends in .json or .csv"):
        evaluate_model(model_folder, None, output=tmp_path / "e.md")
