"""The model of unobserved labels: its features, its prior, and answers that may be wrong."""

import numpy as np
import pytest

from wsml_study.results.drawn_precision import ranks_by_score
from wsml_study.results.label_probabilities import label_model


def model_of(scores_KMC, states_MC, asked_MC=None):
    ranks_KMC = np.stack([ranks_by_score(scores_KMC[:, :, c]) for c in range(states_MC.shape[1])], axis=-1)
    return label_model(
        scores_KMC, ranks_KMC, states_MC, np.zeros(states_MC.shape, bool) if asked_MC is None else asked_MC
    )


def coefficient(model, from_last):
    """Of a feature, counted from the last."""
    return model.mean_D[model.features_MCJ.shape[2] - from_last]


def noisy_logits(truth_MC, rng, *, runs=4):
    return (2 * truth_MC + 2 * rng.normal(size=(runs, *truth_MC.shape)) - 1).astype(np.float32)


def test_labels_that_exclude_one_another_are_told_by_the_other_classes_logits():
    rng = np.random.default_rng(0)
    classes_M = rng.integers(3, size=400)
    exclusive_MC = np.where(np.arange(3) == classes_M[:, None], 1, -1).astype(np.int8)
    together_MC = np.repeat(np.where(rng.random((400, 1)) < 0.3, 1, -1), 3, axis=1).astype(np.int8)
    assert coefficient(model_of(noisy_logits(exclusive_MC, rng), exclusive_MC), 1) < -0.1
    assert coefficient(model_of(noisy_logits(together_MC, rng), together_MC), 1) > 0.1


def test_disagreement_of_the_runs_counts_beside_their_mean():
    rng = np.random.default_rng(0)
    level_MC, apart_MC = rng.normal(size=(2, 400, 2))
    signs_K11 = np.array([1, -1, 1, -1])[:, None, None]
    scores_KMC = (level_MC + 2 * apart_MC * signs_K11 - 3).astype(np.float32)
    states_MC = np.where(level_MC - 2 * np.abs(apart_MC) + 1 + 0.3 * rng.normal(size=(400, 2)) > 0, 1, -1).astype(
        np.int8
    )
    assert coefficient(model_of(scores_KMC, states_MC), 2) < -0.3


def test_answers_correct_known_positives_that_are_too_many():
    # Half of the positives are known and a sixth of the negatives: far more of the known are positive than of the rest.
    rng = np.random.default_rng(0)
    truth_MC = np.where(rng.random((600, 3)) < 0.15, 1, -1).astype(np.int8)
    scores_KMC = noisy_logits(truth_MC, rng) + 3 * rng.normal(size=truth_MC.shape).astype(np.float32)
    states_MC = np.where(rng.random(truth_MC.shape) < np.where(truth_MC == 1, 0.5, 0.16), truth_MC, 0).astype(np.int8)
    hidden_MC = states_MC == 0
    asked_MC = hidden_MC & (rng.random(truth_MC.shape) < 0.1)
    before, after = (
        sum(model.probabilities(model.mean_D[None], c)[0][hidden_MC[:, c]].sum() for c in range(3))
        for model in (
            model_of(scores_KMC, states_MC),
            model_of(scores_KMC, np.where(asked_MC, truth_MC, states_MC), asked_MC),
        )
    )
    true = (truth_MC[hidden_MC] == 1).sum()
    assert before > 1.2 * true
    assert after - true < (before - true) / 2


@pytest.mark.parametrize("seed", range(3))
def test_the_share_of_wrong_answers_is_fitted_and_no_answer_is_taken_for_certain(seed):
    rng = np.random.default_rng(seed)
    truth_MC = np.where(rng.random((300, 3)) < 0.2, 1, -1).astype(np.int8)
    scores_KMC = (6 * truth_MC + rng.normal(size=(4, 300, 3))).astype(np.float32)
    states_MC = np.where(rng.random(truth_MC.shape) < 0.3, truth_MC, 0).astype(np.int8)
    asked_MC = (states_MC == 0) & (rng.random(truth_MC.shape) < 0.4)
    wrong_MC = asked_MC & (rng.random(truth_MC.shape) < 0.1)
    right, mistaken = (
        model_of(scores_KMC, np.where(asked_MC, answers_MC, states_MC), asked_MC)
        for answers_MC in (truth_MC, np.where(wrong_MC, -truth_MC, truth_MC))
    )
    assert right.wrong < 0.01 < 0.018 < mistaken.wrong < 0.14
    # Likely and confirmed, unlikely and claimed, unlikely and not asked, unlikely by a given label.
    told_4 = mistaken.told(
        np.array([[0.9, 0.01, 0.01, 0.01]]), np.array([1, 1, 0, 1], np.int8), np.array([True, True, False, False])
    )[0]
    assert told_4[0] > 0.98
    assert 0.1 < told_4[1] < 0.4
    assert told_4[2:] == pytest.approx([0.01, 1.0])
