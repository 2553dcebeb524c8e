"""A lease on a study: one driver at a time, known to and reached from every machine that sees the storage.

The driver renews the lease while it runs. Who wants a study that is leased watches whether the lease is still renewed,
by its own clock: clocks of other machines are never compared.
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
"""A lease that was not renewed for so long belongs to a driver that is gone."""

SETTLING_S = 1.0
STOP_PATIENCE_S = 600.0


@dataclass(frozen=True, kw_only=True)
class Driver:
    """Who runs a study.

    Attributes:
        identity: differs between any two runs.
        host, boot: the machine, and which start of it.
        pid: process there.
        renewals: how often the lease was renewed.
    """

    identity: str
    host: str
    boot: str
    pid: int
    renewals: int = 0

    @property
    def described(self) -> str:
        """Where it runs, for messages."""
        return f"process {self.pid} on {self.host}"

    @property
    def is_gone(self) -> bool:
        """Whether it ran on this machine and does not any more; False where that cannot be known."""
        return (self.host, self.boot) == _machine() and not Path(f"/proc/{self.pid}").exists() and os.name == "posix"


class Lease:
    """Held by the driver of a study; renewed in a thread until it is given back.

    Attributes:
        stop_requested: set once somebody asks the study to stop.
        lost: why the lease is no longer held, None while it is.
    """

    def __init__(self, storage: StudyStorage, driver: Driver) -> None:
        self.stop_requested = threading.Event()
        self.lost: ResultsError | None = None
        self._storage, self._driver = storage, driver
        self._given_back = threading.Event()
        self._renewals = threading.Thread(target=self._renew_until_given_back, daemon=True)

    def check(self) -> None:
        """Make sure that nobody else has taken the study over.

        Raises:
            ResultsError: somebody has.
        """
        if self.lost is not None:
            raise self.lost

    def _renew_until_given_back(self) -> None:
        renewals = 0
        while not self._given_back.wait(RENEWAL_S):
            try:
                holder = read_lease(self._storage)
                if holder is not None and holder.identity != self._driver.identity:
                    self.lost = ResultsError(
                        f"{self._storage.described}: {holder.described} has taken this study over; it goes on there"
                    )
                    return
                renewals += 1
                _write(self._storage, Driver(**{**asdict(self._driver), "renewals": renewals}))
                if self._storage.read(STOP_REQUEST) is not None:
                    self.stop_requested.set()
            except ResultsError:
                continue  # A storage that is gone for good is told by the event log; a lease may miss a few renewals.


@contextmanager
def leased(storage: StudyStorage, *, notify: Callable[[str], None], patience_s: float = EXPIRY_S) -> Iterator[Lease]:
    """Hold the lease of a study for the duration of a block.

    Args:
        storage: of the study.
        notify: told why it takes a while.
        patience_s: a lease that stays as it is for so long has expired.

    Raises:
        ResultsError: another driver holds it, or the storage cannot be written.
    """
    _wait_until_free(storage, patience_s, notify)
    host, boot = _machine()
    driver = Driver(identity=uuid.uuid4().hex, host=host, boot=boot, pid=os.getpid())
    _write(storage, driver)
    if storage.remote is not None:
        # No lock file there: of two that find it free at the same moment, the later writer holds it.
        time.sleep(SETTLING_S)
        _refuse_if_held_by_another(storage, driver)
    storage.delete(STOP_REQUEST)
    lease = Lease(storage, driver)
    lease._renewals.start()
    try:
        yield lease
    finally:
        lease._given_back.set()
        lease._renewals.join()
        if lease.lost is None:
            storage.delete(LEASE)
            storage.delete(STOP_REQUEST)


def read_lease(storage: StudyStorage) -> Driver | None:
    """Who holds the lease of a study, as far as it says; None if nobody does."""
    content = storage.read(LEASE)
    if content is None:
        return None
    try:
        return Driver(**json.loads(content))
    except (ValueError, TypeError):
        return None  # whoever wrote it was cut short


def end_run(storage: str, name: str, *, notify: Callable[[str], None], patience_s: float = STOP_PATIENCE_S) -> None:
    """Ask the driver of a study to stop after the epochs at hand, and wait until it has.

    Raises:
        ResultsError: nobody runs the study, or its driver does not answer.
    """
    place = open_storage(storage, name)
    driver = read_lease(place)
    if driver is None or driver.is_gone:
        raise ResultsError(f"{place.described}: nobody runs this study; see `wsml-study status STUDY`")
    host, _ = _machine()
    place.write(STOP_REQUEST, json.dumps({"by": f"process {os.getpid()} on {host}", "time": time.time()}).encode())
    notify(f"asked {driver.described} to stop after the epochs at hand ...")
    since = time.monotonic()
    while time.monotonic() - since < patience_s:
        holder = read_lease(place)
        if holder is None or holder.identity != driver.identity:
            notify("stopped; nothing is lost, `wsml-study run` goes on with it")
            return
        time.sleep(0.5)
    raise ResultsError(
        f"{place.described}: {driver.described} has not stopped within {patience_s:.0f} s; it may be in a long epoch: "
        f"the request stands, see `wsml-study status STUDY`"
    )


def _wait_until_free(storage: StudyStorage, patience_s: float, notify: Callable[[str], None]) -> None:
    holder = read_lease(storage)
    if holder is None or holder.is_gone:
        return
    notify(f"{holder.described} ran this study last; waiting up to {patience_s:.0f} s to see whether it still does")
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
        f"{storage.described}: another run of this study is at work ({driver.described}); follow it with "
        f"`wsml-study run STUDY --watch`, or end it with `wsml-study stop STUDY`"
    )


def _write(storage: StudyStorage, driver: Driver) -> None:
    storage.write(LEASE, json.dumps(asdict(driver)).encode())


def _machine() -> tuple[str, str]:
    """This machine's name, and a mark that changes when it starts anew or is another container."""
    boot = Path("/proc/sys/kernel/random/boot_id")
    return socket.gethostname(), boot.read_text().strip() if boot.exists() else ""
