"""Class activation maps: where in an image a classifier sees a class.

Source: Zhou et al., "Learning Deep Features for Discriminative Localization", CVPR 2016. Kim et al., CVPR 2022, show
them of assume-negative beside their own methods.

Shapes: B images, C classes, D features, h x w places of the feature map.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from wsml_study.training.boostlu import BoostLU, boosted
from wsml_study.training.classifier import Classifier
from wsml_study.training.feature_map import map_before_pooling
from wsml_study.training.patch_tokens import patch_token_map


class ActivationMaps(nn.Module):
    """Images as stored, uint8 (B, channels, H, W), to activations (B, C, h, w): a_c = w_c . features + b_c.

    Where the network averages its map, a class's logit is the mean of its activations. `small_cnn` takes the maximum of
    each feature instead, and transformers of timm and open_clip have their patches' tokens: such maps show the place of
    a class but do not add up to its logit. With the head `boostlu` the activations are boosted.
    """

    def __init__(self, classifier: Classifier) -> None:
        """Take the classifier's map in front of its pooling.

        Raises:
            TrainingError: it pools no map in front of one linear layer, and has no patch tokens.
        """
        super().__init__()
        self.classifier = classifier
        network = classifier.network
        self.boost = isinstance(network, BoostLU)
        if isinstance(network, BoostLU):
            self.body = network.body
        elif (tokens := patch_token_map(network)) is not None:
            self.body = tokens
        else:
            self.body = map_before_pooling(network, classifier.head, needed_by="a class activation map")[0]

    @torch.inference_mode()
    def forward(self, images_BcHW: Tensor) -> Tensor:
        """Activations (B, C, h, w), in units of logits."""
        self.body.eval()
        map_BDhw: Tensor = self.body(self.classifier.normalized(images_BcHW))["map"]
        activations_BhwC: Tensor = self.classifier.head(map_BDhw.permute(0, 2, 3, 1))
        activations_BChw = activations_BhwC.permute(0, 3, 1, 2)
        return boosted(activations_BChw) if self.boost else activations_BChw
