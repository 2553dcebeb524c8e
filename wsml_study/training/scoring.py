"""Logits and mAP in evaluation: validation, tests, predictions.

Shapes: B images of a batch, M images in all, C classes.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from wsml_study.training.average_precision import average_precision_C, mean_average_precision
from wsml_study.training.counted_classes import counted_ap

SMALLEST_BATCH = 64
"""Images at once, at least, even where training takes smaller batches: nothing has to be kept for gradients."""


def uses_bf16(precision: str, device: torch.device) -> bool:
    """Whether a network of `training.precision` computes in bf16 on a device."""
    return precision == "bf16" or (precision == "auto" and device.type == "cuda")


@torch.inference_mode()
def logits_of(network: nn.Module, batches: Iterable[Tensor], *, bf16: bool) -> Tensor:
    """Logits (M, C) in float32, on the device of the batches.

    Args:
        network: left in evaluation mode.
        batches: its inputs, on its device, one batch at least. Other batch sizes can change the last digits.
        bf16: compute in bf16, by autocast.
    """
    network.eval()
    parts = []
    for inputs in batches:
        with torch.autocast(inputs.device.type, torch.bfloat16, enabled=bf16):
            parts.append(network(inputs).float())
    return torch.cat(parts)


def map_and_ap(
    scores_MC: Tensor, labels_MC: npt.NDArray[np.int8], *, least_positives: int
) -> tuple[float | None, tuple[float | None, ...]]:
    """mAP, and AP of the classes that it is the mean of, in percent.

    None for a class without a known negative or with fewer positives than `least_positives`, and if all are so.
    """
    states_MC = torch.tensor(labels_MC, device=scores_MC.device)
    return percentages(counted_ap(average_precision_C(scores_MC, states_MC), states_MC, least_positives))


def percentages(ap_C: Tensor) -> tuple[float | None, tuple[float | None, ...]]:
    """mAP and AP per class, in percent, of AP as fractions; None for NaN."""
    per_class = tuple(None if np.isnan(ap) else 100 * ap for ap in ap_C.tolist())
    mean = 100 * mean_average_precision(ap_C)
    return None if np.isnan(mean) else mean, per_class
