"""Trials that train only a head on given features: the features, configs, and epochs of each trial trained singly."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from wsml_study.data.label_files import FeatureFiles
from wsml_study.data.label_states import dense_rows
from wsml_study.methods.catalogue import METHODS
from wsml_study.study.data_section import Data, Observe
from wsml_study.study.method_section import Method, Schedule
from wsml_study.study.model_section import Model
from wsml_study.study.spec import TrialConfig
from wsml_study.study.training_section import Training
from wsml_study.training.trial import EpochResult, TrialTraining
from wsml_study.training.trial_data import dataset_of, open_trial_data

NUM_EPOCHS = 4
SCORES = "scores.csv"
GIVEN = Model(backbone="linear")


def write_features(folder: Path, *, num_images: int = 120, num_classes: int = 4, num_features: int = 6) -> Data:
    """Features from which the classes can be learned, a few labels unknown, and a last batch that is not full."""
    draw = np.random.RandomState(1)
    labels_NC = (draw.rand(num_images, num_classes) < 0.35).astype(np.float32)
    labels_NC[np.arange(num_images), np.arange(num_images) % num_classes] = 1
    signal_ND = np.tile(labels_NC, num_features // num_classes + 1)[:, :num_features]
    features_ND = signal_ND + 0.5 * draw.randn(num_images, num_features)
    labels_NC[draw.rand(num_images, num_classes) < 0.05] = np.nan
    np.save(folder / "x.npy", features_ND)
    np.save(folder / "y.npy", labels_NC)
    write_scores(folder / SCORES, data_of(folder), draw)
    return data_of(folder)


def data_of(folder: Path) -> Data:
    files = FeatureFiles(file="x.npy", labels_file="y.npy")
    return Data(dataset="features", root=str(folder), features=files, observe=Observe(positives=1, negatives=1))


def write_scores(file: Path, data: Data, draw: np.random.RandomState) -> None:
    """Scores of the training rows that are mostly right, for methods that take such."""
    dataset = dataset_of(data)
    labels_NC = dense_rows(dataset.train.labels_NC, np.arange(len(dataset.train)))
    scores_NC = np.clip(0.5 + 0.3 * labels_NC + 0.2 * draw.randn(*labels_NC.shape), 0, 1)
    lines = [",".join([name, *map(str, row)]) for name, row in zip(dataset.train.names, scores_NC, strict=True)]
    file.write_text("\n".join([",".join(["image", *dataset.classes]), *lines]))


def config_of(
    data: Data, case: str, values: dict[str, Any] | None = None, *, model: Model = GIVEN, **training: Any
) -> TrialConfig:
    name, _, variant = case.partition(" ")
    rate = training.pop("rate", 0.03)
    schedule = Schedule(rate_per_epoch=rate) if METHODS[name].takes_schedule else None
    if METHODS[name].takes_scores:
        data = data.model_copy(update={"pseudo_labels": str(Path(str(data.root)) / SCORES)})
    return TrialConfig(
        data=data,
        model=model,
        method=Method(name=name, schedule=schedule, variant=variant or None, **(values or {})),
        training=Training(**({"epochs": NUM_EPOCHS, "batch_size": 17, "learning_rate": 3e-3} | training)),
    )


def one_by_one(configs: list[TrialConfig]) -> list[list[EpochResult]]:
    trials = [TrialTraining(config, open_trial_data(config.data)) for config in configs]
    return [[trial.run_epoch() for _ in range(NUM_EPOCHS)] for trial in trials]


def assert_equal(one: EpochResult, other: EpochResult) -> None:
    """Counts to the last, everything else to 1e-5."""
    for name, value in vars(one).items():
        if name.endswith("_seconds") or name == "trained_together":
            continue
        expected = pytest.approx(value, rel=1e-5, abs=1e-9) if isinstance(value, float | tuple) else value
        assert vars(other)[name] == expected, name


def assert_same(one: EpochResult, other: EpochResult) -> None:
    """Every number to the last bit, seconds aside."""
    for name, value in vars(one).items():
        if not name.endswith("_seconds") and name != "trained_together":
            assert vars(other)[name] == value, name
