"""Decisions of a model: its thresholds and calibration, applied to probabilities.

Shapes: N images, C classes.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from wsml_study.inference.calibration import apply, logits_of_probabilities
from wsml_study.record.decision_rules import NO_THRESHOLD, DecisionRules

Floats = npt.NDArray[np.float64]

YES, NO, UNDECIDED = 1, -1, 0
WORDS = {YES: "yes", NO: "no", UNDECIDED: NO_THRESHOLD}


class Decider:
    """Applies rules to probabilities as `TrainedModel.predict` gives them.

    Attributes:
        rules: thresholds and calibration.
        threshold_C: NaN for a class without a threshold.
    """

    def __init__(self, rules: DecisionRules) -> None:
        self.rules = rules
        self.threshold_C, self._lowest_C, self._highest_C = (
            np.array([np.nan if value is None else value for value in column])
            for column in zip(*((one.threshold, one.lowest, one.highest) for one in rules.classes), strict=True)
        )

    def decisions(self, probabilities_NC: Floats) -> npt.NDArray[np.int8]:
        """+1 for yes, -1 for no, 0 for a class without a threshold."""
        decided_NC = np.where(probabilities_NC >= self.threshold_C, YES, NO)  # NaN compares as false
        return np.where(np.isnan(self.threshold_C), UNDECIDED, decided_NC).astype(np.int8)

    def borderline(self, probabilities_NC: Floats) -> npt.NDArray[np.bool_]:
        """Whether thresholds that were chosen on parts of the images decide differently."""
        borderline_NC: npt.NDArray[np.bool_] = (probabilities_NC >= self._lowest_C) & (
            probabilities_NC < self._highest_C
        )
        return borderline_NC

    def calibrated(self, probabilities_NC: Floats) -> Floats:
        """Calibrated probabilities; they rank the images of a class as the model's do, equal ones aside."""
        logits_NC = logits_of_probabilities(probabilities_NC)
        columns = [apply(rule.calibration, logits_NC[:, c]) for c, rule in enumerate(self.rules.classes)]
        return np.stack(columns, axis=1)
