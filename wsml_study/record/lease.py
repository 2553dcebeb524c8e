"""A lease on a study: at most one driver at a time over all machines that share the storage, and a way to stop it.

The driver renews the lease periodically by writing a higher count. Another process that wants the study watches the
file for a while by its own monotonic clock: if the content does not change, the lease has expired. Times of different
machines are never compared, since their clocks may differ.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from wsml_study.errors import ResultsError
from wsml_study.record.storage import StudyStorage, open_storage

LEASE, STOP_REQUEST = "lease.json", "stop.json"
RENEWAL_S = 5.0
EXPIRY_S = 30.0
"""A lease that is not renewed for this long has expired; several times RENEWAL_S, so that a few renewals may fail."""

SETTLING_S = 1.0
"""Time until a lease in remote storage is read back, to detect that another driver overwrote it."""

STOP_PATIENCE_S = 600.0


@dataclass(frozen=True, kw_only=True)
class Driver:
    """The process that runs a study.

    Attributes:
        identity: unique per run.
        host, boot: host name, and an identifier of the machine's current boot.
        pid: process id on that machine.
        renewals: number of renewals of the lease.
    """

    identity: str
    host: str
    boot: str
    pid: int
    renewals: int = 0

    @property
    def described(self) -> str:
        """Process and host, for messages."""
        return f"process {self.pid} on {self.host}"

    @property
    def is_gone(self) -> bool:
        """Whether it ran on this machine and has ended; False if that cannot be determined from here."""
        # Only for the same host and boot does a process id mean the same process as when the lease was written.
        return (self.host, self.boot) == _machine() and not Path(f"/proc/{self.pid}").exists() and os.name == "posix"


class Lease:
    """A lease that this process holds; a thread renews it until it is released.

    Attributes:
        stop_requested: set when `wsml-study stop` asks the study to stop.
        lost: why the lease is no longer held; None while it is held.
    """

    def __init__(self, storage: StudyStorage, driver: Driver) -> None:
        self.stop_requested = threading.Event()
        self.lost: ResultsError | None = None
        self._storage, self._driver = storage, driver
        self._released = threading.Event()
        self._renewals = threading.Thread(target=self._renew_until_released, daemon=True)

    def check(self) -> None:
        """Check that the lease is still held.

        Raises:
            ResultsError: another driver has taken the study over.
        """
        if self.lost is not None:
            raise self.lost

    def _renew_until_released(self) -> None:
        renewals = 0
        while not self._released.wait(RENEWAL_S):
            if not self._storage.folder.exists():
                # Moved or deleted, of which the event log tells. A new folder in its place would be in the way of the
                # old one when it is moved back.
                continue
            try:
                holder = read_lease(self._storage)
                if holder is not None and holder.identity != self._driver.identity:
                    self.lost = ResultsError(
                        f"{self._storage.described}: {holder.described} has taken over this study and continues it"
                    )
                    return
                renewals += 1
                _write(self._storage, Driver(**{**asdict(self._driver), "renewals": renewals}))
                if self._storage.read(STOP_REQUEST) is not None:
                    self.stop_requested.set()
            except ResultsError:
                continue  # A few renewals may fail. If the storage stays unreachable, the event log raises an error.


@contextmanager
def leased(storage: StudyStorage, *, notify: Callable[[str], None], patience_s: float = EXPIRY_S) -> Iterator[Lease]:
    """Hold the lease of a study for the duration of a block.

    Args:
        storage: of the study.
        notify: receives a message if this has to wait.
        patience_s: a lease that does not change for this long has expired.

    Raises:
        ResultsError: another driver holds it, or the storage cannot be written.
    """
    _wait_until_free(storage, patience_s, notify)
    host, boot = _machine()
    driver = Driver(identity=uuid.uuid4().hex, host=host, boot=boot, pid=os.getpid())
    _write(storage, driver)
    if storage.remote is not None:
        # Object stores have no locks: if two drivers find the lease free at the same moment, the last writer holds it.
        time.sleep(SETTLING_S)
        _refuse_if_held_by_another(storage, driver)
    storage.delete(STOP_REQUEST)
    lease = Lease(storage, driver)
    lease._renewals.start()
    try:
        yield lease
    finally:
        lease._released.set()
        lease._renewals.join()
        if lease.lost is None:
            storage.delete(LEASE)
            storage.delete(STOP_REQUEST)


def read_lease(storage: StudyStorage) -> Driver | None:
    """The driver that holds the lease of a study; None if there is no lease."""
    content = storage.read(LEASE)
    if content is None:
        return None
    try:
        return Driver(**json.loads(content))
    except (ValueError, TypeError):
        return None  # torn by a crash while it was written


def end_run(storage: str, name: str, *, notify: Callable[[str], None], patience_s: float = STOP_PATIENCE_S) -> None:
    """Ask the driver of a study to stop after the current epochs, and wait until it has.

    Raises:
        ResultsError: the study is not running, or its driver does not stop within `patience_s`.
    """
    place = open_storage(storage, name)
    driver = read_lease(place)
    if driver is None or driver.is_gone:
        raise ResultsError(f"{place.described}: this study is not running; see `wsml-study status STUDY`")
    host, _ = _machine()
    place.write(STOP_REQUEST, json.dumps({"by": f"process {os.getpid()} on {host}", "time": time.time()}).encode())
    notify(f"asked {driver.described} to stop after the current epochs ...")
    since = time.monotonic()
    while time.monotonic() - since < patience_s:
        holder = read_lease(place)
        if holder is None or holder.identity != driver.identity:
            notify("stopped; `wsml-study run` resumes it")
            return
        time.sleep(0.5)
    raise ResultsError(
        f"{place.described}: {driver.described} has not stopped within {patience_s:.0f} s; an epoch may take longer. "
        f"The request remains in place; see `wsml-study status STUDY`"
    )


def is_running(storage: StudyStorage) -> bool:
    """Whether a driver runs the study, as far as can be told from here."""
    driver = read_lease(storage)
    return driver is not None and not driver.is_gone


def _wait_until_free(storage: StudyStorage, patience_s: float, notify: Callable[[str], None]) -> None:
    holder = read_lease(storage)
    if holder is None or holder.is_gone:
        return
    notify(f"{holder.described} ran this study last; waiting up to {patience_s:.0f} s to see whether it still runs")
    since = time.monotonic()
    while time.monotonic() - since < patience_s:
        time.sleep(0.5)
        now = read_lease(storage)
        if now is None:
            return
        if now != holder:
            raise _held_by(storage, now)


def _refuse_if_held_by_another(storage: StudyStorage, driver: Driver) -> None:
    holder = read_lease(storage)
    if holder is not None and holder.identity != driver.identity:
        raise _held_by(storage, holder)


def _held_by(storage: StudyStorage, driver: Driver) -> ResultsError:
    return ResultsError(
        f"{storage.described}: another run of this study is in progress ({driver.described}); follow it with "
        f"`wsml-study run STUDY --watch`, or stop it with `wsml-study stop STUDY`"
    )


def _write(storage: StudyStorage, driver: Driver) -> None:
    storage.write(LEASE, json.dumps(asdict(driver)).encode())


def _machine() -> tuple[str, str]:
    """Host name, which differs between containers, and boot id, which differs after a reboot (empty outside Linux)."""
    boot = Path("/proc/sys/kernel/random/boot_id")
    return socket.gethostname(), boot.read_text().strip() if boot.exists() else ""
