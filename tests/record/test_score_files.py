"""Files with validation scores of trials, and with the labels that these images have."""

import numpy as np
import pytest
from pyarrow.fs import LocalFileSystem

from wsml_study.errors import ResultsError
from wsml_study.record.score_files import (
    PartialLabels,
    read_partial_labels,
    read_scores,
    write_partial_labels,
    write_scores,
)
from wsml_study.record.storage import RemoteFolder, StudyStorage

LOGITS = np.array([[1.5, -70.25], [0.0, 12.0]], np.float16)
LABELS = PartialLabels(
    names=("a.jpg", "b/ü.jpg"), classes=("cat", "dog"), states_MC=np.array([[1, 0], [0, -1]], np.int8), images="ab12"
)


def kept(storage, trial, epoch, logits_MC=LOGITS):
    write_scores(*storage.scores(), trial, epoch=epoch, logits_MC=logits_MC, images="ab12")


def test_what_is_written_is_read_and_damage_is_named(tmp_path):
    storage = StudyStorage(folder=tmp_path, remote=None)
    kept(storage, 7, 3)
    write_partial_labels(storage, LABELS)
    found, labels = read_scores(tmp_path, 7), read_partial_labels(tmp_path)
    assert (found.epoch, found.images, found.logits_MC.dtype) == (3, "ab12", np.float16)
    np.testing.assert_array_equal(found.logits_MC, LOGITS)
    assert (labels.names, labels.classes, labels.images) == (LABELS.names, LABELS.classes, LABELS.images)
    np.testing.assert_array_equal(labels.states_MC, LABELS.states_MC)
    path = tmp_path / "validation_scores/trial_00007.npz"
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(ResultsError, match=r"trial_00007\.npz: not a complete file of validation scores"):
        read_scores(tmp_path, 7)


def test_a_study_of_an_earlier_version_has_no_scores_and_a_moved_one_is_not_made_anew(tmp_path):
    assert read_scores(tmp_path, 0) is None
    assert read_partial_labels(tmp_path) is None
    with pytest.raises(ResultsError, match="was deleted or moved"):
        kept(StudyStorage(folder=tmp_path / "gone", remote=None), 0, 1)


def test_the_local_copy_of_a_remote_study_follows_scores_of_better_epochs(tmp_path):
    there = tmp_path / "there"
    there.mkdir()
    remote = RemoteFolder(filesystem=LocalFileSystem(), path=str(there), uri="s3://x")
    storage = StudyStorage(folder=tmp_path / "here", remote=remote)
    remote.write("study.yaml", b"x")
    kept(storage, 0, 1)
    kept(storage, 1, 1)
    assert read_scores(storage.fetch(), 0).epoch == 1
    kept(storage, 0, 2, 2 * LOGITS)
    (there / "validation_scores/trial_00001.npz").unlink()
    folder = storage.fetch()
    assert read_scores(folder, 0).epoch == 2
    assert read_scores(folder, 1) is None
