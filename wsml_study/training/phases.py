"""The phases of a trial: end to end (backbone and head learn from images), a linear probe on features, rows of a head.

A trial has one of the first two or, with `linear_init`, both: first the linear probe, then end to end. Category-wise
fine-tuning of the head's rows may follow. Shapes: M rows of a split,
D features.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from wsml_study.methods.contract import Peers
from wsml_study.study.spec import TrialConfig
from wsml_study.training.class_wise import LEARNING_RATE
from wsml_study.training.classifier import Classifier, LinearClassifier
from wsml_study.training.device_pixels import pixels_on
from wsml_study.training.frozen_features import with_frozen_features
from wsml_study.training.inputs import FeatureInputs, ImageInputs, Inputs
from wsml_study.training.scoring import SMALLEST_BATCH, uses_bf16
from wsml_study.training.trial_data import SplitName, TrialData


class PhaseName(StrEnum):
    """What learns."""

    LINEAR = "linear"
    END_TO_END = "end_to_end"
    CLASS_WISE = "class_wise"


class Phase(Protocol):
    """What learns in a run of epochs, from what inputs and at which rates.

    Attributes:
        name: what learns.
        forward: inputs to logits, in training; several ranks share its gradients.
        evaluated: the same weights, inputs to logits, in evaluation.
    """

    name: PhaseName
    forward: nn.Module
    evaluated: nn.Module

    def inputs(self, split: SplitName) -> Inputs:
        """The inputs of a split; those of the training split can be mirrored if the config says so."""

    @property
    def why_not_mirrored(self) -> str | None:
        """What to do so that training images are mirrored; None where they are."""

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Parameters with their learning rates, for an optimizer."""

    def average_gradients(self) -> None:
        """Average the gradients over the ranks, after the backward pass."""


class EndToEnd:
    """Backbone and head learn from images."""

    name = PhaseName.END_TO_END

    def __init__(
        self, config: TrialConfig, classifier: Classifier, data: TrialData, device: torch.device, peers: Peers
    ) -> None:
        self._training, self._data, self._device = config.training, data, device
        self.evaluated: nn.Module = classifier
        self.forward = _shared_by_peers(classifier, peers, device)
        self._classifier = classifier

    def inputs(self, split: SplitName) -> Inputs:
        """Images, half of the training images mirrored if the data asks for it.

        On a GPU those of training and validation are kept in its memory if they fit. Test images are seen once.
        """
        flips, images = split == "train" and self._data.horizontal_flip, self._data.split(split)
        assert images.images_NcHW is not None
        pixels_NcHW = None if split == "test" else pixels_on(self._device, images.images_NcHW)
        return ImageInputs(images, self._device, flips=flips, pixels_NcHW=pixels_NcHW)

    @property
    def why_not_mirrored(self) -> str | None:
        """As `Phase` says."""
        return None if self._data.horizontal_flip else "set data.horizontal_flip: true"

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Backbone and head, each at its rate."""
        training = self._training
        return self._classifier.parameter_groups(
            training.learning_rate, training.head_learning_rate_multiplier, training.layer_decay
        )

    def average_gradients(self) -> None:
        """No-op: DistributedDataParallel averages them during the backward pass."""


class LinearProbe:
    """The linear head learns from features: given ones, or those of the frozen backbone.

    Features are computed once and kept on the device, so there is no augmentation except `training.mirror_features`,
    which keeps the features of the mirrored images too.
    """

    name = PhaseName.LINEAR

    def __init__(
        self,
        config: TrialConfig,
        classifier: Classifier | LinearClassifier,
        data: TrialData,
        device: torch.device,
        peers: Peers,
    ) -> None:
        self._config, self._classifier, self._data = config, classifier, data
        self._device, self._peers = device, peers
        self.forward: nn.Module = classifier.head
        self.evaluated: nn.Module = classifier.head

    def inputs(self, split: SplitName) -> Inputs:
        """Features, all of them on the device."""
        mirrored = split == "train" and bool(self._config.training.mirror_features)
        return FeatureInputs(self._features(split), self._features(split, mirrored=True) if mirrored else None)

    @property
    def why_not_mirrored(self) -> str | None:
        """As `Phase` says."""
        if self._data.features_are_given:
            return "given features have no mirrored images; leave the option out"
        if not self._config.training.mirror_features:
            return "set training.mirror_features: true, which keeps the features of mirrored images too"
        return None

    def parameter_groups(self) -> list[dict[str, Any]]:
        """The head at its rate."""
        training = self._config.training
        learning_rate = training.linear_learning_rate or training.learning_rate * training.head_learning_rate_multiplier
        return [{"params": list(self._classifier.head.parameters()), "lr": learning_rate}]

    def average_gradients(self) -> None:
        """Average over the ranks. One linear layer has no other layer's backward pass to overlap this with."""
        self._peers.average_gradients(self._classifier.head)

    def _features(self, name: SplitName, *, mirrored: bool = False) -> Tensor:
        """Features (M, D) on the device, scaled."""
        split = self._data.split(name)
        if split.features_ND is None:
            split = with_frozen_features(split, self._config.model, self._device, mirrored=mirrored)
        assert split.features_ND is not None
        features_MD = torch.from_numpy(split.features_ND[split.rows_M]).to(self._device)
        if not isinstance(self._classifier, LinearClassifier):  # the first phase of linear_init
            return features_MD
        return self._classifier.features(features_MD)


class ClassWise(LinearProbe):
    """Each class's row of the head learns from features of the network as it is when the inputs are first asked for."""

    name = PhaseName.CLASS_WISE

    def inputs(self, split: SplitName) -> Inputs:
        """Features, all of them on the device of every rank; no image is mirrored."""
        if isinstance(self._classifier, LinearClassifier):
            return FeatureInputs(self._features(split))
        return FeatureInputs(self._features_of_images(split, self._classifier))

    def parameter_groups(self) -> list[dict[str, Any]]:
        """The head at its rate."""
        rate = self._config.training.class_wise_learning_rate or LEARNING_RATE
        return [{"params": list(self._classifier.head.parameters()), "lr": rate}]

    @torch.no_grad()
    def _features_of_images(self, split: SplitName, classifier: Classifier) -> Tensor:
        """Features (M, D) of images under the classifier's weights, in float32."""
        data, training = self._data.split(split), self._config.training
        images = ImageInputs(data, self._device, flips=False)
        bf16 = uses_bf16(training.precision, self._device)
        classifier.eval()
        features = [torch.zeros(0, classifier.head.in_features, device=self._device)]
        positions = torch.split(torch.arange(len(data)), max(SMALLEST_BATCH, training.batch_size))
        for images_BcHW in images.batches(positions if len(data) else []):
            with torch.autocast(self._device.type, torch.bfloat16, enabled=bf16):
                features.append(classifier.features(images_BcHW).float())
        return torch.cat(features)


def _shared_by_peers(classifier: Classifier, peers: Peers, device: torch.device) -> nn.Module:
    if peers.size == 1:
        return classifier
    if device.type == "cuda":
        # Each rank sees a share of a batch, whose statistics would differ from the whole batch's. CUDA only: torch has
        # no such layer for CPUs.
        synchronized = nn.SyncBatchNorm.convert_sync_batchnorm(classifier)  # type: ignore[no-untyped-call]
        return DistributedDataParallel(synchronized, device_ids=[device])
    return DistributedDataParallel(classifier)
