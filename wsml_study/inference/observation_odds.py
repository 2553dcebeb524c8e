"""Whether positive labels are likelier to be known than negative ones, which makes precision look too high.

If a label is known with probability e+ where it is positive and e- where it is negative, known labels that are weighted
by 1/e+ and 1/e- stand for all labels: sum over known positives of g/e+ plus sum over known negatives of g/e- equals the
sum of g over all pairs, in expectation and for every function g of the image. g = 1 and g = the model's probability
give two equations for the two unknowns. One ratio e+/e- is taken for all classes.

Shapes: M images, C classes, R resamples.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from wsml_study.data.label_states import NEGATIVE, POSITIVE, UNOBSERVED, Labels

Floats = npt.NDArray[np.float64]

NUM_RESAMPLES, SEED = 500, 0
NOTABLE = 1.25
"""A ratio, or its inverse, from which a warning is given, where the interval is beyond it as a whole."""


@dataclass(frozen=True, kw_only=True)
class ObservationOdds:
    """How many times likelier a positive label is known than a negative one, with a 90 % interval over images."""

    ratio: float
    low: float
    high: float

    def on_complete_labels(self, precision: float) -> float:
        """What a precision among known labels would be among all labels."""
        return precision / (precision + self.ratio * (1 - precision))

    @property
    def is_notable(self) -> bool:
        """Whether the ratio differs from 1 by more than chance explains, and enough to matter."""
        return self.low > NOTABLE or self.high < 1 / NOTABLE


def observation_odds(probabilities_MC: Floats, labels_MC: Labels) -> ObservationOdds | None:
    """The ratio of the two probabilities to be known.

    Args:
        probabilities_MC: of the model.
        labels_MC: +1, -1, or 0 for labels that are not known.

    Returns:
        None if all labels are known, or the equations do not tell: the model hardly separates the classes, or the
        labels are too few.
    """
    if (labels_MC != UNOBSERVED).all():
        return None
    positive_MC, negative_MC = labels_MC == POSITIVE, labels_MC == NEGATIVE
    sums_M6 = np.stack(
        [
            positive_MC.sum(axis=1),
            negative_MC.sum(axis=1),
            np.full(len(labels_MC), labels_MC.shape[1]),
            (probabilities_MC * positive_MC).sum(axis=1),
            (probabilities_MC * negative_MC).sum(axis=1),
            probabilities_MC.sum(axis=1),
        ],
        axis=1,
    )
    num_images = len(labels_MC)
    times_RM = np.random.RandomState(SEED).multinomial(
        num_images, np.full(num_images, 1 / num_images), size=NUM_RESAMPLES
    )
    ratio = float(_ratios(sums_M6.sum(axis=0)[None])[0])
    low, high = np.quantile(_ratios(times_RM @ sums_M6), (0.05, 0.95), method="nearest").tolist()
    if not 0 < ratio < np.inf or np.isnan(low) or np.isnan(high):
        return None
    return ObservationOdds(ratio=ratio, low=low, high=high)


def _ratios(sums_R6: Floats) -> Floats:
    """e+ / e- of each row of sums, by Cramer's rule; NaN where a solution is not positive."""
    p1, n1, a1, pg, ng, ag = sums_R6.T
    # 1/e+ and 1/e-, both times the determinant
    of_positives_R, of_negatives_R = a1 * ng - ag * n1, p1 * ag - pg * a1
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio_R: Floats = of_negatives_R / of_positives_R
    return np.where(ratio_R > 0, ratio_R, np.nan)
