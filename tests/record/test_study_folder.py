"""Whose results a study's folder holds."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.sample_studies.stories import small_study
from wsml_study.errors import ResultsError
from wsml_study.record.event_log import EventLog
from wsml_study.record.storage import open_storage
from wsml_study.record.study_folder import claim
from wsml_study.study.reading import read_study
from wsml_study.study.spec import Study


def other(study: Study) -> Study:
    return study.model_copy(update={"training": study.training.model_copy(update={"epochs": 77})})


def test_a_folder_without_any_trial_takes_the_study_that_comes(tmp_path: Path) -> None:
    study, storage = small_study(), open_storage(str(tmp_path), "told")
    storage.folder.mkdir(parents=True)
    claim(storage, study)
    log = EventLog(storage.folder / "events.jsonl")
    log.append("run", classes=["cat"], num_trials=1)
    log.close()
    claim(storage, other(study))
    assert read_study(storage.folder / "study.yaml").training.epochs == 77


def test_a_folder_with_trials_refuses_another_study(folder: Path) -> None:
    storage = open_storage(str(folder.parent), folder.name)
    study = read_study(folder / "study.yaml")
    claim(storage, study)
    # Its log is gone, but its tables know of trials.
    with pytest.raises(ResultsError, match=r"(?s)results of a different study.*training.epochs"):
        claim(storage, other(study))
    assert read_study(folder / "study.yaml") == study


def test_a_trial_that_has_begun_is_enough(tmp_path: Path) -> None:
    study, storage = small_study(), open_storage(str(tmp_path), "told")
    storage.folder.mkdir(parents=True)
    claim(storage, study)
    log = EventLog(storage.folder / "events.jsonl")
    log.append("run", classes=["cat"], num_trials=1)
    log.append("created", trial=0, values={}, config={"method": {"name": "AN"}}, sampler_state={})
    log.close()
    with pytest.raises(ResultsError, match="results of a different study"):
        claim(storage, other(study))
