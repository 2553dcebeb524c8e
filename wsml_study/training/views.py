"""Further views of the images of a batch, for methods that compare them: changed strongly, and masked.

Shapes: B images of this rank's share of a batch, c channels, H = W pixels, C classes, h x w places of the feature map.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.nn import functional as F

from wsml_study.methods.contract import POSITIVE
from wsml_study.methods.method_record import MASKED, STRONG
from wsml_study.training.activation_maps import ActivationMaps
from wsml_study.training.classifier import Classifier
from wsml_study.training.inputs import Changed

SHOWN = 0.8
"""A place is shown in a masked image if its activation, from 0 to 1 over the image, exceeds this; as in IGNORE."""


class Views:
    """Gives a method the logits of further views.

    The strong view goes through the network in the same pass as the image itself, as its second half, so that both
    share batch statistics and, with several ranks, one synchronization of gradients.
    """

    def __init__(self, names: tuple[str, ...], classifier: Classifier) -> None:
        """Take what a method's record asks for: `strong`, or that and `masked`.

        Raises:
            TrainingError: the network has no activation maps, and a masked view needs them.
        """
        self._classifier = classifier
        self._maps = ActivationMaps(classifier) if MASKED in names else None

    def doubled(self, changed: Changed) -> Changed:
        """Images as they are, and after them the same images changed."""
        return lambda images_BcHW, rows_B: torch.cat([images_BcHW, changed(images_BcHW, rows_B)])

    def of(self, logits_2BC: Tensor, inputs: Tensor, labels_BC: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """The logits (B, C) of the images as they are, and of the other views by name.

        Args:
            logits_2BC: of the doubled images.
            inputs: these images.
            labels_BC: observed states.
        """
        logits_BC, strong_BC = logits_2BC.chunk(2)
        views = {STRONG: strong_BC}
        if self._maps is not None:
            views[MASKED] = self._logits_of_masked(inputs[: len(labels_BC)], labels_BC)
        return logits_BC, views

    @torch.no_grad()
    def _logits_of_masked(self, images_BcHW: Tensor, labels_BC: Tensor) -> Tensor:
        """In training mode, as the other views are, since the network's dropout and batch statistics would differ."""
        assert self._maps is not None
        with _modes_kept(self._classifier):
            maps_BChw = self._maps(images_BcHW).float().clone()  # computed in evaluation mode
        shown_B1HW = shown_places(maps_BChw, labels_BC == POSITIVE, images_BcHW.shape[-1])
        logits_BC: Tensor = self._classifier(torch.where(shown_B1HW, images_BcHW, self._classifier.mean))
        return logits_BC


def shown_places(maps_BChw: Tensor, positive_BC: Tensor, size: int) -> Tensor:
    """Bool (B, 1, size, size): where the maps of an image's observed positives are large; all of it without any.

    Each map is scaled to [0, 1] over its image, then enlarged bilinearly. Of several positives each shows its places.
    The source scales each place over the images of the batch in place of over the image.

    Args:
        maps_BChw: activations of all classes.
        positive_BC: the observed positives.
        size: pixels of a side.
    """
    least, most = maps_BChw.amin((2, 3), keepdim=True), maps_BChw.amax((2, 3), keepdim=True)
    scaled_BChw = (maps_BChw - least) / (most - least).clamp(min=1e-12)
    of_positives_B1hw = scaled_BChw.masked_fill(~positive_BC[:, :, None, None], 0).amax(1, keepdim=True)
    enlarged_B1HW = F.interpolate(of_positives_B1hw, size=(size, size), mode="bilinear", align_corners=False)
    return (enlarged_B1HW > SHOWN) | ~positive_BC.any(1)[:, None, None, None]


@contextmanager
def _modes_kept(network: torch.nn.Module) -> Iterator[None]:
    """Each part is in training or evaluation mode afterwards as it was before."""
    modes = [(part, part.training) for part in network.modules()]
    try:
        yield
    finally:
        for part, training in modes:
            part.training = training
