"""What every tracker promises, tried on the history of a small study without Ray."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from wsml_study.options import Value
from wsml_study.record.history import StudyHistory
from wsml_study.registry import implementation
from wsml_study.study.tracker_record import TRACKERS
from wsml_study.testing.promises import expect, keep_promise
from wsml_study.testing.sample_history import sample_events, sample_study
from wsml_study.tuning.tracking.tracker import Tracked, Tracker

Event = Mapping[str, Any]


def files_in(folder: Path) -> dict[str, bytes]:
    """Every file below a folder by its path there, with its content: how a store is read by default."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@dataclass(frozen=True, kw_only=True)
class TrackerCase:
    """A tracker, and how its store is read.

    Attributes:
        name: of its record.
        value: the value of the key `tracking.NAME`, or a function that gives one for a study's folder, so that every
            folder has a store of its own.
        folder: where studies' folders are made.
        read: study's folder -> what the store shows, comparable by ==.
    """

    name: str
    value: Value | Callable[[Path], Value]
    folder: Path
    read: Callable[[Path], Any] = files_in

    def open(self, folder: Path) -> Tracker:
        """A new tracker for the study in a folder, as every run makes one."""
        record = TRACKERS[self.name]
        make = implementation(record.open) if isinstance(record.open, str) else record.open
        tracker: Tracker = make(sample_study(), folder, self.value(folder) if callable(self.value) else self.value)
        return tracker

    def follow(self, folder: Path, events: Sequence[Event], **how: Any) -> None:
        """Follow a run; a tracker that raises an error breaks its promise."""
        notices = follow(events, lambda: [self.open(folder)], **how)
        expect(not notices, f"it raises an error: {'; '.join(notices)}")

    @contextmanager
    def study_folder(self) -> Iterator[Path]:
        """A new and empty one."""
        with tempfile.TemporaryDirectory(dir=self.folder) as folder:
            yield Path(folder)


def check_tracker(
    name: str,
    value: Value | Callable[[Path], Value],
    folder: Path,
    *,
    read: Callable[[Path], Any] = files_in,
) -> None:
    """Check that a registered tracker keeps the contract of `Tracker`.

    Args:
        name: of its record.
        value: the value of the key `tracking.NAME`, or a function that gives one for a study's folder. Every folder
            needs a store of its own: of a tracker whose value is an address, pass a function.
        folder: an existing folder in which studies' folders are made.
        read: study's folder -> what the store shows, comparable by ==. By default the bytes of all files, which is too
            strict for a store that notes when something was written.

    Raises:
        AssertionError: a promise is broken; the message says which.
        KeyError: there is no such tracker.
    """
    case = TrackerCase(name=name, value=value, folder=folder, read=read)
    _ = TRACKERS[name]
    for promise in TRACKER_CONTRACT:
        keep_promise(promise, case, f"tracker {name}")


class Notices:
    """A listener that keeps what the user is told."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    def on_phase(self, message: str) -> None:
        """Not kept."""

    def on_notice(self, message: str) -> None:
        """Kept."""
        self.heard.append(message)

    def on_images(self, done: int, total: int) -> None:
        """Not kept."""

    def on_preparation(self, message: str) -> None:
        """Not kept."""

    def on_slots(self, slots: int, num_trials: int, history: StudyHistory) -> None:
        """Not kept."""

    def on_event(self, history: StudyHistory, event: str, number: int) -> None:
        """Not kept."""


def follow(
    events: Sequence[Event],
    trackers: Callable[[], list[Tracker]],
    *,
    cut_after: int | None = None,
    close: bool = True,
    pause_s: float = 0.0,
) -> list[str]:
    """Show a run's events as they come; after the event of this index the driver stops, and a second run goes on.

    Args:
        events: of a run, the first being its start.
        trackers: opens the trackers of a run.
        cut_after: index of the event; None for a run without interruption.
        close: the first run closes its trackers, as it does unless it is killed.
        pause_s: between the runs.

    Returns:
        What the user is told, such as the error of a tracker.
    """
    notices, history = Notices(), StudyHistory()
    following = Tracked(notices, trackers())
    for number, event in enumerate(events):
        history.apply(event)
        if event["event"] == "run":
            following.on_slots(2, len(events), history)
        elif event["event"] != "created":
            following.on_event(history, event["event"], event["trial"])
        if number == cut_after:
            if close:
                following.close()
            time.sleep(pause_s)
            following = Tracked(notices, trackers())
            history.apply({**events[0], "time": event["time"] + 60.0})
            following.on_slots(2, len(events), history)
    following.close()
    return notices.heard


def show_at_once(events: Sequence[Event], trackers: Sequence[Tracker]) -> list[str]:
    """Show a study that is done already, as a run does that has nothing left to do; gives what the user is told."""
    notices, history = Notices(), StudyHistory.replay(events)
    following = Tracked(notices, trackers)
    following.on_slots(1, len(history.trials), history)
    following.close()
    return notices.heard


def it_has_a_name_for_messages(case: TrackerCase) -> None:
    """`called`."""
    with case.study_folder() as folder:
        called = case.open(folder).called
        expect(isinstance(called, str) and called, f"expected a text as `called`, got {called!r}")


def it_follows_a_run(case: TrackerCase) -> None:
    """Without an error, and its store is another one afterwards; a run that fails at its start only closes it."""
    with case.study_folder() as folder:
        case.follow(folder, [])
        empty = case.read(folder)
        case.follow(folder, sample_events(sample_study()))
        expect(case.read(folder) != empty, "after a run the store shows what it showed before")


def shown_the_same_again_nothing_changes(case: TrackerCase) -> None:
    """A later run of a study that is done shows every trial again."""
    events = sample_events(sample_study())
    with case.study_folder() as folder:
        case.follow(folder, events)
        shown = case.read(folder)
        notices = show_at_once(events, [case.open(folder)])
        expect(not notices, f"it raises an error: {'; '.join(notices)}")
        expect(case.read(folder) == shown, f"the store has changed: {_difference(case.read(folder), shown)}")


def wherever_a_run_is_cut_short_nothing_is_lost_or_told_twice(case: TrackerCase, close: bool) -> None:
    """After the second run the store shows what it shows after a run without interruption."""
    events = sample_events(sample_study())
    with case.study_folder() as folder:
        case.follow(folder, events)
        whole = case.read(folder)
    for cut_after, event in enumerate(events[1:-1], start=1):
        with case.study_folder() as folder:
            case.follow(folder, events, cut_after=cut_after, close=close)
            shown = case.read(folder)
            where = f"{event['event']} of trial {event['trial']}"
            expect(shown == whole, f"cut short after `{where}` it shows something else: {_difference(shown, whole)}")


TRACKER_CONTRACT: tuple[Callable[[TrackerCase], None], ...] = (
    it_has_a_name_for_messages,
    it_follows_a_run,
    shown_the_same_again_nothing_changes,
    partial(wherever_a_run_is_cut_short_nothing_is_lost_or_told_twice, close=True),
    partial(wherever_a_run_is_cut_short_nothing_is_lost_or_told_twice, close=False),
)
"""All promises of a tracker."""


def _difference(shown: Any, expected: Any) -> str:
    if isinstance(shown, dict) and isinstance(expected, dict):
        unlike = [key for key in {**expected, **shown} if shown.get(key) != expected.get(key)]
        return f"in {', '.join(map(str, unlike[:3]))}"
    return f"{str(shown)[:200]} instead of {str(expected)[:200]}"
