"""Which labels a trial's method has corrected for good, and when."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.training.bit_for_bit import through_a_file
from tests.training.head_trials import NUM_EPOCHS, config_of, write_features
from wsml_study.training.correction_log import Corrections
from wsml_study.training.stacked_heads import FusedTraining, LinearProbeTraining
from wsml_study.training.trial import TrialTraining
from wsml_study.training.trial_data import LabelledImages, open_trial_data

CLASSES = ("cat", "dog", "car")
TRAIN = LabelledImages(
    features_ND=np.zeros((4, 1), dtype=np.float32),
    names_N=("a", "b", "c", "d"),
    rows_M=np.array([1, 3]),
    truth_MC=np.array([[1, -1, 0], [1, 1, -1]], dtype=np.int8),
    observed_MC=np.zeros((2, 3), dtype=np.int8),
)


def mask(*places: tuple[int, int]) -> torch.Tensor:
    corrected_NC = torch.zeros(2, 3, dtype=torch.bool)
    for place in places:
        corrected_NC[place] = True
    return corrected_NC


def test_each_label_keeps_the_epoch_that_corrected_it() -> None:
    log = Corrections()
    log.note(mask(), 1)
    log.note(mask((1, 1), (0, 1)), 2)
    log.note(mask((1, 1), (0, 1), (0, 0), (0, 2)), 3)
    assert log.columns(TRAIN, CLASSES) == {
        "image": ["b", "d", "b", "b"],
        "class": ["dog", "dog", "cat", "car"],
        "epoch": [2, 2, 3, 3],
        "right": [False, True, True, None],
    }


def test_what_a_new_phase_takes_back_is_dropped() -> None:
    log = Corrections()
    log.note(mask((0, 0), (1, 1)), 2)
    log.note(mask(), 3)
    log.note(mask((1, 1)), 4)
    assert log.columns(TRAIN, CLASSES)["epoch"] == [4]


def test_the_epochs_before_a_checkpoint_of_an_earlier_version_are_unknown() -> None:
    log = Corrections()
    log.load_state_dict(None, mask((0, 0)))
    log.note(mask((0, 0), (1, 1)), 5)
    assert log.columns(TRAIN, CLASSES)["epoch"] == [None, 5]


def test_a_method_that_corrects_nothing_has_none() -> None:
    log = Corrections()
    log.load_state_dict(None, None)
    log.note(None, 1)
    assert log.columns(TRAIN, CLASSES) == {"image": [], "class": [], "epoch": [], "right": []}


@pytest.mark.parametrize("variant", ["code", "as_published"])
def test_a_trial_notes_what_it_stores_alone_resumed_and_beside_others(variant: str, tmp_path: Path) -> None:
    data = write_features(tmp_path)
    configs = [config_of(data, f"LL-Cp {variant}", seed=seed, rate=0.05) for seed in range(3)]
    alone = TrialTraining(configs[1], open_trial_data(data))
    stored = []
    for _ in range(NUM_EPOCHS):
        alone.run_epoch()
        stored.append(alone.method.state_dict()["corrected_NC"].clone())
    columns = alone.corrections()
    assert [columns["epoch"].count(epoch) for epoch in range(1, NUM_EPOCHS + 1)] == [
        int((now & ~before).sum()) for before, now in zip([stored[0] & ~stored[0], *stored], stored, strict=False)
    ]
    assert len(columns["epoch"]) == int(stored[-1].sum()) > 10
    assert {True, False, None} == set(columns["right"])

    first = LinearProbeTraining(configs[0], open_trial_data(data))
    trials = [
        first,
        *(LinearProbeTraining(one, open_trial_data(data), shares_features_with=first) for one in configs[1:]),
    ]
    fused = FusedTraining(trials)
    for _ in range(2):
        fused.run_epoch()
    resumed = TrialTraining(configs[1], open_trial_data(data))
    resumed.load_state_dict(through_a_file(trials[1].state_dict()))
    for _ in range(2):
        fused.run_epoch()
        resumed.run_epoch()
    assert trials[1].corrections() == resumed.corrections() == columns
