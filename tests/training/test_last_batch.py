"""A last batch of one image: joined to the one before if, and only if, the network cannot train on it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from wsml_study.study.reading import parse_study
from wsml_study.study.search_space import SearchSpace
from wsml_study.study.spec import Study, TrialConfig
from wsml_study.training.classifier import Classifier
from wsml_study.training.model_check import trains_on_one_image
from wsml_study.training.trial import TrialTraining
from wsml_study.training.trial_data import LabelledImages, TrialData
from wsml_study.tuning.model_checks import joined_batches


def study_of(backbone: str, **training: object) -> Study:
    content = {
        "name": "last",
        "data": {"dataset": "digit_scenes"},
        "model": {"backbone": backbone},
        "method": {"name": "AN"},
        "training": {"epochs": 1, "batch_size": 8} | training,
    }
    return parse_study(content, source="last")


def config_of(backbone: str) -> TrialConfig:
    study = study_of(backbone)
    return SearchSpace.from_study(study).resolve(study, {})


def images(count: int, size: int) -> LabelledImages:
    random = np.random.RandomState(count)
    labels_NC = np.where(random.rand(count, 3) < 0.5, 1, -1).astype(np.int8)
    return LabelledImages(
        images_NcHW=random.randint(0, 256, size=(count, 3, size, size)).astype(np.uint8),
        names_N=tuple(map(str, range(count))),
        rows_M=np.arange(count),
        truth_MC=labels_NC,
        observed_MC=labels_NC,
    )


def sizes_of_batches(backbone: str, num_images: int, size: int) -> list[int]:
    data = TrialData(
        classes=("a", "b", "c"),
        train=images(num_images, size),
        validation=images(4, size),
        test=images(4, size),
        horizontal_flip=False,
    )
    trial = TrialTraining(config_of(backbone), data)
    assert np.isfinite(trial.run_epoch().train_loss)
    return [len(batch.labels_BC) for batch in trial.optimization.batches(1)]


@pytest.mark.parametrize(
    ("backbone", "num_images", "size", "expected"),
    [
        ("resnet18", 17, 32, [8, 9]),
        ("resnet18", 18, 32, [8, 8, 2]),
        ("resnet18", 17, 64, [8, 8, 1]),  # a map of 2 x 2 has 4 values per channel
        ("small_cnn", 17, 32, [8, 8, 1]),
    ],
)
def test_the_last_batch_is_joined_where_it_must_be(
    backbone: str, num_images: int, size: int, expected: list[int]
) -> None:
    assert sizes_of_batches(backbone, num_images, size) == expected


def test_looking_changes_neither_the_network_nor_the_random_numbers() -> None:
    classifier = Classifier("resnet18", num_classes=3, num_channels=3, weights=None, fetch_weights=False)
    before = {name: tensor.clone() for name, tensor in classifier.state_dict().items()}
    random = torch.get_rng_state()
    assert not trains_on_one_image(classifier, image_size=32, num_channels=3)
    assert trains_on_one_image(classifier, image_size=64, num_channels=3)
    assert torch.equal(torch.get_rng_state(), random)
    assert all(torch.equal(tensor, before[name]) for name, tensor in classifier.state_dict().items())


def test_it_is_told_ahead() -> None:
    told = joined_batches(study_of("resnet18"), num_images=17, image_size=32, num_channels=3)
    assert told is not None
    assert told.startswith("17 training images in batches of 8 leave 1, and resnet18 cannot train on one of 32 x 32")
    for study, num_images, size in (
        (study_of("resnet18"), 18, 32),
        (study_of("resnet18"), 17, 64),
        (study_of("small_cnn"), 17, 32),
        (study_of("resnet18"), 1, 32),
    ):
        assert joined_batches(study, num_images=num_images, image_size=size, num_channels=3) is None
