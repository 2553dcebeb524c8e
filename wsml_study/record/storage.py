"""Storage of a study: a local folder, or any URI of `pyarrow.fs` such as `s3://bucket/studies`.

A study in remote storage has a local working copy. The remote storage is authoritative: the study file, events and
tables are uploaded before any code acts on them, and the local copy is replaced from there when a study is opened.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import filelock
from pyarrow import fs

from wsml_study.errors import ResultsError
from wsml_study.record.files import write_whole
from wsml_study.study.credentials import without_secret

EVENTS = "events.jsonl"
TABLE_FILES = ("trials.parquet", "epochs.parquet", "classes.parquet")
ANSWERS = "answers.jsonl"
SNAPSHOT = "snapshot.json"
DOCUMENTS = ("study.yaml", *TABLE_FILES, ANSWERS, SNAPSHOT)
"""Files of a local copy besides the events."""

CONFIRMATION = "confirm"
"""Subfolder of a study with its confirmation."""

CORRECTIONS_FOLDER = "corrections"
"""Subfolder of a study with a table per trial of the labels that it has corrected for good."""

DISTRUST_FOLDER = "distrusted"
"""Subfolder of a study with a table per trial: in how many epochs it distrusted which label, where not all true labels
are known."""

RESAMPLES_FOLDER = "test_resamples"
"""Subfolder of a confirmation with a table per trial of AP in resamples of the test images."""

SCORES_FOLDER = "validation_scores"
"""Subfolder of a study with the validation scores of each trial that is judged by partial labels."""

LEVELS = "fidelity"
"""Subfolder of a study with one study per level of fidelity below full size."""

LOCK_WAIT_S = 1.0
"""How long a driver waits for the lock of its working copy: a reader that looks whether it is held holds it briefly."""

DRIVEN_HERE: set[Path] = set()
"""Local folders of the studies that this process drives."""

SEGMENT_BYTES = 64 * 1024
"""Objects cannot be appended to, so each event rewrites the newest segment until it has this size. Small segments
keep the upload per event small; large ones keep the number of objects small."""


@dataclass(frozen=True)
class RemoteFolder:
    """A folder of an object store, whose files are written atomically.

    Attributes:
        filesystem: that holds it.
        path: in the file system, without a scheme.
        uri: as the user wrote it, for messages.
    """

    filesystem: fs.FileSystem
    path: str
    uri: str

    def read(self, name: str) -> bytes | None:
        """The content of a file, None if there is no such file."""
        with self._reached():
            try:
                with self.filesystem.open_input_file(f"{self.path}/{name}") as file:
                    return bytes(file.read())
            except FileNotFoundError:
                return None

    def write(self, name: str, content: bytes) -> None:
        """Write a file; it is durable when this returns."""
        with self._reached(), self.filesystem.open_output_stream(f"{self.path}/{name}") as file:
            file.write(content)

    def delete(self, name: str) -> None:
        """Remove a file, if it exists."""
        with self._reached(), suppress(FileNotFoundError):
            self.filesystem.delete_file(f"{self.path}/{name}")

    def names(self, folder: str = "") -> list[str]:
        """Paths of all files below a folder, relative to it, sorted."""
        start = f"{self.path}/{folder}".rstrip("/")
        with self._reached():
            found = self.filesystem.get_file_info(fs.FileSelector(start, recursive=True, allow_not_found=True))
        return sorted(info.path.removeprefix(f"{start}/") for info in found if info.type == fs.FileType.File)

    def changed(self, folder: str) -> dict[str, int]:
        """When each file of a folder was written last, in nanoseconds since 1970, by its name."""
        start = f"{self.path}/{folder}"
        with self._reached():
            found = self.filesystem.get_file_info(fs.FileSelector(start, allow_not_found=True))
        return {info.base_name: info.mtime_ns or 0 for info in found if info.type == fs.FileType.File}

    def move_to(self, other: RemoteFolder) -> None:
        """Move all files to another folder."""
        # Object stores cannot rename. All files are copied before any is removed, so that a crash loses none.
        for name in self.names():
            with self._reached():
                self.filesystem.copy_file(f"{self.path}/{name}", f"{other.path}/{name}")
        for name in self.names():
            self.delete(name)

    @contextmanager
    def _reached(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise ResultsError(
                f"{self.uri}: {error}; check the address, the bucket and the credentials in the environment"
            ) from error


@dataclass(frozen=True)
class StudyStorage:
    """Storage of one study.

    Attributes:
        folder: the study's local folder: the study itself, or the working copy of a remote one.
        remote: the remote folder; None for a local study.
    """

    folder: Path
    remote: RemoteFolder | None

    @property
    def described(self) -> str:
        """The folder or URI, for messages."""
        return str(self.folder) if self.remote is None else self.remote.uri

    def exists(self) -> bool:
        """Whether there is a study."""
        if self.remote is None:
            return self.folder.exists()
        return self.remote.read("study.yaml") is not None

    def fetch(self) -> Path:
        """Download a remote study, with its confirmation and levels of fidelity, and return its local folder.

        The working copy of a driver on this machine is left as it is: it is ahead of the remote storage, and its event
        log must not be replaced while the driver appends to it.
        """
        if self.remote is None or self._is_driven_by_another_process():
            return self.folder
        self._copy()
        levels = self.levels()
        for part in (self.inside(CONFIRMATION), *levels, self.level(len(levels) + 1)):
            if part.exists():
                part._copy()
            else:
                shutil.rmtree(part.folder, ignore_errors=True)
        return self.folder

    def lock(self) -> filelock.FileLock:
        """The lock that a driver on this machine holds; it is not acquired yet."""
        return filelock.FileLock(self.folder.with_name(f".{self.folder.name}.lock"), timeout=LOCK_WAIT_S)

    def _is_driven_by_another_process(self) -> bool:
        if self.folder in DRIVEN_HERE:
            return False
        try:
            with self.lock().acquire(timeout=0):
                return False
        except filelock.Timeout:
            return True
        except OSError:  # there is no local copy yet
            return False

    def _copy(self) -> None:
        assert self.remote is not None
        for name in DOCUMENTS:
            content = self.remote.read(name)
            if content is None:
                (self.folder / name).unlink(missing_ok=True)
            else:
                write_whole(self.folder / name, content)
        write_whole(self.folder / EVENTS, b"".join(segment for _, segment in self.segments()))
        self._copy_files_of_trials(CORRECTIONS_FOLDER)
        self._copy_files_of_trials(DISTRUST_FOLDER)
        self._copy_files_of_trials(RESAMPLES_FOLDER)
        self._copy_changed_files(SCORES_FOLDER)

    def _copy_files_of_trials(self, name_of_folder: str) -> None:
        """Download the files of trials that the local copy lacks, and remove those that are no longer there."""
        assert self.remote is not None
        folder = self.folder / name_of_folder
        there = set(self.remote.names(name_of_folder))
        here = {path.name for path in folder.glob("*")}
        for name in here - there:
            (folder / name).unlink()
        for name in there - here:  # a trial that has ended is not run again, so a file that is here is still the same
            write_whole(folder / name, self.remote.read(f"{name_of_folder}/{name}") or b"")

    def _copy_changed_files(self, name_of_folder: str) -> None:
        """Download files that the local copy lacks or that have changed, and remove those that are no longer there."""
        assert self.remote is not None
        folder = self.folder / name_of_folder
        there = self.remote.changed(name_of_folder)
        for path in folder.glob("*"):
            if path.name not in there:
                path.unlink()
        for name, changed_ns in there.items():
            path = folder / name
            if not path.exists() or path.stat().st_mtime_ns != changed_ns:
                write_whole(path, self.remote.read(f"{name_of_folder}/{name}") or b"")
                os.utime(path, ns=(changed_ns, changed_ns))

    def read(self, name: str) -> bytes | None:
        """Read a file from the storage; None if it does not exist."""
        if self.remote is not None:
            return self.remote.read(name)
        try:
            return (self.folder / name).read_bytes()
        except FileNotFoundError:
            return None

    def write(self, name: str, content: bytes) -> None:
        """Write a file atomically, to the local folder and to remote storage."""
        write_whole(self.folder / name, content)
        if self.remote is not None:
            self.remote.write(name, content)

    def delete(self, name: str) -> None:
        """Remove a file, if it exists."""
        (self.folder / name).unlink(missing_ok=True)
        if self.remote is not None:
            self.remote.delete(name)

    def upload(self, *names: str) -> None:
        """Upload files of the local copy; no-op for a local study."""
        if self.remote is not None:
            for name in names:
                self.remote.write(name, (self.folder / name).read_bytes())

    def segments(self) -> list[tuple[str, bytes]]:
        """Name and content of each segment of the event log of a remote study, oldest first."""
        assert self.remote is not None
        return [(name, self.remote.read(f"events/{name}") or b"") for name in self.remote.names("events")]

    def scratch(self) -> tuple[fs.FileSystem, str]:
        """File system and path of the folder for checkpoints and state of Ray."""
        if self.remote is None:
            return fs.LocalFileSystem(), str(self.folder / "ray")
        return self.remote.filesystem, f"{self.remote.path}/ray"

    def corrections(self) -> tuple[fs.FileSystem, str]:
        """File system and path of the folder for the labels that trials have corrected."""
        return self._files_of_trials(CORRECTIONS_FOLDER)

    def distrusted(self) -> tuple[fs.FileSystem, str]:
        """File system and path of the folder for how often trials distrusted labels."""
        return self._files_of_trials(DISTRUST_FOLDER)

    def test_resamples(self) -> tuple[fs.FileSystem, str]:
        """File system and path of the folder for AP in resamples of the test images."""
        return self._files_of_trials(RESAMPLES_FOLDER)

    def scores(self) -> tuple[fs.FileSystem, str]:
        """File system and path of the folder for validation scores of trials."""
        return self._files_of_trials(SCORES_FOLDER)

    def _files_of_trials(self, folder: str) -> tuple[fs.FileSystem, str]:
        if self.remote is None:
            return fs.LocalFileSystem(), str(self.folder / folder)
        return self.remote.filesystem, f"{self.remote.path}/{folder}"

    def delete_scratch(self) -> None:
        """Remove checkpoints and state of Ray, when the study has ended."""
        filesystem, path = self.scratch()
        with suppress(OSError):
            filesystem.delete_dir(path)

    def sibling(self, name: str) -> StudyStorage:
        """Storage of another study in the same parent folder."""
        remote = self.remote
        if remote is not None:
            path, uri = remote.path.rpartition("/")[0], remote.uri.rpartition("/")[0]
            remote = RemoteFolder(filesystem=remote.filesystem, path=f"{path}/{name}", uri=f"{uri}/{name}")
        return StudyStorage(folder=self.folder.with_name(name), remote=remote)

    def inside(self, name: str) -> StudyStorage:
        """Storage of a study in a subfolder of this one."""
        remote = self.remote
        if remote is not None:
            path, uri = f"{remote.path}/{name}", f"{remote.uri}/{name}"
            remote = RemoteFolder(filesystem=remote.filesystem, path=path, uri=uri)
        return StudyStorage(folder=self.folder / name, remote=remote)

    def level(self, number: int) -> StudyStorage:
        """Storage of a level of fidelity, counted from 1."""
        return self.inside(LEVELS).inside(f"level_{number}")

    def levels(self) -> list[StudyStorage]:
        """Storage of all levels of fidelity that have begun, in order."""
        begun = itertools.takewhile(StudyStorage.exists, map(self.level, itertools.count(1)))
        return list(begun)

    def move_to(self, other: StudyStorage) -> None:
        """Rename the study's folder."""
        if self.remote is None:
            self.folder.rename(other.folder)
        else:
            assert other.remote is not None
            self.remote.move_to(other.remote)


class EventMirror:
    """Uploads the events of a study to remote storage, each one before any code acts on it."""

    def __init__(self, storage: StudyStorage) -> None:
        """Continue after the segments that exist: in the newest one if it is not full."""
        assert storage.remote is not None
        self._remote = storage.remote
        segments = storage.segments()
        self._number, self._content = len(segments), b""
        if segments and len(segments[-1][1]) < SEGMENT_BYTES:
            self._number, self._content = len(segments) - 1, segments[-1][1]

    def append(self, line: bytes) -> None:
        """Upload one more event.

        Raises:
            ResultsError: the storage cannot be reached.
        """
        self._content += line
        # Zero-padded, since segments are read in the order of their sorted names.
        self._remote.write(f"events/{self._number:06d}.jsonl", self._content)
        if len(self._content) >= SEGMENT_BYTES:
            self._number, self._content = self._number + 1, b""


def open_results(storage: str, name: str) -> StudyStorage:
    """As `open_storage`, of a study that has results.

    Raises:
        ResultsError: it has none, or as `open_storage`.
    """
    place = open_storage(storage, name)
    if not place.exists():
        raise ResultsError(f"{place.described}: no results of study {name} yet; `wsml-study run` makes them")
    return place


def open_storage(storage: str, name: str) -> StudyStorage:
    """Storage of a study.

    Args:
        storage: a folder, or a URI of `pyarrow.fs`.
        name: of the study.

    Raises:
        ResultsError: the URI cannot be understood, or holds a secret.
    """
    if "://" not in storage:
        return StudyStorage(folder=Path(storage).absolute() / name, remote=None)
    try:
        without_secret(storage)
    except ValueError as error:
        raise ResultsError(f"storage {error}") from None
    try:
        filesystem, path = fs.FileSystem.from_uri(storage)
    except (ValueError, OSError) as error:
        raise ResultsError(
            f"storage {storage}: {error}; expected a folder or a URI such as s3://bucket/studies"
        ) from error
    if isinstance(filesystem, fs.LocalFileSystem):
        return StudyStorage(folder=Path(path) / name, remote=None)
    bare = storage.partition("?")[0].rstrip("/")  # options such as ?endpoint_override= are not part of the path
    remote = RemoteFolder(filesystem=filesystem, path=f"{path.rstrip('/')}/{name}", uri=f"{bare}/{name}")
    return StudyStorage(
        folder=_local_copies() / hashlib.sha256(storage.encode()).hexdigest()[:16] / name, remote=remote
    )


def _local_copies() -> Path:
    cache = os.environ.get("WSML_CACHE") or Path.home() / ".cache" / "wsml-study"
    return Path(cache) / "studies"
