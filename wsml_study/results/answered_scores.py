"""Which run is best by partly observed validation labels and a person's answers, and what to ask the person next.

Shapes: K runs, M images, C classes, S draws of the unknown labels.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from wsml_study.results.drawn_precision import drawn_ap, label_effects, ranks_by_score
from wsml_study.results.label_probabilities import label_model

NUM_DRAWS = 200
CONFIDENCE = 0.9
_WIDER = 1.2
"""How much wider than the draws the interval is: labels of an image depend on each other, and draws do not."""
_MODEL_ERROR = 3.0
"""Error of the label model in points of mAP, added to the spread of the draws, where all positives of a class are
unlabelled. It is multiplied by the root of the share of unlabelled positives."""
_ANY_RUN = 0.2
"""Part of the chance to be best that all runs share alike, in the choice of questions: the model may be wrong."""
_LEVEL = 0.1
"""Weight of the runs' level beside differences between them, in the choice of questions."""

Floats = npt.NDArray[np.floating]
States = npt.NDArray[np.int8]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True, eq=False)
class AnsweredFigures:
    """mAP of K runs as the labels and answers so far let it be estimated, in percent.

    Attributes:
        estimate_K: what runs are ranked by.
        low_K, high_K: 90 % interval: of the draws, made wider, and by an error of the model that all runs share.
        draws_SK: draws of each run's mAP, on the same draws of the unknown labels: for differences between runs.
        settled: whether the run of the largest estimate is better than the runner-up with 90 % certainty at least.
        more_answers: about how many more answers would settle it; None where it is settled or no number would.
    """

    estimate_K: npt.NDArray[np.float64]
    low_K: npt.NDArray[np.float64]
    high_K: npt.NDArray[np.float64]
    draws_SK: npt.NDArray[np.float64]
    settled: bool
    more_answers: int | None


def answered_figures(
    scores_KMC: Floats, states_MC: States, asked_MC: Mask, *, counted_C: Mask, seed: int = 0
) -> AnsweredFigures:
    """Estimates of the runs' mAP over the counted classes.

    Args:
        scores_KMC: logits by each run, as trained or rounded to float16. Not probabilities: those near 1 are rounded to
            equal ones, which moved mAP by up to 5 points in float32 and by up to 10 in float16 (VOC photos, heads).
        states_MC: +1 positive, -1 negative, 0 unobserved; with the answers already in.
        asked_MC: whether a pair was asked; where its state is 0 the answer was "cannot say", and it is left out.
        counted_C: the classes that mAP is the mean of.
        seed: of the draws.

    Raises:
        ValueError: the shapes do not fit, a score is NaN, scores look like probabilities, or no class counts.
    """
    _check(scores_KMC, states_MC, asked_MC, counted_C)
    counted = _Counted(scores_KMC, states_MC, asked_MC, counted_C, seed)
    draws_SK = counted.drawn_map()
    estimate_K = draws_SK.mean(0)
    low_K, high_K = np.quantile(draws_SK, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2], axis=0)
    error = _MODEL_ERROR * counted.untold_share() ** 0.5
    low_K = np.maximum(estimate_K - np.hypot(_WIDER * (estimate_K - low_K), error), 0)
    high_K = np.minimum(estimate_K + np.hypot(_WIDER * (high_K - estimate_K), error), 100)
    settled, more_answers = _settled(estimate_K, draws_SK, int(asked_MC.sum()))
    return AnsweredFigures(
        estimate_K=estimate_K,
        low_K=low_K,
        high_K=high_K,
        draws_SK=draws_SK,
        settled=settled,
        more_answers=more_answers,
    )


def pairs_to_ask(
    scores_KMC: Floats, states_MC: States, asked_MC: Mask, *, num: int, counted_C: Mask, seed: int = 0
) -> list[tuple[int, int]]:
    """(row, class) pairs whose labels are worth asking for, the most useful first.

    Args:
        scores_KMC, states_MC, asked_MC, counted_C, seed: as for `answered_figures`.
        num: pairs at most; fewer where fewer are unobserved and not asked yet.

    Raises:
        ValueError: the shapes do not fit, a score is NaN, scores look like probabilities, or no class counts.
    """
    _check(scores_KMC, states_MC, asked_MC, counted_C)
    counted = _Counted(scores_KMC, states_MC, asked_MC, counted_C, seed)
    best_S = counted.drawn_map().argmax(1)
    chance_K = np.bincount(best_S, minlength=len(scores_KMC)) / len(best_S)
    chance_K = (1 - _ANY_RUN) * chance_K + _ANY_RUN / len(chance_K)
    use_MC = np.full(states_MC.shape, -np.inf)
    for place, c in enumerate(counted.classes):
        use_MC[:, c] = counted.use_of_asking(place, chance_K)
    use_MC[(states_MC != 0) | asked_MC] = -np.inf
    return _largest(use_MC, num)


def drawn_labels(
    scores_KMC: Floats, states_MC: States, asked_MC: Mask, *, counted_C: Mask, num: int, seed: int = 0
) -> Mask:
    """Complete labels (S, M, C) as they may be: known ones as they are, unobserved ones drawn by the label model.

    Answers count as known. Labels of classes that do not count, and those that were asked without an answer, are drawn
    as negative.

    Args:
        scores_KMC, states_MC, asked_MC, counted_C, seed: as for `answered_figures`.
        num: of draws, S.

    Raises:
        ValueError: the shapes do not fit, a score is NaN, scores look like probabilities, or no class counts.
    """
    _check(scores_KMC, states_MC, asked_MC, counted_C)
    drawn_SMC = np.broadcast_to(states_MC == 1, (num, *states_MC.shape)).copy()
    counted = _Counted(scores_KMC, states_MC, asked_MC, counted_C, seed)
    for c, drawn_SM in zip(counted.classes, counted.drawn_labels(num), strict=True):
        drawn_SMC[:, :, c] |= drawn_SM & ~(asked_MC[:, c] & (states_MC[:, c] == 0))
    return drawn_SMC


class _Counted:
    """The counted classes: what is known of them, and the model of what is not."""

    def __init__(self, scores_KMC: Floats, states_MC: States, asked_MC: Mask, counted_C: Mask, seed: int) -> None:
        self.classes = np.flatnonzero(counted_C)
        # NumPy sorts single precision five times as fast as half.
        self._scores_KMC = scores_KMC[:, :, self.classes].astype(np.result_type(scores_KMC, np.float32), copy=False)
        self._states_MC, self._asked_MC = states_MC[:, self.classes], asked_MC[:, self.classes]
        self._kept_MC = ~(self._asked_MC & (self._states_MC == 0))
        self._ranks_KMC = np.empty(self._scores_KMC.shape, np.int32)
        for c in range(len(self.classes)):
            self._ranks_KMC[:, :, c] = ranks_by_score(self._scores_KMC[:, :, c])
        self._model = label_model(self._scores_KMC, self._ranks_KMC, self._states_MC, self._asked_MC)
        self._rng = np.random.default_rng(seed)
        self._coefficients_SD = self._model.drawn_coefficients(NUM_DRAWS, self._rng)

    def drawn_labels(self, num: int) -> Iterator[Mask]:
        """Positive labels (S, M) of each class, as the labels and answers so far let them be drawn."""
        coefficients_SD = self._model.drawn_coefficients(num, self._rng)
        for c in range(len(self.classes)):
            p_SM = self._model.probabilities(coefficients_SD, c)
            state_M = self._states_MC[:, c]
            yield (state_M == 1) | ((state_M == 0) & (self._rng.random(p_SM.shape) < p_SM))

    def drawn_map(self) -> npt.NDArray[np.float64]:
        """mAP (S, K) in percent, of draws of the coefficients and of the labels given them."""
        draws_SK = np.zeros((NUM_DRAWS, len(self._scores_KMC)))
        for c in range(len(self.classes)):
            kept_M = self._kept_MC[:, c]
            ranks_KM = self._ranks_KMC[:, :, c]
            if not kept_M.all():
                ranks_KM = ranks_by_score(self._scores_KMC[:, kept_M, c])
            p_SM = self._model.probabilities(self._coefficients_SD, c)[:, kept_M]
            told_SM = self._model.told(p_SM, self._states_MC[kept_M, c], self._asked_MC[kept_M, c])
            draws_SK += drawn_ap(ranks_KM, self._rng.random(told_SM.shape) < told_SM)
        return draws_SK * (100 / len(self.classes))

    def untold_share(self) -> float:
        """Of a class's positives, by expectation, those whose labels nobody has told; a fraction, mean over classes."""
        untold_MC = self._kept_MC & (self._states_MC == 0)
        shares = []
        for c in range(len(self.classes)):
            p_M = self._model.probabilities(self._model.mean_D[None], c)[0]
            untold = float(p_M[untold_MC[:, c]].sum())
            shares.append(untold / max(untold + int((self._states_MC[:, c] == 1).sum()), 1e-9))
        return float(np.mean(shares))

    def drawn_positives(self, where_MC: Mask) -> npt.NDArray[np.float64]:
        """Number (S,) of positives among some unobserved pairs, of draws of the coefficients and of the labels."""
        positives_S = np.zeros(NUM_DRAWS)
        for c in range(len(self.classes)):
            p_SM = self._model.probabilities(self._coefficients_SD, c)[:, where_MC[:, c]]
            positives_S += (self._rng.random(p_SM.shape) < p_SM).sum(1)
        return positives_S

    def use_of_asking(self, c: int, chance_K: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """(M,) variance of a label times the square of what it moves: differences between likely best runs, and AP."""
        p_M = self._model.probabilities(self._coefficients_SD, c).mean(0)
        told_M = self._model.told(p_M[None], self._states_MC[:, c], self._asked_MC[:, c])[0]
        likely_M = np.where(self._kept_MC[:, c], told_M, 0.0)
        effect_KM = label_effects(self._ranks_KMC[:, :, c], likely_M)
        mean_M = chance_K @ effect_KM
        between_M = chance_K @ (effect_KM - mean_M) ** 2
        return np.asarray(p_M * (1 - p_M) * (between_M + _LEVEL * mean_M**2))


@dataclass(frozen=True, kw_only=True)
class HiddenPositives:
    """The share of positives among the labels that are neither observed nor answered, a fraction.

    Attributes:
        share: mean over draws.
        low, high: 95 % interval.
    """

    share: float
    low: float
    high: float


def hidden_positives(scores_KMC: Floats, states_MC: States, asked_MC: Mask, *, seed: int = 0) -> HiddenPositives:
    """How many of the labels that nobody has told are positive, by the same model as the figures.

    Args:
        scores_KMC, states_MC, asked_MC, seed: as for `answered_figures`; all classes count.

    Raises:
        ValueError: as `answered_figures`, or every label is told.
    """
    counted_C = np.ones(states_MC.shape[1], bool)
    _check(scores_KMC, states_MC, asked_MC, counted_C)
    told_MC = (states_MC != 0) | asked_MC
    if told_MC.all():
        raise ValueError("expected a label that is neither observed nor answered, got none")
    positives_S = _Counted(scores_KMC, states_MC, asked_MC, counted_C, seed).drawn_positives(~told_MC)
    share_S = positives_S / (~told_MC).sum()
    low, high = np.quantile(share_S, [0.025, 0.975])
    return HiddenPositives(share=float(share_S.mean()), low=float(low), high=float(high))


def _largest(use_MC: npt.NDArray[np.float64], num: int) -> list[tuple[int, int]]:
    """Places of the largest finite values, the largest first."""
    order = np.argsort(-use_MC, axis=None, kind="stable")[:num]
    rows, classes = np.unravel_index(order, use_MC.shape)
    return [(int(row), int(c)) for row, c in zip(rows, classes, strict=True) if np.isfinite(use_MC[row, c])]


def _settled(
    estimate_K: npt.NDArray[np.float64], draws_SK: npt.NDArray[np.float64], num_asked: int
) -> tuple[bool, int | None]:
    if len(estimate_K) == 1:
        return True, None
    best, second = np.argsort(-estimate_K, kind="stable")[:2]
    difference_S = draws_SK[:, best] - draws_SK[:, second]
    settled = bool((difference_S > 0).mean() >= CONFIDENCE)
    lead = float(estimate_K[best] - estimate_K[second])
    if settled or lead <= 0:
        return settled, None
    # The deviation falls about with the square root of the answers.
    return False, int(np.ceil(max(num_asked, 25) * max(0.0, (1.28 * difference_S.std() / lead) ** 2 - 1))) or 1


def _check(scores_KMC: Floats, states_MC: States, asked_MC: Mask, counted_C: Mask) -> None:
    if scores_KMC.ndim != 3 or scores_KMC.shape[1:] != states_MC.shape or states_MC.shape != asked_MC.shape:
        shapes = scores_KMC.shape, states_MC.shape, asked_MC.shape
        raise ValueError(f"expected scores (K, M, C), states (M, C) and asked (M, C), got {shapes}")
    if counted_C.shape != states_MC.shape[1:] or not counted_C.any():
        raise ValueError(f"expected (C,) = {states_MC.shape[1:]} with a class that counts, got {counted_C}")
    if np.isnan(scores_KMC).any():
        raise ValueError("expected scores that can be ranked, got NaN")
    if scores_KMC.min(initial=0) >= 0 and scores_KMC.max(initial=0) <= 1:
        raise ValueError("expected logits, got scores that all lie in [0, 1], as probabilities do")
