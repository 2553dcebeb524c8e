"""The patch tokens of a vision transformer as a feature map, for class activation maps.

Shapes: B images, D features, h x w patches.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from wsml_study.training.features_and_head import FeaturesAndHead


def patch_token_map(network: nn.Module) -> nn.Module | None:
    """A module from images to {"map": (B, D, h, w)}: the patches' tokens, as the head takes the pooled ones.

    The head of a transformer sees the class token, or the mean of the patches' before a normalization, so that a map
    shows which patches look like the class and does not add up to its logit.

    Args:
        network: from images to logits.

    Returns:
        the module, which shares the network's parameters; None if the network is no such transformer of timm or
        open_clip.
    """
    if getattr(network, "global_pool", None) in ("token", "avg") and _has(
        network, "forward_features", "num_prefix_tokens", "fc_norm", "patch_embed"
    ):
        return _TimmTokens(network)
    body = network.body if isinstance(network, FeaturesAndHead) else None
    if body is not None and getattr(body, "attn_pool", 0) is None and _has(body, "forward_intermediates", "ln_post"):
        return _ClipTokens(body)
    return None


class _TimmTokens(nn.Module):
    """Of timm's transformers."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network

    def forward(self, images_BcHW: Tensor) -> dict[str, Tensor]:
        """{"map": (B, D, h, w)}."""
        network = self.network
        tokens_BPD: Tensor = network.forward_features(images_BcHW)[:, network.num_prefix_tokens :]
        tokens_BPD = network.fc_norm(tokens_BPD)
        return {"map": tokens_BPD.mT.reshape(len(tokens_BPD), -1, *network.patch_embed.grid_size)}


class _ClipTokens(nn.Module):
    """Of open_clip's transformers, projected as their pooled token is."""

    def __init__(self, tower: Any) -> None:
        super().__init__()
        self.tower = tower

    def forward(self, images_BcHW: Tensor) -> dict[str, Tensor]:
        """{"map": (B, D, h, w)}."""
        given = self.tower.forward_intermediates(
            images_BcHW, indices=1, normalize_intermediates=True, intermediates_only=True
        )
        map_BWhw: Tensor = given["image_intermediates"][0]
        if self.tower.proj is None:
            return {"map": map_BWhw}
        return {"map": (map_BWhw.permute(0, 2, 3, 1) @ self.tower.proj).permute(0, 3, 1, 2)}


def _has(module: nn.Module, *names: str) -> bool:
    return all(hasattr(module, name) for name in names)
