"""A network that ends in features, with a fresh linear head behind it. Shapes: B images, C classes, D features."""

from __future__ import annotations

from torch import Tensor, nn


class FeaturesAndHead(nn.Module):
    """Images to logits (B, C)."""

    def __init__(self, body: nn.Module, num_features: int, num_classes: int) -> None:
        """Put a head behind `body`, which turns images (B, channels, H, W) into features (B, D)."""
        super().__init__()
        self.body = body
        self.head = nn.Linear(num_features, num_classes)

    def forward(self, images_BcHW: Tensor) -> Tensor:
        """Logits (B, C)."""
        logits_BC: Tensor = self.head(self.body(images_BcHW))
        return logits_BC
