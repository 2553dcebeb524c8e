"""Our own backbones, and some of torchvision's, keep the contract of `wsml_study.testing`."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from wsml_study.study.backbone_record import BACKBONES
from wsml_study.testing.backbone_contract import BACKBONE_CONTRACT, BackboneCase
from wsml_study.testing.promises import promise_in_words

OF_IMAGES = [name for name in BACKBONES if name != "linear"]  # which takes given features


@pytest.mark.parametrize("promise", BACKBONE_CONTRACT, ids=promise_in_words)
@pytest.mark.parametrize("name", [*OF_IMAGES, "resnet18", "googlenet", "mobilenet_v2"])
def test_every_backbone_keeps(name: str, promise: Callable[[BackboneCase], None]) -> None:
    promise(BackboneCase(name=name, image_size=64))
