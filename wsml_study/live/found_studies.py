"""The studies of a folder or bucket, as they come and go."""

from __future__ import annotations

import hashlib
import threading
import time
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pyarrow import fs

from wsml_study.errors import ResultsError
from wsml_study.record.storage import RemoteFolder, StudyStorage, open_storage

STUDY_FILE = "study.yaml"
LOCAL_INTERVAL_S, REMOTE_INTERVAL_S = 2.0, 30.0
"""How long a list of studies is kept before the place is looked through again."""


@dataclass(frozen=True, kw_only=True)
class FoundStudy:
    """A study that has results.

    Attributes:
        key: stands for it in addresses of the page.
        name: of its folder, with the folder around it where that is not the place itself.
        place: its storage.
        parent: the storage that its commands are given with --storage.
    """

    key: str
    name: str
    place: StudyStorage
    parent: str


class FoundStudies:
    """All studies of a folder or bucket: the place itself, folders in it, or folders in these."""

    def __init__(self, place: str, copies: Path) -> None:
        """Look through a place when it is first asked for.

        Args:
            place: a folder, or a URI of `pyarrow.fs`.
            copies: folder for local copies of remote studies. Those of other commands are not used: they may be the
                working copy of a driver on this machine.

        Raises:
            ResultsError: the URI cannot be understood, or there is no such folder.
        """
        root = open_storage(place, "")
        self._remote = root.remote
        if root.remote is not None:
            self._remote = RemoteFolder(
                filesystem=root.remote.filesystem,
                path=root.remote.path.rstrip("/"),
                uri=root.remote.uri.rstrip("/"),
            )
        elif not root.folder.is_dir():
            raise ResultsError(f"{place}: expected a folder of results, or a URI such as s3://bucket/results")
        self.place, self._folder, self._copies = place, root.folder, copies
        self._found: dict[str, FoundStudy] = {}
        self._due = 0.0
        self._lock = threading.Lock()

    def all(self) -> list[FoundStudy]:
        """The studies by name.

        Raises:
            ResultsError: the place cannot be read.
        """
        with self._lock:
            if time.monotonic() >= self._due:
                paths = self._local_paths() if self._remote is None else self._remote_paths()
                found = {study.key: study for study in map(self._study, paths)}
                # What is known stays the same object, so that whoever follows a study keeps what it has read.
                self._found = {key: self._found.get(key, study) for key, study in found.items()}
                pause = LOCAL_INTERVAL_S if self._remote is None else REMOTE_INTERVAL_S
                self._due = time.monotonic() + pause
            return sorted(self._found.values(), key=lambda study: study.name)

    def get(self, key: str) -> FoundStudy | None:
        """The study of a key; None if there is none, or no longer."""
        return next((study for study in self.all() if study.key == key), None)

    def _local_paths(self) -> list[PurePosixPath]:
        if (self._folder / STUDY_FILE).is_file():
            return [PurePosixPath(".")]
        found = []
        try:
            for child in sorted(self._folder.iterdir()):
                inside = [child] if (child / STUDY_FILE).is_file() else []
                if not inside and child.is_dir() and not child.name.startswith("."):
                    inside = [path.parent for path in sorted(child.glob(f"*/{STUDY_FILE}"))]
                found += [PurePosixPath(path.relative_to(self._folder)) for path in inside]
        except OSError as error:
            raise ResultsError(f"{self._folder}: {error.strerror or error}") from error
        return found

    def _remote_paths(self) -> list[PurePosixPath]:
        assert self._remote is not None
        if self._remote.read(STUDY_FILE) is not None:
            return [PurePosixPath(".")]
        found = []
        for child in self._folders("."):
            if self._remote.read(f"{child}/{STUDY_FILE}") is not None:
                found.append(child)
            else:
                found += [one for one in self._folders(child) if self._remote.read(f"{one}/{STUDY_FILE}") is not None]
        return found

    def _folders(self, path: PurePosixPath | str) -> list[PurePosixPath]:
        assert self._remote is not None
        start = str(PurePosixPath(self._remote.path, path))
        try:
            infos = self._remote.filesystem.get_file_info(fs.FileSelector(start, allow_not_found=True))
        except OSError as error:
            raise ResultsError(f"{self._remote.uri}: {error}; check the bucket and the credentials") from error
        folders = [info.path for info in infos if info.type == fs.FileType.Directory]
        return [PurePosixPath(one).relative_to(self._remote.path) for one in sorted(folders)]

    def _study(self, path: PurePosixPath) -> FoundStudy:
        key = hashlib.sha256(str(path).encode()).hexdigest()[:12]
        if self._remote is None:
            folder = self._folder / path
            name = folder.name if str(path) == "." else str(path)
            place = StudyStorage(folder=folder, remote=None)
            return FoundStudy(key=key, name=name, place=place, parent=str(folder.parent))
        full = PurePosixPath(self._remote.path, path)
        uri = str(self._remote.uri) if str(path) == "." else f"{self._remote.uri}/{path}"
        remote = RemoteFolder(filesystem=self._remote.filesystem, path=str(full), uri=uri)
        name = full.name if str(path) == "." else str(path)
        place = StudyStorage(folder=self._copies / key / full.name, remote=remote)
        return FoundStudy(key=key, name=name, place=place, parent=self._parent_uri(path))

    def _parent_uri(self, path: PurePosixPath) -> str:
        """The URI of the folder around a study, with the options of the place."""
        uri, mark, options = self.place.partition("?")
        parts = uri.rstrip("/")
        if str(path) == ".":
            parts = parts.rpartition("/")[0]
        elif len(path.parts) > 1:
            parts = f"{parts}/{path.parent}"
        return f"{parts}{mark}{options}"
