"""Estimates of runs by partial labels and answers, and the choice of what to ask."""

import numpy as np
import pytest

from wsml_study.results.answered_scores import answered_figures, pairs_to_ask
from wsml_study.training.average_precision import average_precision_C


def made_up(seed=0, *, runs=4, images=80, classes=3):
    """Runs that find positives more or less well; (scores_KMC, truth_MC, states_MC with a third of the positives)."""
    rng = np.random.default_rng(seed)
    truth_MC = np.where(rng.random((images, classes)) < 0.2, 1, -1).astype(np.int8)
    noise_K = np.linspace(0.6, 1.6, runs)[:, None, None]
    logits_KMC = 2 * truth_MC + noise_K * 2 * rng.normal(size=(runs, images, classes)) - 1
    states_MC = np.where((truth_MC == 1) & (rng.random(truth_MC.shape) < 0.33), 1, 0).astype(np.int8)
    states_MC[np.argmax(truth_MC == 1, 0), np.arange(classes)] = 1
    return logits_KMC.astype(np.float32), truth_MC, states_MC


EVERY = np.ones(3, bool)


def test_all_answered_is_the_exact_map_with_ties():
    import torch

    scores_KMC, truth_MC, _ = made_up()
    scores_KMC = np.round(scores_KMC, 1)
    asked_MC = np.ones(truth_MC.shape, bool)
    states_MC = truth_MC.copy()
    states_MC[::7] = 0  # cannot say
    figures = answered_figures(scores_KMC, states_MC, asked_MC, counted_C=EVERY)
    exact_K = [
        100 * average_precision_C(torch.tensor(scores), torch.tensor(states_MC)).mean().item() for scores in scores_KMC
    ]
    assert figures.estimate_K == pytest.approx(exact_K)
    assert figures.low_K == pytest.approx(exact_K)
    assert figures.high_K == pytest.approx(exact_K)
    assert figures.settled


def test_asked_pairs_are_unknown_counted_and_never_asked_before():
    scores_KMC, _, states_MC = made_up()
    asked_MC = np.zeros(states_MC.shape, bool)
    counted_C = np.array([True, False, True])
    pairs = pairs_to_ask(scores_KMC, states_MC, asked_MC, num=30, counted_C=counted_C)
    asked_MC[tuple(zip(*pairs, strict=True))] = True
    more = pairs_to_ask(scores_KMC, states_MC, asked_MC, num=1000, counted_C=counted_C)
    assert len(pairs) == 30
    assert len(more) == int((states_MC[:, counted_C] == 0).sum()) - 30
    assert len({*pairs, *more}) == len(pairs) + len(more)
    assert all(states_MC[pair] == 0 and counted_C[pair[1]] for pair in [*pairs, *more])


def test_one_run_has_an_estimate_and_is_settled():
    scores_KMC, _, states_MC = made_up(runs=1)
    figures = answered_figures(scores_KMC, states_MC, np.zeros(states_MC.shape, bool), counted_C=EVERY)
    assert figures.estimate_K.shape == (1,)
    assert (figures.settled, figures.more_answers) == (True, None)


def test_shapes_that_do_not_fit_are_refused():
    scores_KMC, _, states_MC = made_up()
    with pytest.raises(ValueError, match="expected scores"):
        answered_figures(scores_KMC[:, 1:], states_MC, states_MC != 0, counted_C=EVERY)
    with pytest.raises(ValueError, match="expected logits"):
        answered_figures(1 / (1 + np.exp(-scores_KMC)), states_MC, states_MC != 0, counted_C=EVERY)
    with pytest.raises(ValueError, match="a class that counts"):
        pairs_to_ask(scores_KMC, states_MC, states_MC != 0, num=1, counted_C=~EVERY)
