"""Random changes of training images on their device, drawn for each image from seed, epoch and image alone.

So a trial that is resumed, or shared by several workers, sees the same images. Shapes: B images, c channels, H = W.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torchvision.transforms import v2

from wsml_study.study.training_section import Training
from wsml_study.training.randomness import seed_of

AUGMENTATION = 3
"""Part of the seeds of augmentation, which other draws of an epoch do not have."""


class Augmentation:
    """Random resized crops and RandAugment, by torchvision's transforms, image by image."""

    def __init__(self, training: Training, image_size: int) -> None:
        """Prepare the transforms that the config asks for, for images of so many pixels squared."""
        self._seed = training.seed
        steps: list[torch.nn.Module] = []
        if training.random_crop is not None:
            steps.append(v2.RandomResizedCrop(image_size, scale=(training.random_crop, 1.0), antialias=True))
        if training.rand_augment is not None:
            magnitude = 9 if training.rand_augment_magnitude is None else training.rand_augment_magnitude
            steps.append(v2.RandAugment(num_ops=training.rand_augment, magnitude=magnitude))
        self._transform = v2.Compose(steps)

    def __call__(self, images_BcHW: Tensor, images_B: Tensor, epoch: int) -> Tensor:
        """Changed images, uint8 (B, c, H, W).

        Args:
            images_BcHW: as stored, on their device.
            images_B: their numbers among the training images, on the CPU.
            epoch: of the trial.
        """
        # torchvision draws from torch's generator of the CPU, from which the network's own dropout may draw too.
        state = torch.get_rng_state()
        try:
            changed = []
            for image_cHW, number in zip(images_BcHW, images_B.tolist(), strict=True):
                torch.default_generator.manual_seed(seed_of(self._seed, epoch, number, AUGMENTATION))
                changed.append(self._transform(image_cHW))
        finally:
            torch.set_rng_state(state)
        return torch.stack(changed)
