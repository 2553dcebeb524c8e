"""CRISP's priors: by brute force, near the truth where scores tell the classes apart, and when they are estimated."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from wsml_study.methods.baselines import AssumeNegative
from wsml_study.methods.class_prior import ClassPriorRisk, class_priors
from wsml_study.methods.contract import Batch


def by_brute_force(scores: list[float], positive: list[bool], delta: float, tau: float) -> float:
    """Theorem 4.1 of the source, tried at every score."""
    n, positives = len(scores), [score for score, one in zip(scores, positive, strict=True) if one]
    if not positives:
        return 0.0
    noise = math.sqrt(math.log(4 / delta) / (2 * n)) + math.sqrt(math.log(4 / delta) / (2 * len(positives)))
    best = (math.inf, 0.0)
    for z in sorted(set(scores), reverse=True):
        q, qp = sum(one >= z for one in scores) / n, sum(one >= z for one in positives) / len(positives)
        if qp > 0 and q / qp + (1 + tau) / qp * noise < best[0] - 1e-12:
            best = (q / qp + (1 + tau) / qp * noise, q / qp)
    return best[1]


@pytest.mark.parametrize("seed", range(6))
def test_priors_are_those_of_the_theorem_with_ties_and_without(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randn(60, 4, generator=generator)
    scores = scores.round() if seed % 2 else scores
    positive = torch.rand(60, 4, generator=generator) < torch.tensor([0.02, 0.1, 0.4, 0.0])
    found = class_priors(scores, positive, confidence=0.05, tolerance=0.1)
    for c in range(4):
        expected = by_brute_force(scores[:, c].tolist(), positive[:, c].tolist(), 0.05, 0.1)
        assert found[c].item() == pytest.approx(expected, abs=1e-12)


def test_priors_come_near_the_truth_where_scores_tell_the_class_apart() -> None:
    """3,000 of 10,000 images show it, and every fifth of them is labelled: AN would see a tenth of that."""
    generator = torch.Generator().manual_seed(0)
    truth = torch.arange(10_000) < 3_000
    scores = torch.randn(10_000, generator=generator) + 4 * truth
    labelled = truth & (torch.rand(10_000, generator=generator) < 0.2)
    (found,) = class_priors(scores[:, None], labelled[:, None], confidence=0.01, tolerance=0.01)
    assert found.item() == pytest.approx(0.3, abs=0.03)


def batch_of(logits: Tensor, labels: Tensor) -> Batch:
    return Batch(
        logits_BC=logits,
        labels_BC=labels,
        indices_B=torch.arange(len(labels)),
        epoch=1,
        epochs=4,
        num_images=len(labels),
    )


def test_the_loss_is_an_until_the_priors_are_estimated_after_the_warmup() -> None:
    generator = torch.Generator().manual_seed(3)
    labels = (torch.rand(30, 5, generator=generator) < 0.2).to(torch.int8)
    logits = torch.randn(30, 5, generator=generator)
    method = ClassPriorRisk(labels, warmup_epochs=2, prior_confidence=0.01, prior_tolerance=0.01, reduction="mean")
    expected = AssumeNegative(labels)(batch_of(logits, labels)).loss
    method.finish_epoch(1, 4, lambda: pytest.fail("asked for predictions"))
    assert method(batch_of(logits, labels)).loss.item() == pytest.approx(expected.item())
    method.finish_epoch(2, 4, lambda: logits)
    assert method(batch_of(logits, labels)).loss.item() != pytest.approx(expected.item())
    priors = method.prior_C.clone()
    method.finish_epoch(3, 4, lambda: -logits)
    assert not torch.equal(method.prior_C, priors)
    method.finish_epoch(4, 4, lambda: pytest.fail("no training follows"))


def test_batches_add_up_to_the_mean_over_all_observed_positives() -> None:
    """Without the difference of means, the losses of equal batches average to the source's first term."""
    labels = torch.tensor([[1], [0], [0], [1], [1], [0], [0], [0]], dtype=torch.int8)
    logits = torch.linspace(-2, 2, 8)[:, None]
    method = ClassPriorRisk(labels, warmup_epochs=1, prior_confidence=0.01, prior_tolerance=0.01, reduction="sum")
    method.prior_C.fill_(0.25)
    halves = [slice(0, 4), slice(4, 8)]
    first_terms = [
        method(batch_of(logits[rows], labels[rows])).loss - (logits[rows].sigmoid().mean() - 0.25).abs()
        for rows in halves
    ]
    expected = 2 * 0.25 * (1 - logits.sigmoid())[labels == 1].mean()
    assert (sum(first_terms) / 2).item() == pytest.approx(expected.item(), rel=1e-6)
