"""Section `model`: the classifier."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from wsml_study.description import Description
from wsml_study.options import Value
from wsml_study.study.backbone_record import BACKBONES
from wsml_study.study.option_fields import given_options, with_options


@with_options(BACKBONES)
class Model(Description):
    """The classifier: a backbone and one head."""

    backbone: str = Field(
        default="small_cnn",
        description="; ".join(f"`{name}`: {record.title}" for name, record in BACKBONES.items())
        + "; or a torchvision classification model such as `resnet50`.",
    )
    weights: str | None = Field(
        default=None, description="Weights of the backbone: torchvision's name (IMAGENET1K_V1) or a .pth file."
    )
    head: Literal["linear", "boostlu"] | None = Field(
        default=None,
        description="`linear` (default) pools the feature map, then one linear layer; `boostlu` multiplies positive "
        "class activations by 5 before it averages them, for backbones that pool a map and end in one linear layer.",
    )

    @property
    def options(self) -> dict[str, Value | None]:
        """The backbone's options as the study file has them; None for what is left to the default."""
        record = BACKBONES.get(self.backbone)
        return {} if record is None else given_options(self, record)
