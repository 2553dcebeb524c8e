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


class Cutout(torch.nn.Module):
    """Paints a square of one random color over an image, cut off where it leaves it.

    As in the code of Ridnik et al., ICCV 2021 (ASL). Source: DeVries and Taylor, arXiv:1708.04552, who paint gray.
    """

    def __init__(self, share: float) -> None:
        """Take the square's side, as a share of the image's."""
        super().__init__()
        self.share = share

    def forward(self, image_cHW: Tensor) -> Tensor:
        """The image (c, H, W) with a square painted over it."""
        channels, height, width = image_cHW.shape
        row, column = (int(torch.randint(0, size, ())) for size in (height, width))
        color_c11 = torch.randint(0, 256, (channels, 1, 1), dtype=torch.uint8)
        half_h, half_w = round(self.share * height) // 2, round(self.share * width) // 2
        rows, columns = slice(max(0, row - half_h), row + half_h), slice(max(0, column - half_w), column + half_w)
        painted_cHW = image_cHW.clone()
        painted_cHW[:, rows, columns] = color_c11.to(image_cHW.device)
        return painted_cHW


class Augmentation:
    """Random resized crops, cutout and RandAugment, the first and last by torchvision, image by image."""

    def __init__(self, training: Training, image_size: int) -> None:
        """Prepare the transforms that the config asks for, for images of so many pixels squared."""
        self._seed = training.seed
        steps: list[torch.nn.Module] = []
        if training.random_crop is not None:
            steps.append(v2.RandomResizedCrop(image_size, scale=(training.random_crop, 1.0), antialias=True))
        if training.cutout is not None:
            steps.append(Cutout(training.cutout))
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
