"""The folder of a study's results: claims it for a study, locks it for a run, sets it aside."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import filelock

from wsml_study.errors import ResultsError, StudyFileError
from wsml_study.record.events import read_history
from wsml_study.record.lease import Lease, leased, read_lease
from wsml_study.record.storage import DRIVEN_HERE, StudyStorage, open_storage
from wsml_study.record.tables import read_table
from wsml_study.study.identity import differences, fingerprint
from wsml_study.study.new_defaults import with_new_defaults
from wsml_study.study.new_study import problems_of_new_study
from wsml_study.study.problems import render
from wsml_study.study.rate_ranges import with_recorded_ranges
from wsml_study.study.reading import read_study
from wsml_study.study.sampler_folder import with_digest
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
    """Create the folder if absent, and exclude other runs of the study for the duration of a block.

    A lock file excludes runs on this machine without waiting, a lease those on other machines.

    Raises:
        ResultsError: another run of the study is in progress, or the folder cannot be created.
    """
    folder = storage.folder
    lock = storage.lock()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except filelock.Timeout as error:
        holder = read_lease(storage)
        who = "" if holder is None else f" ({holder.described})"
        raise ResultsError(
            f"{storage.described}: another run of this study is in progress{who}; follow it with "
            f"`wsml-study run STUDY --watch`, or stop it with `wsml-study stop STUDY`"
        ) from error
    except OSError as error:
        raise ResultsError(
            f"{folder}: {error.strerror or error}; set `storage` or --storage to a folder that can be written"
        ) from error
    DRIVEN_HERE.add(folder)
    try:
        with leased(storage, notify=notify) as lease:
            yield lease
    finally:
        DRIVEN_HERE.discard(folder)
        lock.release()


def refuse_new(study: Study) -> None:
    """Refuse a study that may not begin; one whose folder holds trials goes on, whatever it is.

    Raises:
        StudyFileError: see `study/new_study.py`.
    """
    problems = problems_of_new_study(study)
    if problems:
        storage = open_storage(study.storage, study.name)
        if not (storage.exists() and _holds_trials(storage)):
            raise StudyFileError(render(study.name, problems))


def settled(storage: StudyStorage, study: Study) -> Study:
    """The study with the defaults that its folder was begun with: today's, or those of an earlier version.

    Raises:
        StudyFileError: the folder of its sampler is not there, or has other content than the study says.
    """
    study = with_digest(study)
    path = storage.fetch() / "study.yaml"
    begun_as = read_study(path) if path.exists() and _holds_trials(storage) else None
    return with_new_defaults(with_recorded_ranges(study, begun_as), begun_as=begun_as)


def claim(storage: StudyStorage, study: Study) -> None:
    """Record the study that the folder belongs to, or refuse a study that differs from the recorded one.

    A folder without any trial has no results yet: there the recorded study is replaced.

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
    if not _holds_trials(storage):  # for example, an earlier run was refused because of unreadable images
        storage.write(path.name, dump_config(study).encode())
    else:
        changes = "\n".join(f"  {line}" for line in differences(before, study))
        raise ResultsError(
            f"{storage.described} holds the results of a different study:\n{changes}\n"
            f"give the changed study another `name`, or set the old results aside with --restart"
        )


def _holds_trials(storage: StudyStorage) -> bool:
    """Whether the study or one of its levels has any trial, by the events or, if they are missing, by the tables."""
    folder = storage.fetch()
    if read_history(folder).trials or any(_holds_trials(level) for level in storage.levels()):
        return True
    table = folder / "trials.parquet"
    return table.exists() and len(read_table(folder, "trials")) > 0
