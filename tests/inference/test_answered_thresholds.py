"""Thresholds chosen by validation labels that a study's trials and a person's answers complete."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from scipy.special import expit
from typer.testing import CliRunner

from tests.sample_studies.stories import small_study, told_history
from wsml_study.cli.entry import app
from wsml_study.errors import DataError, ResultsError
from wsml_study.inference.annotated_images import annotated_images
from wsml_study.inference.answered_thresholds import rules_by_answers
from wsml_study.inference.evaluation import logits_of_images
from wsml_study.inference.model import TrainedModel
from wsml_study.inference.thresholds import choose_thresholds
from wsml_study.record.answer_log import AnswerLog
from wsml_study.record.decision_rules import Origin, Target, read_rules
from wsml_study.record.questions import Answer
from wsml_study.record.score_files import PartialLabels, write_partial_labels, write_scores
from wsml_study.record.storage import StudyStorage
from wsml_study.record.tables import write_tables
from wsml_study.report.question_files import next_set
from wsml_study.results.answered_scores import drawn_labels, pairs_to_ask
from wsml_study.results.completed_labels import NUM_DRAWS, CompletedLabels
from wsml_study.study.writing import dump_config

Mask, Floats = npt.NDArray[np.bool_], npt.NDArray[np.float64]

NUM_ANSWERS = 200
ORIGIN = Origin(command="", date="", wsml_study="", data="photos", num_images=600, data_fingerprint="", weights="")


def half_labelled_study(model: TrainedModel, folder: Path, *, answered: bool = True, lacking: int = 0) -> Path:
    """A study whose validation images are the model's, one positive label known of each; a person knows the others."""
    images = annotated_images(model, None, split="validation")
    logits_MC = logits_of_images(model, images).double().numpy()
    truth_MC, rng = images.labels_MC, np.random.default_rng(0)
    states_MC = np.zeros_like(truth_MC)
    for row, truth_C in enumerate(truth_MC):
        states_MC[row, rng.choice(np.flatnonzero(truth_C == 1))] = 1
    folder.mkdir()
    study = small_study()
    (folder / "study.yaml").write_text(dump_config(study))
    write_tables(folder, study, told_history(study))
    place = StudyStorage(folder=folder, remote=None)
    names = images.names_M[lacking:] + tuple(f"other-{number}" for number in range(lacking))
    write_partial_labels(place, PartialLabels(names=names, classes=model.classes, states_MC=states_MC, images="ab"))
    for trial in (0, 1):
        scores_MC = logits_MC + trial * rng.normal(size=logits_MC.shape)
        write_scores(*place.scores(), trial, epoch=1, logits_MC=scores_MC.astype(np.float16), images="ab")
    if answered:
        log = AnswerLog(place)
        asked = next_set(folder, log, name="told", num=NUM_ANSWERS, again=False)
        log.add_set(asked)
        at = "2026-01-01T00:00:00+00:00"
        shown = {(names[row], model.classes[c]) for row, c in np.argwhere(truth_MC == 1)}
        log.append(
            [
                Answer(
                    image=one.image,
                    class_name=one.class_name,
                    answer="yes" if one.pair in shown else "no",
                    by="ann",
                    at=at,
                    set_number=1,
                )
                for one in asked.questions
            ]
        )
    return folder


@pytest.fixture
def copied(model_folder: Path, tmp_path: Path) -> Path:
    return shutil.copytree(model_folder, tmp_path / "small" / "seed_0")


def shown_and_scored(num_images: int, rng: np.random.Generator) -> tuple[Mask, Floats]:
    """What images show (M, C), and logits (K, M, C) of three classifiers, each surer than the one before."""
    shown_MC = rng.random((num_images, 4)) < 0.25
    noise_KMC = rng.normal(size=(3, num_images, 4))
    return shown_MC, np.where(shown_MC, 1.5, -1.5) + np.array([1.5, 1.0, 0.7])[:, None, None] * noise_KMC


def test_a_precision_that_is_asked_for_is_met_on_images_that_nobody_has_labelled() -> None:
    """One positive label per image is known, and no negative; 200 pairs are asked, and none of the new images."""
    rng = np.random.default_rng(0)
    shown_MC, scores_KMC = shown_and_scored(600, rng)
    states_MC, asked_MC = np.zeros(shown_MC.shape, np.int8), np.zeros(shown_MC.shape, bool)
    for row in np.flatnonzero(shown_MC.any(axis=1)):
        states_MC[row, rng.choice(np.flatnonzero(shown_MC[row]))] = 1
    counted_C = np.ones(4, bool)
    for pair in pairs_to_ask(scores_KMC, states_MC, asked_MC, num=NUM_ANSWERS, counted_C=counted_C):
        asked_MC[pair], states_MC[pair] = True, 1 if shown_MC[pair] else -1
    labels = CompletedLabels(
        names=tuple(map(str, range(600))),
        classes=("a", "b", "c", "d"),
        states_MC=states_MC,
        left_out_MC=np.zeros(shown_MC.shape, bool),
        counted_C=counted_C,
        positive_SMC=drawn_labels(scores_KMC, states_MC, asked_MC, counted_C=counted_C, num=NUM_DRAWS),
        num_answers=NUM_ANSWERS,
    )
    assert (labels.positive_SMC[:, states_MC == 1]).all()
    assert not (labels.positive_SMC[:, states_MC == -1]).any()
    rules = rules_by_answers(scores_KMC[2], labels, Target(precision=0.8), origin=ORIGIN)
    new_MC, new_KMC = shown_and_scored(4000, rng)
    held = []
    for c, rule in enumerate(rules.classes):
        assert rule.threshold is not None
        assert rule.precision is not None
        decided_M = expit(new_KMC[2, :, c]) >= rule.threshold
        assert new_MC[decided_M, c].mean() == pytest.approx(0.8, abs=0.06)
        held.append(rule.precision.low <= new_MC[decided_M, c].mean() <= rule.precision.high)
        assert rule.positives + rule.negatives + rule.unknown == 600
    assert sum(held) >= 3


def test_the_command_says_what_the_thresholds_rest_on(copied: Path, model: TrainedModel, tmp_path: Path) -> None:
    study = half_labelled_study(model, tmp_path / "told")
    done = CliRunner().invoke(app, ["thresholds", str(copied), "--best", "f1", "--answers", str(study)])
    assert done.exit_code == 0, done.output
    assert "% of the labels are not known; 20 completions of them were drawn" in " ".join(done.output.split())
    rules = read_rules(copied, model.classes)
    assert rules.origin.data == "the validation images of digit_scenes, with 200 answers"
    assert rules.origin.command.endswith(f"--answers {study}")
    assert all(rule.threshold is not None for rule in rules.classes)
    assert sum(rule.positives + rule.negatives for rule in rules.classes) == 300 + NUM_ANSWERS


@pytest.mark.parametrize(
    ("study", "error", "message"),
    [
        ({"answered": False}, ResultsError, "nobody has answered yet"),
        ({"lacking": 3}, DataError, "300 images for validation, and the model 300, of which 297 are the same"),
    ],
)
def test_a_study_without_answers_or_of_other_images_is_refused(
    copied: Path, model: TrainedModel, tmp_path: Path, study: dict[str, int], error: type[Exception], message: str
) -> None:
    folder = half_labelled_study(model, tmp_path / "told", **study)  # type: ignore[arg-type]
    with pytest.raises(error, match=message):
        choose_thresholds(copied, precision=0.8, answers=folder)
    assert not (copied / "thresholds.json").exists()


def test_answers_go_with_no_other_labels(copied: Path) -> None:
    done = CliRunner().invoke(
        app, ["thresholds", str(copied), "--best", "f1", "--answers", ".", "--split", "test"], env={"COLUMNS": "200"}
    )
    assert done.exit_code == 2
    assert "leave out --data and --split" in done.output
