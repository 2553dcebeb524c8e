"""Trials count in how many epochs their method distrusted each label, where nobody knows the truth about some."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from tests.training.bit_for_bit import through_a_file
from tests.training.head_trials import NUM_EPOCHS, config_of, write_features
from wsml_study.methods.contract import Batch, Outcome
from wsml_study.training.distrust_counts import EpochDistrust
from wsml_study.training.stacked_heads import FusedTraining, LinearProbeTraining
from wsml_study.training.trial import TrialTraining
from wsml_study.training.trial_data import open_trial_data


def watched(trial: TrialTraining) -> Counter[tuple[str, str]]:
    """What a trial's method distrusts from now on, as it answers: (image, class) -> in how many batches."""
    times: Counter[tuple[str, str]] = Counter()
    train, classes = trial.data.train, trial.data.classes

    def count(_: nn.Module, inputs: tuple[Batch], outcome: Outcome) -> None:
        assert outcome.distrusted_BC is not None
        for place, column in outcome.distrusted_BC.nonzero().tolist():
            row = train.rows_M[int(inputs[0].indices_B[place])]
            times[train.names_N[row], classes[column]] += 1

    trial.method.register_forward_hook(count)
    return times


def counted(trial: TrialTraining) -> Counter[tuple[str, str]]:
    columns = trial.distrusted_labels()
    assert columns is not None
    assert set(columns["of"]) == {NUM_EPOCHS}
    return Counter(dict(zip(zip(columns["image"], columns["class"], strict=True), columns["epochs"], strict=True)))


@pytest.mark.parametrize("method", ["LL-R", "LL-Ct"])
def test_alone_beside_others_and_resumed_a_trial_counts_what_its_method_distrusts(method: str, tmp_path: Path) -> None:
    data = write_features(tmp_path)
    configs = [config_of(data, case, seed=seed, rate=0.04) for seed, case in enumerate((method, method, "AN"))]
    alone = TrialTraining(configs[1], open_trial_data(data))
    times = watched(alone)
    for _ in range(NUM_EPOCHS):
        alone.run_epoch()
    assert counted(alone) == times
    assert max(times.values()) > 1

    first = LinearProbeTraining(configs[0], open_trial_data(data))
    others = [LinearProbeTraining(one, open_trial_data(data), shares_features_with=first) for one in configs[1:]]
    fused = FusedTraining([first, *others])
    for _ in range(2):
        fused.run_epoch()
    resumed = TrialTraining(configs[1], open_trial_data(data))
    resumed.load_state_dict(through_a_file(others[0].state_dict()))
    for _ in range(NUM_EPOCHS - 2):
        fused.run_epoch()
        resumed.run_epoch()
    assert counted(others[0]) == counted(resumed) == times
    assert counted(first) != times
    assert others[1].distrusted_labels() is None  # AN chooses nothing


def test_nothing_is_counted_where_the_truth_is_known_or_labels_are_corrected_for_good(tmp_path: Path) -> None:
    data = write_features(tmp_path)
    opened = open_trial_data(data)
    truth_MC = opened.train.truth_MC.copy()
    truth_MC[truth_MC == 0] = -1
    known = replace(opened, train=replace(opened.train, truth_MC=truth_MC))
    for config, given in ((config_of(data, "LL-R"), known), (config_of(data, "LL-Cp"), opened)):
        trial = TrialTraining(config, given)
        assert sum(trial.run_epoch().num_distrusted for _ in range(2)) > 0
        assert trial.distrusted_labels() is None


def test_a_checkpoint_of_an_earlier_version_begins_the_counts_anew(tmp_path: Path) -> None:
    data = write_features(tmp_path)
    trial = TrialTraining(config_of(data, "LL-R"), open_trial_data(data))
    trial.run_epoch()
    state = through_a_file(trial.state_dict())
    del state["distrust"]
    trial.load_state_dict(state)
    assert trial.distrusted_labels() is None
    trial.run_epoch()
    columns = trial.distrusted_labels()
    assert columns is not None
    assert set(columns["of"]) == {1}


def test_an_image_that_is_twice_in_an_epoch_counts_where_it_is_distrusted_once() -> None:
    epoch = EpochDistrust(3, 2)
    assert epoch.take() is None
    epoch.add(torch.tensor([2, 0, 2]), torch.tensor([[True, False], [False, False], [False, False]]))
    epoch.add(torch.tensor([1]), None)
    epoch.add(torch.tensor([2, 1]), torch.tensor([[True, False], [False, False]]))
    mask_RC = epoch.take()
    assert mask_RC is not None
    assert mask_RC.tolist() == [[False, False], [False, False], [True, False]]
    assert epoch.take() is None
