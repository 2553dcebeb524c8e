"""The classifier of a trial's config: its initial state, and what it becomes as a model in use."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from wsml_study.study.spec import TrialConfig
from wsml_study.training.classifier import Classifier, LinearClassifier
from wsml_study.training.frozen_features import with_frozen_features
from wsml_study.training.pretrained_weights import normalization_of
from wsml_study.training.randomness import seed_torch
from wsml_study.training.trial_data import TrialData


def initial_classifier(
    config: TrialConfig, data: TrialData, device: torch.device, *, num_features: int | None = None
) -> Classifier | LinearClassifier:
    """The classifier before the first epoch; only its linear head if the backbone stays frozen throughout.

    Args:
        config: of the trial.
        data: the splits, with images or features.
        device: where to train.
        num_features: of a linear probe whose features another trial has already; None to find out.

    Raises:
        TrainingError: the backbone or its weights cannot be had.
    """
    linear_probe = data.features_are_given or config.training.mode == "linear"
    if num_features is None and linear_probe:
        num_features = _num_features(config, data, device)
    # Seeded after the features exist: building the backbone that computes them, or finding them cached, must not
    # change the initial weights of the head.
    seed_torch(config.training.seed)
    if num_features is not None:
        return LinearClassifier(num_features, len(data.classes), scaling=data.scaling).to(device)
    classifier = _whole_classifier(config, data)
    if config.model.freeze is not None or config.model.lora is not None:
        from wsml_study.training.trained_parts import train_parts

        train_parts(classifier, config.model)
    return classifier.to(device)


def weights_with_backbone(config: TrialConfig, data: TrialData, head: dict[str, Tensor]) -> dict[str, Tensor]:
    """The weights of the whole classifier, of a linear probe's head and the frozen backbone that it was trained on."""
    classifier = _whole_classifier(config, data)
    classifier.head.load_state_dict({name: head[f"head.{name}"] for name in ("weight", "bias")})
    return {name: tensor.detach().clone() for name, tensor in classifier.state_dict().items()}


def at_temperature(classifier: Classifier | LinearClassifier, weights: dict[str, Tensor], temperature: float) -> None:
    """Divide the head among the weights of a classifier, so that its logits are those at the temperature."""
    head = {id(parameter) for parameter in classifier.head.parameters()}
    for name, parameter in classifier.named_parameters(remove_duplicate=False):
        if id(parameter) in head:
            weights[name] = weights[name] / temperature


def preprocessing_of(config: TrialConfig, data: TrialData, classifier: Classifier | LinearClassifier) -> dict[str, Any]:
    """What a classifier takes, as in `TestResult.preprocessing`."""
    if data.features_are_given:
        return {"features": classifier.head.in_features}
    mean, std = normalization_of(config.model.backbone, config.model.weights)
    resized = {} if config.data.interpolation is None else {"interpolation": config.data.interpolation}
    return {
        "image_size": data.image_size,
        "channels": data.num_channels,
        "mean": list(mean),
        "std": list(std),
    } | resized


def _num_features(config: TrialConfig, data: TrialData, device: torch.device) -> int:
    train = data.train if data.features_are_given else with_frozen_features(data.train, config.model, device)
    assert train.features_ND is not None
    return int(train.features_ND.shape[1])


def _whole_classifier(config: TrialConfig, data: TrialData) -> Classifier:
    return Classifier(
        config.model.backbone,
        num_classes=len(data.classes),
        num_channels=data.num_channels,
        weights=config.model.weights,
        head=config.model.head,
        image_size=data.image_size,
        options=config.model.options,
    )
