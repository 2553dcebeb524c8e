"""Trains a part of a classifier: freezes stages of its backbone, or puts LoRA's updates beside its layers."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn

from wsml_study.errors import TrainingError
from wsml_study.study.model_section import Model
from wsml_study.study.partial_training import PEFT, Freeze, Lora
from wsml_study.training.classifier import Classifier
from wsml_study.training.stages import stages_of


def train_parts(classifier: Classifier, model: Model) -> None:
    """Let only those parts of a classifier learn that `model.freeze` and `model.lora` leave to learn.

    Args:
        classifier: in its initial state; changed in place.
        model: the section of the study file.

    Raises:
        TrainingError: the backbone has fewer stages, or no layers of these names; or peft is not installed.
    """
    if model.lora is not None:
        _add_lora(classifier, model.backbone, model.lora)
    if model.freeze is not None and model.freeze.freezes:
        _freeze(classifier, model.backbone, model.freeze)


def merged_weights(classifier: Classifier, weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """The weights of the same classifier without LoRA, whose updates are added to the layers that they belong to.

    Args:
        classifier: with LoRA; not changed.
        weights: of it.
    """
    from peft.tuners.tuners_utils import BaseTunerLayer

    whole = copy.deepcopy(classifier)
    whole.load_state_dict(weights)
    layers = [(name, one) for name, one in whole.network.named_modules() if isinstance(one, BaseTunerLayer)]
    with torch.no_grad():
        for name, layer in layers:
            layer.merge()
            parent, _, last = name.rpartition(".")
            setattr(whole.network.get_submodule(parent), last, layer.get_base_layer())
    return {name: tensor.detach().clone() for name, tensor in whole.state_dict().items()}


def _freeze(classifier: Classifier, backbone: str, freeze: Freeze) -> None:
    stages = stages_of(classifier.network, classifier.head)
    num_stages = len(stages.names)
    key, asked = ("stages", freeze.stages) if freeze.stages is not None else ("all_but", freeze.all_but)
    assert asked is not None
    if asked > num_stages:
        raise TrainingError(
            f"model.freeze.{key}: {backbone} has {num_stages} stages ({', '.join(stages.names)}), got {asked}"
        )
    num_frozen = asked if key == "stages" else num_stages - asked
    frozen = {name for names in stages.parameters[:num_frozen] for name in names}
    if num_frozen == num_stages:
        frozen |= set(stages.tail)
    for name, parameter in classifier.network.named_parameters():
        if name in frozen:
            parameter.requires_grad_(False)


def _add_lora(classifier: Classifier, backbone: str, lora: Lora) -> None:
    if not PEFT.is_met:
        raise TrainingError(f"model.lora needs the package {PEFT.module}, which is not installed: {PEFT.install}")
    import peft

    targets = _targets(classifier, backbone, lora.targets)
    settings = peft.LoraConfig(r=lora.rank, lora_alpha=lora.scale_numerator, target_modules=targets, lora_dropout=0.0)
    peft.inject_adapter_in_model(settings, classifier.network)
    for parameter in classifier.head.parameters():
        parameter.requires_grad_(True)


def _targets(classifier: Classifier, backbone: str, asked: tuple[str, ...] | None) -> list[str]:
    """Names of the layers that LoRA updates."""
    layers = _layers(classifier.network, classifier.head)
    if asked is None:
        linear = [name for name, layer in layers.items() if not isinstance(layer, nn.Conv2d)]
        in_blocks = set().union(*stages_of(classifier.network, classifier.head).parameters[1:])
        chosen = [name for name in linear if any(one.startswith(f"{name}.") for one in in_blocks)]
        return chosen or list(layers)
    chosen = [name for name in layers if any(name == end or name.endswith(f".{end}") for end in asked)]
    for end in asked:
        if not any(name == end or name.endswith(f".{end}") for name in chosen):
            last = list(dict.fromkeys(name.rpartition(".")[2] for name in layers))
            raise TrainingError(
                f"model.lora.targets: {backbone} has no linear layer or convolution {end}; their names end in "
                f"{', '.join(last[:12])}"
            )
    return chosen


def _layers(network: nn.Module, head: nn.Module) -> dict[str, Any]:
    """Linear layers, attention with weights of its own, and convolutions without groups, by name."""
    layers: dict[str, Any] = {}
    for name, module in network.named_modules():
        inside = any(
            name.startswith(f"{other}.") for other, one in layers.items() if isinstance(one, nn.MultiheadAttention)
        )
        plain = isinstance(module, nn.Conv2d) and module.groups == 1
        if module is not head and not inside and (plain or isinstance(module, nn.Linear | nn.MultiheadAttention)):
            layers[name] = module
    return layers
