"""Image towers of CLIP models of open_clip as backbones: their features in front of a fresh linear head.

Features are those that CLIP compares with texts, before they are scaled to unit length. The tower is made for the size
of the study's images: its position embedding is resampled to it. The text tower is not built.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import open_clip
from open_clip.convert import convert_state_dict
from open_clip.factory import load_state_dict
from open_clip.model import _build_vision_tower, resize_pos_embed
from open_clip.pretrained import get_pretrained_cfg, list_pretrained_tags_by_model
from torch import Tensor, nn

from wsml_study.errors import TrainingError
from wsml_study.study.backbone_library import HUB_PREFIX, is_weights_file, name_and_tag
from wsml_study.training.features_and_head import FeaturesAndHead
from wsml_study.training.library_names import misfit, off_grid, tag_of, unknown_model
from wsml_study.training.pretrained_weights import Pretraining
from wsml_study.training.weight_files import digest_of_file, hub_file, local_weights

LIBRARY = f"open_clip {open_clip.__version__}"
FILENAMES = (
    "open_clip_model.safetensors",
    "open_clip_pytorch_model.safetensors",
    "open_clip_pytorch_model.bin",
)
"""What the file of weights is called in a repository of the hub."""

TOWER = "visual."
"""Start of the names of the image tower's weights."""


def network(
    backbone: str, weights: str | None, *, num_classes: int, image_size: int | None, fetch_weights: bool = True
) -> tuple[nn.Module, nn.Linear]:
    """The image tower of a model of open_clip, with a linear head behind it.

    Args:
        backbone: `open_clip/NAME` or `open_clip/NAME.TAG`.
        weights, num_classes, image_size, fetch_weights: as `timm_backbones.network`.

    Returns:
        the network, from normalized images to logits in both modes, and its head.

    Raises:
        TrainingError: the model or its weights are unknown or absent, do not fit each other, or the model does not take
            images of this size.
    """
    config, tag = published_config(backbone), _tag(backbone, weights)
    vision: dict[str, Any] = {**config["vision_cfg"], "timm_model_pretrained": False, "output_tokens": False}
    native = _published_size(config)
    size = vision["image_size"] = image_size or native
    tower = _build_vision_tower(config["embed_dim"], vision, config.get("quick_gelu", False))
    if size % (patch := _patch_of(tower)):
        raise off_grid(backbone, size, patch)
    if weights is not None and fetch_weights:
        _load(tower, _file_of(backbone, weights, tag), backbone, native)
    trunk: Any = getattr(
        tower, "trunk", None
    )  # of timm, built for the published size; open_clip's own are built for ours
    if size != native and hasattr(trunk, "set_input_size"):
        trunk.set_input_size(img_size=size)
    whole = FeaturesAndHead(tower, int(config["embed_dim"]), num_classes)
    return whole, whole.head


def identity_of_weights(backbone: str, weights: str) -> str:
    """As `pretrained_weights.identity_of_weights`."""
    known = pretraining(backbone, weights)
    if is_weights_file(weights):
        address = digest_of_file(weights)
    elif weights.startswith(HUB_PREFIX):
        address = digest_of_file(str(hub_file(weights, FILENAMES)))
    else:
        address = str(_tag(backbone, weights))
    return f"{LIBRARY} {backbone} {address} mean {known.mean} std {known.std}"


def pretraining(backbone: str, weights: str) -> Pretraining:
    """How images were prepared for the weights; for a file, as for the weights of the backbone's tag."""
    name, _ = name_and_tag(backbone)
    tag = _tag(backbone, weights)
    source = {} if tag is None else get_pretrained_cfg(name, tag)  # nothing of a model without tags
    return Pretraining(
        mean=tuple(source.get("mean", open_clip.OPENAI_DATASET_MEAN)),
        std=tuple(source.get("std", open_clip.OPENAI_DATASET_STD)),
        image_size=_published_size(published_config(backbone)),
        interpolation=str(source.get("interpolation", "bicubic")),
    )


def _published_size(config: dict[str, Any]) -> int:
    size = config["vision_cfg"].get("image_size", 224)
    return int(size if isinstance(size, int) else max(size))


def published_config(backbone: str) -> dict[str, Any]:
    """What open_clip makes the model of.

    Raises:
        TrainingError: there is no such model.
    """
    name, _ = name_and_tag(backbone)
    config = open_clip.get_model_config(name) if name in open_clip.list_models() else None
    if config is None:
        raise unknown_model(backbone, open_clip.list_models(), library=LIBRARY)
    return dict(config)


def _tag(backbone: str, weights: str | None) -> str | None:
    """The tag of the weights.

    Raises:
        TrainingError: there is none of this name, or these weights were trained with another activation function.
    """
    name, _ = name_and_tag(backbone)
    quick = bool(published_config(backbone).get("quick_gelu", False))
    tags = list_pretrained_tags_by_model(name)
    fitting = [tag for tag in tags if bool(get_pretrained_cfg(name, tag).get("quick_gelu", False)) is quick]
    tag = tag_of(backbone, weights, [*fitting, *(tag for tag in tags if tag not in fitting)])
    if tag is not None and fitting and tag not in fitting:
        other = name.removesuffix("-quickgelu") if quick else f"{name}-quickgelu"
        raise TrainingError(
            f"model.weights: {tag} was trained with {'GELU' if quick else 'QuickGELU'}, another activation function "
            f"than that of {backbone}; take open_clip/{other}"
        )
    return tag


def weights_path(backbone: str, weights: str) -> Path:
    """The file of weights, fetched if it is not here.

    Raises:
        TrainingError: there is none, or it cannot be fetched.
    """
    path = _file_of(backbone, weights, _tag(backbone, weights))
    if not path.is_file():
        raise TrainingError(f"model.weights: no file {path}")
    return path


def _file_of(backbone: str, weights: str, tag: str | None) -> Path:
    if is_weights_file(weights):
        return local_weights(weights)
    if weights.startswith(HUB_PREFIX):
        return hub_file(weights, FILENAMES)
    name, _ = name_and_tag(backbone)
    source = get_pretrained_cfg(name, str(tag))
    repository, _, filename = source["hf_hub"].rpartition("/")
    if repository:
        return hub_file(repository, (filename,) if filename else FILENAMES)
    try:
        return Path(open_clip.download_pretrained(source))
    except OSError as error:
        raise TrainingError(
            f"model.weights: {tag} of {backbone} could not be downloaded ({error}); fetch {source['url']} elsewhere "
            f"and give the file's path as model.weights"
        ) from error


def _patch_of(tower: nn.Module) -> int:
    """Pixels of a side of the patches that the tower cuts images into; 1 of convolutions."""
    patches = getattr(getattr(tower, "trunk", None), "patch_embed", tower)
    patch = getattr(patches, "patch_size", 1)
    return patch if isinstance(patch, int) else max(patch)


class _Model(nn.Module):
    """Stands for a whole CLIP model where open_clip converts weights: it looks at the image tower alone."""

    def __init__(self, visual: nn.Module) -> None:
        super().__init__()
        self.visual = visual


def _load(tower: nn.Module, path: Path, backbone: str, native: int) -> None:
    if not path.is_file():
        raise TrainingError(f"model.weights: no file {path}")
    model = _Model(tower)
    try:
        state: dict[str, Tensor] = convert_state_dict(model, load_state_dict(str(path)))  # unpickles weights only
        resize_pos_embed(state, model)
        own = {name: tensor for name, tensor in state.items() if name.startswith(TOWER)}
        model.load_state_dict(own)
    except Exception as error:  # unpickling a wrong file can raise errors of any kind
        raise misfit(backbone, str(path), error, hint=f" (it takes {native} x {native} pixels as published)") from error
