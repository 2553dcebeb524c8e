"""The two ways in which a trial's epochs pass: everything learns from images, or the head alone from features.

A trial has one phase or, with `linear_init`, both: the head alone, then everything. Shapes: M rows of a split, D
features.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from wsml_study.methods.contract import Peers
from wsml_study.study.spec import TrialConfig
from wsml_study.training.classifier import Classifier, LinearClassifier
from wsml_study.training.frozen_features import with_frozen_features
from wsml_study.training.inputs import FeatureInputs, ImageInputs, Inputs
from wsml_study.training.trial_data import LabelledImages, TrialData


class PhaseName(StrEnum):
    """What learns."""

    LINEAR = "linear"
    END_TO_END = "end_to_end"


class Phase(Protocol):
    """What a trial needs to know of the epochs at hand.

    Attributes:
        name: what learns.
        forward: inputs to logits, in training.
        evaluated: inputs to logits, in evaluation.
    """

    name: PhaseName
    forward: nn.Module
    evaluated: nn.Module

    def inputs(self, split: LabelledImages, *, trained_on: bool = False) -> Inputs:
        """What `forward` is given of a split; one that is trained on may be asked for mirrored rows."""

    def parameter_groups(self) -> list[dict[str, Any]]:
        """What learns at which rate, for an optimizer."""

    def average_gradients(self) -> None:
        """Make the gradients of what learns the same on all ranks, after they were computed."""


class Everything:
    """Backbone and head learn from images."""

    name = PhaseName.END_TO_END

    def __init__(
        self, config: TrialConfig, classifier: Classifier, data: TrialData, device: torch.device, peers: Peers
    ) -> None:
        self._training, self._data, self._device = config.training, data, device
        self.evaluated: nn.Module = classifier
        self.forward = _shared_by_peers(classifier, peers, device)
        self._classifier = classifier

    def inputs(self, split: LabelledImages, *, trained_on: bool = False) -> Inputs:
        """Images, half of those that are trained on mirrored if the data is."""
        return ImageInputs(split, self._device, flips=trained_on and self._data.horizontal_flip)

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Backbone and head, each at its rate."""
        training = self._training
        return self._classifier.parameter_groups(training.learning_rate, training.head_learning_rate_multiplier)

    def average_gradients(self) -> None:
        """DistributedDataParallel has done it."""


class HeadAlone:
    """The head learns from features, given ones or those of the frozen backbone.

    That is all there is to it: a tensor of features, a linear layer, a method. Nothing is augmented unless features of
    mirrored images are asked for.
    """

    name = PhaseName.LINEAR

    def __init__(
        self, config: TrialConfig, classifier: Classifier | LinearClassifier, device: torch.device, peers: Peers
    ) -> None:
        self._config, self._classifier, self._device, self._peers = config, classifier, device, peers
        self.forward: nn.Module = classifier.head
        self.evaluated: nn.Module = classifier.head

    def inputs(self, split: LabelledImages, *, trained_on: bool = False) -> Inputs:
        """Features, all of them on the device."""
        mirrored = trained_on and bool(self._config.training.mirror_features)
        return FeatureInputs(self._features(split), self._features(split, mirrored=True) if mirrored else None)

    def parameter_groups(self) -> list[dict[str, Any]]:
        """The head at its rate."""
        training = self._config.training
        learning_rate = training.linear_learning_rate or training.learning_rate * training.head_learning_rate_multiplier
        return [{"params": list(self._classifier.head.parameters()), "lr": learning_rate}]

    def average_gradients(self) -> None:
        """Average over the ranks: with one linear layer there is nothing to overlap this with."""
        self._peers.average_gradients(self._classifier.head)

    def _features(self, split: LabelledImages, *, mirrored: bool = False) -> Tensor:
        """Features (M, D) on the device, scaled."""
        if split.features_ND is None:
            split = with_frozen_features(split, self._config.model, self._device, mirrored=mirrored)
        assert split.features_ND is not None
        features_MD = torch.from_numpy(split.features_ND[split.rows_M]).to(self._device)
        if not isinstance(self._classifier, LinearClassifier):
            return features_MD
        return self._classifier.features(features_MD)


def _shared_by_peers(classifier: Classifier, peers: Peers, device: torch.device) -> nn.Module:
    if peers.size == 1:
        return classifier
    if device.type == "cuda":
        synchronized = nn.SyncBatchNorm.convert_sync_batchnorm(classifier)  # type: ignore[no-untyped-call]
        return DistributedDataParallel(synchronized, device_ids=[device])
    return DistributedDataParallel(classifier)
