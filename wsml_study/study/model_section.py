"""Section `model`: the classifier."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from wsml_study.description import Description
from wsml_study.options import Value
from wsml_study.study.backbone_record import BACKBONES
from wsml_study.study.option_fields import given_options, with_options
from wsml_study.study.partial_training import Freeze, Lora


@with_options(BACKBONES)
class Model(Description):
    """The classifier: a backbone and one head."""

    backbone: str = Field(
        default="small_cnn",
        description="; ".join(f"`{name}`: {record.title}" for name, record in BACKBONES.items())
        + "; or a torchvision classification model such as `resnet50`; or `timm/NAME` or `open_clip/NAME`, a model of "
        "these libraries.",
    )
    weights: str | None = Field(
        default=None,
        description="Pretrained weights of the backbone: torchvision's name (IMAGENET1K_V1), a tag of timm or "
        "open_clip (DEFAULT for the first), `hf-hub:owner/name`, or a .pth or .safetensors file.",
    )
    head: Literal["linear", "boostlu"] | None = Field(
        default=None,
        description="`linear` (default) pools the feature map and applies one linear layer; `boostlu` multiplies "
        "positive class activations by 5 before averaging, for backbones that end in pooling and one linear layer.",
    )

    freeze: Freeze | None = Field(
        default=None, description="End to end: stages of the backbone that are not trained; none by default."
    )
    lora: Lora | None = Field(
        default=None, description="End to end: train updates of low rank in place of the backbone's weights (LoRA)."
    )

    @field_validator("freeze")
    @classmethod
    def _no_stage_is_absent(cls, given: Freeze | None) -> Freeze | None:
        return None if given == Freeze(stages=0) else given

    @field_validator("lora")
    @classmethod
    def _no_rank_is_absent(cls, given: Lora | None) -> Lora | None:
        return None if given is not None and given.rank == 0 else given

    @property
    def options(self) -> dict[str, Value | None]:
        """The backbone's options as the study file has them; None for defaults."""
        record = BACKBONES.get(self.backbone)
        return {} if record is None else given_options(self, record)
