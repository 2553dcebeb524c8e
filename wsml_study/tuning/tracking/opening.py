"""Creates the trackers of a study."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from wsml_study.registry import implementation
from wsml_study.study.spec import Study
from wsml_study.study.tracker_record import TRACKERS
from wsml_study.tuning.ledger import Listener
from wsml_study.tuning.tracking.tracker import Tracked, Tracker


@contextmanager
def tracked(study: Study, folder: Path, listener: Listener) -> Iterator[Tracked]:
    """A listener that also updates the study's trackers, for the duration of a block.

    Args:
        study: whose `tracking` section names the trackers.
        folder: of the study's results, or the local copy of it.
        listener: receives every call before the trackers.

    Raises:
        StudyFileError: a tracker's package is not installed.
    """
    following = Tracked(listener, trackers_of(study, folder))
    try:
        yield following
    finally:
        following.close()


def trackers_of(study: Study, folder: Path) -> list[Tracker]:
    """The trackers of a study; the client libraries of others are not imported.

    Raises:
        StudyFileError: a tracker's package is not installed.
    """
    trackers: list[Tracker] = []
    for name, record in TRACKERS.items():
        value = getattr(study.tracking, name)
        if value is not None and value is not False:
            open_ = implementation(record.open) if isinstance(record.open, str) else record.open
            trackers.append(open_(study, folder, value))
    return trackers
