"""The network that an ONNX file holds: pictures of any size in, probabilities and decisions out.

Shapes: B pictures, c channels, H x W pixels as they come, S x S pixels as the model takes them, C classes, K points of
an isotonic curve.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor, nn

from wsml_study.data.dataset import Interpolation
from wsml_study.inference.calibration import logits_of_probabilities
from wsml_study.inference.decisions import NO, UNDECIDED, YES, Decider
from wsml_study.record.decision_rules import Curve

Outputs: TypeAlias = tuple[Tensor, ...]

PROBABILITIES, CALIBRATED, DECISIONS = "probabilities", "calibrated", "decisions"


class OnnxNetwork(nn.Module):
    """Pictures, uint8 (B, c, H, W), to probabilities (B, C), float32; with thresholds to two more outputs.

    These are calibrated probabilities (B, C), float32, and decisions (B, C), int8: 1 yes, -1 no, 0 no threshold.

    Attributes:
        output_names: of what `forward` returns.
    """

    def __init__(
        self, classifier: nn.Module, image_size: int, decider: Decider | None, interpolation: Interpolation = "bilinear"
    ) -> None:
        """Put resizing in front of a classifier, and decisions behind it.

        Args:
            classifier: images as stored, uint8 (B, c, S, S), to logits.
            image_size: S.
            decider: None for a model without thresholds.
            interpolation: by which pictures are resized.
        """
        super().__init__()
        self.resize, self.classifier = PillowResize(image_size, interpolation), classifier
        self.decisions = None if decider is None else _Decisions(decider)
        self.output_names = [PROBABILITIES] if decider is None else [PROBABILITIES, CALIBRATED, DECISIONS]

    def forward(self, images: Tensor) -> Outputs:
        """The outputs, in the order of `output_names`."""
        logits_BC: Tensor = self.classifier(self.resize(images))
        decided = () if self.decisions is None else self.decisions(logits_BC)
        return logits_BC.sigmoid(), *decided


class PillowResize(nn.Module):
    """Pictures, uint8 (B, c, H, W), to float32 (B, c, S, S), whole numbers, as by Pillow's BILINEAR or BICUBIC.

    Two matrix products, which every runtime has, where the antialiasing of ONNX's own `Resize` is missing from many and
    differs from Pillow at the border in ONNX Runtime. Values are at most 1, seldom 2, beside Pillow's, which counts
    in fixed point and takes the columns of some pictures first.
    """

    def __init__(self, size: int, interpolation: Interpolation = "bilinear") -> None:
        """Resize to `size` pixels a side."""
        super().__init__()
        self.size, self.interpolation = size, interpolation

    def forward(self, images_BcHW: Tensor) -> Tensor:
        """Resize."""
        height, width = images_BcHW.shape[2:]
        narrow_BcHS = _rounded(images_BcHW.float() @ self._weights(width).T)
        return _rounded(self._weights(height) @ narrow_BcHS)

    def _weights(self, length: int) -> Tensor:
        """Shares (S, length) of a row's pixels in each pixel of the resized row: filters of at least a pixel."""
        scale = torch.scalar_tensor(length, dtype=torch.float32) / self.size
        centers_S = (torch.arange(self.size, dtype=torch.float32) + 0.5) * scale
        places_L = torch.arange(length, dtype=torch.float32) + 0.5
        distances_SL = (places_L[None] - centers_S[:, None]).abs() / scale.clamp(min=1.0)
        filters_SL = (1 - distances_SL).clamp(min=0.0) if self.interpolation == "bilinear" else _cubic(distances_SL)
        return filters_SL / filters_SL.sum(dim=1, keepdim=True)


class _Decisions(nn.Module):
    """Logits (B, C) to calibrated probabilities and decisions, each (B, C)."""

    threshold_C: Tensor
    has_none_C: Tensor

    def __init__(self, decider: Decider) -> None:
        super().__init__()
        has_none_C = np.isnan(decider.threshold_C)
        # Logits are compared and not probabilities, which in single precision are 1 from 17 on.
        threshold_C = logits_of_probabilities(np.where(has_none_C, 0.5, decider.threshold_C))
        self.register_buffer("threshold_C", torch.from_numpy(threshold_C).float())
        self.register_buffer("has_none_C", torch.from_numpy(has_none_C))
        self.calibration = CalibrationLayer([rule.calibration for rule in decider.rules.classes])

    def forward(self, logits_BC: Tensor) -> Outputs:
        decided_BC = torch.where(logits_BC >= self.threshold_C, YES, NO)
        decisions_BC = torch.where(self.has_none_C, UNDECIDED, decided_BC).to(torch.int8)
        return self.calibration(logits_BC), decisions_BC


class CalibrationLayer(nn.Module):
    """Logits (B, C) to calibrated probabilities (B, C), as `calibration.apply` a class at a time."""

    slope_C: Tensor
    offset_C: Tensor
    isotonic_C: Tensor
    first_C: Tensor
    knots_CK: Tensor
    gaps_CK: Tensor
    rises_CK: Tensor

    def __init__(self, curves: Sequence[Curve]) -> None:
        super().__init__()
        slopes = [1.0 if curve.slope is None else curve.slope for curve in curves]
        offsets = [0.0 if curve.offset is None else curve.offset for curve in curves]
        self.register_buffer("slope_C", torch.tensor(slopes))
        self.register_buffer("offset_C", torch.tensor(offsets))
        self.has_isotonic = any(curve.kind == "isotonic" for curve in curves)
        if self.has_isotonic:
            self._keep_points(curves)

    def _keep_points(self, curves: Sequence[Curve]) -> None:
        """Isotonic curves as a first value and rises from point to point; shorter ones end in rises of nothing."""
        most = max(len(curve.logits) for curve in curves)
        knots_CK, gaps_CK, rises_CK = (np.full((len(curves), most), fill) for fill in (0.0, 1.0, 0.0))
        for c, curve in enumerate(curves):
            count = len(curve.logits) - 1
            if count > 0:
                knots_CK[c, :count] = curve.logits[:-1]
                gaps_CK[c, :count] = np.diff(curve.logits)
                rises_CK[c, :count] = np.diff(curve.probabilities)
        tiny = np.finfo(np.float32).tiny  # a gap that is 0 in single precision is a step
        firsts = [curve.probabilities[0] if curve.probabilities else 0.0 for curve in curves]
        self.register_buffer("isotonic_C", torch.tensor([curve.kind == "isotonic" for curve in curves]))
        self.register_buffer("first_C", torch.tensor(firsts))
        self.register_buffer("knots_CK", torch.from_numpy(knots_CK).float())
        self.register_buffer("gaps_CK", torch.from_numpy(np.maximum(gaps_CK, tiny)).float())
        self.register_buffer("rises_CK", torch.from_numpy(rises_CK).float())

    def forward(self, logits_BC: Tensor) -> Tensor:
        """Calibrated probabilities."""
        sigmoid_BC = (self.slope_C * logits_BC + self.offset_C).sigmoid()
        if not self.has_isotonic:
            return sigmoid_BC
        passed_BCK = ((logits_BC[..., None] - self.knots_CK) / self.gaps_CK).clamp(0.0, 1.0)
        isotonic_BC = self.first_C + (passed_BCK * self.rises_CK).sum(dim=-1)
        return torch.where(self.isotonic_C, isotonic_BC, sigmoid_BC)


def _cubic(distances: Tensor) -> Tensor:
    """Keys' cubic filter with a = -0.5, as Pillow's."""
    near = (1.5 * distances - 2.5) * distances * distances + 1
    far = ((-0.5 * distances + 2.5) * distances - 4) * distances + 2
    return torch.where(distances < 1, near, torch.where(distances < 2, far, torch.zeros_like(far)))


def _rounded(values: Tensor) -> Tensor:
    """To whole numbers of a pixel, halves up, as Pillow does after each direction; bicubic filters leave its range."""
    return (values + 0.5).floor().clamp(0.0, 255.0)
