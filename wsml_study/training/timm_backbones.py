"""Models of timm as backbones: published weights, weights from a file or the hub, or random ones.

A network with a position embedding or windows is built for the size of the study's images; timm resamples pretrained
weights to it once.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import timm
import timm.models
from torch import Tensor, nn

from wsml_study.errors import TrainingError
from wsml_study.study.backbone_library import HUB_PREFIX, is_weights_file, name_and_tag
from wsml_study.training.features_and_head import FeaturesAndHead
from wsml_study.training.library_names import misfit, off_grid, tag_of, unknown_model
from wsml_study.training.pretrained_weights import Pretraining
from wsml_study.training.weight_files import digest_of_file, hub_file, local_weights

LIBRARY = f"timm {timm.__version__}"
FILENAMES = ("model.safetensors", "pytorch_model.bin")
"""What the file of weights is called in a repository of the hub."""


def network(
    backbone: str, weights: str | None, *, num_classes: int, image_size: int | None, fetch_weights: bool = True
) -> tuple[nn.Module, nn.Linear]:
    """A model of timm with a fresh classifier.

    Args:
        backbone: `timm/NAME` or `timm/NAME.TAG`.
        weights: a tag, `DEFAULT`, a file, or `hf-hub:owner/name`; None for random ones.
        num_classes: logits per image.
        image_size: pixels of a side of the images; None for those that the weights were trained on.
        fetch_weights: False builds the same network without opening or downloading its weights.

    Returns:
        the network, from normalized images to logits in both modes, and its head.

    Raises:
        TrainingError: the model or its weights are unknown or absent, do not fit each other, or the model does not take
            images of this size.
    """
    source = _source(backbone, weights)
    if weights is None or not fetch_weights:
        model = _created(backbone, source, image_size)
    else:
        model = _with_weights(backbone, weights, source, image_size)
    model.reset_classifier(num_classes)
    head = model.get_classifier()
    if isinstance(head, nn.Linear) and head.bias is not None:
        return model, head
    # Two classifiers whose logits are averaged (distilled models), or a convolution: features, and a head of ours.
    model.reset_classifier(0)
    whole = FeaturesAndHead(model, model.head_hidden_size, num_classes)
    return whole, whole.head


def identity_of_weights(backbone: str, weights: str) -> str:
    """As `pretrained_weights.identity_of_weights`."""
    source = _source(backbone, weights)
    return f"{LIBRARY} {backbone} {_address(weights, source)} mean {source.mean} std {source.std}"


def pretraining(backbone: str, weights: str) -> Pretraining:
    """How images were prepared for the weights; for a file, as for the weights of the backbone's tag."""
    source = _source(backbone, weights)
    return Pretraining(
        mean=tuple(source.mean),
        std=tuple(source.std),
        image_size=int(source.input_size[-1]),
        interpolation=str(source.interpolation),
    )


def _source(backbone: str, weights: str | None) -> timm.models.PretrainedCfg:
    """What timm knows of the weights.

    Raises:
        TrainingError: the model or its weights are unknown.
    """
    name, _ = name_and_tag(backbone)
    if not timm.is_model(name):
        raise unknown_model(backbone, timm.list_models(), library=LIBRARY)
    default = timm.get_pretrained_cfg(name)
    known = timm.models.get_arch_pretrained_cfgs(name).values()
    tags = [one.tag for one in known if one.tag and (one.hf_hub_id or one.url)]
    if default is not None and default.tag in tags:
        tags = [default.tag, *(tag for tag in tags if tag != default.tag)]
    tag = tag_of(backbone, weights, tags)
    if tag is not None:
        return timm.get_pretrained_cfg(f"{name}.{tag}")
    return default or timm.models.PretrainedCfg()


def _created(backbone: str, source: timm.models.PretrainedCfg, image_size: int | None, **settings: Any) -> Any:
    """The model as timm builds it, for images of a size."""
    name, _ = name_and_tag(backbone)
    named = f"{name}.{source.tag}" if source.tag else name
    if image_size is None:
        return timm.create_model(named, **settings)
    try:
        try:
            model = timm.create_model(named, img_size=image_size, **settings)
        except TypeError as error:
            if "img_size" not in str(error):
                raise
            return timm.create_model(named, **settings)  # convolutions take every size
    except (AssertionError, ValueError) as error:
        side = f"{image_size} x {image_size} pixels (data.image_size)"
        raise TrainingError(f"model.backbone: {backbone} does not take images of {side}: {error}") from error
    patch = getattr(getattr(model, "patch_embed", None), "patch_size", 1)
    patch = patch if isinstance(patch, int) else max(patch)
    if image_size % patch:
        raise off_grid(backbone, image_size, patch)
    return model


def _with_weights(backbone: str, weights: str, source: timm.models.PretrainedCfg, image_size: int | None) -> Any:
    """The model with its weights, all of which have a place in it, and its own classifier."""
    if is_weights_file(weights):
        return _with_file(backbone, local_weights(weights), source, image_size)
    if weights.startswith(HUB_PREFIX):
        return _with_file(backbone, hub_file(weights, FILENAMES), source, image_size)
    if source.hf_hub_id:
        names = (source.hf_hub_filename,) if source.hf_hub_filename else FILENAMES
        return _with_file(backbone, hub_file(source.hf_hub_id, names), source, image_size)
    try:
        return _created(backbone, source, image_size, pretrained=True)
    except OSError as error:
        raise TrainingError(
            f"model.weights: {weights} of {backbone} could not be downloaded ({error}); fetch {source.url} elsewhere "
            f"and give the file's path as model.weights"
        ) from error


def _with_file(backbone: str, path: Path, source: timm.models.PretrainedCfg, image_size: int | None) -> Any:
    state = _state_of(backbone, path)
    failure: Exception | None = None
    for num_classes in _possible_classes(state, source):
        # With as many classes as the file has timm loads strictly; with others it ignores what does not fit.
        overlay = {"state_dict": state, "num_classes": num_classes, "custom_load": False, "label_offset": 0}
        try:
            return _created(
                backbone,
                source,
                image_size,
                num_classes=num_classes,
                pretrained=True,
                pretrained_cfg_overlay=overlay,
            )
        except TrainingError:
            raise
        except Exception as error:  # timm converts other formats, and a wrong file can make it raise anything
            failure = failure or error
    assert failure is not None
    raise misfit(backbone, str(path), failure) from failure


def _state_of(backbone: str, path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise TrainingError(f"model.weights: no file {path}")
    try:
        state: dict[str, Tensor] = timm.models.load_state_dict(str(path))  # which unpickles weights only
    except Exception as error:  # unpickling a wrong file can raise errors of any kind
        raise misfit(backbone, str(path), error) from error
    return state


def _possible_classes(state: dict[str, Tensor], source: timm.models.PretrainedCfg) -> list[int]:
    """How many classes the file may be for: as its classifier says, or, under another name of that, the usual number.

    None at all (0) for weights without a classifier.
    """
    names = [source.classifier] if isinstance(source.classifier, str) else list(source.classifier or ())
    rows = [len(state[f"{name}.weight"]) for name in names if f"{name}.weight" in state]
    return rows[:1] or list(dict.fromkeys((source.num_classes, 0)))


def _address(weights: str, source: timm.models.PretrainedCfg) -> str:
    if is_weights_file(weights):
        return digest_of_file(weights)
    if weights.startswith(HUB_PREFIX):
        return digest_of_file(str(hub_file(weights, FILENAMES)))
    return f"{source.tag} {source.hf_hub_id or source.url}"
