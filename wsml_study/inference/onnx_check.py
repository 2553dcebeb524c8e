"""Compares an ONNX file with `predict`, in ONNX Runtime, on pictures of several sizes.

Shapes: B pictures of one size, c channels, H x W pixels, C classes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from wsml_study.inference.calibration import logits_of_probabilities
from wsml_study.inference.decisions import Decider
from wsml_study.inference.model import TrainedModel

LARGEST_DIFFERENCE = 1e-3
"""Tolerance for a probability. Runtimes add in another order, and a resized pixel may be rounded to the value beside
Pillow's; a wrong operator or a picture resized in another way differs by much more."""

NEAR = 0.01
"""Of a logit. Where a threshold or a step of a calibration is that near, both sides of it are right."""

STORED, BLOCKS = 5, 7
Images = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Difference:
    """How far an ONNX file is from `predict`.

    Attributes:
        probability: largest difference of a probability.
        calibrated: whether each calibrated probability is that of the logit, or of one at most `NEAR` beside it.
        decisions: whether decisions are equal wherever the logit is not `NEAR` the threshold.
        num_pictures: compared.
        num_sizes: of these pictures.
    """

    probability: float
    calibrated: bool
    decisions: bool
    num_pictures: int
    num_sizes: int

    def problem(self) -> str | None:
        """What is wrong, or None."""
        if not self.probability <= LARGEST_DIFFERENCE:
            return f"differs from predict by {self.probability:.2g} in a probability, more than {LARGEST_DIFFERENCE:g}"
        if not self.calibrated:
            return "has other calibrated probabilities than predict"
        return None if self.decisions else "decides otherwise than predict"


def compare(content: bytes, model: TrainedModel, decider: Decider | None) -> Difference:
    """Run an ONNX file and the model on the same pictures.

    Args:
        content: of the file.
        model: on the CPU.
        decider: its thresholds, if the file decides.
    """
    import onnxruntime

    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    compared = [_compared(session, images_BcHW, model, decider) for images_BcHW in _pictures(model)]
    return Difference(
        probability=max(one.probability for one in compared),
        calibrated=all(one.calibrated for one in compared),
        decisions=all(one.decisions for one in compared),
        num_pictures=sum(one.num_pictures for one in compared),
        num_sizes=len(compared),
    )


def _pictures(model: TrainedModel) -> Iterator[Images]:
    """Noise of the model's own size, and blocks of random colors that are larger, smaller, and much wider."""
    random, size = np.random.RandomState(0), model.image_size
    yield random.randint(0, 256, (STORED, model.channels, size, size)).astype(np.uint8)
    for height, width in ((2 * size + 1, size * 3 // 2), (size // 2 + 1, size // 3 + 1), (size // 2 + 1, 3 * size)):
        blocks = random.randint(0, 256, (1, model.channels, BLOCKS, BLOCKS)).astype(np.uint8)
        rows, columns = np.arange(height) * BLOCKS // height, np.arange(width) * BLOCKS // width
        yield blocks[:, :, rows][:, :, :, columns]


def _compared(session: Any, images_BcHW: Images, model: TrainedModel, decider: Decider | None) -> Difference:
    found = session.run(None, {"images": images_BcHW})
    pictures = [image_cHW.transpose(1, 2, 0) for image_cHW in images_BcHW]
    expected_BC = model.predict([one[..., 0] if model.channels == 1 else one for one in pictures])
    calibrated = decisions = True
    if decider is not None:
        calibrated = _within(found[1], expected_BC, decider)
        logits_BC = logits_of_probabilities(expected_BC)
        threshold_C = logits_of_probabilities(decider.threshold_C)
        far_BC = ~(np.abs(logits_BC - threshold_C) <= NEAR)
        decisions = bool((found[2] == decider.decisions(expected_BC))[far_BC].all())
    return Difference(
        probability=float(np.abs(found[0] - expected_BC).max()),
        calibrated=calibrated,
        decisions=decisions,
        num_pictures=len(images_BcHW),
        num_sizes=1,
    )


def _within(found_BC: Floats, expected_BC: Floats, decider: Decider) -> bool:
    """Whether calibrated probabilities lie between those of logits a little lower and higher; curves never fall."""
    logits_BC = logits_of_probabilities(expected_BC)
    low_BC, high_BC = (decider.calibrated(1 / (1 + np.exp(-(logits_BC + step)))) for step in (-NEAR, NEAR))
    return bool(((found_BC >= low_BC - LARGEST_DIFFERENCE) & (found_BC <= high_BC + LARGEST_DIFFERENCE)).all())
