"""Images are scored by classifiers that saw neither the image's labels nor any true label that is hidden."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from wsml_study.data.label_files import FeatureFiles
from wsml_study.inference.calibration import image_folds
from wsml_study.inference.out_of_fold import SEED, Member, member_of, out_of_fold_scores
from wsml_study.study.data_section import Data, Observe
from wsml_study.study.method_section import Method, Schedule
from wsml_study.study.model_section import Model
from wsml_study.study.spec import TrialConfig
from wsml_study.study.training_section import Training
from wsml_study.training.trial_data import TrialData, open_trial_data

CPU = torch.device("cpu")


@pytest.fixture
def member(tmp_path: Path) -> Member:
    random = np.random.RandomState(0)
    features_ND = random.randn(120, 5).astype(np.float32)
    np.save(tmp_path / "x.npy", features_ND)
    np.save(tmp_path / "y.npy", (features_ND[:, :3] > 0).astype(np.float32))
    config = TrialConfig(
        data=Data(
            dataset="features",
            root=str(tmp_path),
            features=FeatureFiles(file="x.npy", labels_file="y.npy"),
            observe=Observe(share=0.5),
        ),
        model=Model(backbone="linear"),
        method=Method(name="AN"),
        training=Training(epochs=9, batch_size=8, learning_rate=1e-2),
    )
    return member_of(4, config, 6)


def scores(member: Member, data: TrialData) -> np.ndarray:
    return out_of_fold_scores([member], data, num_folds=3, device=CPU).logits_KNC[0]


def test_a_fold_is_scored_without_its_labels_and_without_hidden_ones(member: Member) -> None:
    data = open_trial_data(member.config.data)
    expected_NC = scores(member, data)
    assert np.mean((expected_NC > 0) == (data.train.truth_MC == 1)) > 0.7
    fold_N = next(image_folds(len(data.train), 3, SEED))
    observed_MC = data.train.observed_MC.copy()
    observed_MC[fold_N] *= -1
    turned = replace(data.train, observed_MC=observed_MC, truth_MC=-data.train.truth_MC)
    found_NC = scores(member, replace(data, train=turned))
    assert np.array_equal(found_NC[fold_N], expected_NC[fold_N])
    assert not np.array_equal(found_NC[~fold_N], expected_NC[~fold_N])


def test_a_member_says_how_it_is_trained(member: Member) -> None:
    assert (member.epochs, member.is_head, member.stands_in, member.method) == (6, True, False, "AN")
    network = TrialConfig(data=Data(dataset="digit_scenes"), method=Method(name="AN"))
    whole = network.model_copy(update={"model": network.model.model_copy(update={"weights": None})})
    assert not member_of(0, whole, 3).is_head
    pretrained = network.model_copy(update={"model": network.model.model_copy(update={"weights": "IMAGENET1K_V1"})})
    stand_in = member_of(0, pretrained, 3)
    assert (stand_in.stands_in, stand_in.config.training.mode, stand_in.epochs) == (True, "linear", 10)


def test_labels_that_heads_distrust_are_counted_on_the_images_that_they_trained_on(member: Member) -> None:
    data = open_trial_data(member.config.data)
    assert out_of_fold_scores([member], data, num_folds=3, device=CPU).distrusted_NC is None
    method = Method(name="LL-R", schedule=Schedule(rate_per_epoch=0.02))
    rejecting = replace(member, config=member.config.model_copy(update={"method": method}))
    found = out_of_fold_scores([member, rejecting], data, num_folds=3, device=CPU)
    assert found.distrusted_NC is not None
    assert found.logits_KNC.shape == (2, len(data.train), 3)
    unobserved_NC = data.train.observed_MC == 0
    assert (found.distrusted_NC[~unobserved_NC] == 0).all()
    times_NC = found.distrusted_NC * 2 * 6  # an image is in two of three folds, for 6 epochs each
    assert np.allclose(times_NC, times_NC.round())
    assert times_NC.sum() >= 100
    assert found.distrusted_NC.max() <= 1
    truly = data.train.truth_MC == 1
    assert found.distrusted_NC[unobserved_NC & truly].mean() > 3 * found.distrusted_NC[unobserved_NC & ~truly].mean()
