"""The feature map in front of a network's head, found by tracing the network, or given by it.

Shapes: B images, D features, h x w places.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
import torchvision.ops
from torch import Tensor, fx, nn
from torchvision.models.feature_extraction import NodePathTracer, create_feature_extractor

from wsml_study.errors import TrainingError

TRIED_SIZE = 64
"""Pixels of a side of the random image that a network without a size of its own is tried with."""

_RESHAPES = {torch.flatten, torch.squeeze, "flatten", "squeeze", "view", "reshape"}
_REDUCTIONS = {torch.mean, torch.amax, "mean", "amax"}


def map_before_pooling(network: nn.Module, head: nn.Linear, *, needed_by: str) -> tuple[nn.Module, float]:
    """The part of a network up to the feature map that is pooled for the head, and the dropout in between.

    Dropping a pooled feature equals dropping its whole map, so that a caller may apply the dropout to the map.

    Args:
        network: from images to logits.
        head: its last linear layer.
        needed_by: what needs the map, for the error message.

    Returns:
        a module from images to {"map": (B, D, h, w)}, sharing the network's parameters, and a probability.

    Raises:
        TrainingError: nothing is pooled in front of the head.
    """
    if (given := _given_map(network, head)) is not None:
        return given, float(getattr(network, "drop_rate", 0.0))
    try:
        name, dropout = _pooled_map(network, head)
    except _NoMapError as error:
        raise TrainingError(
            f"{needed_by} needs a backbone that pools a feature map and ends in one linear layer, such as small_cnn, "
            f"resnet50, mobilenet_v2, densenet121 or efficientnet_b0; {type(network).__name__} does not, since {error}"
        ) from error
    return create_feature_extractor(network, {name: "map"}, suppress_diff_warning=True), dropout


class _GivenMap(nn.Module):
    """Images to {"map": (B, D, h, w)} by the network's own `forward_features`, as timm's networks have it."""

    def __init__(self, network: Any, num_features: int) -> None:
        super().__init__()
        self.network, self.num_features = network, num_features

    def forward(self, images_BcHW: Tensor) -> dict[str, Tensor]:
        """The map; some networks give it with the features last."""
        map_BDhw: Tensor = self.network.forward_features(images_BcHW)
        return {"map": map_BDhw if map_BDhw.shape[1] == self.num_features else map_BDhw.permute(0, 3, 1, 2)}


@torch.no_grad()
def _given_map(network: Any, head: nn.Linear) -> nn.Module | None:
    """The map that a network of timm gives, if its head sees the mean of that and nothing else; None if not.

    A pass with random numbers tells: what stands between map and head differs from network to network.
    """
    if not hasattr(network, "forward_features"):
        return None
    side = getattr(getattr(network, "patch_embed", None), "img_size", None) or (TRIED_SIZE, TRIED_SIZE)
    body = _GivenMap(network, head.in_features)
    images_1cHW = torch.randn((1, 3, *side), generator=torch.Generator().manual_seed(0))
    was_training = network.training
    try:
        network.eval()
        features = network.forward_features(images_1cHW)
        if features.ndim != 4 or head.in_features not in (features.shape[1], features.shape[3]):
            return None
        found_1C = head(body(images_1cHW)["map"].mean(dim=(2, 3)))
        return body if torch.allclose(found_1C, network(images_1cHW), rtol=1e-3, atol=1e-4) else None
    finally:
        network.train(was_training)


class _NoMapError(Exception):
    """The reason why a network has no such map."""


def _pooled_map(network: nn.Module, head: nn.Linear) -> tuple[str, float]:
    """The name of the map in the traced network, and the dropout between its pooling and the head."""
    tracer = _tracer()
    was_training = network.training
    try:
        graph = tracer.trace(network.eval())
    except Exception as error:  # tracing can raise errors of any kind
        raise _NoMapError("it cannot be traced") from error
    finally:
        network.train(was_training)
    # From the head back towards the images, through dropout and reshaping, to the pooling.
    node = next(node for node in graph.nodes if _module(node, network) is head)
    dropout = 0.0
    while True:
        node = node.args[0]
        if not isinstance(node, fx.Node) or node.op == "placeholder":
            raise _NoMapError("nothing is pooled in front of its head")
        operation = _module(node, network) or node.target
        if _pools(node, operation):
            return tracer.node_to_qualname[node.args[0]], dropout
        if isinstance(operation, nn.Dropout):
            dropout = operation.p
        elif operation is F.dropout:
            dropout = float(str(node.kwargs.get("p", 0.5)))
        elif not (isinstance(operation, nn.Flatten | nn.Identity) or operation in _RESHAPES):
            raise _NoMapError(f"{_name(operation)} stands between its pooling and its head")


def _tracer() -> NodePathTracer:
    """A tracer that names nodes as create_feature_extractor does: it keeps torchvision's own blocks whole."""
    members = vars(torchvision.ops).values()
    blocks = [member for member in members if isinstance(member, type) and issubclass(member, nn.Module)]
    return NodePathTracer(autowrap_modules=(math, torchvision.ops), leaf_modules=blocks)


def _pools(node: fx.Node, operation: Any) -> bool:
    """Whether the operation reduces a feature map to one number per feature."""
    if isinstance(operation, nn.AdaptiveAvgPool2d | nn.AdaptiveMaxPool2d):
        return operation.output_size in (1, (1, 1))
    if operation in (F.adaptive_avg_pool2d, F.adaptive_max_pool2d):
        return (node.args[1] if len(node.args) > 1 else node.kwargs.get("output_size")) in (1, (1, 1))
    if operation in _REDUCTIONS:
        axes = node.args[1] if len(node.args) > 1 else node.kwargs.get("dim")
        return isinstance(axes, tuple | list) and sorted(axes) in ([2, 3], [-2, -1])
    return False


def _module(node: fx.Node, network: nn.Module) -> nn.Module | None:
    return network.get_submodule(str(node.target)) if node.op == "call_module" else None


def _name(operation: Any) -> str:
    if isinstance(operation, nn.Module):
        return type(operation).__name__
    return str(getattr(operation, "__name__", operation))
