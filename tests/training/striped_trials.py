"""Small trials of images whose classes are bright stripes: data in memory, a config for each kind of method."""

from __future__ import annotations

from typing import Any

import numpy as np

from wsml_study.study.data_section import Data, DatasetName
from wsml_study.study.method_section import Method, MethodName, Schedule
from wsml_study.study.spec import TrialConfig
from wsml_study.study.training_section import Training
from wsml_study.training.trial_data import LabelledImages, TrialData

METHODS = [MethodName.AN, MethodName.FULL, MethodName.LL_R, MethodName.LL_CT, MethodName.LL_CP]
NUM_CLASSES = 4


def striped_images(num_images: int, seed: int) -> LabelledImages:
    """Images whose classes are bright stripes, one positive observed."""
    draw = np.random.RandomState(seed)
    truth = np.where(draw.rand(num_images, NUM_CLASSES) < 0.4, 1, -1).astype(np.int8)
    truth[np.arange(num_images), draw.randint(0, NUM_CLASSES, num_images)] = 1
    images = draw.randint(0, 60, (num_images, 1, 16, 16)).astype(np.uint8)
    for row, column in zip(*np.nonzero(truth > 0), strict=True):
        images[row, 0, 4 * column : 4 * column + 2] = 200
    observed = np.zeros_like(truth)
    for row in range(num_images):
        observed[row, draw.choice(np.flatnonzero(truth[row] > 0))] = 1
    return LabelledImages(
        images_NcHW=images,
        names_N=tuple(f"{seed}-{row}" for row in range(num_images)),
        rows_M=np.arange(num_images),
        truth_MC=truth,
        observed_MC=observed,
    )


def small_data(num_train: int = 50) -> TrialData:
    return TrialData(
        classes=("a", "b", "c", "d"),
        train=striped_images(num_train, 0),
        validation=striped_images(23, 1),
        test=striped_images(31, 2),
        horizontal_flip=True,
    )


def config_of(name: MethodName, **training: Any) -> TrialConfig:
    schedule = Schedule(rate_per_epoch=0.05) if name.startswith("LL") else None
    settings = {"epochs": 6, "batch_size": 16, "learning_rate": 0.01, "head_learning_rate_multiplier": 1.0}
    return TrialConfig(
        data=Data(dataset=DatasetName.DIGIT_SCENES),
        method=Method(name=name, schedule=schedule),
        training=Training(**(settings | training)),
    )
