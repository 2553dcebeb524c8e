"""Commands that run a study as a job on a Ray cluster and show its output."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wsml_study.cli.arguments import Dashboard, DataRoot, Storage, StudyFile, read, read_to_run
from wsml_study.errors import ResourcesError

if TYPE_CHECKING:
    from wsml_study.cluster.jobs import Job, JobServer

PANEL = "Cluster"

app = typer.Typer()

SubmittedTo = Annotated[
    str | None,
    typer.Option("--address", help="For a submitted study: dashboard of the Ray cluster, http://HEAD:8265."),
]


@app.command(rich_help_panel=PANEL)
def submit(
    study: StudyFile,
    address: Dashboard,
    trials: Annotated[
        int | None, typer.Option(min=1, help="Total number of trials. A larger number than before extends the study.")
    ] = None,
    restart: Annotated[bool, typer.Option("--restart", help="Move earlier results aside and start over.")] = False,
    storage: Storage = None,
    data_root: DataRoot = None,
    requirements: Annotated[
        Path | None,
        typer.Option(
            exists=True, dir_okay=False, help="A requirements file that pip installs on the machines for this job only."
        ),
    ] = None,
    detach: Annotated[
        bool, typer.Option("--detach", help="Return after the job is submitted, without following its output.")
    ] = False,
) -> None:
    """Run a study as a job on a Ray cluster and follow its output; Ctrl-C detaches and leaves the job running."""
    from wsml_study.cluster.jobs import JobServer

    description = read_to_run(study, storage, data_root)
    server = JobServer(address)
    arguments = [*(["--trials", str(trials)] if trials else []), *(["--restart"] if restart else [])]
    job = server.submit(description, arguments, requirements=requirements)
    print(f"submitted {job.id}", flush=True)
    if detach:
        _print_next_commands(study, address)
    else:
        _follow(server, job, study)


@app.command(rich_help_panel=PANEL)
def logs(
    study: StudyFile,
    address: Dashboard,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Keep printing until the job ends or Ctrl-C.")] = False,
) -> None:
    """Print the output of a submitted study."""
    from wsml_study.cluster.jobs import JobServer

    server = JobServer(address)
    job = server.newest(read(study, None, None).name)
    if follow:
        _follow(server, job, study)
    else:
        print(server.log(job), end="")


def job_status(study: Path, address: str, *, as_json: bool) -> None:
    """Print the state of a study's newest job, and the study's progress while the job runs."""
    from wsml_study.cluster.jobs import JobServer

    server = JobServer(address)
    job = server.newest(read(study, None, None).name)
    running = job.state == "running"
    if as_json:
        found = json.loads(server.ask(job, "status", "--json")) if running else None
        print(json.dumps({"job": job.id, "job_state": job.state, "study": found}, indent=2))
        return
    print(job.described)
    if running:
        print(server.ask(job, "status"))
    elif job.state == "failed":
        print(job.message)


def stop_job(study: Path, address: str, *, now: bool) -> None:
    """Stop the newest job of a study: after the current epochs, or immediately."""
    from wsml_study.cluster.jobs import JobServer

    server = JobServer(address)
    job = server.newest(read(study, None, None).name)
    if job.is_over:
        raise ResourcesError(f"{job.described}; there is nothing to stop")
    if now or job.state == "pending":
        print(f"{server.end(job).described}; nothing is lost, `wsml-study submit` resumes the study")
    else:
        print(server.ask(job, "stop"))


def _follow(server: JobServer, job: Job, study: Path) -> None:
    try:
        ended = server.follow(job, lambda text: print(text, end="", flush=True))
    except KeyboardInterrupt:
        print(f"\ndetached; {job.id} keeps running")
        _print_next_commands(study, server.address)
        return
    if ended.state != "succeeded":
        raise ResourcesError(f"{ended.described}; what it printed is above, and in `wsml-study logs`")


def _print_next_commands(study: Path, address: str) -> None:
    for command in ("logs --follow", "status", "stop"):
        verb, _, option = command.partition(" ")
        print(f"  wsml-study {verb} {study} --address {address}{' ' * bool(option)}{option}")
