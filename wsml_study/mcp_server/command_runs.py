"""Commands in processes of their own, so that the server goes on answering: waited for, or left in the background."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import anyio
from anyio.abc import ByteReceiveStream, Process

from wsml_study.errors import ResultsError
from wsml_study.record.file_end import end_of

MOST_PRINTED = 2_000_000
"""Bytes; a command that prints more is ended: nobody could read it."""

MOST_MEMORY = 4 * 2**30
"""Bytes of memory that a query may hold."""

LOG_BYTES = 6_000


async def printed(root: Path, words: Sequence[str], *, limit_s: float, limit_memory: bool = False) -> str:
    """What a command prints; it is ended with all its processes when the caller is cancelled.

    Args:
        root: where it runs.
        words: after `wsml-study`.
        limit_s: seconds that it may take.
        limit_memory: whether it is kept to `MOST_MEMORY`.

    Raises:
        ResultsError: it fails, with its own message; it takes or prints too much.
    """
    process = await anyio.open_process(
        [sys.executable, "-m", "wsml_study", *words],
        cwd=root,
        stdin=subprocess.DEVNULL,
        start_new_session=True,
        env=_environment(),
    )
    if limit_memory:
        resource.prlimit(process.pid, resource.RLIMIT_DATA, (MOST_MEMORY, MOST_MEMORY))
    output: dict[str, bytes] = {}
    try:
        with anyio.move_on_after(limit_s) as scope:
            await _finish(process, output)
    finally:
        with anyio.CancelScope(shield=True):
            await _end(process)
    if scope.cancelled_caught:
        raise ResultsError(f"`{words[0]}` was ended: it took longer than {limit_s:g} s")
    text, errors = (output.get(name, b"").decode(errors="replace") for name in ("out", "err"))
    if len(output["out"]) > MOST_PRINTED:
        raise ResultsError(f"`{words[0]}` was ended: it printed more than {MOST_PRINTED:,} bytes; ask for less")
    if process.returncode != 0:
        raise ResultsError("\n".join(part for part in (text.strip(), _message(errors)) if part))
    return text


async def _finish(process: Process, output: dict[str, bytes]) -> None:
    assert process.stdout is not None
    assert process.stderr is not None
    async with anyio.create_task_group() as group:
        group.start_soon(_read, process.stdout, output, "out")
        group.start_soon(_read, process.stderr, output, "err")
    if all(len(content) <= MOST_PRINTED for content in output.values()):
        await process.wait()


async def _read(stream: ByteReceiveStream, output: dict[str, bytes], name: str) -> None:
    output[name] = b""
    async for chunk in stream:
        output[name] += chunk
        if len(output[name]) > MOST_PRINTED:
            break


async def _end(process: Process) -> None:
    if process.returncode is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    await process.wait()
    await process.aclose()


def _message(errors: str) -> str:
    """The error of a command, without the name of the program."""
    return errors.strip().removeprefix("wsml-study: ")


def _environment() -> dict[str, str]:
    return os.environ | {"COLUMNS": "100", "PYTHONUNBUFFERED": "1"}


@dataclass(frozen=True, kw_only=True)
class BackgroundRun:
    """A command that goes on behind the server, and outlives it.

    Attributes:
        process: of this server.
        log: what it prints.
    """

    process: subprocess.Popen[bytes]
    log: Path

    @property
    def exit_status(self) -> int | None:
        """None while it is at work."""
        return self.process.poll()


def start(root: Path, words: Sequence[str], log: Path) -> BackgroundRun:
    """Start a command in a session of its own; it prints into a file.

    Raises:
        ResultsError: the file cannot be written.
    """
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("wb") as file:
            process = subprocess.Popen(
                [sys.executable, "-m", "wsml_study", *words],
                cwd=root,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env=_environment(),
            )
    except OSError as error:
        raise ResultsError(f"{log}: {error.strerror or error}") from error
    return BackgroundRun(process=process, log=log)


def last_lines(log: Path) -> list[str]:
    """The end of what a command has printed; empty if it never ran."""
    content, is_cut = end_of(log, LOG_BYTES)
    lines = content.decode(errors="replace").splitlines()
    return lines[1:] if is_cut else lines
