"""Section `model`: the classifier."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from wsml_study.description import Description


class Model(Description):
    """The classifier: a backbone and one head."""

    backbone: str = Field(
        default="small_cnn",
        description="`small_cnn`, a torchvision classification model such as `resnet50`, or `linear`, which given "
        "features need.",
    )
    weights: str | None = Field(
        default=None, description="Weights of the backbone: torchvision's name (IMAGENET1K_V1) or a .pth file."
    )
    head: Literal["linear", "boostlu"] | None = Field(
        default=None,
        description="`linear` (default) pools the feature map, then one linear layer; `boostlu` multiplies positive "
        "class activations by 5 before it averages them, for backbones that pool a map and end in one linear layer.",
    )
