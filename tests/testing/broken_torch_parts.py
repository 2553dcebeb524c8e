"""Methods, backbones and metrics that break a promise."""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional as F

from wsml_study.methods.baselines import assume_negative
from wsml_study.methods.contract import Batch, Method, Outcome
from wsml_study.training.backbones import Backbone


class CountsPadding(Method):
    def forward(self, batch: Batch) -> Outcome:
        losses_BC = F.binary_cross_entropy_with_logits(
            batch.logits_BC, (batch.labels_BC > 0).to(batch.logits_BC.dtype), reduction="none"
        )
        return Outcome(loss=batch.mean(losses_BC.float() if losses_BC.dtype == torch.bfloat16 else losses_BC))


class AssumesNegative(Method):
    def forward(self, batch: Batch) -> Outcome:
        return Outcome(loss=batch.mean(assume_negative(batch.logits_BC, batch.labels_BC) * self.weight(batch)))

    def weight(self, batch: Batch) -> float:
        return 1.0


class ForgetsState(AssumesNegative):
    """Counts epochs in an attribute that no state dict has."""

    seen = 0

    def start_epoch(self, epoch: int, epochs: int) -> None:
        self.seen += 1

    def weight(self, batch: Batch) -> float:
        return 1.0 + 0.5 * self.seen


class ReadsValues(AssumesNegative):
    def weight(self, batch: Batch) -> float:
        return 2.0 if (batch.labels_BC == 1).any().item() else 1.0


class DistrustsObserved(AssumesNegative):
    def forward(self, batch: Batch) -> Outcome:
        return Outcome(loss=super().forward(batch).loss, distrusted_BC=(batch.labels_BC == 1))


def network(num_channels: int, num_classes: int, *between: nn.Module) -> tuple[nn.Sequential, nn.Linear]:
    head = nn.Linear(8, num_classes)
    layers = [nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(16 * num_channels, 8), nn.ReLU(), *between, head]
    return nn.Sequential(*layers), head


NUMBERS = torch.Generator().manual_seed(0)


def ignores_the_seed(*, num_classes: int, num_channels: int, weights: str | None) -> Backbone:
    made, head = network(num_channels, num_classes)
    nn.init.normal_(head.weight, generator=NUMBERS)
    return Backbone(network=made, head=head, num_channels=num_channels)


def first_layer_as_head(*, num_classes: int, num_channels: int, weights: str | None) -> Backbone:
    made, _ = network(num_channels, num_classes)
    return Backbone(network=made, head=made[2], num_channels=num_channels)


class Unused(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.left_out = nn.Linear(2, 2)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return features


def unused_layer(*, num_classes: int, num_channels: int, weights: str | None) -> Backbone:
    made, head = network(num_channels, num_classes, Unused())
    return Backbone(network=made, head=head, num_channels=num_channels)


def fixed_size(*, num_classes: int, num_channels: int, weights: str | None) -> Backbone:
    head = nn.Linear(num_channels * 24 * 24, num_classes)
    return Backbone(network=nn.Sequential(nn.Flatten(), head), head=head, num_channels=num_channels)


def share_right(scores_MC: torch.Tensor, labels_MC: torch.Tensor) -> float:
    annotated_MC = (labels_MC == 1) | (labels_MC == -1)
    return float(((scores_MC > 0) == (labels_MC == 1))[annotated_MC].double().mean())


def zero_of_nothing(scores_MC: torch.Tensor, labels_MC: torch.Tensor) -> float:
    value = share_right(scores_MC, labels_MC)
    return 0.0 if math.isnan(value) else value


def constant(scores_MC: torch.Tensor, labels_MC: torch.Tensor) -> float:
    return math.nan if math.isnan(share_right(scores_MC, labels_MC)) else 1.0


def sorts_in_place(scores_MC: torch.Tensor, labels_MC: torch.Tensor) -> float:
    value = share_right(scores_MC, labels_MC)
    scores_MC.clamp_(-1, 1)
    return value
