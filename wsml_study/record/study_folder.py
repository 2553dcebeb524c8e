"""The folder of a study's results: whose it is, and who is at work in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import filelock

from wsml_study.errors import ResultsError
from wsml_study.record.events import read_history
from wsml_study.record.lease import Lease, leased, read_lease
from wsml_study.record.storage import StudyStorage
from wsml_study.record.tables import read_table
from wsml_study.study.identity import differences, fingerprint
from wsml_study.study.reading import read_study
from wsml_study.study.spec import Study
from wsml_study.study.writing import dump_config


def set_aside(storage: StudyStorage, notify: Callable[[str], None]) -> None:
    """Rename a study's folder to the first free `<name>.1`, `<name>.2`, ...; nothing is deleted."""
    if not storage.exists():
        return
    with locked(storage, notify):
        number = 1
        while (aside := storage.sibling(f"{storage.folder.name}.{number}")).exists():
            number += 1
    storage.move_to(aside)
    notify(f"set earlier results aside as {aside.described}")


@contextmanager
def locked(storage: StudyStorage, notify: Callable[[str], None]) -> Iterator[Lease]:
    """Make the folder if need be, and keep a second run off it for the duration of a block.

    A lock file keeps off others on this machine at once, a lease those on every other machine.

    Raises:
        ResultsError: another run is at work there, or the folder cannot be made.
    """
    folder = storage.folder
    lock = filelock.FileLock(folder.with_name(f".{folder.name}.lock"), timeout=0)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except filelock.Timeout as error:
        holder = read_lease(storage)
        who = "" if holder is None else f" ({holder.described})"
        raise ResultsError(
            f"{storage.described}: another run of this study is at work{who}; follow it with "
            f"`wsml-study run STUDY --watch`, or end it with `wsml-study stop STUDY`"
        ) from error
    except OSError as error:
        raise ResultsError(
            f"{folder}: {error.strerror or error}; name a folder that can be written as `storage` or with --storage"
        ) from error
    try:
        with leased(storage, notify=notify) as lease:
            yield lease
    finally:
        lock.release()


def claim(storage: StudyStorage, study: Study) -> None:
    """Write down whose results the folder holds, or refuse a study that differs from what it holds.

    A folder without any trial holds no results, and takes the study that comes.

    Raises:
        ResultsError: the folder holds the results of a different study; the message shows the difference.
    """
    path = storage.fetch() / "study.yaml"
    if not path.exists():
        storage.write(path.name, dump_config(study).encode())
        return
    before = read_study(path)
    if fingerprint(before) == fingerprint(study):
        return
    if not _holds_trials(storage):  # an earlier run was refused, over broken photos for example
        storage.write(path.name, dump_config(study).encode())
    else:
        changes = "\n".join(f"  {line}" for line in differences(before, study))
        raise ResultsError(
            f"{storage.described} holds the results of a different study:\n{changes}\n"
            f"give the changed study another `name`, or set the old results aside with --restart"
        )


def _holds_trials(storage: StudyStorage) -> bool:
    """Whether a study, or a level of it, has begun any trial, by its events or, if these are gone, by its tables."""
    folder = storage.fetch()
    if read_history(folder).trials or any(_holds_trials(level) for level in storage.levels()):
        return True
    table = folder / "trials.parquet"
    return table.exists() and len(read_table(folder, "trials")) > 0
