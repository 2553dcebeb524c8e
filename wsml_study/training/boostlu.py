"""BoostLU: a head that boosts positive class activations before it averages them over the image.

Trained on labels of which most positives are missing, a network still responds to the right places, but too weakly.
Multiplying the positive values of the class activation map compensates. BoostLU is a head, not a loss, and works with
any method.
Source: Kim, Kim, Jeong et al., "Bridging the Gap between Model Explanations in Partially Annotated Multi-label
Classification", CVPR 2023; youngwk/BridgeGapExplanationPAMC.

Shapes: B images, C classes, D features, h x w places of the feature map.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from wsml_study.training.feature_map import map_before_pooling

BOOST = 5.0
"""What positive activations are multiplied by, as in the source."""


def boosted(activations: Tensor) -> Tensor:
    """max(a, 5 a): positive activations five times, the others as they are."""
    return torch.where(activations > 0, BOOST * activations, activations)


class BoostLU(nn.Module):
    """Images to logits (B, C): logit_c = mean over the map of max(a_c, 5 a_c), a_c = w_c . features + b_c."""

    def __init__(self, network: nn.Module, head: nn.Linear) -> None:
        """Take a network apart at the map that it pools.

        Args:
            network: from images to logits; ends in a pooling over the whole feature map and one linear layer.
            head: that layer. Its weights give the activations.

        Raises:
            TrainingError: the network does not end so.
        """
        super().__init__()
        self.body, dropout = map_before_pooling(network, head, needed_by="model.head: boostlu")
        self.dropout = nn.Dropout2d(dropout)
        self.head = head

    def forward(self, images_BcHW: Tensor) -> Tensor:
        """Logits (B, C) of images (B, channels, H, W)."""
        map_BDhw: Tensor = self.dropout(self.body(images_BcHW)["map"])
        activations_BhwC: Tensor = self.head(map_BDhw.permute(0, 2, 3, 1))
        return boosted(activations_BhwC).mean(dim=(1, 2))
