"""The batches of a training epoch: which images in which order, what is done to them, and their labels.

Order, mirrored images and mixtures are the same for any number of ranks, which share each global batch.
Shapes: N training images, B images of this rank's share of a batch, C classes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from wsml_study.errors import TrainingError
from wsml_study.methods.contract import PADDING, Peers
from wsml_study.study.spec import TrialConfig
from wsml_study.study.viewed_images import why_no_views
from wsml_study.training.class_balance import class_balanced_order, class_balanced_weights
from wsml_study.training.classifier import Classifier, LinearClassifier
from wsml_study.training.feature_dropout import FeatureDropout
from wsml_study.training.inputs import Changed, Inputs, sent
from wsml_study.training.mixing import Mixing, Mixture, mixed_images, mixed_labels
from wsml_study.training.model_check import trains_on_one_image
from wsml_study.training.phases import PhaseName
from wsml_study.training.randomness import order_of_epoch, seed_of, seed_torch
from wsml_study.training.trial_data import TrialData

if TYPE_CHECKING:
    from wsml_study.training.augmentation import Augmentation
    from wsml_study.training.views import Views


@dataclass(frozen=True, kw_only=True)
class SecondLabels:
    """mixup: states (B, C) of the images that are mixed in, and their share in the loss."""

    labels_BC: Tensor
    share: float


@dataclass(frozen=True, kw_only=True)
class TrainingBatch:
    """This rank's share of a global batch, on the device.

    Attributes:
        inputs: images or features, of B images.
        indices_B: their rows among the training images.
        labels_BC, truth_BC: observed and true states; of a mixture by LogicMix those of the mixture.
        num_images: of the global batch.
        second: with mixup; None without.
    """

    inputs: Tensor
    indices_B: Tensor
    labels_BC: Tensor
    truth_BC: Tensor
    num_images: int
    second: SecondLabels | None


@dataclass(frozen=True, kw_only=True)
class TrainingLabels:
    """States of the training images, int8 on the device.

    Attributes:
        labels_NC: that the method is shown.
        truth_NC: the true ones.
    """

    labels_NC: Tensor
    truth_NC: Tensor


class Batches:
    """The batches of the epochs of one phase.

    Attributes:
        views: what gives the method further views of the images; None if it takes none.
    """

    views: Views | None

    def __init__(
        self,
        config: TrialConfig,
        data: TrialData,
        labels: TrainingLabels,
        classifier: Classifier | LinearClassifier,
        phase: PhaseName,
        *,
        dropout: FeatureDropout | None,
        device: torch.device,
        peers: Peers,
    ) -> None:
        """Prepare what a phase does to its images.

        Args:
            config: of the trial.
            data: the splits.
            labels: of the training images.
            classifier: of the trial.
            phase: whose batches these are.
            dropout: of the classifier's features, whose masks are drawn for each batch; None without.
            device: where to train.
            peers: the ranks that share the trial.

        Raises:
            TrainingError: the method takes views of the images, and nothing changes them in this phase.
        """
        self._config, self._data, self._labels, self._classifier = config, data, labels, classifier
        self._phase, self._dropout, self._device, self._peers = phase, dropout, device, peers
        training, takes_images = config.training, phase is PhaseName.END_TO_END
        self._augmentation: Augmentation | None = None
        if takes_images and training.augments:
            from wsml_study.training.augmentation import Augmentation  # imports torchvision: 1 s

            self._augmentation = Augmentation(training, data.image_size)
        mixes = takes_images and training.mixup is not None
        self._mixing = Mixing(training, len(data.train)) if mixes else None
        self._is_whole = phase is PhaseName.CLASS_WISE
        self.views = None if self._is_whole else self._views_of_method()
        balances = training.sampling == "class_balanced" and not self._is_whole
        self._weights_N = class_balanced_weights(labels.labels_NC.cpu()) if balances else None

    def _views_of_method(self) -> Views | None:
        method = self._config.method
        if not (names := method.record.takes_views):
            return None
        if self._augmentation is None:
            raise TrainingError(f"method {method.name.value}: {why_no_views(self._config)}")
        from wsml_study.training.views import Views  # imports torchvision

        assert isinstance(self._classifier, Classifier)
        return Views(names, self._classifier)

    def sizes(self) -> list[int]:
        """Images of each global batch of an epoch."""
        return [len(batch) for batch in self._split(torch.arange(len(self._data.train)))]

    def of_epoch(self, epoch: int, inputs: Inputs) -> Iterator[TrainingBatch]:
        """This rank's share of each global batch.

        Args:
            epoch: of the trial, from 1.
            inputs: of the training images.
        """
        seed = self._config.training.seed
        order_N, mirrored_N = self._order(epoch)
        # For dropout, which differs between ranks.
        seed_torch(seed_of(seed, epoch, 1 + self._peers.rank))
        batches = self._split(order_N)
        shares = [self._share(batch) for batch in batches]
        mixtures = self._mixtures([indices_B for indices_B, _ in shares], epoch)
        fetched = [
            indices_B if mixture is None else mixture.fetched_M
            for (indices_B, _), mixture in zip(shares, mixtures, strict=True)
        ]
        for number, inputs_B in enumerate(inputs.batches(fetched, mirrored_N, self._changed(epoch))):
            size = len(batches[number])
            self._draw_dropout(size, epoch=epoch, batch=number)
            indices_B, num_own = shares[number]
            yield self._batch(inputs_B, indices_B, mixtures[number], num_own=num_own, num_images=size)

    def _order(self, epoch: int) -> tuple[Tensor, Tensor]:
        """The images of an epoch in order, N of them, and a mask (N,), by image, of those that it mirrors."""
        seed = self._config.training.seed
        order_N, mirrored_N = order_of_epoch(len(self._data.train), seed=seed, epoch=epoch)
        if self._weights_N is not None:
            order_N = class_balanced_order(self._weights_N, seed=seed, epoch=epoch)
        return order_N, mirrored_N

    def _split(self, order_N: Tensor) -> list[Tensor]:
        """The global batches of an epoch: one of all images in category-wise fine-tuning.

        The last one is joined to the one before if its images cannot be trained on: these are as many as there are
        ranks, or fewer, so that each rank sees one.
        """
        if self._is_whole:
            return [order_N]
        batches = list(torch.split(order_N, self._config.training.batch_size))
        if len(batches) > 1 and len(batches[-1]) <= self._peers.size and not self._trains_on_one_image:
            batches[-2:] = [torch.cat(batches[-2:])]
        return batches

    @property
    def _trains_on_one_image(self) -> bool:
        if self._phase is not PhaseName.END_TO_END:
            return True
        assert isinstance(self._classifier, Classifier)
        return trains_on_one_image(
            self._classifier, image_size=self._data.image_size, num_channels=self._data.num_channels
        )

    def _share(self, batch: Tensor) -> tuple[Tensor, int]:
        """This rank's part of a global batch, filled up to the size of every rank's, and how many are its own."""
        share = batch[self._peers.rank :: self._peers.size]
        num_padding = -(-len(batch) // self._peers.size) - len(share)
        return torch.cat([share, batch[:num_padding]]), len(share)

    def _mixtures(self, shares: list[Tensor], epoch: int) -> list[Mixture] | list[None]:
        if self._mixing is None:
            return [None for _ in shares]
        self._mixing.begin(epoch)
        return [self._mixing.mixture(indices_B, number) for number, indices_B in enumerate(shares)]

    def _changed(self, epoch: int) -> Changed | None:
        """What changes the images of an epoch on the device; None if nothing does."""
        if self._augmentation is None:
            return None
        changed: Changed = partial(self._augmentation, epoch=epoch)
        return changed if self.views is None else self.views.doubled(changed)

    def _draw_dropout(self, size: int, *, epoch: int, batch: int) -> None:
        if self._dropout is None:
            return
        places_B, _ = self._share(torch.arange(size))
        places_B = places_B if self.views is None else places_B.repeat(2)
        self._dropout.draw(places_B, size, epoch=epoch, batch=batch, device=self._device)

    def _batch(
        self, inputs_B: Tensor, indices_B: Tensor, mixture: Mixture | None, *, num_own: int, num_images: int
    ) -> TrainingBatch:
        """A batch on the device; `inputs_B` are those of all images of the mixtures, if there are any."""
        indices_B = sent(indices_B, self._device)
        labels_NC, truth_NC = self._labels.labels_NC, self._labels.truth_NC
        second = None
        if mixture is None:
            labels_BC, truth_BC = labels_NC[indices_B], truth_NC[indices_B]
        else:
            rows_BK, places_BK, shares_BK = (
                sent(one, self._device) for one in (mixture.rows_BK, mixture.places_BK, mixture.shares_BK)
            )
            inputs_B = mixed_images(inputs_B, places_BK, shares_BK)
            if mixture.second_share is None:
                labels_BC, truth_BC = mixed_labels(labels_NC[rows_BK]), mixed_labels(truth_NC[rows_BK])
            else:
                labels_BC, truth_BC = labels_NC[indices_B], truth_NC[indices_B]
                second = SecondLabels(labels_BC=labels_NC[rows_BK[:, 1]], share=mixture.second_share)
        if num_own < len(indices_B):
            for states_BC in (labels_BC, truth_BC, *(() if second is None else (second.labels_BC,))):
                states_BC[num_own:] = PADDING
        return TrainingBatch(
            inputs=inputs_B,
            indices_B=indices_B,
            labels_BC=labels_BC,
            truth_BC=truth_BC,
            num_images=num_images,
            second=second,
        )
