"""Choice of a class's threshold from known labels, and figures that do not profit from the choice.

A threshold that is chosen and judged on the same images looks better than it is. The figures are therefore
cross-fitted: the images are dealt into ten folds, twice, and each image is decided by the threshold that the rule
chooses without its fold. Intervals are Clopper and Pearson's for these counts.

Shapes: K known labels of a class.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import betaincinv
from scipy.stats import beta

from wsml_study.record.decision_rules import Interval, Target

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

FOLDS, REPEATS = 10, 2
FEWEST_POSITIVES = FEWEST_NEGATIVES = 10
CREDIBILITY = 0.7
"""Of the precision above the target at the threshold: with .5 it is missed in half of the cases, with .9 few classes
with dozens of positives would have a threshold."""

FEWEST_DECIDED = 10
"""Images decided yes, cross-fitted, fewer of which cannot judge a wanted precision: an interval .3 wide."""

CONFIDENCE = 0.95


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """A threshold on the logits, the range of those chosen on parts of the images, and cross-fitted figures."""

    threshold: float
    lowest: float
    highest: float
    precision: Interval
    recall: Interval

    @property
    def f1(self) -> float:
        """The harmonic mean of precision and recall."""
        total = self.precision.value + self.recall.value
        return 2 * self.precision.value * self.recall.value / total if total else 0.0


def choose(logits_K: Floats, truth_K: Flags, target: Target) -> Chosen | str:
    """A class's threshold, or why it has none.

    Args:
        logits_K: of the images whose label is known.
        truth_K: their labels.
        target: what to choose for.
    """
    if why := _too_few(truth_K):
        return why
    order = np.argsort(-logits_K, kind="stable")
    logits_K, truth_K = logits_K[order], truth_K[order]
    threshold = best_threshold(logits_K, truth_K, target)
    if threshold is None:
        return f"no threshold gives {target} with enough certainty on {int(truth_K.sum()):,} positives"
    true_positives, decided, others = 0.0, 0.0, [threshold]
    for held_out_K in _folds(truth_K):
        without = best_threshold(logits_K[~held_out_K], truth_K[~held_out_K], target)
        if without is None:
            continue
        others.append(without)
        yes_K = held_out_K & (logits_K >= without)
        true_positives += yes_K.sum(where=truth_K) / REPEATS
        decided += yes_K.sum() / REPEATS
    if decided < (1 if target.precision is None else FEWEST_DECIDED):
        return (
            f"a threshold for {target} decides about {decided:.0f} of {len(truth_K):,} images yes, which is too few to "
            f"judge it"
        )
    precision = clopper_pearson(true_positives, decided)
    if target.precision is not None and precision.high < target.precision:
        return f"thresholds for {target} do not hold on images they were not chosen by: {precision.value:.2f} there"
    return Chosen(
        threshold=threshold,
        lowest=min(others),
        highest=max(others),
        precision=precision,
        recall=clopper_pearson(true_positives, int(truth_K.sum())),
    )


def best_threshold(logits_K: Floats, truth_K: Flags, target: Target) -> float | None:
    """The threshold that the target asks for, in the middle between two logits; None if there is none.

    For a precision: the lowest threshold that the precision exceeds the target at with a credibility of .7, by
    Jeffreys' prior. For F1: the one with the largest F1, of equals the highest.

    Args:
        logits_K: falling.
        truth_K: in their order.
        target: what to choose for.
    """
    last_of_equals_K = np.append(logits_K[1:] != logits_K[:-1], True)
    true_positives_K, decided_K = np.cumsum(truth_K), np.arange(1, len(truth_K) + 1)
    if target.precision is None:
        f1_K = np.where(last_of_equals_K, 2 * true_positives_K / (decided_K + true_positives_K[-1]), -1)
        place = int(f1_K.argmax())
    else:
        places = np.flatnonzero(last_of_equals_K & (true_positives_K >= target.precision * decided_K))
        true_positives, decided = true_positives_K[places], decided_K[places]
        bound = betaincinv(true_positives + 0.5, decided - true_positives + 0.5, 1 - CREDIBILITY)
        places = places[bound >= target.precision]
        if not len(places):
            return None
        place = int(places[-1])
    if place + 1 == len(logits_K):
        return float(logits_K[place])
    # The middle of two neighbours can be the lower one after rounding.
    return float(max((logits_K[place] + logits_K[place + 1]) / 2, np.nextafter(logits_K[place + 1], np.inf)))


def clopper_pearson(count: float, total: float) -> Interval:
    """A share with its 95 % interval by Clopper and Pearson; counts may be means over repetitions.

    >>> found = clopper_pearson(9, 10)
    >>> round(found.low, 3), round(found.high, 4)
    (0.555, 0.9975)
    """
    tail = (1 - CONFIDENCE) / 2
    low = 0.0 if count <= 0 else float(beta.ppf(tail, count, total - count + 1))
    high = 1.0 if count >= total else float(beta.ppf(1 - tail, count + 1, total - count))
    return Interval(value=count / total, low=low, high=high)


def _too_few(truth_K: Flags) -> str | None:
    positives, negatives = int(truth_K.sum()), int((~truth_K).sum())
    if negatives == 0 and positives:
        return "no label is known to be negative, so that precision has no value"
    if positives < FEWEST_POSITIVES:
        return f"{positives:,} known positive{'' if positives == 1 else 's'}; {FEWEST_POSITIVES} are needed"
    if negatives < FEWEST_NEGATIVES:
        return f"{negatives:,} known negative{'' if negatives == 1 else 's'}; {FEWEST_NEGATIVES} are needed"
    return None


def _folds(truth_K: Flags) -> Iterator[Flags]:
    """Masks of the folds, each with its share of positives and negatives."""
    for repeat in range(REPEATS):
        random, fold_K = np.random.RandomState(repeat), np.empty(len(truth_K), dtype=np.int64)
        for value in (True, False):
            rows = np.flatnonzero(truth_K == value)
            fold_K[random.permutation(rows)] = np.arange(len(rows)) % FOLDS
        yield from (fold_K == fold for fold in range(FOLDS))
