"""What is said of a trial that ran again."""

import pytest

from tests.sample_studies.stories import epoch_result
from wsml_study.record.trial_history import TrialHistory
from wsml_study.results.reproduction import compared_trials, environment_differences

CLASSES = ("cat", "dog")


def trial(*val_maps: float) -> TrialHistory:
    epochs = {
        epoch: epoch_result(epoch, value, (epoch, value), 0.01) | {"time": 100.0 * value, "attempt": 1}
        for epoch, value in enumerate(val_maps, start=1)
    }
    return TrialHistory(number=7, values={}, config={}, epochs=epochs)


def test_equal_numbers_are_equal_whenever_and_however_long_they_ran():
    before, now = trial(50.0, 60.0), trial(50.0, 60.0)
    now.epochs[2] |= {"time": 1.0, "attempt": 3, "train_seconds": 99.0}
    found = compared_trials(before, now, classes=CLASSES)
    assert found.is_equal
    assert found.lines() == ["trial 7: 2 epochs, 32 numbers, all equal to the last bit"]


def test_the_last_bit_counts_and_the_largest_difference_of_a_number_is_shown():
    before, now = trial(50.0, 60.0), trial(50.0, 60.0)
    now.epochs[1]["train_loss"] = 1.0000000000000002
    now.epochs[1]["val_ap_C"] = [45.5, None]
    now.epochs[2]["val_ap_C"] = [55.25, None]
    found = compared_trials(before, now, classes=CLASSES)
    assert not found.is_equal
    assert found.num_different == 3
    assert found.lines() == [
        "trial 7: 2 epochs, 32 numbers, 3 of them differ; the largest differences:",
        "number      epoch  before  now                 difference",
        "AP of cat   1      45.0    45.5                0.5",
        "train_loss  1      1.0     1.0000000000000002  2.22e-16",
    ]


def test_a_number_that_is_gone_is_the_largest_difference():
    before, now = trial(50.0), trial(50.0)
    now.epochs[1]["rejection_rate"] = None
    now.epochs[1]["train_loss"] = 9.0
    assert compared_trials(before, now, classes=CLASSES).deviations[0].name == "rejection_rate"


def test_a_second_run_that_ended_early_is_no_reproduction():
    before, now = trial(50.0, 60.0, 70.0), trial(50.0)
    now.error = "the trial diverged"
    found = compared_trials(before, now, classes=CLASSES, warnings=["torch: 2.11.0 -> 2.12.0"])
    assert not found.is_equal
    assert found.lines() == [
        "warning: torch: 2.11.0 -> 2.12.0",
        "trial 7 ended 2 epochs earlier than before: the trial diverged",
        "trial 7: 1 epoch, 16 numbers, all equal to the last bit",
    ]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, []),
        ({"command": "wsml-study reproduce"}, []),
        ({"packages": {"torch": "2.12.0", "numpy": "2.4"}}, ["torch: 2.11.0 -> 2.12.0"]),
        ({"packages": {"torch": "2.11.0"}}, ["numpy: 2.4 -> none"]),
        ({"gpus": ["NVIDIA H100"]}, ["gpus: none -> NVIDIA H100"]),
        ({"git_revision": None}, ["git_revision: abc -> none"]),
    ],
    ids=str,
)
def test_environments_differ_by_what_computes(changes, said):
    before = {"python": "3.11", "packages": {"torch": "2.11.0", "numpy": "2.4"}, "gpus": [], "git_revision": "abc"}
    before |= {"command": "wsml-study run"}
    assert environment_differences(before, before | changes) == said
