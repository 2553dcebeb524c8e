"""What a run notes of where it runs and of the data that its trials see."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import ray
import torch

from wsml_study.record.history import StudyHistory
from wsml_study.study.data_section import Data, DatasetName, Observe
from wsml_study.training.trial_data import TrialData, open_trial_data
from wsml_study.tuning.environment import data_fingerprint, environment


@pytest.fixture(scope="module")
def data() -> TrialData:
    return open_trial_data(Data(dataset=DatasetName.DIGIT_SCENES))


def test_versions_are_those_that_are_imported():
    found = environment()
    assert found["packages"]["torch"] == torch.__version__.partition("+")[0]
    assert found["packages"]["ray"] == ray.__version__
    assert found["num_cpus"] >= 1
    assert found["command"].split()[0] == Path(sys.argv[0]).name


def test_the_revision_is_that_of_the_folder_of_the_command(tmp_path, monkeypatch):
    def git(*arguments: str) -> str:
        identity = ("-c", "user.name=n", "-c", "user.email=e")
        return subprocess.run(["git", *identity, *arguments], capture_output=True, text=True, check=True).stdout.strip()

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert environment()["git_revision"] is None
    git("init")
    (tmp_path / "study.yaml").write_text("name: s\n")
    git("add", ".")
    git("commit", "-m", "one")
    assert environment()["git_revision"] == git("rev-parse", "HEAD")
    (tmp_path / "study.yaml").write_text("name: t\n")
    assert environment()["git_revision"] == git("rev-parse", "HEAD") + "-dirty"


def test_the_fingerprint_never_changes_for_the_same_data(data):
    assert data_fingerprint(data) == data_fingerprint(open_trial_data(Data(dataset=DatasetName.DIGIT_SCENES)))
    assert data_fingerprint(data) == "febc9cdfc4c40e52"


def test_the_fingerprint_sees_labels_names_classes_and_sizes(data):
    flipped_MC = data.test.truth_MC.copy()
    flipped_MC[-1, -1] *= -1
    renamed = ("another", *data.train.names_N[1:])
    enlarged = np.broadcast_to(np.uint8(0), (*data.test.images_NcHW.shape[:2], 64, 64))
    other_draw = Data(dataset=DatasetName.DIGIT_SCENES, observe=Observe(seed=1))
    changed = [
        replace(data, test=replace(data.test, truth_MC=flipped_MC)),
        replace(data, train=replace(data.train, names_N=renamed, rows_M=np.arange(len(data.train)))),
        replace(data, classes=("none", *data.classes[1:])),
        replace(data, test=replace(data.test, images_NcHW=enlarged)),
        open_trial_data(other_draw),
    ]
    fingerprints = [data_fingerprint(one) for one in [data, *changed]]
    assert len(set(fingerprints)) == len(fingerprints)


def test_a_log_without_an_environment_is_read():
    history = StudyHistory.replay(
        [
            {"event": "run", "time": 1.0, "classes": ["a"]},
            {"event": "run", "time": 2.0, "classes": ["a"], "environment": {"python": "3"}, "data_fingerprint": "f"},
        ]
    )
    assert history.runs == ({"time": 1.0}, {"time": 2.0, "environment": {"python": "3"}, "data_fingerprint": "f"})
