"""Loss and gradient of one label over its p, computed by the method's own code on a small batch.

Shapes: S steps of p, one image, C = 20 classes.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from wsml_study.methods.catalogue import describe
from wsml_study.methods.contract import NEGATIVE, UNOBSERVED, Batch, Method
from wsml_study.methods.creation import create_method
from wsml_study.methods.schedules import schedule

NUM_CLASSES, NUM_UNOBSERVED = 20, 10
EPOCH, EPOCHS = 6, 10
DATASET = "voc2012"
SETTING = (
    f"one image of {NUM_CLASSES} classes, epoch {EPOCH} of {EPOCHS}, defaults for VOC 2012; of the other labels "
    f"{NUM_UNOBSERVED} are unobserved with p = 0.5, {NUM_CLASSES - NUM_UNOBSERVED - 1} observed negative with p = 0; "
    f"the large-loss methods distrust k = 1 label, given scores are low"
)
"""Describes the batch on which the curves are computed."""

_STEPS_PER_POINT = 2
_SURE = 20.0
"""Logit of a p that rounds to 1."""


@dataclass(frozen=True, kw_only=True)
class Curve:
    """Loss and gradient of a label over its p, per entry, whatever the method's reduction.

    Attributes:
        p: in (0, 1), ascending.
        gradient: of the loss in the label's logit. Positive: the label is pushed towards negative.
        loss: in nats, the integral of the gradient along the curve, shifted so that its minimum is 0. So it is the
            label's own share of the loss, without the effect of its p on other labels.
    """

    p: tuple[float, ...]
    gradient: tuple[float, ...]
    loss: tuple[float, ...]


def curve(name: str, state: int, num_points: int) -> Curve:
    """The curve of a label in a state, +1 or 0; everything else is fixed as SETTING says.

    Raises:
        MethodError: there is no such method.
    """
    num_steps = num_points * _STEPS_PER_POINT
    p_S = (torch.arange(num_steps) + 0.5) / num_steps
    logits_S = torch.logit(p_S)
    gradient_S = torch.tensor([_gradient(name, state, logit) for logit in logits_S.tolist()])
    loss_S = torch.cumulative_trapezoid(gradient_S, logits_S)
    loss_S = torch.cat([torch.zeros(1), loss_S])
    shown = slice(_STEPS_PER_POINT // 2, None, _STEPS_PER_POINT)
    return Curve(
        p=tuple(p_S[shown].tolist()),
        gradient=tuple(gradient_S[shown].tolist()),
        loss=tuple((loss_S - loss_S.min())[shown].tolist()),
    )


def _gradient(name: str, state: int, logit: float) -> float:
    others = NUM_CLASSES - NUM_UNOBSERVED - 1
    labels_BC = torch.tensor([[state, *[UNOBSERVED] * NUM_UNOBSERVED, *[NEGATIVE] * others]], dtype=torch.int8)
    logits_BC = torch.tensor([[logit, *[0.0] * NUM_UNOBSERVED, *[-_SURE] * others]], requires_grad=True)
    batch = Batch(
        logits_BC=logits_BC,
        labels_BC=labels_BC,
        indices_B=torch.zeros(1, dtype=torch.int64),
        epoch=EPOCH,
        epochs=EPOCHS,
        num_images=1,
    )
    (gradient_BC,) = torch.autograd.grad(_method(name, labels_BC)(batch).loss, logits_BC)
    return gradient_BC[0, 0].item() * (NUM_CLASSES if describe(name).reduction == "mean" else 1)


def _method(name: str, labels_NC: torch.Tensor) -> Method:
    one_label = schedule("step", warmup_epochs=EPOCH - 1, rate_per_step=1 / NUM_CLASSES, epochs_per_step=EPOCHS)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return create_method(
            name,
            labels_NC=labels_NC,
            dataset=DATASET,
            schedule=one_label if describe(name).takes_schedule else None,
            scores_NC=torch.full(labels_NC.shape, 0.2) if describe(name).takes_scores else None,
        )
