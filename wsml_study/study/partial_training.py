"""Sections `model.freeze` and `model.lora`: which parts of a pretrained backbone are trained."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from wsml_study.description import Description
from wsml_study.registry import Requirement

LORA_RANK = 8
"""Default rank of LoRA's updates."""

PEFT = Requirement(module="peft", install="pip install 'wsml-study[lora]'")
"""What `model.lora` needs."""


class Freeze(Description):
    """Stages of the backbone that keep their weights; the head always learns."""

    stages: Annotated[int, Field(ge=0)] | None = Field(
        default=None,
        description="Freeze so many stages, from the image on; the stem in front of the first block is one. 0: none.",
    )
    all_but: Annotated[int, Field(ge=0)] | None = Field(
        default=None, description="Freeze all stages but the last so many; with 0 only the head learns."
    )

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if self.stages is not None and self.all_but is not None:
            raise ValueError("expected `stages` or `all_but`, got both")
        return self

    @property
    def freezes(self) -> bool:
        """Whether anything is frozen."""
        return bool(self.stages) or self.all_but is not None


class Lora(Description):
    """LoRA: updates of low rank are learnt beside the frozen layers of the backbone, and added to them in the end."""

    rank: Annotated[int, Field(ge=0)] = Field(
        default=LORA_RANK, description="Rank of the updates; 0: no updates, the backbone itself learns."
    )
    alpha: Annotated[float, Field(gt=0)] | None = Field(
        default=None, description="Updates are scaled by alpha / rank; by default alpha is twice the rank."
    )
    targets: tuple[str, ...] | None = Field(
        default=None,
        min_length=1,
        strict=False,
        description="Layers that are updated: ends of their names, such as `qkv`. By default all linear layers of the "
        "blocks, and the convolutions of a network that has no such linear layers.",
    )

    @property
    def scale_numerator(self) -> float:
        """Alpha, the default filled in."""
        return 2.0 * self.rank if self.alpha is None else self.alpha
