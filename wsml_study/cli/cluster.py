"""Commands that send a study to a cluster and keep an eye on it there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wsml_study.cli.arguments import Dashboard, DataRoot, Storage, StudyFile, read
from wsml_study.errors import ResourcesError

if TYPE_CHECKING:
    from wsml_study.cluster.jobs import Job, JobServer

PANEL = "On a cluster"

app = typer.Typer()

SubmittedTo = Annotated[
    str | None,
    typer.Option("--address", help="Dashboard of the cluster that the study was submitted to, http://HEAD:8265."),
]


@app.command(rich_help_panel=PANEL)
def submit(
    study: StudyFile,
    address: Dashboard,
    trials: Annotated[
        int | None, typer.Option(min=1, help="Total number of trials; more than before extends it.")
    ] = None,
    restart: Annotated[bool, typer.Option("--restart", help="Set earlier results aside and start anew.")] = False,
    storage: Storage = None,
    data_root: DataRoot = None,
    requirements: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="What pip installs on the machines, for this job alone."),
    ] = None,
    detach: Annotated[bool, typer.Option("--detach", help="Return at once, without following the job.")] = False,
) -> None:
    """Run a study as a job on a running cluster, and follow it; Ctrl-C leaves it running there."""
    from wsml_study.cluster.jobs import JobServer

    description = read(study, storage, data_root)
    server = JobServer(address)
    arguments = [*(["--trials", str(trials)] if trials else []), *(["--restart"] if restart else [])]
    job = server.submit(description, arguments, requirements=requirements)
    print(f"submitted {job.id}", flush=True)
    if detach:
        _say_how_to_go_on(study, address)
    else:
        _follow(server, job, study)


@app.command(rich_help_panel=PANEL)
def logs(
    study: StudyFile,
    address: Dashboard,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the job ends or Ctrl-C.")] = False,
) -> None:
    """Print what a submitted study has printed on its cluster."""
    from wsml_study.cluster.jobs import JobServer

    server = JobServer(address)
    job = server.newest(read(study, None, None).name)
    if follow:
        _follow(server, job, study)
    else:
        print(server.log(job), end="")


def job_status(study: Path, address: str, *, as_json: bool) -> None:
    """Print how the newest job of a study fares, and where the study stands if it runs."""
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
    """End the newest job of a study: after the epochs at hand, or at once."""
    from wsml_study.cluster.jobs import JobServer

    server = JobServer(address)
    job = server.newest(read(study, None, None).name)
    if job.is_over:
        raise ResourcesError(f"{job.described}; there is nothing to stop")
    if now or job.state == "pending":
        print(f"{server.end(job).described}; nothing is lost, `wsml-study submit` goes on with the study")
    else:
        print(server.ask(job, "stop"))


def _follow(server: JobServer, job: Job, study: Path) -> None:
    try:
        ended = server.follow(job, lambda text: print(text, end="", flush=True))
    except KeyboardInterrupt:
        print(f"\ndetached; {job.id} goes on")
        _say_how_to_go_on(study, server.address)
        return
    if ended.state != "succeeded":
        raise ResourcesError(f"{ended.described}; what it printed is above, and in `wsml-study logs`")


def _say_how_to_go_on(study: Path, address: str) -> None:
    for command in ("logs --follow", "status", "stop"):
        verb, _, option = command.partition(" ")
        print(f"  wsml-study {verb} {study} --address {address}{' ' * bool(option)}{option}")
