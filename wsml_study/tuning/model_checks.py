"""Checks of every model that a study's trials can get, before any of them starts."""

from __future__ import annotations

import textwrap

from wsml_study.description import Scalar
from wsml_study.errors import TrainingError
from wsml_study.study.backbone_library import library_of
from wsml_study.study.backbone_record import BACKBONES
from wsml_study.study.fidelity import at_level, num_levels
from wsml_study.study.search_space import SearchSpace, trial_content
from wsml_study.study.spec import Study
from wsml_study.tuning.part_checks import part_lines

MODEL_KEYS = {"model.backbone", "model.weights", "model.head", "data.image_size"}

WIDEST = 100
"""Columns of a line."""

Model = tuple[str, str | None, str | None]
"""Backbone, weights and head, as in the `model` section of a study file."""


def check_models(study: Study, *, image_size: int | None, num_channels: int | None, download: bool = True) -> None:
    """Build each model that a trial can get, at any level of fidelity, and run a forward pass at each image size.

    Imports torch only for models other than those that take images of every size.

    Args:
        study: with a search over models and sizes, or without.
        image_size: pixels of a side where the study does not say: the dataset's own. None for given features.
        num_channels: of the dataset's images; None for given features.
        download: fetch published weights; False only checks that weights of this name are published.

    Raises:
        TrainingError: a line for each model that cannot be built or does not accept the study's images.
    """
    problems = []
    for (backbone, weights, head), sizes in reachable_models(study, image_size).items():
        record = BACKBONES.get(backbone)
        if record is not None and record.any_size and weights is None:
            continue
        from wsml_study.training.model_check import check_model  # imports torch

        assert num_channels is not None, "given features have no backbone but linear"
        try:
            check_model(backbone, weights, head, image_sizes=sizes, num_channels=num_channels, download=download)
        except TrainingError as error:
            problems.append(str(error))
    try:
        part_lines(study, image_size=image_size)
    except TrainingError as error:
        problems.append(str(error))
    if problems:
        raise TrainingError("\n".join(dict.fromkeys(problems)))


def model_lines(study: Study, *, image_size: int | None) -> list[str]:
    """A line for each pretrained model of timm or open_clip: how images were prepared for it, and how they are here.

    And one for each model of which a part is trained: which.

    Args:
        study, image_size: as `check_models`.
    """
    lines = []
    for (backbone, weights, _), sizes in reachable_models(study, image_size).items():
        if library_of(backbone) is None or weights is None:
            continue
        from wsml_study.training.pretrained_weights import pretraining_of  # its library imports torch

        known = pretraining_of(backbone, weights)
        assert known is not None
        mean, std = (" ".join(f"{value:g}" for value in values) for values in (known.mean, known.std))
        here = " and ".join(f"{size} x {size}" for size in sizes)
        lines += textwrap.wrap(
            f"model {backbone}, weights {weights}: trained on images of {known.image_size} x {known.image_size} pixels "
            f"({known.interpolation}), here {here} ({_interpolation(study)}); pixels less {mean}, divided by {std}",
            WIDEST,
            subsequent_indent="    ",
        )
    parts = part_lines(study, image_size=image_size)
    return [*lines, *(part for line in parts for part in textwrap.wrap(line, WIDEST, subsequent_indent="    "))]


def _interpolation(study: Study) -> str:
    return "as searched" if "data.interpolation" in study.varied else study.data.interpolation or "bilinear"


def joined_batches(study: Study, *, num_images: int, image_size: int | None, num_channels: int | None) -> str | None:
    """A notice if some trial joins its last batch to the one before, since its network cannot train on what is left.

    Args:
        study: with a search over models, sizes and batch sizes, or without; of a range of batch sizes its ends.
        num_images: to train on.
        image_size, num_channels: as `check_models`.
    """
    searched = study.varied.get("training.batch_size")
    sizes = [study.training.batch_size]
    if searched is not None:
        sizes = [searched.int.low, searched.int.high] if searched.int else [int(size) for size in searched.choice or ()]
    left = sorted(
        {size for size in sizes if size < num_images and 0 < num_images % size <= study.resources.workers_per_trial}
    )
    if not left or num_channels is None or study.training.mode == "linear":
        return None
    for (backbone, weights, head), image_sizes in reachable_models(study, image_size).items():
        if (
            backbone in BACKBONES and BACKBONES.distribution(backbone) is None
        ):  # built-in backbones have no batch normalization
            continue
        from wsml_study.training.classifier import Classifier  # imports torch
        from wsml_study.training.model_check import NUM_CLASSES, trains_on_one_image

        for side in image_sizes:
            classifier = Classifier(
                backbone,
                num_classes=NUM_CLASSES,
                num_channels=num_channels,
                weights=weights,
                head=head,
                image_size=side,
                fetch_weights=False,
            )
            if not trains_on_one_image(classifier, image_size=side, num_channels=num_channels):
                return (
                    f"{num_images:,} training images in batches of {left[0]} leave {num_images % left[0]}, and "
                    f"{backbone} cannot train on one of {side} x {side} pixels (batch normalization needs two values): "
                    f"the last batch of an epoch is joined to the one before"
                )
    return None


def reachable_models(study: Study, image_size: int | None) -> dict[Model, list[int]]:
    """The models that a trial can get, each with the sizes of image that it can get with it, ascending.

    Of a range of sizes both ends stand for all. Combinations that conditions rule out are left out.
    """
    sizes: dict[Model, set[int]] = {}
    for number in range(1, num_levels(study) + 1):
        level = at_level(study, number)
        for values in SearchSpace.from_study(level).branches(MODEL_KEYS & level.varied.keys()):
            content = trial_content(level, values)
            model = content["model"]
            found = sizes.setdefault((model["backbone"], model.get("weights"), model.get("head")), set())
            found.update(_sizes(level, values, content["data"].get("image_size", image_size)))
    return {model: sorted(found) for model, found in sizes.items()}


def _sizes(study: Study, values: dict[str, Scalar], image_size: int | None) -> tuple[int, ...]:
    searched = study.varied.get("data.image_size")
    if searched is not None and searched.int is not None and "data.image_size" in values:
        return searched.int.low, searched.int.high
    return () if image_size is None else (image_size,)
