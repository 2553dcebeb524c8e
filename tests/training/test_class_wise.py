"""Category-wise fine-tuning: which rows of the head move, which are kept, and that a resumed trial goes on alike."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.training.bit_for_bit import through_a_file, without_times
from tests.training.digit_trials import config_of
from tests.training.head_trials import config_of as head_config_of
from tests.training.head_trials import write_features
from wsml_study.study.data_section import Data, Observe
from wsml_study.study.training_section import Training
from wsml_study.training.class_wise import BestRows
from wsml_study.training.trial import TrialTraining
from wsml_study.training.trial_data import TrialData, open_trial_data

FAST: dict[str, Any] = {"epochs": 2, "class_wise_epochs": 3, "class_wise_learning_rate": 0.02}


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> TrialData:
    observe = Data(dataset="digit_scenes", observe=Observe(positives=1, negatives=2))
    whole = open_trial_data(observe, cache_dir=tmp_path_factory.mktemp("images"))
    few = {name: getattr(whole.train, name)[:128] for name in ("rows_M", "truth_MC", "observed_MC")}
    return replace(whole, train=replace(whole.train, **few))


def test_epochs_are_counted_after_those_of_the_network() -> None:
    training = Training(mode="linear_init", linear_epochs=2, epochs=3, class_wise_epochs=4)
    assert training.total_epochs == 9
    assert [training.epoch_of_phase(epoch) for epoch in range(1, 10)] == [1, 2, 1, 2, 3, 1, 2, 3, 4]
    assert [training.epochs_of_phase(epoch) for epoch in (2, 3, 9)] == [2, 3, 4]


def test_the_network_stays_and_no_class_gets_worse(scenes: TrialData) -> None:
    trial = TrialTraining(config_of("AN", **FAST), scenes, keep_best=True)
    results = [trial.run_epoch() for _ in range(2)]
    best = trial.progress.best_weights
    results += [trial.run_epoch() for _ in range(3)]
    assert [result.phase for result in results] == ["end_to_end"] * 2 + ["class_wise"] * 3
    before = max(results[:2], key=lambda result: result.val_map)
    for one, next_one in zip([before, *results[2:]], results[2:], strict=False):
        assert all(new >= old for old, new in zip(one.val_ap_C, next_one.val_ap_C, strict=True) if old is not None)
    assert results[-1].val_map > before.val_map
    after = trial.progress.best_weights
    assert all(torch.equal(best[name], after[name]) for name in best if "head." not in name)
    assert trial.test().best_val_map == results[-1].best_val_map == max(result.val_map for result in results)


def test_classes_without_known_negatives_keep_their_rows(scenes: TrialData) -> None:
    """Left out, all unobserved labels leave nothing to fit; taken as negative, they do."""
    positives = replace(scenes, train=replace(scenes.train, observed_MC=scenes.train.observed_MC.clip(min=0)))
    for unobserved, moves in ((None, False), ("negative", True)):
        trial = TrialTraining(config_of("AN", **FAST, class_wise_unobserved=unobserved), positives)
        results = [trial.run_epoch() for _ in range(3)]
        head = trial.classifier.head.weight.clone()
        trial.run_epoch()
        assert torch.equal(head, trial.classifier.head.weight) != moves
        assert moves or results[-1].val_map == pytest.approx(max(result.val_map for result in results[:2]))


def test_a_resumed_trial_goes_on_to_the_last_bit(scenes: TrialData) -> None:
    config = config_of("LL-R", **FAST)
    straight = TrialTraining(config, scenes, keep_best=True)
    curve = [without_times(straight.run_epoch()) for _ in range(5)]
    for stop in (2, 3):
        interrupted = TrialTraining(config, scenes, keep_best=True)
        for _ in range(stop):
            interrupted.run_epoch()
        resumed = TrialTraining(config, scenes, keep_best=True)
        resumed.load_state_dict(through_a_file(interrupted.state_dict()))
        assert [without_times(resumed.run_epoch()) for _ in range(5 - stop)] == curve[stop:]
        assert vars(resumed.test()).items() >= {"best_epoch": straight.progress.best_epoch}.items()


def test_a_linear_probe_goes_on_with_its_features(tmp_path: Path) -> None:
    data = write_features(tmp_path)
    config = head_config_of(data, "AN", **FAST)
    trial = TrialTraining(config, open_trial_data(data), keep_best=True)
    results = [trial.run_epoch() for _ in range(5)]
    assert results[-1].val_map >= max(result.val_map for result in results[:2])
    assert np.isfinite(trial.test().test_map)


def test_of_each_class_the_best_row_is_kept() -> None:
    head = torch.nn.Linear(2, 3)
    first = head.weight.detach().clone()
    rows = BestRows(head)
    assert rows.is_unjudged
    rows.keep([50.0, None, 50.0])
    with torch.no_grad():
        head.weight.add_(1)
    rows.keep([60.0, None, 50.0])
    with rows.in_place():
        torch.testing.assert_close(head.weight.detach(), first + torch.tensor([[1.0], [0.0], [0.0]]))
    torch.testing.assert_close(head.weight.detach(), first + 1)
