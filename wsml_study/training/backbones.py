"""Backbones out of torchvision, with published weights, weights out of a file, or fresh ones."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path

import torch
import torchvision
from torch import nn

from wsml_study.errors import TrainingError


def torchvision_network(backbone: str, weights: str | None) -> nn.Module:
    """One of torchvision's classification models, as torchvision builds it.

    Args:
        backbone: its name.
        weights: torchvision's name of weights, or a .pth file of the whole model; None for random ones.

    Raises:
        TrainingError: the backbone or its weights are unknown or absent, or do not fit each other.
    """
    known = torchvision.models.list_models(module=torchvision.models)
    if backbone not in known:
        raise TrainingError(
            f"model.backbone: expected small_cnn or a torchvision classification model, got {backbone!r}; "
            f"torchvision {torchvision.__version__} has {', '.join(known)}"
        )
    if weights is None:
        return torchvision.models.get_model(backbone, weights=None)  # type: ignore[no-any-return]
    if weights.endswith((".pth", ".pt")):
        network: nn.Module = torchvision.models.get_model(backbone, weights=None)
        _load_weights(network, Path(weights), backbone)
        return network
    return _published_network(backbone, weights)


def identity_of_weights(backbone: str, weights: str) -> str:
    """What stands for the network and its numbers: where they are published, or a file's content.

    Raises:
        TrainingError: there are no such weights.
    """
    if not weights.endswith((".pth", ".pt")):
        return f"torchvision {torchvision.__version__} {backbone} {_url(backbone, weights)}"
    try:
        status = Path(weights).stat()
    except OSError as error:
        raise TrainingError(f"model.weights: no file {weights}") from error
    digest = _digest(Path(weights), status.st_size, status.st_mtime_ns)
    return f"torchvision {torchvision.__version__} {backbone} {digest}"


@lru_cache(maxsize=8)
def _digest(path: Path, num_bytes: int, changed: int) -> str:
    """SHA-256 of a file; its size and time of change are arguments, so that a changed file is read again."""
    del num_bytes, changed
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


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
        network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    except FileNotFoundError as error:
        raise TrainingError(f"model.weights: no file {path}") from error
    except Exception as error:  # whatever unpickling a wrong file raises
        first_line = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise TrainingError(f"model.weights: {path} does not hold the weights of {backbone}: {first_line}") from error
