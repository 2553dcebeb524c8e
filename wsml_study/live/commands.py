"""The page's buttons: each runs a command of `wsml-study`, and its output is kept."""

from __future__ import annotations

import fcntl
import json
import os
import shlex
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from wsml_study.errors import ResultsError
from wsml_study.live.found_studies import STUDY_FILE, FoundStudy
from wsml_study.record.file_end import end_of
from wsml_study.record.files import write_whole
from wsml_study.record.wording import short_path
from wsml_study.study.budget_section import budget_of

CONFIGS = "configs"
"""Folder that `export` writes to, in the folder where the server was started, as the summary of a run suggests."""

ABOUT, OUTPUT, STATUS, LOCK = "command.json", "output.txt", "status", "lock"
SHOWN_BYTES = 20_000
MOST_SHOWN = 10
SCRIPT = 'cd "$1" && shift && "$@" >"$0/output.txt" 2>&1; echo $? >"$0/status"'
"""Of /bin/sh: it outlives the server, and notes how the command ended."""


class Order(BaseModel):
    """What a button asks for.

    Attributes:
        action: the command.
        trials, budget: of `run`, in total.
        top, seeds: of `confirm`; None for the study's own.
        per, by: of `export`.
        command: the command as the page has shown it; it must be what is run.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    action: Literal["stop", "run", "confirm", "export", "report"]
    trials: int | None = Field(default=None, ge=1, le=1_000_000)
    budget: str | None = Field(default=None, max_length=60)
    top: int | None = Field(default=None, ge=1, le=100)
    seeds: int | Literal["auto"] | None = None
    per: Literal["study", "method"] = "method"
    by: Literal["value", "confirmed", "front"] = "value"
    command: str = Field(default="", max_length=4000)

    @field_validator("budget")
    @classmethod
    def _check_budget(cls, budget: str | None) -> str | None:
        if budget is not None:
            budget_of(budget)
        return budget

    @field_validator("seeds")
    @classmethod
    def _check_seeds(cls, seeds: int | str | None) -> int | str | None:
        if isinstance(seeds, int) and not 2 <= seeds <= 1000:
            raise ValueError("expected a number from 2 to 1000, or auto")
        return seeds


def words_of(found: FoundStudy, order: Order) -> list[str]:
    """The command that an order stands for, as the user would type it."""
    folder = short_path(str(found.place.folder))
    is_local = found.place.remote is None
    of_results = [folder if is_local else f"{folder}/{STUDY_FILE}"]
    storage = [] if is_local else ["--storage", found.parent]
    of_file = [f"{folder}/{STUDY_FILE}", "--storage", short_path(found.parent) if is_local else found.parent]
    match order.action:
        case "stop":
            words = ["stop", *of_file]
        case "run":
            words = ["run", *of_file]
            words += [] if order.trials is None else ["--trials", str(order.trials)]
            words += [] if order.budget is None else ["--budget", order.budget]
        case "confirm":
            words = ["confirm", *of_results, *storage]
            words += [] if order.top is None else ["--top", str(order.top)]
            words += [] if order.seeds is None else ["--seeds", str(order.seeds)]
        case "export":
            chosen = {"confirmed": ["--by", "confirmed"], "front": ["--front"]}
            words = ["export", *of_results, *storage]
            words += chosen.get(order.by) or (["--per", "method"] if order.per == "method" else [])
            words += ["-o", f"{CONFIGS}/"]
        case "report":
            words = ["report", *of_results, *storage]
    return words


def command_text(words: Sequence[str]) -> str:
    """A command as one line for a shell."""
    return shlex.join(["wsml-study", *words])


@dataclass(frozen=True, kw_only=True)
class Run:
    """A command that was started from the page.

    Attributes:
        number: counts the commands of a study, from 1.
        action: of the order.
        command: as one line.
        started: in seconds since 1970.
        state: running, done, failed, or lost: it was killed before it could say how it ended.
        status: its exit status; None unless it has ended by itself.
        output: the end of what it printed.
    """

    number: int
    action: str
    command: str
    started: float
    state: str
    status: int | None
    output: str

    def as_json(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "number": self.number,
            "action": self.action,
            "command": self.command,
            "started": self.started,
            "state": self.state,
            "status": self.status,
            "output": self.output,
        }


class CommandRuns:
    """Commands of all studies of a server, in a folder each; they outlive the server, and another one shows them."""

    def __init__(self, folder: Path) -> None:
        """Keep them in a folder, which is created by the first one.

        Args:
            folder: for all studies, readable by the user alone.
        """
        self._folder = folder
        self._children: list[subprocess.Popen[bytes]] = []
        self._lock = threading.Lock()

    def start(self, study: str, action: str, words: Sequence[str]) -> None:
        """Start a command in the current folder, in a session of its own.

        Args:
            study: its key.
            action: that it stands for.
            words: after `wsml-study`.

        Raises:
            ResultsError: the same action of this study is still running, or the folder cannot be written.
        """
        with self._lock:
            if any(run.action == action and run.state == "running" for run in self.of_study(study)):
                raise ResultsError(f"`{action}` is running already")
            number = max(self._numbers(study), default=0) + 1
            folder = self._folder / study / f"{number:06d}-{uuid.uuid4().hex[:8]}"
            about = {"action": action, "command": command_text(words), "started": time.time()}
            write_whole(folder / ABOUT, json.dumps(about).encode())
            with (folder / LOCK).open("w") as lock:
                # The lock is held through the inherited file until the command and its shell have ended, however.
                fcntl.flock(lock, fcntl.LOCK_EX)
                child = subprocess.Popen(
                    ["/bin/sh", "-c", SCRIPT, str(folder), str(Path.cwd()), sys.executable, "-m", "wsml_study", *words],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    start_new_session=True,
                    pass_fds=[lock.fileno()],
                    env=os.environ | {"COLUMNS": "100", "PYTHONUNBUFFERED": "1"},
                )
            self._children = [one for one in [*self._children, child] if one.poll() is None]

    def of_study(self, study: str) -> list[Run]:
        """The newest commands of a study, newest first."""
        runs = [self._read(folder) for folder in self._folders(study)[: -MOST_SHOWN - 1 : -1]]
        return [run for run in runs if run is not None]

    def _folders(self, study: str) -> list[Path]:
        return sorted((self._folder / study).glob("*-*"))

    def _numbers(self, study: str) -> list[int]:
        return [int(folder.name.partition("-")[0]) for folder in self._folders(study)]

    def _read(self, folder: Path) -> Run | None:
        try:
            about = json.loads((folder / ABOUT).read_text())
        except (OSError, ValueError):
            return None  # it is being started
        is_running = _is_locked(folder / LOCK)
        ended = _text(folder / STATUS).strip()
        status = int(ended) if ended.isdecimal() else None
        return Run(
            number=int(folder.name.partition("-")[0]),
            action=str(about["action"]),
            command=str(about["command"]),
            started=float(about["started"]),
            state=_state(status, is_running=is_running),
            status=status,
            output=_text(folder / OUTPUT),
        )


def _state(status: int | None, *, is_running: bool) -> str:
    if status is None:
        return "running" if is_running else "lost"
    return "failed" if status else "done"


def _is_locked(path: Path) -> bool:
    try:
        with path.open() as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _text(path: Path) -> str:
    """The end of a file, without what erases and moves on a terminal."""
    content, is_cut = end_of(path, SHOWN_BYTES)
    if is_cut:
        content = content.partition(b"\n")[2]
    return content.decode("utf-8", errors="replace")
