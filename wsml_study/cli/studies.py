"""Commands that check, run, watch and stop a study."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from wsml_study.cli.arguments import (
    Address,
    DataRoot,
    Storage,
    StudyOrFolder,
    argument,
    progress_of,
    read,
    read_or_recall,
    read_to_run,
    screen,
)
from wsml_study.cli.cluster import SubmittedTo, job_status, stop_job
from wsml_study.cli.demo import Demo, StudyOrDemo, study_to_check, study_to_run
from wsml_study.cli.output import say, say_findings, show

if TYPE_CHECKING:
    from wsml_study.study.spec import Study

PANEL = "Study"

app = typer.Typer()


@app.command(rich_help_panel=PANEL)
def check(study: StudyOrDemo = None, demo: Demo = False, storage: Storage = None, data_root: DataRoot = None) -> None:
    """Validate a study file and describe what it will run: data, search, multi-fidelity levels, early stopping."""
    from wsml_study.report.study_preview import preview
    from wsml_study.tuning.model_checks import check_models, joined_batches, model_lines

    description = read_to_run(study_to_check(study, demo), storage, data_root)
    shown = preview(description)
    for line in shown.lines():
        say(line)
    check_models(description, image_size=shown.image_size, num_channels=shown.num_channels, download=False)
    for line in model_lines(description, image_size=shown.image_size):
        say(line)
    joined = joined_batches(
        description,
        num_images=shown.splits["train"].num_images,
        image_size=shown.image_size,
        num_channels=shown.num_channels,
    )
    if joined is not None:
        say(joined)
    if shown.failing:
        raise typer.Exit(1)


@app.command(rich_help_panel=PANEL)
def run(
    study: StudyOrDemo = None,
    demo: Demo = False,
    trials: Annotated[
        int | None, typer.Option(min=1, help="Total number of trials. A larger number than before extends the study.")
    ] = None,
    budget: Annotated[
        str | None,
        typer.Option(
            help="What the search may spend, such as 2h, 400epochs, 8gpuh or 2h,400epochs; in place of `budget` of the "
            "study file. A larger one than before extends the study.",
            show_default=False,
        ),
    ] = None,
    restart: Annotated[bool, typer.Option("--restart", help="Move earlier results aside and start over.")] = False,
    address: Address = None,
    storage: Storage = None,
    data_root: DataRoot = None,
    watch: Annotated[
        bool, typer.Option("--watch", help="Follow a study that is already running, on this or another machine.")
    ] = False,
) -> None:
    """Run a study, or resume it where it stopped."""
    file = study_to_run(study, demo)
    if watch:
        _watch(read(file, storage, data_root))
        return
    description = read_to_run(file, storage, data_root, budget=budget)
    from wsml_study.report.summary import study_summary
    from wsml_study.tuning.confirmation_run import run_and_confirm

    console = screen()
    with progress_of(console, description) as progress:
        search, confirmation = run_and_confirm(
            description, progress, num_trials=trials, restart=restart, address=address
        )
    show(
        console,
        study_summary(
            search.folder,
            place=search.place,
            num_trials=search.num_trials,
            study_argument=argument(file, storage),
        ),
    )
    last = confirmation or search
    if not last.finished and not last.stopped_on_request:
        raise typer.Exit(130)
    if last.all_failed:
        raise typer.Exit(1)


@app.command(rich_help_panel=PANEL)
def status(
    study: StudyOrFolder,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    storage: Storage = None,
    address: SubmittedTo = None,
) -> None:
    """Show the progress of a study and the process that runs it, from any machine with access to its storage."""
    if address is not None:
        job_status(study, address, as_json=as_json)
        return
    from wsml_study.tuning.status import study_status

    description = read_or_recall(study, storage, None)
    found = study_status(description.storage, description.name)
    say_findings(found, as_json=as_json)


@app.command(rich_help_panel=PANEL)
def stop(
    study: StudyOrFolder,
    storage: Storage = None,
    address: SubmittedTo = None,
    now: Annotated[
        bool, typer.Option("--now", help="For a submitted study: end the job immediately, as a crash would.")
    ] = False,
) -> None:
    """Stop a study after the current epochs, from any machine with access to its storage; `run` resumes it."""
    if address is not None:
        stop_job(study, address, now=now)
        return
    if now:
        raise typer.BadParameter("needs --address; Ctrl-C ends a study that runs in a terminal", param_hint="--now")
    from wsml_study.tuning.status import stop_study

    description = read_or_recall(study, storage, None)
    stop_study(description.storage, description.name, notify=print)


def _watch(study: Study) -> None:
    from wsml_study.tuning.status import follow

    console = screen()
    with progress_of(console, study) as progress:
        found = follow(study.storage, study.name, progress)
    show(console, found.lines())
