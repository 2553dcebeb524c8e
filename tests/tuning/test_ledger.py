"""Checkpoints that a newer one replaces are deleted beside the driver's work, once the newer one is in the log."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from pyarrow import fs

from tests.end_to_end.light_trials import quiet
from wsml_study.record.event_log import EventLog
from wsml_study.record.lease import Lease
from wsml_study.record.storage import StudyStorage
from wsml_study.record.study_folder import locked
from wsml_study.testing.sampler_contract import study_with
from wsml_study.tuning.ledger import Ledger
from wsml_study.tuning.searcher import OptunaSearcher


class Slots:
    """A ledger of a study with one trial, and Tune's view of that trial in one slot after the other."""

    def __init__(self, storage: StudyStorage, lease: Lease) -> None:
        study, folder = study_with("random"), storage.folder
        self.storage = storage
        self.log = EventLog(folder / "events.jsonl")
        self.source = OptunaSearcher(study, self.log, num_trials=1, slots=lambda: 1)
        self.config = self.source.suggest("tune-1")
        self.ledger = Ledger(study, self.storage, self.log, lease, self.source, quiet()[0])

    def save(self, slot: str, number: int) -> Path:
        """The trial saves a checkpoint in a slot; returns its folder."""
        part = Path(self.storage.scratch()[1]) / "run_0001" / slot
        path = part / f"checkpoint_{number:06d}"
        path.mkdir(parents=True)
        (path / "state").write_text("weights")
        files = SimpleNamespace(storage_filesystem=fs.LocalFileSystem(), trial_fs_path=str(part))
        trial = SimpleNamespace(config=self.config, storage=files)
        self.ledger.on_checkpoint(1, [], trial, SimpleNamespace(path=str(path)))
        return path


@pytest.fixture
def slots(tmp_path) -> Iterator[Slots]:
    storage = StudyStorage(folder=tmp_path / "study", remote=None)
    with locked(storage, print) as lease:
        yield Slots(storage, lease)


def test_the_newest_checkpoint_is_left(slots):
    first, second, third = (slots.save("trial_a", number) for number in range(3))
    slots.ledger.close()
    assert [path.exists() for path in (first, second, third)] == [False, False, True]


def test_a_replaced_checkpoint_stays_until_the_newer_one_is_durable(slots):
    with slots.log.grouped(lambda: None):
        first = slots.save("trial_a", 0)
        slots.log.commit()
        slots.save("trial_a", 1)
        assert first.exists()
        slots.log.commit()
        slots.ledger.close()
        assert not first.exists()


def test_the_folder_of_an_earlier_slot_goes_as_a_whole(slots):
    earlier = slots.save("trial_a", 0)
    (earlier.parent / "result.json").write_text("{}")
    newest = slots.save("trial_b", 0)
    slots.ledger.close()
    assert (earlier.parent.exists(), newest.exists()) == (False, True)


def test_a_checkpoint_of_the_study_that_this_one_is_a_copy_of_stays(slots, tmp_path):
    original = tmp_path / "original" / "ray" / "trial_a" / "checkpoint_000000"
    original.mkdir(parents=True)
    slots.log.append("saved", trial=0, epoch=0, checkpoint=str(original))
    slots.save("trial_b", 1)
    slots.ledger.close()
    assert original.exists()
