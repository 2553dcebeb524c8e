"""Whose results a study's folder holds."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.sample_studies.stories import small_study
from wsml_study.errors import ResultsError
from wsml_study.record.event_log import EventLog
from wsml_study.record.storage import open_storage
from wsml_study.record.study_folder import claim, settled
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


def warmed_up(**training: str) -> Study:
    content = small_study().model_dump(mode="json", exclude_none=True)
    content["objective"] |= {"classes": "all"}
    content["model"] = {"backbone": "resnet18", "weights": "IMAGENET1K_V1"}
    content["training"] |= {"mode": "linear_init", **training}
    return Study.model_validate(content)


def test_a_new_study_hands_over_the_best_head(tmp_path: Path) -> None:
    storage = open_storage(str(tmp_path), "told")
    assert settled(storage, warmed_up()) == warmed_up(hand_over="best")
    assert settled(storage, warmed_up(hand_over="last")) == warmed_up(hand_over="last")


def counting(classes: str | None) -> Study:
    study = small_study()
    return study.model_copy(update={"objective": study.objective.model_copy(update={"classes": classes})})


def test_a_folder_of_an_earlier_version_counts_all_classes_and_a_new_one_those_present(tmp_path: Path) -> None:
    storage = open_storage(str(tmp_path), "told")
    assert settled(storage, counting(None)) == counting("present")
    storage.folder.mkdir(parents=True)
    claim(storage, counting(None))
    log = EventLog(storage.folder / "events.jsonl")
    log.append("created", trial=0, values={}, config={}, sampler_state={})
    log.close()
    for study in (counting(None), counting("all")):
        assert settled(storage, study) == counting(None)
        claim(storage, settled(storage, study))
    with pytest.raises(ResultsError, match=r"objective\.classes: \(not set\) -> present"):
        claim(storage, settled(storage, counting("present")))


def test_a_folder_of_an_earlier_version_left_out_unknown_labels_as_clean_ones(tmp_path: Path) -> None:
    def judged_by(labels: str) -> Study:
        content = counting("present").model_dump(mode="json", exclude_none=True)
        content["data"] |= {
            "observe": {"positives": "all", "negatives": "all"},
            "validation": content["data"]["validation"] | {"labels": labels},
        }
        return Study.model_validate(content)

    storage = open_storage(str(tmp_path), "told")
    storage.folder.mkdir(parents=True)
    claim(storage, judged_by("clean"))
    assert settled(storage, judged_by("known")) == judged_by("known")  # without a trial it is a new study
    log = EventLog(storage.folder / "events.jsonl")
    log.append("created", trial=0, values={}, config={}, sampler_state={})
    log.close()
    assert settled(storage, judged_by("known")) == judged_by("clean")
    assert settled(storage, judged_by("observed")) == judged_by("observed")


def test_the_study_of_an_earlier_version_hands_over_the_last_head_when_it_is_resumed(tmp_path: Path) -> None:
    """Its file lacks the key, and its trials handed over the last head."""
    storage = open_storage(str(tmp_path), "told")
    storage.folder.mkdir(parents=True)
    claim(storage, warmed_up())
    assert settled(storage, warmed_up()) == warmed_up(hand_over="best")  # without a trial it is a new study
    log = EventLog(storage.folder / "events.jsonl")
    log.append("created", trial=0, values={}, config={}, sampler_state={})
    log.close()
    assert settled(storage, warmed_up()) == warmed_up()
    claim(storage, warmed_up())
    with pytest.raises(ResultsError, match=r"training\.hand_over: \(not set\) -> best"):
        claim(storage, settled(storage, warmed_up(hand_over="best")))


def test_a_resumed_study_keeps_the_head_that_it_was_begun_with(tmp_path: Path) -> None:
    storage = open_storage(str(tmp_path), "told")
    storage.folder.mkdir(parents=True)
    claim(storage, settled(storage, warmed_up()))
    log = EventLog(storage.folder / "events.jsonl")
    log.append("created", trial=0, values={}, config={}, sampler_state={})
    log.close()
    claim(storage, settled(storage, warmed_up()))
    assert read_study(storage.folder / "study.yaml").training.hand_over == "best"
