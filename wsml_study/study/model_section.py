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
        default=None,
        description="Pretrained weights of the backbone: a name of torchvision (IMAGENET1K_V1) or a .pth file.",
    )
    head: Literal["linear", "boostlu"] | None = Field(
        default=None,
        description="`linear` (default) pools the feature map and applies one linear layer; `boostlu` multiplies "
        "positive class activations by 5 before averaging, for backbones that end in pooling and one linear layer.",
    )

    @property
    def options(self) -> dict[str, Value | None]:
        """The backbone's options as the study file has them; None for defaults."""
        record = BACKBONES.get(self.backbone)
        return {} if record is None else given_options(self, record)
