"""What the server's tools do: each runs the command of its name, in the root folder, and gives back what it prints."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, Field

from wsml_study.errors import ResultsError, printable
from wsml_study.mcp_server.allowed_paths import AllowedPaths
from wsml_study.mcp_server.command_runs import BackgroundRun, last_lines, printed, start

StudyFile = Annotated[str, Field(description="A study file (YAML), relative to the root folder.")]
StudyOrFolder = Annotated[
    str, Field(description="A study file (YAML) or the folder of a study's results, relative to the root folder.")
]

CHECK_LIMIT_S, READ_LIMIT_S, REPORT_LIMIT_S = 600.0, 120.0, 600.0
MOST_ROWS = 200
REPEATED = ("study", "config")
"""Columns of a trials table that `results` leaves out: the same in each row, and long."""


class Started(BaseModel):
    """A command that was started behind the server."""

    study: str = Field(description="Name of the study.")
    results: str = Field(description="Folder of its results, which `status`, `results`, `query`, `report` read.")
    log: str = Field(description="File that it prints to.")
    pid: int = Field(description="Process id.")
    next: str = Field(description="How to follow it.")


class Progress(BaseModel):
    """Where a study stands."""

    state: str = Field(
        description="not run, starting, running, interrupted (`run` goes on with it), failed to start, or finished."
    )
    details: dict[str, Any] | None = Field(
        description="Trials by state, best trial, running trials, what was spent; null before the first trial."
    )
    exit_status: int | None = Field(
        description="How the last `run` of this server ended: 0 well, 130 stopped, else the log says why; null before."
    )
    log: list[str] = Field(description="The last lines that `run` of this server, or an earlier one, has printed.")


class Ranking(BaseModel):
    """Trials, best first, and what they say."""

    trials: list[dict[str, Any]] = Field(
        description="A trial each, with its rank, value (of the study's objective), method and searched `values`."
    )
    summary: str = Field(description="The same as a table with rounded numbers, and the answer of a confirmation.")


class Rows(BaseModel):
    """The result of a query."""

    rows: list[dict[str, Any]] = Field(description=f"The first {MOST_ROWS} rows.")
    num_rows: int = Field(description="How many the query gave.")


class Report(BaseModel):
    """A report that was written."""

    path: str = Field(description="The HTML file: self-contained, opens in any browser without a network.")
    written: str = Field(description="How many figures it has, and which were left out, and why.")
    summary: str = Field(description="The ranking and the answer as text.")


class StudyTools:
    """The tools on the studies of one root folder."""

    def __init__(self, allowed: AllowedPaths) -> None:
        """Work in a root folder; nothing is started or read yet."""
        self._allowed = allowed
        self._runs: dict[Path, BackgroundRun] = {}

    async def check(self, study: StudyFile) -> str:
        """Validate a study file and describe what `run` would do.

        Says: the dataset's images and labels, what is hidden, the search space, how many labels each epoch distrusts,
        the number of trials, resources. Every problem of the file is listed with line and column. Reads, changes
        nothing. Call it before `run`. The resources wsml-study://schema, ://methods and ://examples/NAME say how a
        study file is written.
        """
        self._allowed.study(study)
        return await self._printed("check", study, limit_s=CHECK_LIMIT_S)

    async def run(
        self,
        study: StudyFile,
        trials: Annotated[
            int | None,
            Field(ge=1, description="Total number of trials; more than before extends a study that has finished."),
        ] = None,
        budget: Annotated[
            str | None,
            Field(
                max_length=60, pattern=r"^\w", description="What the search may spend in total: 2h, 400epochs or 8gpuh."
            ),
        ] = None,
    ) -> Started:
        """Run a study in the background, or resume it where it stopped; returns at once.

        The study goes on when this server ends. It takes minutes to days, and all CPUs or GPUs that are free. Follow it
        by `status`; end it by `stop`. Trials that have ended are never run again.
        """
        description, folder = self._allowed.study(study), self._allowed.results_of(study)
        state = (await self._status(study, folder)).state
        if state in ("running", "starting"):
            raise ResultsError(f"{study} is {state} already; `status` follows it")
        words = ["run"]
        words += [] if trials is None else ["--trials", str(trials)]
        words += [] if budget is None else ["--budget", budget]
        run = start(self._allowed.root, [*words, "--", self._named(study)], _log_of(folder))
        self._runs[folder] = run
        return Started(
            study=description.name,
            results=self._shown(folder),
            log=self._shown(run.log),
            pid=run.process.pid,
            next=f"status(study={study!r}) says where it stands; the first trial begins in about half a minute",
        )

    async def stop(self, study: StudyFile) -> str:
        """Ask a running study to stop after its current epochs; `run` goes on with it later, and nothing is lost.

        Returns at once; `status` says when it has stopped.
        """
        folder = self._allowed.results_of(study)
        if (state := (await self._status(study, folder)).state) != "running":
            raise ResultsError(f"{study} is not running: {state}")
        start(self._allowed.root, ["stop", "--", self._named(study)], folder.parent / f"{folder.name}.stop.log")
        return "asked to stop after the current epochs; `status` says when it has"

    async def status(self, study: StudyFile) -> Progress:
        """Where a study stands: trials that ended and run, best value so far, what was spent, last lines of its log.

        Works at any time, also for studies that another process or machine runs. Quick; call it again to follow a run.
        """
        return await self._status(study, self._allowed.results_of(study))

    async def _status(self, study: str, folder: Path) -> Progress:
        run = self._runs.get(folder)
        exit_status = None if run is None else run.exit_status
        is_at_work = run is not None and exit_status is None
        log = [printable(line) for line in last_lines(_log_of(folder))]
        if not (folder / "study.yaml").exists():
            state = "starting" if is_at_work else "not run" if run is None else "failed to start"
            return Progress(state=state, details=None, exit_status=exit_status, log=log)
        details = json.loads(await self._printed("status", "--json", "--", study))
        state = details["state"]
        if is_at_work:  # also in a confirmation, when the search has finished
            state = "running" if details["driver"] is not None else "starting"
        return Progress(state=state, details=details, exit_status=exit_status, log=log)

    async def results(
        self,
        study: StudyOrFolder,
        where: Annotated[
            str | None, Field(description="Only trials that meet a condition: method == 'LL-R' and value > 80")
        ] = None,
        per: Annotated[
            str | None, Field(description="Only the best trials of each value of this column: method")
        ] = None,
        top: Annotated[int, Field(ge=1, le=MOST_ROWS, description="So many trials; with `per`, of each value.")] = 10,
    ) -> Ranking:
        """The trials of a study, best first, and which differences between methods are confirmed by fresh seeds.

        Works while the study runs. Without a confirmation, differences are those of a search: the best of many trials
        looks better than it is.
        """
        folder = self._allowed.results_of(study)
        words = ["results", "--top", str(top)]
        words += [] if where is None else [f"--where={where}"]
        words += [] if per is None else [f"--per={per}"]
        rows = json.loads(await self._printed(*words, "--format", "json", "--", str(folder)))
        summary = await self._printed(*words, "--", str(folder))
        return Ranking(trials=list(map(_short, rows)), summary=summary)

    async def query(
        self,
        study: StudyOrFolder,
        sql: Annotated[
            str,
            Field(
                max_length=20_000,
                description="One statement that reads, in DuckDB's dialect: SELECT, DESCRIBE, SUMMARIZE, PIVOT.",
            ),
        ],
    ) -> Rows:
        """Query a study's tables in SQL, read-only: trials, epochs, classes; confirm_trials, ... of its confirmation.

        wsml-study://tables explains each column. The query sees these tables only: no files, no network, no extensions.
        Aggregate in SQL, or use LIMIT.
        """
        folder = self._allowed.results_of(study)
        words = ["query", "--format", "json", "--", str(folder), sql]
        rows = json.loads(await printed(self._allowed.root, words, limit_s=READ_LIMIT_S, limit_memory=True))
        return Rows(rows=rows[:MOST_ROWS], num_rows=len(rows))

    async def report(self, study: StudyOrFolder) -> Report:
        """Write the report of a study: all figures and tables in one offline HTML file in the folder of its results.

        Takes some seconds. Works while the study runs.
        """
        folder = self._allowed.results_of(study)
        written = await self._printed("report", "--", str(folder), limit_s=REPORT_LIMIT_S)
        summary = await self._printed("results", "--top", "10", "--", str(folder))
        return Report(path=self._shown(folder / "report.html"), written=written.strip(), summary=summary)

    async def _printed(self, *words: str, limit_s: float = READ_LIMIT_S) -> str:
        named: Sequence[str] = (*words[:-1], self._named(words[-1]))
        return await printed(self._allowed.root, named, limit_s=limit_s)

    def _named(self, path: str) -> str:
        """A path as commands get it: relative to the root folder, where they run."""
        return self._shown(self._allowed.inside(path))

    def _shown(self, path: Path) -> str:
        return str(path.relative_to(self._allowed.root))


def _log_of(folder: Path) -> Path:
    return folder.parent / f"{folder.name}.run.log"


def _short(row: dict[str, Any]) -> dict[str, Any]:
    """A trial without what is null, repeated, or said by its searched values."""
    told = row.get("values") or {}
    return {
        name: value
        for name, value in row.items()
        if value is not None and name not in REPEATED and not (name in told and "." in name)
    }
