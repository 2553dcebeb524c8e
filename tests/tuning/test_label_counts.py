"""Numbers of labels that a run notes, in the table of classes."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.sample_studies.stories import epoch_result
from wsml_study.record.history import StudyHistory
from wsml_study.record.tables import read_table, write_tables
from wsml_study.results.class_counts import class_note_of
from wsml_study.study.reading import parse_study
from wsml_study.study.spec import Study
from wsml_study.training.trial_data import open_trial_data
from wsml_study.tuning.label_counts import judged_labels


def study_of(labels: str, **observe: object) -> Study:
    data = {"dataset": "digit_scenes", "observe": observe, "validation": {"labels": labels}}
    return parse_study({"name": "s", "data": data, "method": {"name": "AN"}}, "test")


def test_a_run_notes_labels_and_the_tables_tell_of_them(tmp_path: Path) -> None:
    study = study_of("known", positives="all", negatives=1)
    data = open_trial_data(study.data)
    noted = judged_labels(study, data)
    history = StudyHistory()
    history.apply({"event": "run", "time": 0.0, "classes": data.classes, "judged_labels": noted})
    config = study.model_dump(mode="json")
    history.apply({"event": "created", "trial": 0, "values": {}, "config": config, "sampler_state": {}})
    result = epoch_result(1, 60.0, (1, 60.0), None) | {"val_ap_C": [60.0] * 10}
    told = {"event": "epoch", "trial": 0, "attempt": 1, "time": 1.0, "state": "complete"}
    history.apply(told | {"result": result})
    write_tables(tmp_path, study, history)
    rows = read_table(tmp_path, "classes").to_pylist()
    observed_MC = data.validation.observed_MC
    assert [row["num_positives"] for row in rows] == (observed_MC == 1).sum(0).tolist()
    assert [row["num_left_out"] for row in rows] == (observed_MC == 0).sum(0).tolist()
    known = np.count_nonzero(observed_MC)
    judged, warning = class_note_of(tmp_path, study.objective)
    assert judged == f"judged on {known:,} of 3,000 labels in validation"
    assert "times likelier to be labelled than negatives" in warning
    assert warning.endswith("probably too high")


def test_what_is_assumed_is_noted_by_choice() -> None:
    study = study_of("observed", positives=1)
    noted = judged_labels(study, open_trial_data(study.data))
    assert set(noted) == {"test", "observed"}
    assert sum(noted["observed"]["num_assumed_negative"]) > 0
    assert sum(noted["observed"]["num_left_out"]) == sum(noted["test"]["num_left_out"]) == 0
