"""The event log: what was appended is there, what was torn is cut, what is damaged is named."""

import json
import threading
from pathlib import Path

import pytest

from wsml_study.errors import ResultsError
from wsml_study.record.event_log import EventLog
from wsml_study.record.events import read_events
from wsml_study.record.storage import EventMirror
from wsml_study.record.trial_history import TrialState
from wsml_study.study.objective_section import Objective

OTHERS = {"train_loss": 1.0, "num_distrusted": 0, "train_seconds": 1.0, "validation_seconds": 1.0}


def result_of(number: int, val_map: float) -> dict[str, object]:
    return OTHERS | {"epoch": number, "val_map": val_map, "best_val_map": val_map, "best_epoch": number}


def created(log: EventLog, trial: int) -> None:
    log.append(
        "created", trial=trial, values={"training.seed": trial}, config={"method": {"name": "AN"}}, sampler_state={}
    )


def epoch(log: EventLog, trial: int, number: int, val_map: float) -> None:
    log.append("epoch", trial=trial, attempt=1, result=result_of(number, val_map), state="running")


def test_a_reopened_log_has_the_same_history(tmp_path):
    log = EventLog(tmp_path / "events.jsonl")
    created(log, 0)
    log.append("attempt", trial=0, attempt=1)
    epoch(log, 0, 1, 50.0)
    epoch(log, 0, 2, 40.0)
    log.append("saved", trial=0, epoch=2, checkpoint="somewhere")
    created(log, 1)
    log.append("ended", trial=0, state="stopped", error=None, sampler_state={})
    log.close()
    again = EventLog(tmp_path / "events.jsonl")
    assert again.history == log.history
    assert again.dropped is None
    trial = again.history.trials[0]
    assert (trial.state, trial.last_epoch, trial.checkpoint) == (TrialState.STOPPED, 2, (2, "somewhere"))
    assert (
        trial.value(Objective()),
        trial.value(Objective(metric="last_val_map")),
        trial.values_by_epoch(Objective(metric="last_val_map")),
    ) == (
        50,
        40,
        {1: 50, 2: 40},
    )
    assert [t.number for t in again.history.with_state(TrialState.RUNNING)] == [1]


def test_an_epoch_run_again_replaces_itself_and_all_later_ones(tmp_path):
    log = EventLog(tmp_path / "events.jsonl")
    created(log, 0)
    for number in (1, 2, 3):
        epoch(log, 0, number, 10.0 * number)
    epoch(log, 0, 2, 99.0)
    assert list(log.history.trials[0].epochs) == [1, 2]
    assert log.history.trials[0].value(Objective(metric="last_val_map")) == 99


def test_the_last_epoch_ends_a_trial_even_if_the_end_was_not_written(tmp_path):
    log = EventLog(tmp_path / "events.jsonl")
    created(log, 0)
    log.append("epoch", trial=0, attempt=1, result=result_of(1, 50.0), state="stopped")
    log.close()
    assert EventLog(tmp_path / "events.jsonl").history.trials[0].state is TrialState.STOPPED


def test_every_cut_of_the_last_line_is_dropped_and_the_rest_kept(tmp_path):
    path = tmp_path / "events.jsonl"
    log = EventLog(path)
    created(log, 0)
    whole = path.read_bytes()
    created(log, 1)
    log.close()
    both = path.read_bytes()
    for length in range(len(whole) + 1, len(both)):
        path.write_bytes(both[:length])
        again = EventLog(path)
        assert list(again.history.trials) == [0]
        assert again.dropped == both[len(whole) : length].decode()
        created(again, 1)
        again.close()
        assert [event["trial"] for event in read_events(path)] == [0, 1]


def test_a_damaged_line_is_named(tmp_path):
    path = tmp_path / "events.jsonl"
    log = EventLog(path)
    created(log, 0)
    log.close()
    path.write_text(path.read_text() + '{"event": "created", "tri\n' + json.dumps({"event": "run"}) + "\n")
    with pytest.raises(ResultsError, match=r"events\.jsonl:2: expected an event as one JSON object"):
        EventLog(path)


def test_a_full_disk_is_told_without_losing_what_was_written(tmp_path):
    log = EventLog(tmp_path / "events.jsonl")
    with (
        Path("/dev/full").open("ab", buffering=0) as log._file,
        pytest.raises(ResultsError, match="No space left on device; free some space"),
    ):
        log.append("run", classes=[])


def test_after_a_failure_nothing_more_is_written(tmp_path):
    log = EventLog(tmp_path / "study" / "events.jsonl")
    created(log, 0)
    (tmp_path / "study").rename(tmp_path / "elsewhere")
    with pytest.raises(ResultsError, match="was deleted, moved or replaced"):
        created(log, 1)
    (tmp_path / "elsewhere").rename(tmp_path / "study")
    before = log.path.read_bytes()
    with pytest.raises(ResultsError, match="was deleted, moved or replaced"):
        created(log, 2)
    assert log.path.read_bytes() == before


def test_what_else_cannot_be_written_fails_the_log_and_is_told_by_its_cause(tmp_path):
    log = EventLog(tmp_path / "study" / "events.jsonl")
    created(log, 0)
    full = ResultsError("trials.parquet: no space")
    assert log.fail(full) is full
    with pytest.raises(ResultsError, match="no space"):
        created(log, 1)
    other = EventLog(tmp_path / "study" / "events.jsonl")
    (tmp_path / "study").rename(tmp_path / "elsewhere")
    assert "was deleted, moved or replaced" in str(other.fail(ResultsError("trials.parquet: no such file")))


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ResultsError, match="Not a directory"):
        EventLog(tmp_path / "file" / "study" / "events.jsonl")


def allowed() -> None:
    """This process may write the log."""


def test_events_of_a_group_are_written_together_and_what_waits_for_them_comes_after(tmp_path):
    path = tmp_path / "events.jsonl"
    log, done = EventLog(path), []
    with log.grouped(allowed):
        log.once_durable(lambda: done.append("before any event"))
        created(log, 0)
        created(log, 1)
        log.once_durable(lambda: done.append(len(read_events(path))))
        assert (list(log.history.trials), path.read_bytes(), done) == ([0, 1], b"", ["before any event"])
        log.commit()
        assert (len(read_events(path)), done) == (2, ["before any event", 2])
        created(log, 2)
    assert [event["number"] for event in read_events(path)] == [1, 2, 3], "the end of the block writes the rest"
    created(log, 3)
    assert len(read_events(path)) == 4, "outside of a block each event is written at once"


def test_a_group_reaches_remote_storage_as_one_object(tmp_path):
    written = []

    class Counted(EventMirror):
        def __init__(self) -> None:
            """Write nowhere."""

        def append(self, lines: bytes) -> None:
            written.append(lines.count(b"\n"))

    log = EventLog(tmp_path / "events.jsonl", mirror=Counted())
    with log.grouped(allowed):
        for number in range(5):
            created(log, number)
    assert written == [5]


class Slow(EventMirror):
    """Remote storage that takes a write once it may, or refuses it."""

    def __init__(self) -> None:
        """Write nowhere."""
        self.may, self.is_full, self.written = threading.Event(), False, []

    def append(self, lines: bytes) -> None:
        assert self.may.wait(60)
        if self.is_full:
            raise ResultsError("no room in the bucket")
        self.written.append(lines.count(b"\n"))


def test_while_a_group_is_written_the_next_one_gathers(tmp_path):
    mirror, done = Slow(), []
    log = EventLog(tmp_path / "events.jsonl", mirror=mirror)
    with log.grouped(allowed):
        created(log, 0)
        log.once_durable(lambda: done.append("first"))
        log.begin_commit()
        log.once_durable(lambda: done.append("first, too"))
        created(log, 1)
        created(log, 2)
        log.once_durable(lambda: done.append("second"))
        log.settle()
        log.begin_commit()
        assert (mirror.written, done) == ([], [])
        mirror.may.set()
        log.commit()
    assert (mirror.written, done) == ([1, 2], ["first", "first, too", "second"])


def test_a_write_that_has_failed_is_told_at_the_next_event(tmp_path):
    mirror, done = Slow(), []
    log = EventLog(tmp_path / "events.jsonl", mirror=mirror)
    mirror.is_full = True
    with log.grouped(allowed):
        created(log, 0)
        log.once_durable(lambda: done.append("deleted a checkpoint"))
        log.begin_commit()
        mirror.may.set()
        with pytest.raises(ResultsError, match="no room in the bucket"):
            log.commit()
        with pytest.raises(ResultsError, match="no room in the bucket"):
            created(log, 1)
        with pytest.raises(ResultsError, match="no room in the bucket"):
            log.settle()
    assert done == []


def test_what_waits_for_a_group_that_cannot_be_written_never_happens(tmp_path):
    log, done = EventLog(tmp_path / "study" / "events.jsonl"), []
    with log.grouped(allowed):
        created(log, 0)
        log.once_durable(lambda: done.append("deleted a checkpoint"))
        (tmp_path / "study").rename(tmp_path / "elsewhere")
        with pytest.raises(ResultsError, match="was deleted, moved or replaced"):
            log.commit()
    assert done == []


def test_a_driver_that_has_lost_its_lease_writes_no_group(tmp_path):
    log = EventLog(tmp_path / "events.jsonl")

    def lost() -> None:
        raise ResultsError("another driver has taken over")

    with pytest.raises(ResultsError, match="another driver"), log.grouped(lost):
        created(log, 0)
    assert log.path.read_bytes() == b""
    with pytest.raises(ResultsError, match="another driver"):
        created(log, 1)


def test_every_cut_of_a_group_leaves_its_first_events(tmp_path):
    path = tmp_path / "events.jsonl"
    log = EventLog(path)
    with log.grouped(allowed):
        for number in range(3):
            created(log, number)
    log.close()
    whole = path.read_bytes()
    for length in range(0, len(whole) + 1, 7):
        path.write_bytes(whole[:length])
        again = EventLog(path)
        assert list(again.history.trials) == list(range(whole[:length].count(b"\n")))
        again.close()
