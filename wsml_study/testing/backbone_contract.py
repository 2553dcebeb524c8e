"""What every backbone promises.

Shapes: B images, C classes, H = W pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor, nn

from wsml_study.options import Value
from wsml_study.study.backbone_record import BACKBONES
from wsml_study.testing.promises import expect, keep_promise
from wsml_study.training.backbones import Backbone, build_backbone

NUM_IMAGES, NUM_CLASSES = 4, 3
SIZES_OF_ANY = (24, 33)
"""Pixels of a side that a backbone is tried at whose record says `any_size`."""


@dataclass(frozen=True, kw_only=True)
class BackboneCase:
    """A backbone with options, for gray or color images.

    Attributes:
        name: of its record, or a model of torchvision, timm or open_clip.
        image_size: pixels of a side, if its record does not say `any_size`.
        options: values of its options.
    """

    name: str
    image_size: int = 224
    options: Mapping[str, Value] = field(default_factory=dict)

    @property
    def sizes(self) -> tuple[int, ...]:
        """Pixels of a side to try."""
        any_size = self.name in BACKBONES and BACKBONES[self.name].any_size
        return SIZES_OF_ANY if any_size else (self.image_size,)

    def build(self, num_channels: int = 3, *, seed: int = 0) -> Backbone:
        """The network at random weights; equal for equal seeds."""
        torch.manual_seed(seed)
        return build_backbone(
            self.name,
            num_classes=NUM_CLASSES,
            num_channels=num_channels,
            weights=None,
            image_size=self.sizes[0],
            options=self.options,
        )

    def images(self, backbone: Backbone, size: int) -> Tensor:
        """Normalized images (B, channels, H, W)."""
        generator = torch.Generator().manual_seed(1)
        return torch.randn((NUM_IMAGES, backbone.num_channels, size, size), generator=generator)


def check_backbone(name: str, *, image_size: int = 224, **options: Value) -> None:
    """Check that a registered backbone keeps the contract of `Backbone`, at random weights.

    Args:
        name: of its record, or a torchvision classification model; `linear`, which takes no images, breaks it.
        image_size: pixels of a side to try, if the record does not say `any_size`.
        options: values of the backbone's options.

    Raises:
        AssertionError: a promise is broken; the message says which.
    """
    case = BackboneCase(name=name, image_size=image_size, options=options)
    for promise in BACKBONE_CONTRACT:
        keep_promise(promise, case, f"backbone {name}")


def it_takes_images_as_they_are_stored(case: BackboneCase, num_channels: int) -> None:
    """A network takes as many channels as images have, or three, as gray images can be repeated."""
    stated = case.build(num_channels).num_channels
    expect(stated in (num_channels, 3), f"for images of {num_channels} channels it takes {stated}")


def it_gives_finite_logits(case: BackboneCase, num_channels: int, training: bool) -> None:
    """(B, C), in training and in evaluation, at every size that it should take."""
    backbone = case.build(num_channels)
    backbone.network.train(training)
    for size in case.sizes:
        with torch.no_grad():
            logits = backbone.network(case.images(backbone, size))
        expect(isinstance(logits, Tensor), f"expected a tensor of logits, got {type(logits).__name__}")
        expected = (NUM_IMAGES, NUM_CLASSES)
        expect(logits.shape == expected, f"expected logits of shape {expected}, got {tuple(logits.shape)}")
        expect(logits.isfinite().all(), f"logits of images of {size} x {size} pixels are not finite")


def the_head_is_the_last_linear_layer(case: BackboneCase) -> None:
    """What the head gives is what the network gives; a linear probe trains it on what it takes."""
    backbone = case.build()
    expect(isinstance(backbone.head, nn.Linear), f"expected nn.Linear, got {type(backbone.head).__name__}")
    expect(backbone.head in set(backbone.network.modules()), "the head is no part of the network")
    given: list[Tensor] = []
    hook = backbone.head.register_forward_hook(lambda _module, _inputs, output: given.append(output))
    with torch.no_grad():
        logits = backbone.network.eval()(case.images(backbone, case.sizes[0]))
    hook.remove()
    expect(len(given) == 1, f"a forward pass uses the head {len(given)} times")
    expect(torch.equal(given[0], logits), "the logits are not what the head gives")


def equal_seeds_give_equal_networks(case: BackboneCase) -> None:
    """A trial's seed decides its first weights; a network that keeps a generator of its own breaks this."""
    one, other = case.build().network.state_dict(), case.build().network.state_dict()
    expect(one.keys() == other.keys(), "the second network has other parameters")
    unequal = [key for key in one if not torch.equal(one[key], other[key])]
    expect(not unequal, f"with the same seed these weights differ: {', '.join(unequal)}")


def every_parameter_gets_a_gradient(case: BackboneCase) -> None:
    """Several workers wait for each other's gradients: one that never comes is an error of DistributedDataParallel."""
    backbone = case.build()
    backbone.network.train()(case.images(backbone, case.sizes[0])).sum().backward()
    without = [name for name, one in backbone.network.named_parameters() if one.requires_grad and one.grad is None]
    expect(not without, f"these parameters get no gradient: {', '.join(without)}")


def in_evaluation_an_image_does_not_depend_on_the_others(case: BackboneCase) -> None:
    """Predictions must not depend on the batch size."""
    backbone = case.build()
    images_BcHW = case.images(backbone, case.sizes[0])
    with torch.no_grad():
        network = backbone.network.eval()
        together_BC, one_1C = network(images_BcHW), network(images_BcHW[:1])
    expect(torch.allclose(together_BC[:1], one_1C, rtol=1e-3, atol=1e-4), "its logits differ with other images beside")


BACKBONE_CONTRACT: tuple[Callable[[BackboneCase], None], ...] = (
    partial(it_takes_images_as_they_are_stored, num_channels=1),
    partial(it_takes_images_as_they_are_stored, num_channels=3),
    *(
        partial(it_gives_finite_logits, num_channels=num_channels, training=training)
        for num_channels in (1, 3)
        for training in (False, True)
    ),
    the_head_is_the_last_linear_layer,
    equal_seeds_give_equal_networks,
    every_parameter_gets_a_gradient,
    in_evaluation_an_image_does_not_depend_on_the_others,
)
"""All promises of a backbone."""
