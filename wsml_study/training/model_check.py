"""A look at a model before anything trains: can it be built, and does it take the study's images?"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from contextlib import suppress

import torch
from torch import Tensor

from wsml_study.errors import TrainingError
from wsml_study.study.backbone_library import is_weights_file, library_of
from wsml_study.training.classifier import Classifier
from wsml_study.training.pretrained_weights import identity_of_weights

USUAL_SIZES = (224, 299, 384, 448, 512, 518)
"""Pixels of a side that torchvision's models were trained at, and our own default: sizes to suggest."""

STRIDE = 32

NUM_IMAGES, NUM_CLASSES = 2, 2

ONE_VALUE = "more than 1 value per channel"
"""Part of what torch says where batch normalization has nothing to normalize by."""


def check_model(
    backbone: str,
    weights: str | None,
    head: str | None,
    *,
    image_sizes: Sequence[int],
    num_channels: int,
    download: bool = True,
) -> None:
    """Build a model and pass two images of each size through it, in evaluation and in training.

    Args:
        backbone, weights, head: as in the `model` section of a study file, `linear` excepted.
        image_sizes: pixels of a side of the study's images.
        num_channels: 1 (gray) or 3 (RGB).
        download: fetch published weights; False only checks that weights of this name are published.

    Raises:
        TrainingError: the backbone or its weights are unknown or absent, or do not fit each other, the head or the
            images.
    """

    def build(size: int | None, *, fetch_weights: bool) -> Classifier:
        return Classifier(
            backbone,
            num_classes=NUM_CLASSES,
            num_channels=num_channels,
            weights=weights,
            head=head,
            image_size=size,
            fetch_weights=fetch_weights,
        )

    fetches = download or (weights is not None and is_weights_file(weights))
    if library_of(backbone) is not None:
        _check_at_each_size(backbone, build, image_sizes, num_channels, fetches=fetches)
        return
    classifier = build(None, fetch_weights=fetches)
    if weights is not None:
        identity_of_weights(backbone, weights)
    # Tensors on the meta device have shapes and no numbers: a pass takes milliseconds at any size.
    classifier.to("meta")
    for size in image_sizes:
        if _failure(classifier, size, num_channels) is None:
            continue
        # An operation without a meta implementation fails as well: a pass with numbers decides.
        reason = _failure(build(None, fetch_weights=False), size, num_channels)
        if reason is not None:
            fitting = [other for other in USUAL_SIZES if _failure(classifier, other, num_channels) is None]
            raise TrainingError(_refusal(backbone, size, reason, fitting[:1]))


def _check_at_each_size(
    backbone: str,
    build: Callable[..., Classifier],
    image_sizes: Sequence[int],
    num_channels: int,
    *,
    fetches: bool,
) -> None:
    """Build a model that may be built for a size of images at each of them, the first one with its weights."""

    def failure(size: int, *, fetch_weights: bool) -> str | None:
        return _failure(build(size, fetch_weights=fetch_weights), size, num_channels)

    for number, size in enumerate(image_sizes):
        reason = failure(size, fetch_weights=fetches and number == 0)
        if reason is None:
            continue
        fitting = []
        for other in _sizes_near(size):
            with suppress(TrainingError):
                fitting += [other] if failure(other, fetch_weights=False) is None else []
        raise TrainingError(_refusal(backbone, size, reason, fitting[:2]))


def _sizes_near(size: int) -> list[int]:
    """Multiples of 32, in which most networks count, the nearest first."""
    sizes = [size // STRIDE * STRIDE + STRIDE * step for step in range(-2, 4)]
    return sorted((one for one in sizes if one > 0 and one != size), key=lambda one: abs(one - size))


def trains_on_one_image(classifier: Classifier, *, image_size: int, num_channels: int) -> bool:
    """Whether a batch of one image can be trained on: batch normalization refuses one value per channel.

    Such a network ends in a map of 1 x 1, as resnet18 does for images of 32 x 32.
    """
    images_1cHW = torch.zeros(1, num_channels, image_size, image_size, dtype=torch.uint8, device="meta")
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        try:
            copy.deepcopy(classifier).to("meta").train()(images_1cHW)
        except ValueError as error:
            return ONE_VALUE not in str(error)
        except Exception:  # an operation without a meta implementation; training says what is wrong, if anything is
            return True
    return True


@torch.no_grad()
def _failure(classifier: Classifier, size: int, num_channels: int) -> str | None:
    """Why the classifier gives no logits for images of a size; None if it does."""
    device = classifier.mean.device
    images_BcHW = torch.zeros(NUM_IMAGES, num_channels, size, size, dtype=torch.uint8, device=device)
    for training in (False, True):
        classifier.train(training)
        try:
            logits = classifier(images_BcHW)
        except Exception as error:  # networks raise errors of any kind for a size that they do not take
            return str(error).partition("\n")[0] or type(error).__name__
        if not isinstance(logits, Tensor) or logits.shape != (NUM_IMAGES, NUM_CLASSES):
            given = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
            mode = "training" if training else "evaluation"
            return f"expected logits {(NUM_IMAGES, NUM_CLASSES)} in {mode}, got {given}"
    return None


def _refusal(backbone: str, size: int, reason: str, sizes: Sequence[int]) -> str:
    such = " or ".join(map(str, sorted(sizes[:2])))
    remedy = f"set data.image_size to a size that it takes, such as {such}, or choose" if sizes else "choose"
    return (
        f"model.backbone: {backbone} does not take images of {size} x {size} pixels (data.image_size): {reason}; "
        f"{remedy} another backbone"
    )
