"""Studies as Ray jobs: submit, follow, inspect and stop them through the dashboard of a cluster.

A job is our own command line, `python -m wsml_study run ...`, on the head of the cluster. `status` and `stop` of a
submitted study are jobs as well, because this machine may not see the study's storage.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import logging
import os
import shlex
import shutil
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

from wsml_study.errors import ResourcesError, StudyFileError
from wsml_study.record.wording import duration
from wsml_study.registry import EXPECTED_PLUGINS
from wsml_study.study.paths import is_downloaded, named_files
from wsml_study.study.spec import Study
from wsml_study.study.used_plugins import used_plugins
from wsml_study.study.writing import dump_config

MAX_BYTES = 200 * 2**20
"""Size of the files that are sent with a job; Ray keeps them in the memory of the head."""

PYTHON = "python -m wsml_study"
STUDY_LABEL, ROLE_LABEL = "wsml_study", "wsml_study_role"
RUN = "run"
POLL_INTERVAL_S = 0.5


@dataclass(frozen=True, kw_only=True)
class Job:
    """One of our commands on a cluster.

    Attributes:
        id: Ray's submission id.
        study: name of the study.
        state: pending, running, stopped, succeeded or failed.
        message: Ray's message about the state; after an error the end of the job's log.
        entrypoint: the command.
        runtime_env: Ray's runtime environment of it.
        started, ended: seconds since 1970.
    """

    id: str
    study: str
    state: str
    message: str
    entrypoint: str
    runtime_env: dict[str, Any]
    started: float | None
    ended: float | None

    @property
    def is_over(self) -> bool:
        """Whether it has ended, as a success or not."""
        return self.state in ("stopped", "succeeded", "failed")

    @property
    def described(self) -> str:
        """Its state, and how long it has run."""
        if self.started is None:
            return f"job {self.id}: {self.state}"
        return f"job {self.id}: {self.state}, {duration((self.ended or time.time()) - self.started)}"


class JobServer:
    """The jobs of a cluster, through its dashboard."""

    def __init__(self, address: str) -> None:
        """Connect to the dashboard.

        Args:
            address: such as http://HEAD:8265.

        Raises:
            ResourcesError: it cannot be reached, refuses the token, or this machine lacks Ray's job client.
        """
        if importlib.util.find_spec("aiohttp") is None:
            raise ResourcesError("jobs need more of Ray than is installed here: pip install 'wsml-study[cluster]'")
        if not address.startswith(("http://", "https://")):
            raise ResourcesError(f"expected the address of a cluster's dashboard, http://HEAD:8265, got {address!r}")
        from ray.job_submission import JobSubmissionClient

        from wsml_study.cluster.ray_internals import maybe_enable_token_auth_if_token_available

        logging.getLogger("ray").setLevel(logging.ERROR)
        maybe_enable_token_auth_if_token_available(warn_if_disabled=False)
        # Ray's client prefers these to the address that it is given.
        for name in ("RAY_ADDRESS", "RAY_API_SERVER_ADDRESS"):
            os.environ.pop(name, None)
        self.address = address
        with self._reached():
            self._client = JobSubmissionClient(address)

    def submit(self, study: Study, arguments: Sequence[str], *, requirements: Path | None = None) -> Job:
        """Submit a study, to be run there as `wsml-study run` would run it here.

        Args:
            study: what to run; files that it names by a relative path are sent along.
            arguments: further arguments of the command line.
            requirements: a pip requirements file that the machines install for this job only.

        Raises:
            StudyFileError: the study names a file or folder of this machine that the cluster cannot see.
            ResourcesError: the cluster cannot be reached, or the files are too large to send.
        """
        with _working_directory(study) as folder:
            environment: dict[str, Any] = {"working_dir": str(folder)}
            if plugins := used_plugins(study):
                environment["env_vars"] = {EXPECTED_PLUGINS: json.dumps(plugins)}
            if requirements is not None:
                environment["pip"] = str(requirements)
            return self._start(study.name, RUN, [f"{study.name}.yaml", *arguments], environment)

    def newest(self, study: str) -> Job:
        """The run of a study that was submitted last.

        Raises:
            ResourcesError: there is none.
        """
        with self._reached():
            found = [_job(details) for details in self._client.list_jobs() if _is_run_of(details, study)]
        if not found:
            raise ResourcesError(
                f"{self.address}: no job of study {study}; `wsml-study submit STUDY --address {self.address}` sends it"
            )
        return max(found, key=lambda job: job.started or 0.0)

    def refreshed(self, job: Job) -> Job:
        """The job with its current state."""
        with self._reached():
            return _job(self._client.get_job_info(job.id))

    def log(self, job: Job) -> str:
        """Everything that the job has printed."""
        with self._reached():
            text: str = self._client.get_job_logs(job.id)
        return text

    def follow(self, job: Job, write: Callable[[str], None]) -> Job:
        """Pass on what a job prints, from its beginning, until it ends.

        Raises:
            ResourcesError: the connection was lost; the job continues.
        """
        try:
            with self._reached():
                asyncio.run(self._pass_on(job, write))
        except ResourcesError as error:
            raise ResourcesError(
                f"lost the connection to {job.id}, which continues as long as its cluster is up: {error}"
            ) from error
        return self._ended(job)

    def ask(self, job: Job, command: str, *options: str) -> str:
        """Run another of our commands on the study of a job, where the job runs, and return what it prints.

        Raises:
            ResourcesError: the command failed; the message is what it printed.
        """
        study_file = shlex.split(job.entrypoint)[4]
        asked = self._ended(self._start(job.study, command, [study_file, *options], job.runtime_env))
        printed = _output(self.log(asked))
        if asked.state != "succeeded":
            raise ResourcesError(printed.removeprefix("wsml-study: ") or f"{asked.described}: {asked.message}")
        return printed

    def end(self, job: Job) -> Job:
        """Kill a job. Epochs that have not ended are lost, nothing else."""
        with self._reached():
            self._client.stop_job(job.id)
        return self._ended(job)

    def _start(self, study: str, command: str, arguments: list[str], environment: dict[str, Any]) -> Job:
        with self._reached():
            identity = self._client.submit_job(
                entrypoint=f"{PYTHON} {command} {shlex.join(arguments)}",
                submission_id=f"{study}-{command}-{uuid.uuid4().hex[:8]}",
                runtime_env=environment,
                metadata={STUDY_LABEL: study, ROLE_LABEL: command},
            )
            return _job(self._client.get_job_info(identity))

    def _ended(self, job: Job) -> Job:
        while not (job := self.refreshed(job)).is_over:
            time.sleep(POLL_INTERVAL_S)
        return job

    async def _pass_on(self, job: Job, write: Callable[[str], None]) -> None:
        async for text in self._client.tail_job_logs(job.id):
            write(text)

    @contextmanager
    def _reached(self) -> Iterator[None]:
        from aiohttp import ClientError
        from ray.exceptions import AuthenticationError
        from requests import RequestException

        try:
            yield
        except AuthenticationError as error:
            raise ResourcesError(
                f"{self.address} refuses this machine's token: {str(error).splitlines()[0]}; copy ~/.ray/auth_token of "
                f"the cluster's head here"
            ) from error
        except (OSError, RuntimeError, ClientError, RequestException) as error:
            raise ResourcesError(
                f"{self.address}: {str(error).rstrip('.')}; is the cluster up, and its dashboard reachable from here "
                f"(`ray dashboard cluster.yaml` makes a tunnel)?"
            ) from error


def _is_run_of(details: Any, study: str) -> bool:
    labels = details.metadata or {}
    return bool(labels.get(STUDY_LABEL) == study and labels.get(ROLE_LABEL) == RUN)


def _job(details: Any) -> Job:
    return Job(
        id=details.submission_id,
        study=details.metadata[STUDY_LABEL],
        state=str(details.status).lower(),
        message=details.message or "",
        entrypoint=details.entrypoint,
        runtime_env=details.runtime_env or {},
        started=None if details.start_time is None else details.start_time / 1000,
        ended=None if details.end_time is None else details.end_time / 1000,
    )


def _output(log: str) -> str:
    """What a command printed: the log without the lines that Ray puts before it."""
    lines = log.splitlines()
    starts = [number for number, line in enumerate(lines) if line.startswith("Running entrypoint for job")]
    return "\n".join(lines[starts[0] + 1 :] if starts else lines).strip()


@contextmanager
def _working_directory(study: Study) -> Iterator[Path]:
    """A folder with what a job needs of this machine: the study, the files that it names, our code if it is a checkout.

    Raises:
        StudyFileError: the study names a folder of this machine, or a file that does not exist.
        ResourcesError: the files are too large to send.
    """
    _refuse_folders_of_this_machine(study)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for path, key in named_files(study).items():
            if not Path(path).is_absolute():
                _copy(folder, path, key)
        if (package := _checkout()) is not None:
            shutil.copytree(package, folder / package.name, ignore=shutil.ignore_patterns("__pycache__"))
        (folder / f"{study.name}.yaml").write_text(dump_config(study))
        size = sum(path.stat().st_size for path in folder.rglob("*"))
        if size > MAX_BYTES:
            raise ResourcesError(
                f"{size / 2**20:.0f} MiB would be sent with the job, at most {MAX_BYTES // 2**20} can; put large files "
                f"on the machines and name them by an absolute path"
            )
        yield folder


def _refuse_folders_of_this_machine(study: Study) -> None:
    if "://" not in study.storage and not Path(study.storage).is_absolute():
        raise StudyFileError(
            f"storage: {study.storage} is relative, and a job runs in a temporary folder; give --storage the absolute "
            f"path of a folder that all machines share, or s3://bucket/folder"
        )
    root = study.data.root
    if root is not None and not Path(root).is_absolute() and not is_downloaded(root):
        raise StudyFileError(
            f"data.root: {root} is relative, and data is not sent with a job; put it on the machines and give "
            f"--data-root its absolute path there"
        )


def _copy(folder: Path, path: str, key: str) -> None:
    if ".." in PurePath(path).parts:
        raise StudyFileError(f"{key}: {path} lies outside of this folder and is not sent with a job; copy it here")
    if not Path(path).is_file():
        raise StudyFileError(f"{key}: no file {path}, which would be sent with the job")
    (folder / path).parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(path, folder / path)


def _checkout() -> Path | None:
    """The folder of our package in a checkout; None if it is installed, as it then has to be on the cluster."""
    package = Path(__file__).parents[1]
    return package if (package.parent / "pyproject.toml").exists() else None
