"""`small_cnn`: our own backbone, for images of a few dozen pixels. Shapes: B images, c channels, C classes."""

from __future__ import annotations

from torch import Tensor, nn


class SmallCnn(nn.Module):
    """Two convolutions and a linear head on each feature's maximum over the image.

    Group instead of batch normalization: a batch shared by several workers gives the same gradients as on one.
    """

    def __init__(self, num_channels: int, num_classes: int, width: int = 32) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(num_channels, width, 5, stride=2, padding=2),
            nn.GroupNorm(4, width),
            nn.ReLU(),
            nn.Conv2d(width, 4 * width, 3, padding=1),
            nn.GroupNorm(4, 4 * width),
            nn.ReLU(),
            nn.MaxPool2d(2),
        )
        self.head = nn.Linear(4 * width, num_classes)

    def forward(self, images_BcHW: Tensor) -> Tensor:
        """Logits (B, C) of images (B, c, H, W)."""
        logits_BC: Tensor = self.head(self.features(images_BcHW).amax(dim=(2, 3)))
        return logits_BC
