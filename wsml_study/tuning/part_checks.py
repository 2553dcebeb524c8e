"""A look at what of each model a study trains: the stages that it freezes, and LoRA's updates."""

from __future__ import annotations

from wsml_study.study.fidelity import at_level, num_levels
from wsml_study.study.model_section import Model
from wsml_study.study.search_space import SearchSpace, trial_content
from wsml_study.study.spec import Study

SECTIONS = ("model.freeze", "model.lora")
KEYS = ("model.backbone", "model.head", "training.mode")


def part_lines(study: Study, *, image_size: int | None) -> list[str]:
    """A line for each model of which a part is trained: how many of its weights learn.

    Imports torch, and builds these models with random weights.

    Args:
        study: with a search over models and parts, or without.
        image_size: pixels of a side where the study does not say: the dataset's own. None for given features.

    Raises:
        TrainingError: a backbone has fewer stages, or no layers of these names; or peft is not installed.
    """
    return list(dict.fromkeys(_line(model, image_size) for model in _reachable(study)))


def _reachable(study: Study) -> list[Model]:
    models = []
    for number in range(1, num_levels(study) + 1):
        level = at_level(study, number)
        keys = {key for key in level.varied if key in KEYS or key.startswith(SECTIONS)}
        for values in SearchSpace.from_study(level).branches(keys):
            model = Model.model_validate(trial_content(level, values)["model"])
            if (model.freeze is not None and model.freeze.freezes) or model.lora is not None:
                models.append(model)
    return models


def _line(model: Model, image_size: int | None) -> str:
    from wsml_study.training.classifier import Classifier  # imports torch
    from wsml_study.training.stages import stages_of
    from wsml_study.training.trained_parts import train_parts

    classifier = Classifier(
        model.backbone,
        num_classes=1,
        num_channels=3,
        weights=model.weights,
        head=model.head,
        image_size=image_size,
        fetch_weights=False,
        options=model.options,
    )
    stages = stages_of(classifier.network, classifier.head)
    train_parts(classifier, model)
    parameters = [
        one for one in classifier.network.parameters() if all(one is not own for own in classifier.head.parameters())
    ]
    learning = sum(one.numel() for one in parameters if one.requires_grad)
    total = sum(one.numel() for one in parameters)
    said = f"{model.backbone}: {learning:,} of {total:,} weights of the backbone learn"
    if model.lora is not None:
        said += f", updates of rank {model.lora.rank}"
    if model.freeze is not None and model.freeze.freezes:
        of = dict(zip(stages.names, stages.parameters, strict=True))
        learns = {name for name, one in classifier.network.named_parameters() if one.requires_grad}
        free = [stage for stage, names in of.items() if not learns.isdisjoint(names)]
        said += f"; of {len(stages.names)} stages {', '.join(free) if free else 'none'}"
    return said
