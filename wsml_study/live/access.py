"""Who may use a live page: a token and a port that stay the same when the server is started again."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import filelock

from wsml_study.errors import ResourcesError, ResultsError
from wsml_study.record.files import write_whole

HOST = "127.0.0.1"
ACCESS, LOCK = "access.json", "serve.lock"
USER_ONLY_FOLDER, USER_ONLY_FILE = 0o700, 0o600


@dataclass(frozen=True, kw_only=True)
class Access:
    """How the page of a place is reached.

    Attributes:
        folder: where the server keeps what is its own: this file, outputs of commands, copies of remote studies.
        token: in the page's address.
        port: that was listened on last; 0 before the first time.
    """

    folder: Path
    token: str
    port: int

    @property
    def address(self) -> str:
        """Of the page."""
        return f"http://{HOST}:{self.port}/{self.token}/"

    def keep(self, port: int) -> Access:
        """Keep the port, so that open pages find the server again when it is started anew."""
        content = json.dumps({"token": self.token, "port": port}).encode()
        _write_for_user(self.folder / ACCESS, content)
        return Access(folder=self.folder, token=self.token, port=port)


@contextmanager
def access_to(place: str) -> Iterator[Access]:
    """Token and port of a place, which one server at a time may have.

    They are kept in the user's cache and not among the results: a copy of the results must not carry the token along,
    and a bucket or a folder of somebody else's need not be writable.

    Args:
        place: a folder, or a URI of `pyarrow.fs`.

    Raises:
        ResourcesError: another server has the place.
        ResultsError: the cache cannot be written.
    """
    folder = _folder_of(place)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(USER_ONLY_FOLDER)
        lock = filelock.FileLock(folder / LOCK, timeout=0)
        with lock:
            yield _read(folder) or _new(folder)
    except filelock.Timeout as error:
        served = _read(folder)
        where = "" if served is None else f" at {served.address}"
        raise ResourcesError(f"{place}: these results are served already{where}") from error
    except OSError as error:
        raise ResultsError(
            f"{folder}: {error.strerror or error}; set WSML_CACHE to a folder that can be written"
        ) from error


def _folder_of(place: str) -> Path:
    cache = Path(os.environ.get("WSML_CACHE") or Path.home() / ".cache" / "wsml-study")
    whole = place if "://" in place else str(Path(place).resolve())
    return cache / "serve" / hashlib.sha256(whole.encode()).hexdigest()[:16]


def _read(folder: Path) -> Access | None:
    try:
        content = json.loads((folder / ACCESS).read_text())
        return Access(folder=folder, token=str(content["token"]), port=int(content["port"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _new(folder: Path) -> Access:
    return Access(folder=folder, token=secrets.token_urlsafe(24), port=0).keep(0)


def _write_for_user(path: Path, content: bytes) -> None:
    before = os.umask(0o077)
    try:
        write_whole(path, content)
    finally:
        os.umask(before)
