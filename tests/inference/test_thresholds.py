"""Thresholds of a model: chosen from known labels, kept in its folder, card and ONNX file, refused if damaged."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import precision_score, recall_score

import wsml_study
from tests.inference.models import config_of, label_rows, train_model
from tests.inference.tampering import TAMPERINGS, VALUES
from wsml_study.data.digit_scenes import CLASSES, read_digit_scenes, render_scenes
from wsml_study.errors import DataError, ResultsError, WsmlStudyError
from wsml_study.inference.annotated_images import annotated_images
from wsml_study.inference.evaluation import evaluate_model
from wsml_study.inference.model import TrainedModel, load_model
from wsml_study.inference.thresholds import choose_thresholds
from wsml_study.record.decision_rules import read_rules


@pytest.fixture
def copied(decided_folder: Path, tmp_path: Path) -> Path:
    return shutil.copytree(decided_folder, tmp_path / "small" / "seed_0")


def content_of(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "thresholds.json").read_text())


def test_the_file_says_what_it_was_made_from(decided_folder: Path) -> None:
    content = content_of(decided_folder)
    assert content["target"] == {"precision": None, "best": "f1"}
    assert content["origin"]["command"] == f"wsml-study thresholds {decided_folder} --best f1"
    assert content["origin"]["data"] == "the validation images of digit_scenes"
    assert content["origin"]["num_images"] == 300
    assert [one["name"] for one in content["classes"]] == list(CLASSES)
    assert content["calibration"]["log_loss"] < content["calibration"]["log_loss_before"]


def test_decisions_on_test_images_have_the_stated_figures(decided_folder: Path) -> None:
    """Of 1,000 images that neither training nor thresholds saw, by scikit-learn; 300 chose the thresholds."""
    model = load_model(decided_folder, device="cpu")
    decisions = model.decider().decisions(model.probabilities(render_scenes("test", 1000)))
    truth = read_digit_scenes().test.labels_NC
    held = []
    for c, rule in enumerate(model.decider().rules.classes):
        assert rule.threshold is not None
        for stated, score in ((rule.precision, precision_score), (rule.recall, recall_score)):
            held.append(stated.low - 0.02 <= score(truth[:, c] > 0, decisions[:, c] > 0) <= stated.high + 0.02)
    assert np.mean(held) >= 0.9


def test_python_and_rules_decide_alike(decided_folder: Path, scenes: Path) -> None:
    model = load_model(decided_folder, device="cpu")
    files = sorted(scenes.rglob("*.png"))
    probabilities, decisions = model.predict(files), model.decide(files)
    thresholds = [one["threshold"] for one in content_of(decided_folder)["classes"]]
    assert np.array_equal(decisions, np.where(probabilities >= thresholds, 1, -1))
    calibrated = model.decider().calibrated(probabilities)
    assert ((calibrated > 0) & (calibrated < 1)).all()
    for c in range(len(CLASSES)):
        assert (np.diff(calibrated[np.argsort(probabilities[:, c]), c]) >= 0).all()
    assert wsml_study.choose_thresholds is choose_thresholds


def test_unknown_labels_do_not_count_and_few_give_no_threshold(
    model_folder: Path, model: TrainedModel, scenes: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(model_folder, tmp_path / "model")
    table = pd.DataFrame({"image": [name for name, _ in label_rows(70)]} | dict.fromkeys(CLASSES, 0))
    for number, (_, present) in enumerate(label_rows(70)):
        table.loc[number, [CLASSES[column] for column in present]] = 1
    table = table.astype(dict.fromkeys(CLASSES, "Int64"))
    table.loc[table["zero"] == 0, "zero"] = pd.NA
    table.loc[10:, "one"] = pd.NA
    table.to_csv(scenes / "labels.csv", index=False)
    found = choose_thresholds(folder, scenes / "labels.csv", best="f1", device="cpu")
    zero, one, *others = found.rules.classes
    assert (zero.threshold, zero.negatives) == (None, 0)
    assert "no label is known to be negative" in zero.why_none
    assert (one.threshold, one.unknown) == (None, 60)
    assert one.why_none.endswith("10 are needed")
    assert any(rule.threshold is not None for rule in others)
    text = "\n".join(found.lines())
    assert "- zero: no label is known to be negative" in text
    assert '`predict --decide` writes "no threshold"' in text
    assert len(found.rules.warnings) == 1
    decisions = load_model(folder, device="cpu").decide([scenes / name for name in table["image"]])
    assert (decisions[:, :2] == 0).all()
    without = [number for number, rule in enumerate(found.rules.classes) if rule.threshold is None]
    assert set(np.flatnonzero((decisions == 0).all(axis=0))) == set(without)


def test_labels_without_negatives_are_refused(model_folder: Path, scenes: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(model_folder, tmp_path / "model")
    rows = pd.DataFrame([(name, *(1 if c in present else None for c in range(10))) for name, present in label_rows(70)])
    rows.columns = ["image", *CLASSES]
    rows.astype(dict.fromkeys(CLASSES, "Int64")).to_csv(scenes / "labels.csv", index=False)
    with pytest.raises(DataError, match=r"precision cannot be told from these: label some images in full"):
        choose_thresholds(folder, scenes / "labels.csv", precision=0.9, device="cpu")
    assert not (folder / "thresholds.json").exists()


def test_what_is_asked_for_wrongly_is_refused(decided_folder: Path, model_folder: Path) -> None:
    with pytest.raises(ResultsError, match=r"thresholds.json exists; replace it with --overwrite"):
        choose_thresholds(decided_folder, precision=0.9)
    with pytest.raises(DataError, match="it was trained on these images"):
        choose_thresholds(model_folder, precision=0.9, split="train")
    for options in ({}, {"precision": 0.9, "best": "f1"}, {"precision": 1.0}):
        with pytest.raises(ValueError, match="expected a precision between 0 and 1, or best='f1'"):
            choose_thresholds(model_folder, **options)
    with pytest.raises(
        ResultsError, match=r"has no thresholds; choose them with `wsml-study thresholds .*small/seed_0"
    ):
        load_model(model_folder, device="cpu").decide([])


def test_the_card_has_a_section_that_a_later_choice_replaces(copied: Path) -> None:
    card = (copied / "README.md").read_text()
    assert card.count("## Decisions") == 1
    assert card.index("## Quality") < card.index("Thresholds for the best F1") < card.index("## Limits")
    choose_thresholds(copied, precision=0.8, overwrite=True, device="cpu")
    again = (copied / "README.md").read_text()
    assert again.count("## Decisions") == 1
    assert "Thresholds for precision 0.8" in again
    assert "the best F1" not in again
    assert again.split("<!-- decisions -->")[0] == card.split("<!-- decisions -->")[0]
    (copied / "README.md").write_text("my own notes\n")
    choose_thresholds(copied, best="f1", overwrite=True, device="cpu")
    assert (copied / "README.md").read_text().startswith("my own notes\n\n<!-- decisions -->")


def test_onnx_files_are_written_again_and_decide_as_torch_does(copied: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    (copied / "model.onnx").write_bytes(b"of before")
    found = choose_thresholds(copied, precision=0.55, overwrite=True, device="cpu")
    assert any("model.onnx: as predict on 8 pictures" in line for line in found.written)
    model = load_model(copied, device="cpu")
    session = onnxruntime.InferenceSession(copied / "model.onnx")
    probabilities, decisions = session.run(["probabilities", "decisions"], {"images": render_scenes("test", 200)})
    expected = model.probabilities(render_scenes("test", 200))
    np.testing.assert_allclose(probabilities, expected, atol=1e-5)
    far = ~(np.abs(expected - model.decider().threshold_C) < 1e-4)
    assert decisions.dtype == np.int8
    assert np.array_equal(decisions[far], model.decider().decisions(expected)[far])
    assert set(np.unique(decisions)) == {-1, 0, 1}, "there are classes with and without a threshold"
    assert json.loads(session.get_modelmeta().custom_metadata_map["thresholds"]) == content_of(copied)


def changed(*path: Any, to: object) -> Callable[[dict[str, Any]], None]:
    def change(content: Any) -> None:
        for key in path[:-1]:
            content = content[key]
        content[path[-1]] = to

    return change


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (changed("classes", 2, "threshold", to=1.5), "classes.2.threshold: Input should be less than or equal to 1"),
        (changed("classes", 2, "threshold", to="0.5"), "classes.2.threshold: Input should be a valid number"),
        (changed("classes", 2, "threshold", to=None), "expected either a threshold or `why_none`"),
        (changed("classes", 2, "precision", to=None), "expected threshold, lowest, highest, precision, recall and f1"),
        (changed("classes", 2, "lowest", to=1.0), "expected lowest <= threshold <= highest"),
        (changed("classes", 0, "calibration", to={"kind": "platt"}), "platt has a slope and an offset"),
        (changed("classes", 0, "calibration", to={"kind": "isotonic"}), "isotonic has points"),
        (
            changed(
                "classes", 0, "calibration", to={"kind": "isotonic", "logits": [1, 0], "probabilities": [0.1, 0.2]}
            ),
            "expected points of increasing logit",
        ),
        (changed("version", to=2), "version: Input should be 1"),
        (changed("more", to=1), "more: Extra inputs are not permitted"),
        (changed("target", to={}), "expected a precision or `best`, one of the two"),
        (changed("classes", 0, "name", to="cat"), "expected the model's 10 classes, got 10; they differ in cat"),
        (changed("classes", to=[]), "expected the model's 10 classes, got 0"),
        (changed("origin", "weights", to="0" * 64), "chosen for other weights than model.safetensors holds"),
    ],
)
def test_an_edited_file_is_refused_with_the_place(
    copied: Path, change: Callable[[dict[str, Any]], None], says: str
) -> None:
    content = content_of(copied)
    change(content)
    (copied / "thresholds.json").write_text(json.dumps(content))
    with pytest.raises(ResultsError) as caught:
        load_model(copied, device="cpu").decide([])
    message = str(caught.value)
    assert says in message
    assert "thresholds.json: " in message
    assert "--overwrite`" in message


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_other_content_is_refused_and_the_model_still_predicts(copied: Path, value: object) -> None:
    (copied / "thresholds.json").write_text(json.dumps(value))
    model = load_model(copied, device="cpu")
    assert model.predict([]).shape == (0, 10)
    with pytest.raises(ResultsError, match=r"thresholds.json: these are no thresholds as they are written"):
        model.decider()


@pytest.mark.timeout(120)
def test_of_forty_files_damaged_at_random_none_gives_a_traceback(decided_folder: Path, tmp_path: Path) -> None:
    refused, longest = 0, 0
    for seed in range(40):
        chance, folder = random.Random(seed), tmp_path / str(seed)
        folder.mkdir()
        for name in ("thresholds.json", "model.safetensors"):
            shutil.copy(decided_folder / name, folder / name)
        TAMPERINGS[seed % len(TAMPERINGS)](folder / "thresholds.json", chance)
        try:
            read_rules(folder, CLASSES)
        except WsmlStudyError as error:
            refused += 1
            longest = max(longest, len(str(error)))
    assert refused >= 25
    assert longest < 1_500


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_on_photos_precision_90_is_given_on_held_out_photos(shared_data: Path, tmp_path: Path) -> None:
    """A linear probe on VOC photos: thresholds by validation photos, judged on the test photos."""
    data = {"dataset": "voc2007", "root": str(shared_data / "VOCdevkit" / "VOC2007"), "image_size": 224}
    weights = str(shared_data / "weights" / "mobilenet_v2-b0353104.pth")
    config = config_of(
        {
            "data": data | {"validation": {"fraction": 0.4}, "observe": {"positives": "all", "negatives": "all"}},
            "model": {"backbone": "mobilenet_v2", "weights": weights},
            "method": {"name": "full"},
            "training": {"mode": "linear", "epochs": 10, "learning_rate": 1e-3},
        }
    )
    folder = train_model(tmp_path, config)
    found = choose_thresholds(folder, precision=0.9, device="cpu")
    assert evaluate_model(folder, None, split="validation").num_images == found.rules.origin.num_images == 377
    decided = [rule for rule in found.rules.classes if rule.threshold is not None]
    assert {"car", "cat", "train"} <= {rule.name for rule in decided}
    assert {"sheep", "bottle"} <= {rule.name for rule in found.rules.without}
    model = load_model(folder, device="cpu")
    test = annotated_images(model, None)
    files = [test.source.folder / test.source.names[row] for row in test.rows_M]
    probabilities = model.predict(files)
    decisions, right, yes = model.decider().decisions(probabilities), 0, 0
    for rule in decided:
        column = model.classes.index(rule.name)
        of_class = decisions[:, column] == 1
        hits = int((of_class & (test.labels_MC[:, column] == 1)).sum())
        right, yes = right + hits, yes + int(of_class.sum())
        assert reaches(hits, int(of_class.sum())), f"{rule.name}: {hits} of {of_class.sum()}"
    assert right / yes >= 0.88


def reaches(hits: int, yes: int) -> bool:
    """Whether .9 is within the 99 % interval of a precision, or below it."""
    from scipy.stats import binomtest

    return binomtest(hits, yes).proportion_ci(0.99).high >= 0.9
