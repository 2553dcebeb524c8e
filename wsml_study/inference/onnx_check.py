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

LARGEST_DIFFERENCE, LARGEST_RESIZED = 1e-3, 0.05
"""Tolerances for a probability: of pictures of the model's own size, since runtimes add in another order, and of
others, where resized pixels are rounded to values beside Pillow's. A wrong operator differs by much more."""

NEAR, NEAR_RESIZED = 0.01, 0.2
"""Of a logit. Where a threshold or a step of a calibration is that near, both sides of it are right."""

STORED, BLOCKS = 5, 7
Images = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Difference:
    """How far an ONNX file is from `predict`.

    Attributes:
        probability: largest difference of a probability, of pictures of the model's own size.
        resized: of pictures of other sizes.
        calibrated: whether each calibrated probability is that of the logit, or of one that is near.
        decisions: whether decisions are equal wherever the logit is not near the threshold.
        num_pictures: compared.
        num_sizes: of these pictures.
    """

    probability: float
    resized: float
    calibrated: bool
    decisions: bool
    num_pictures: int
    num_sizes: int

    def problem(self) -> str | None:
        """What is wrong, or None."""
        if not self.probability <= LARGEST_DIFFERENCE:
            return f"differs from predict by {self.probability:.2g} in a probability, more than {LARGEST_DIFFERENCE:g}"
        if not self.resized <= LARGEST_RESIZED:
            return f"differs from predict by {self.resized:.2g} in a probability of a picture that it resizes"
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
        resized=max(one.resized for one in compared),
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
    resizes = images_BcHW.shape[2:] != (model.image_size, model.image_size)
    near = NEAR_RESIZED if resizes else NEAR
    difference = float(np.abs(found[0] - expected_BC).max())
    calibrated = decisions = True
    if decider is not None:
        calibrated = _within(found[1], expected_BC, decider, near)
        logits_BC = logits_of_probabilities(expected_BC)
        threshold_C = logits_of_probabilities(decider.threshold_C)
        far_BC = ~(np.abs(logits_BC - threshold_C) <= near)
        decisions = bool((found[2] == decider.decisions(expected_BC))[far_BC].all())
    return Difference(
        probability=0.0 if resizes else difference,
        resized=difference if resizes else 0.0,
        calibrated=calibrated,
        decisions=decisions,
        num_pictures=len(images_BcHW),
        num_sizes=1,
    )


def _within(found_BC: Floats, expected_BC: Floats, decider: Decider, near: float) -> bool:
    """Whether calibrated probabilities lie between those of logits a little lower and higher; curves never fall."""
    logits_BC = logits_of_probabilities(expected_BC)
    low_BC, high_BC = (decider.calibrated(1 / (1 + np.exp(-(logits_BC + step)))) for step in (-near, near))
    return bool(((found_BC >= low_BC - LARGEST_DIFFERENCE) & (found_BC <= high_BC + LARGEST_DIFFERENCE)).all())
