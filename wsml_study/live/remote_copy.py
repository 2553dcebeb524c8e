"""The local copy of a study in a bucket, downloaded again when something there has changed."""

from __future__ import annotations

import time

from pyarrow import fs

from wsml_study.errors import ResultsError
from wsml_study.record.lease import LEASE, STOP_REQUEST
from wsml_study.record.storage import StudyStorage

INTERVAL_S = 5.0
PAUSE_FACTOR = 20
"""Pause between two looks at the bucket, as a multiple of what the last one took."""

NOT_COPIED = (LEASE, STOP_REQUEST)
"""Files that change while nothing of the study's results does."""

Listing = frozenset[tuple[str, int, int]]
"""Path, size and time of the last change of each file."""


class RemoteCopy:
    """Keeps the local copy of a remote study up to date; does nothing for a local one."""

    def __init__(self, place: StudyStorage) -> None:
        self._place = place
        self._listing: Listing | None = None
        self._due = 0.0

    def update(self) -> None:
        """Download the study, if it is time to look at the bucket and something there has changed.

        Raises:
            ResultsError: the bucket cannot be reached.
        """
        started = time.monotonic()
        if self._place.remote is None or started < self._due:
            return
        try:
            listing = self._listed()
            if listing != self._listing:
                self._place.fetch()
                self._listing = listing
        finally:
            now = time.monotonic()
            self._due = now + max(INTERVAL_S, PAUSE_FACTOR * (now - started))

    def _listed(self) -> Listing:
        remote = self._place.remote
        assert remote is not None
        try:
            infos = remote.filesystem.get_file_info(fs.FileSelector(remote.path, recursive=True, allow_not_found=True))
        except OSError as error:
            raise ResultsError(f"{remote.uri}: {error}; check the bucket and the credentials") from error
        return frozenset(
            (info.path, info.size, info.mtime_ns or 0)
            for info in infos
            if info.type == fs.FileType.File
            and info.base_name not in NOT_COPIED
            and not info.path.startswith(f"{remote.path}/ray/")
        )
