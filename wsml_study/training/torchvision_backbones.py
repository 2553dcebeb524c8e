"""torchvision's classification models as backbones: published weights, weights from a file, or random ones."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
import torchvision
from torch import nn

from wsml_study.errors import TrainingError
from wsml_study.study.backbone_library import LIBRARIES, is_weights_file
from wsml_study.study.backbone_record import BACKBONES
from wsml_study.training.library_names import misfit
from wsml_study.training.weight_files import digest_of_file, local_weights

AUXILIARY_HEADS = ("aux1", "aux2", "AuxLogits")
"""Second and third classifiers of googlenet and inception_v3, which only their own ImageNet training used."""


def torchvision_network(
    backbone: str, weights: str | None, *, num_classes: int, fetch_weights: bool = True
) -> tuple[nn.Module, nn.Linear]:
    """One of torchvision's classification models, with a fresh linear layer in place of its last one.

    Args:
        backbone: its name.
        weights: torchvision's name of weights, or a file of the whole model; None for random ones.
        num_classes: logits per image.
        fetch_weights: False builds the same network without opening or downloading its weights.

    Returns:
        the network, from normalized images to logits in both modes, and its last layer.

    Raises:
        TrainingError: the backbone or its weights are unknown or absent, or do not fit each other.
    """
    network = _network(backbone, weights, fetch_weights=fetch_weights)
    _remove_auxiliary_heads(network)
    return network, _replace_head(network, num_classes)


def _network(backbone: str, weights: str | None, *, fetch_weights: bool) -> nn.Module:
    """The model as torchvision builds it."""
    known = torchvision.models.list_models(module=torchvision.models)
    if backbone not in known:
        raise TrainingError(
            f"model.backbone: expected {', '.join(BACKBONES)}, {', '.join(f'{one}/NAME' for one in LIBRARIES)} or a "
            f"torchvision classification model, got {backbone!r}; "
            f"torchvision {torchvision.__version__} has {', '.join(known)}"
        )
    if weights is None or (is_weights_file(weights) and not fetch_weights):
        return _random_network(backbone)
    if is_weights_file(weights):
        network = _random_network(backbone)
        _load_weights(network, local_weights(weights), backbone)
        return network
    if not fetch_weights:
        return _random_network(backbone, **_settings_of_weights(backbone, weights))
    return _published_network(backbone, weights)


def _random_network(backbone: str, **settings: Any) -> nn.Module:
    with warnings.catch_warnings():
        # googlenet and inception_v3 announce that a later release will initialize them faster, and differently.
        warnings.filterwarnings("ignore", category=FutureWarning, message="The default weight initialization")
        network: nn.Module = torchvision.models.get_model(backbone, weights=None, **settings)
        return network


def _settings_of_weights(backbone: str, weights: str) -> dict[str, Any]:
    """What torchvision changes in a network for the sake of published weights, beside loading them."""
    published = torchvision.models.get_model_weights(backbone).__members__.get(weights)
    if published is None:
        return {}
    if backbone in ("googlenet", "inception_v3"):
        return {"transform_input": True}  # these weights were trained on pixels normalized in another way
    if backbone.startswith("vit_"):
        return {"image_size": published.meta["min_size"][0]}  # the size of their position embedding
    return {}


def _remove_auxiliary_heads(network: nn.Module) -> None:
    """Let googlenet and inception_v3 return logits in training too, in place of a tuple of several classifiers' logits.

    States with auxiliary heads (published files, checkpoints and models of earlier versions) still load, without them.
    """
    if not hasattr(network, "aux_logits"):
        return
    network.aux_logits = False  # type: ignore[assignment]
    for name in AUXILIARY_HEADS:
        if hasattr(network, name):
            setattr(network, name, None)
    network.register_load_state_dict_pre_hook(_drop_auxiliary_heads)  # type: ignore[no-untyped-call]


def _drop_auxiliary_heads(module: nn.Module, state: dict[str, Any], prefix: str, *rest: Any) -> None:
    del module, rest
    heads = tuple(f"{prefix}{name}." for name in AUXILIARY_HEADS)
    for key in [key for key in state if key.startswith(heads)]:
        del state[key]


def _replace_head(network: nn.Module, num_classes: int) -> nn.Linear:
    """Put a fresh linear layer in place of the network's last one."""
    linears = [name for name, module in network.named_modules() if isinstance(module, nn.Linear)]
    if not linears:
        raise TrainingError(f"model.backbone: {type(network).__name__} ends in no linear layer to put the head in")
    parent_name, _, child_name = linears[-1].rpartition(".")
    last = network.get_submodule(linears[-1])
    head = nn.Linear(int(last.in_features), num_classes)  # type: ignore[arg-type]
    setattr(network.get_submodule(parent_name), child_name, head)
    return head


def identity_of_weights(backbone: str, weights: str) -> str:
    """A string that differs wherever the features may differ: torchvision's version, backbone, and the weights' URL or
    the SHA-256 of their file.

    Raises:
        TrainingError: there are no such weights.
    """
    if not is_weights_file(weights):
        return f"torchvision {torchvision.__version__} {backbone} {_url(backbone, weights)}"
    return f"torchvision {torchvision.__version__} {backbone} {digest_of_file(weights)}"


def _url(backbone: str, weights: str) -> str:
    choices = torchvision.models.get_model_weights(backbone)
    if weights not in choices.__members__:
        raise TrainingError(
            f"model.weights: {backbone} has {', '.join(choices.__members__)} or a .pth file, got {weights!r}"
        )
    return str(choices[weights].url)


def _published_network(backbone: str, weights: str) -> nn.Module:
    url = _url(backbone, weights)
    try:
        return torchvision.models.get_model(backbone, weights=weights)  # type: ignore[no-any-return]
    except OSError as error:
        raise TrainingError(
            f"model.weights: {weights} of {backbone} could not be downloaded ({error}); fetch {url} elsewhere and "
            f"give the file's path as model.weights"
        ) from error


def _load_weights(network: nn.Module, path: Path, backbone: str) -> None:
    try:
        network.load_state_dict(
            safetensors.torch.load_file(path)
            if path.suffix == ".safetensors"
            else torch.load(path, map_location="cpu", weights_only=True)
        )
    except FileNotFoundError as error:
        raise TrainingError(f"model.weights: no file {path}") from error
    except Exception as error:  # unpickling a wrong file can raise errors of any kind
        raise misfit(backbone, str(path), error) from error
