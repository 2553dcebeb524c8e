"""Trials that diverged although every number was finite."""

import pandas as pd

from tests.sample_studies.stories import small_study, told_events
from wsml_study.record.history import StudyHistory
from wsml_study.record.tables import write_tables
from wsml_study.report.summary import answer
from wsml_study.results.divergence import diverged_trials, divergence_notes


def epochs(*rows: tuple[int, int, float]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["trial", "epoch", "train_loss"])


def test_the_newest_loss_decides():
    losses = epochs((0, 1, 0.7), (0, 2, 4.5e12), (1, 1, 5e3), (1, 2, 0.4), (2, 1, float("nan")))
    assert diverged_trials(losses, num_classes=20) == {0: 4.5e12}


def test_a_loss_summed_over_many_classes_did_not_diverge():
    assert diverged_trials(epochs((0, 1, 0.7 * 5000)), num_classes=5000) == {}
    assert diverged_trials(epochs((0, 1, 0.7 * 5000)), num_classes=20) == {0: 3500.0}


def test_without_a_diverged_trial_nothing_is_said():
    assert divergence_notes(epochs((0, 1, 0.7)), num_classes=20) == []


def test_the_results_say_which_trials_diverged(tmp_path):
    study = small_study()
    events = told_events(study)
    for event in events:
        if event["event"] == "epoch" and event["trial"] in (0, 3):
            event["result"]["train_loss"] = 4.5e12
    write_tables(tmp_path, study, StudyHistory.replay(events))
    assert answer(tmp_path, study_argument="told.yaml")[-1] == (
        "Trials 0, 3 diverged, though no number was infinite: training loss up to 4.5e+12; their values say nothing "
        "about the method. Lower the learning rate."
    )
