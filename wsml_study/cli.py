"""The command line: a command parses, calls one function, prints.

Imports stand inside the commands, so that `--help` and `check` answer without torch and ray.
"""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from wsml_study.errors import ResultsError, WsmlStudyError

if TYPE_CHECKING:
    from wsml_study.progress import Progress
    from wsml_study.study.spec import Study

app = typer.Typer(
    help="Find out by experiment how a weakly supervised multi-label classifier should treat its unobserved labels.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

StudyFile = Annotated[Path, typer.Argument(metavar="STUDY", help="A study file (YAML).", show_default=False)]
StudyOrFolder = Annotated[
    Path, typer.Argument(metavar="STUDY", help="A study file, or the folder of its results.", show_default=False)
]
Address = Annotated[
    str | None, typer.Option(envvar="RAY_ADDRESS", help="A running Ray cluster; by default Ray starts on this machine.")
]
Storage = Annotated[
    str | None, typer.Option(help="Folder that receives a folder per study, instead of the study's own.")
]
DataRoot = Annotated[str | None, typer.Option(help="Where the dataset lies, instead of the study's `data.root`.")]


class Per(StrEnum):
    """What to rank within."""

    STUDY = "study"
    METHOD = "method"


@app.command()
def check(study: StudyFile, storage: Storage = None, data_root: DataRoot = None) -> None:
    """Say what a study will run, without running it."""
    from wsml_study.preview import preview

    for line in preview(_read(study, storage, data_root)).lines():
        print(line)


@app.command()
def run(
    study: StudyFile,
    trials: Annotated[
        int | None, typer.Option(min=1, help="Total number of trials; more than before extends it.")
    ] = None,
    restart: Annotated[bool, typer.Option("--restart", help="Set earlier results aside and start anew.")] = False,
    address: Address = None,
    storage: Storage = None,
    data_root: DataRoot = None,
    watch: Annotated[
        bool, typer.Option("--watch", help="Follow the study where it runs already, on whichever machine.")
    ] = False,
) -> None:
    """Run a study, or go on with it from wherever it stopped."""
    description = _read(study, storage, data_root)
    console = Console(file=sys.stdout)
    if watch:
        _watch(console, description)
        return
    from wsml_study.results.summary import study_summary
    from wsml_study.tuning.run import run_study

    with _progress(console, description) as progress:
        outcome = run_study(description, progress, num_trials=trials, restart=restart, address=address)
    argument = str(study) if storage is None else f"{study} --storage {shlex.quote(storage)}"
    for line in study_summary(
        outcome.folder, place=outcome.place, num_trials=outcome.num_trials, study_argument=argument
    ):
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    if not outcome.finished and not outcome.stopped_on_request:
        raise typer.Exit(130)


@app.command()
def status(
    study: StudyFile,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
    storage: Storage = None,
) -> None:
    """Say where a study stands and who runs it, from any machine that sees its storage."""
    from wsml_study.tuning.status import study_status

    description = _read(study, storage, None)
    found = study_status(description.storage, description.name)
    if as_json:
        print(json.dumps(found.as_json(), indent=2))
        return
    for line in found.lines():
        print(line)


@app.command()
def stop(study: StudyFile, storage: Storage = None) -> None:
    """End a running study after the epochs at hand, from any machine that sees its storage; `run` goes on with it."""
    from wsml_study.tuning.lease import end_run

    description = _read(study, storage, None)
    end_run(description.storage, description.name, notify=print)


@app.command()
def results(
    study: StudyOrFolder,
    top: Annotated[int | None, typer.Option(min=1, help="Only the best so many trials.")] = None,
    storage: Storage = None,
) -> None:
    """Show a study's trials, best first, also while it runs."""
    from wsml_study.results.summary import trials_table

    for line in trials_table(_folder(study, storage), top=top):
        print(line)


@app.command()
def export(
    study: StudyOrFolder,
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder for the configs.")],
    top: Annotated[int, typer.Option(min=1, help="How many of the best trials, of each method with --per method.")] = 1,
    per: Annotated[Per, typer.Option(help="Rank over the whole study or within each method.")] = Per.STUDY,
    storage: Storage = None,
) -> None:
    """Write the best trials as configs that `check` accepts and `train` trains."""
    from wsml_study.results.export import export_configs

    for path in export_configs(_folder(study, storage), top=top, per_method=per is Per.METHOD, output=output):
        print(path)


@app.command()
def train(
    config: Annotated[Path, typer.Argument(metavar="CONFIG", help="An exported config.", show_default=False)],
    seeds: Annotated[int, typer.Option(min=1, max=1000, help="Train with so many seeds, one model each.")] = 1,
    output: Annotated[str, typer.Option("-o", "--output", help="Folder that receives a folder per config.")] = "models",
    restart: Annotated[bool, typer.Option("--restart", help="Set earlier models aside and start anew.")] = False,
    address: Address = None,
    data_root: DataRoot = None,
) -> None:
    """Train a config for good: all epochs, test mAP of the best validation epoch, a model folder per seed."""
    from wsml_study.results.summary import training_summary
    from wsml_study.tuning.final_training import final_training

    console = Console(file=sys.stdout)
    description = _read(config, output, data_root)
    with _progress(console, description) as progress:
        outcome = final_training(description, progress, num_seeds=seeds, restart=restart, address=address)
    for line in training_summary(outcome.folder):
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    if not outcome.finished:
        raise typer.Exit(130)


data_app = typer.Typer(help="Look at data, decode it ahead of a study, check that it is sound.", no_args_is_help=True)
app.add_typer(data_app, name="data")


@data_app.command("list")
def data_list() -> None:
    """List the datasets that can be read, and what folder each wants."""
    from wsml_study.data_tour import overview

    for line in overview():
        print(line)


@data_app.command("info")
def data_info(
    study: StudyFile,
    data_root: DataRoot = None,
    picture: Annotated[Path | None, typer.Option(help="Write sample images with their labels into this .png.")] = None,
) -> None:
    """Show what the labels of a study's data say: counts, class frequencies, classes seen together, what is hidden."""
    from wsml_study.data_tour import data_info as info

    for line in info(_read(study, None, data_root).data, picture=picture):
        print(line)


@data_app.command("prepare")
def data_prepare(study: StudyFile, data_root: DataRoot = None) -> None:
    """Decode and resize all images of a study's data into the store, which `run` would do else."""
    from wsml_study.data_tour import prepare
    from wsml_study.progress import counting

    with counting("images decoded") as progress:
        prepare(_read(study, None, data_root).data, notify=print, progress=progress)


@data_app.command("verify")
def data_verify(study: StudyFile, data_root: DataRoot = None) -> None:
    """Decode every image and compare all: unreadable ones, the same in training and test, images without labels."""
    from wsml_study.data_tour import verify
    from wsml_study.progress import counting

    with counting("images looked at") as progress:
        found = verify(_read(study, None, data_root).data, progress=progress)
    for line in (*found.notes, *found.problems):
        print(line)
    print(f"{found.num_images:,} images looked at; problems: {len(found.problems)}, notes: {len(found.notes)}")
    if found.problems:
        raise typer.Exit(1)


@app.command()
def init(
    path: Annotated[Path, typer.Argument(help="The study file to write.")] = Path("study.yaml"),
) -> None:
    """Write a commented study file to start from."""
    from wsml_study.results.files import write_whole
    from wsml_study.study.schema import template

    if path.exists():
        raise ResultsError(f"{path} exists already; name another file")
    write_whole(path, template().encode())
    print(f"wrote {path}; next: wsml-study check {path}")


@app.command()
def methods(
    name: Annotated[str | None, typer.Argument(help="Explain this method or head.", show_default=False)] = None,
) -> None:
    """List the ways to treat unobserved labels, or explain one: formula, source, defaults, published mAP, curves."""
    from wsml_study.methods.explanation import explain, overview

    for line in overview() if name is None else explain(name):
        print(line)


@app.command()
def schema() -> None:
    """Print the JSON Schema of study files, for editors."""
    from wsml_study.study.schema import schema as study_schema

    print(json.dumps(study_schema(), indent=2))


def main() -> None:
    """Entry point: what a user can mend is told without a traceback, with exit status 1."""
    try:
        app()
    except WsmlStudyError as error:
        print(f"wsml-study: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)


def _read(path: Path, storage: str | None, data_root: str | None) -> Study:
    """The study of a file, with what the command line says of where."""
    from wsml_study.study.reading import read_study

    study = read_study(path)
    if storage is not None:
        study = study.model_copy(update={"storage": storage})
    if data_root is not None:
        study = study.model_copy(update={"data": study.data.model_copy(update={"root": data_root})})
    return study


def _watch(console: Console, study: Study) -> None:
    from wsml_study.tuning.status import follow

    with _progress(console, study) as progress:
        found = follow(study.storage, study.name, progress)
    for line in found.lines():
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def _folder(study: Path, storage: str | None) -> Path:
    if study.is_dir():
        return study
    from wsml_study.results.summary import study_folder

    description = _read(study, storage, None)
    return study_folder(description.name, description.storage)


@contextmanager
def _progress(console: Console, study: Study) -> Iterator[Progress]:
    from wsml_study.progress import Progress

    progress = Progress(console, metric=study.objective.metric, epochs=study.training.epochs)
    with progress.shown():
        yield progress
