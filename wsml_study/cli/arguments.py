"""Arguments and options that several commands share, and how they are resolved."""

from __future__ import annotations

import errno
import os
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

if TYPE_CHECKING:
    from wsml_study.cli.progress import Progress
    from wsml_study.record.storage import StudyStorage
    from wsml_study.study.spec import Study

StudyFile = Annotated[Path, typer.Argument(metavar="STUDY", help="A study file (YAML).", show_default=False)]
StudyOrFolder = Annotated[
    Path, typer.Argument(metavar="STUDY", help="A study file, or the folder of its results.", show_default=False)
]
Address = Annotated[
    str | None,
    typer.Option(
        envvar="RAY_ADDRESS", help="Address of a running Ray cluster. By default Ray is started on this machine."
    ),
]
Dashboard = Annotated[
    str, typer.Option("--address", help="Dashboard of the Ray cluster, http://HEAD:8265.", show_default=False)
]
Storage = Annotated[
    str | None, typer.Option(help="Where results are kept, a folder per study. Overrides `storage` of the study file.")
]
DataRoot = Annotated[str | None, typer.Option(help="Folder of the dataset. Overrides `data.root` of the study file.")]


def read(path: Path, storage: str | None, data_root: str | None, *, budget: str | None = None) -> Study:
    """The study of a file, with the storage, the data root and the budget that the command line names."""
    from wsml_study.errors import StudyFileError
    from wsml_study.registry import check_expected_plugins
    from wsml_study.study.credentials import without_secret
    from wsml_study.study.reading import read_study

    check_expected_plugins()
    study = read_study(path)
    if storage is not None:
        try:
            without_secret(storage)
        except ValueError as error:
            raise StudyFileError(f"--storage {error}") from None
        study = study.model_copy(update={"storage": storage})
    if data_root is not None:
        study = study.model_copy(update={"data": study.data.model_copy(update={"root": data_root})})
    return study if budget is None else _with_budget(study, path, budget)


def _with_budget(study: Study, path: Path, text: str) -> Study:
    """The study with another budget; without `trials` in the file, as many trials as it holds."""
    from wsml_study.errors import StudyFileError
    from wsml_study.study.budget_checks import check_budget
    from wsml_study.study.budget_section import UNBOUNDED_TRIALS, budget_of
    from wsml_study.study.factors import factor_problems

    try:
        trials = UNBOUNDED_TRIALS if study.trials == 1 and study.search else study.trials
        changed = study.model_copy(update={"budget": budget_of(text), "trials": trials})
    except ValueError as error:
        raise StudyFileError(f"--budget: {error}") from None
    if problems := [*check_budget(changed), *factor_problems(changed)]:
        raise StudyFileError(f"--budget {text}: {path}: {problems[0].message}")
    return changed


def read_to_run(path: Path, storage: str | None, data_root: str | None, *, budget: str | None = None) -> Study:
    """As `read`; refuses a study that may not begin, with the places in its file."""
    from wsml_study.errors import StudyFileError
    from wsml_study.record.study_folder import refuse_new
    from wsml_study.study.new_study import read_new_study

    study = read(path, storage, data_root, budget=budget)
    try:
        refuse_new(study)
    except StudyFileError:
        read_new_study(path)  # names the places
        raise
    return study


def read_or_recall(study: Path, storage: str | None, data_root: str | None) -> Study:
    """The study of a file, or the one whose results a folder holds."""
    if not study.is_dir():
        return read(study, storage, data_root)
    folder = study.absolute()
    description = read(folder / "study.yaml", str(folder.parent), data_root)
    return description.model_copy(update={"name": folder.name})


def argument(study: Path, storage: str | None) -> str:
    """The study as the user types it in the next command."""
    named = shlex.quote(str(study))
    return named if storage is None else f"{named} --storage {shlex.quote(storage)}"


def place_of(study: Path, storage: str | None) -> StudyStorage:
    """Where the results of a study are, which a study file or a folder of results names.

    Raises:
        ResultsError: there are none.
    """
    from wsml_study.record.storage import open_results

    if study.is_dir():
        folder = study.absolute()
        return open_results(str(folder.parent), folder.name)
    description = read(study, storage, None)
    return open_results(description.storage, description.name)


def folder_of(study: Path, storage: str | None) -> Path:
    """The folder of a study's results, or a fresh copy of it if it is kept elsewhere."""
    return study if study.is_dir() else place_of(study, storage).fetch()


class _Screen(Console):
    """Standard output. A reader that closes it, as `| head` does, ends the printing and not the command.

    So does a terminal that has closed, which the command outlives if it ignores SIGHUP.
    """

    def _check_buffer(self) -> None:
        try:
            super()._check_buffer()
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            self.on_broken_pipe()

    def on_broken_pipe(self) -> None:
        self.quiet = True
        os.dup2(os.open(os.devnull, os.O_WRONLY), self.file.fileno())


def screen() -> Console:
    """Standard output, for the progress of a run and for the results printed after it."""
    return _Screen(file=sys.stdout)


@contextmanager
def progress_of(console: Console, study: Study) -> Iterator[Progress]:
    """The progress display of a run, shown for the duration of a block."""
    from wsml_study.cli.progress import Progress

    progress = Progress(console, objective=study.objective, study=study)
    try:
        with progress.shown():
            yield progress
    except KeyboardInterrupt:  # before the first trial; later Ray Tune ends the run, and what there is is summarized
        print("interrupted; nothing is lost. The same command goes on", file=sys.stderr)
        raise
