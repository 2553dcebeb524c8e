"""Estimates of runs by partial labels and answers, and the choice of what to ask."""

import numpy as np
import pytest
import torch

from wsml_study.results.answered_scores import answered_figures, hidden_positives, pairs_to_ask
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


def test_all_known_is_the_exact_map_with_ties():
    scores_KMC, truth_MC, _ = made_up()
    scores_KMC = np.round(scores_KMC, 1)
    states_MC = truth_MC.copy()
    states_MC[::7] = 0  # cannot say
    asked_MC = states_MC == 0
    figures = answered_figures(scores_KMC, states_MC, asked_MC, counted_C=EVERY)
    exact_K = [
        100 * average_precision_C(torch.tensor(scores), torch.tensor(states_MC)).mean().item() for scores in scores_KMC
    ]
    assert figures.estimate_K == pytest.approx(exact_K)
    assert figures.low_K == pytest.approx(exact_K)
    assert figures.high_K == pytest.approx(exact_K)
    assert figures.settled


def test_all_answered_is_the_map_but_for_answers_that_may_be_wrong():
    scores_KMC, truth_MC, states_MC = made_up(images=300)
    figures = answered_figures(scores_KMC, truth_MC, states_MC == 0, counted_C=EVERY)
    true_K = [100 * average_precision_C(torch.tensor(one), torch.tensor(truth_MC)).mean().item() for one in scores_KMC]
    assert figures.estimate_K == pytest.approx(true_K, abs=1)
    assert (figures.high_K > figures.low_K).all()


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


def answered_by_truth(scores_KMC, truth_MC, states_MC, num, *, batches=2, seed=0):
    """States and asked pairs after so many answers, in batches."""
    states_MC, asked_MC = states_MC.copy(), np.zeros(states_MC.shape, bool)
    for _ in range(batches if num else 0):
        for pair in pairs_to_ask(
            scores_KMC, states_MC, asked_MC, num=num // batches, counted_C=np.ones(states_MC.shape[1], bool), seed=seed
        ):
            asked_MC[pair], states_MC[pair] = True, truth_MC[pair]
    return states_MC, asked_MC


def test_more_answers_narrow_the_interval_and_bring_the_estimate_nearer():
    width, error = [], []
    for seed in range(4):
        scores_KMC, truth_MC, states_MC = made_up(seed)
        true_K = [
            100 * average_precision_C(torch.tensor(one), torch.tensor(truth_MC)).mean().item() for one in scores_KMC
        ]
        found = [
            answered_figures(scores_KMC, *answered_by_truth(scores_KMC, truth_MC, states_MC, num), counted_C=EVERY)
            for num in (0, 40, 120)
        ]
        width.append([(one.high_K - one.low_K).mean() for one in found])
        error.append([np.abs(one.estimate_K - true_K).mean() for one in found])
    for mean_3 in (np.mean(width, 0), np.mean(error, 0)):
        assert mean_3[0] > mean_3[1] > mean_3[2]


def test_the_interval_covers_the_truth_beyond_what_the_draws_say():
    widths = []
    for num in (0, 120):
        scores_KMC, truth_MC, states_MC = made_up()
        states_MC, asked_MC = answered_by_truth(scores_KMC, truth_MC, states_MC, num)
        figures = answered_figures(scores_KMC, states_MC, asked_MC, counted_C=EVERY)
        low_K, high_K = np.quantile(figures.draws_SK, [0.05, 0.95], axis=0)
        assert (figures.low_K < low_K).all()
        assert (figures.high_K > high_K).all()
        widths.append(high_K - low_K)
        # Beside that the interval is wider, the error of the model is 3 points where all positives are unknown.
        added_K = np.sqrt((figures.estimate_K - figures.low_K) ** 2 - (1.2 * (figures.estimate_K - low_K)) ** 2)
        assert ((added_K > 0) & (added_K < 3)).all()
    assert (widths[0] > widths[1]).all()


def test_same_seed_gives_the_same_figures_and_pairs():
    scores_KMC, _, states_MC = made_up()
    nothing = np.zeros(states_MC.shape, bool)
    first, second = (answered_figures(scores_KMC, states_MC, nothing, counted_C=EVERY, seed=3) for _ in range(2))
    assert (first.draws_SK == second.draws_SK).all()
    pairs = [pairs_to_ask(scores_KMC, states_MC, nothing, num=9, counted_C=EVERY, seed=3) for _ in range(2)]
    assert pairs[0] == pairs[1]


def test_scores_and_labels_of_classes_not_counted_change_nothing():
    scores_KMC, _, states_MC = made_up()
    nothing, counted_C = np.zeros(states_MC.shape, bool), np.array([True, False, True])
    first = answered_figures(scores_KMC, states_MC, nothing, counted_C=counted_C)
    scores_KMC[:, :, 1], states_MC[:, 1] = scores_KMC[:, ::-1, 1], -1
    second = answered_figures(scores_KMC, states_MC, nothing, counted_C=counted_C)
    assert (first.draws_SK == second.draws_SK).all()


def test_known_negatives_say_how_many_positives_are_hidden():
    # Half of all labels are known, positive and negative alike: no answer is needed for the level.
    scores_KMC, truth_MC, _ = made_up(1, images=300)
    states_MC = np.where(np.random.default_rng(1).random(truth_MC.shape) < 0.5, truth_MC, 0).astype(np.int8)
    figures = answered_figures(scores_KMC, states_MC, np.zeros(states_MC.shape, bool), counted_C=EVERY)
    true_K = [100 * average_precision_C(torch.tensor(one), torch.tensor(truth_MC)).mean().item() for one in scores_KMC]
    assert figures.estimate_K == pytest.approx(true_K, abs=5)
    assert figures.estimate_K.argmax() == np.argmax(true_K)


def test_one_run_has_an_estimate_and_is_settled():
    scores_KMC, _, states_MC = made_up(runs=1)
    figures = answered_figures(scores_KMC, states_MC, np.zeros(states_MC.shape, bool), counted_C=EVERY)
    assert figures.estimate_K.shape == (1,)
    assert (figures.settled, figures.more_answers) == (True, None)
    assert len(pairs_to_ask(scores_KMC, states_MC, np.zeros(states_MC.shape, bool), num=5, counted_C=EVERY)) == 5


def test_runs_of_equal_scores_are_not_settled():
    scores_KMC, _, states_MC = made_up(runs=1)
    twice_KMC = np.concatenate([scores_KMC, scores_KMC])
    figures = answered_figures(twice_KMC, states_MC, np.zeros(states_MC.shape, bool), counted_C=EVERY)
    assert not figures.settled
    assert figures.more_answers is None


def test_shapes_that_do_not_fit_are_refused():
    scores_KMC, _, states_MC = made_up()
    with pytest.raises(ValueError, match="expected scores"):
        answered_figures(scores_KMC[:, 1:], states_MC, states_MC != 0, counted_C=EVERY)
    with pytest.raises(ValueError, match="expected logits"):
        answered_figures(1 / (1 + np.exp(-scores_KMC)), states_MC, states_MC != 0, counted_C=EVERY)
    with pytest.raises(ValueError, match="a class that counts"):
        pairs_to_ask(scores_KMC, states_MC, states_MC != 0, num=1, counted_C=~EVERY)


@pytest.mark.parametrize("images", [1, 6])
def test_scores_that_are_all_equal_say_nothing_and_are_no_error(images):
    scores_KMC = np.full((2, images, 1), -3, np.float16)
    nothing = np.zeros((images, 1), bool)
    figures = answered_figures(scores_KMC, nothing.astype(np.int8), nothing, counted_C=EVERY[:1])
    assert (figures.draws_SK[:, 0] == figures.draws_SK[:, 1]).all()
    pairs = pairs_to_ask(scores_KMC, nothing.astype(np.int8), nothing, num=9, counted_C=EVERY[:1])
    assert sorted(pairs) == [(image, 0) for image in range(images)]


def test_hidden_positives_are_those_that_nobody_has_told():
    hits = 0
    for seed in range(20):
        scores_KMC, truth_MC, states_MC = made_up(seed, images=300)
        states_MC, asked_MC = answered_by_truth(scores_KMC, truth_MC, states_MC, 100, seed=seed)
        found = hidden_positives(scores_KMC, states_MC, asked_MC)
        hidden_MC = (states_MC == 0) & ~asked_MC
        hits += found.low <= (truth_MC[hidden_MC] == 1).mean() <= found.high
        assert found.low < found.share < found.high
    assert hits >= 15
    with pytest.raises(ValueError, match="neither observed nor answered"):
        hidden_positives(scores_KMC, truth_MC, asked_MC)
