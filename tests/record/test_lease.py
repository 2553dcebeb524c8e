"""One driver at a time, wherever it runs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from wsml_study.errors import ResultsError
from wsml_study.record import lease as module
from wsml_study.record.lease import Driver, end_run, leased, read_lease
from wsml_study.record.storage import StudyStorage, open_storage

ELSEWHERE = Driver(identity="other", host="elsewhere", boot="another", pid=7)


@pytest.fixture
def storage(tmp_path: Path) -> StudyStorage:
    return open_storage(str(tmp_path), "study")


def write(storage: StudyStorage, driver: Driver) -> None:
    storage.write(module.LEASE, json.dumps(vars(driver)).encode())


def test_a_lease_names_its_driver_and_is_given_back(storage: StudyStorage) -> None:
    with leased(storage, notify=print):
        holder = read_lease(storage)
        assert holder is not None
        assert holder.pid == os.getpid()
        assert not holder.is_gone
    assert read_lease(storage) is None


def test_a_driver_that_renews_its_lease_keeps_others_off(storage: StudyStorage) -> None:
    write(storage, ELSEWHERE)
    renewal = threading.Timer(0.7, write, (storage, replace(ELSEWHERE, renewals=1)))
    renewal.start()
    with (
        pytest.raises(ResultsError, match=r"another run of this study is in progress .process 7 on elsewhere"),
        leased(storage, notify=print, patience_s=30),
    ):
        pass
    renewal.join()
    assert read_lease(storage) == replace(ELSEWHERE, renewals=1)


def test_a_lease_that_nobody_renews_expires(storage: StudyStorage) -> None:
    write(storage, ELSEWHERE)
    told: list[str] = []
    with leased(storage, notify=told.append, patience_s=1):
        assert read_lease(storage) != ELSEWHERE
    assert told == ["process 7 on elsewhere ran this study last; waiting up to 1 s to see whether it still runs"]


def test_a_driver_of_this_machine_that_was_killed_is_not_waited_for(storage: StudyStorage) -> None:
    hold = (
        "import sys, time\n"
        "from wsml_study.record.storage import open_storage\n"
        "from wsml_study.record.lease import leased\n"
        "with leased(open_storage(sys.argv[1], 'study'), notify=print):\n"
        "    print('held', flush=True)\n"
        "    time.sleep(60)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", hold, storage.folder.parent], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"held\n"
    process.kill()
    process.wait()
    with leased(storage, notify=pytest.fail, patience_s=30):  # which says so before it waits
        holder = read_lease(storage)
        assert holder is not None
        assert holder.pid == os.getpid()


def test_a_driver_whose_study_was_taken_over_learns_of_it(
    storage: StudyStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RENEWAL_S", 0.05)
    with leased(storage, notify=print) as lease:
        deadline = time.monotonic() + 10
        while lease.lost is None and time.monotonic() < deadline:
            write(storage, ELSEWHERE)  # again and again, as a driver does: one time may fall into a renewal
            time.sleep(0.05)
        with pytest.raises(ResultsError, match="process 7 on elsewhere has taken over this study"):
            lease.check()
    assert read_lease(storage) == ELSEWHERE, "the new driver's lease is not touched"


def test_a_request_to_stop_reaches_the_driver_and_is_waited_for(
    storage: StudyStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RENEWAL_S", 0.05)
    told: list[str] = []

    def drive() -> None:
        with leased(storage, notify=print) as lease:
            begun.set()
            assert lease.stop_requested.wait(20)

    begun = threading.Event()
    driver = threading.Thread(target=drive)
    driver.start()
    assert begun.wait(20)
    end_run(str(storage.folder.parent), "study", notify=told.append)
    driver.join()
    assert told[-1] == "stopped; `wsml-study run` resumes it"
    assert storage.read(module.STOP_REQUEST) is None


def test_nobody_can_be_asked_to_stop_where_nobody_runs(storage: StudyStorage) -> None:
    with pytest.raises(ResultsError, match="this study is not running"):
        end_run(str(storage.folder.parent), "study", notify=print)


def test_a_folder_that_was_moved_is_not_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`mv` would put the old folder inside a new one."""
    monkeypatch.setattr(module, "RENEWAL_S", 0.01)
    storage = open_storage(str(tmp_path / "results"), "study")
    with leased(storage, notify=print) as lease:
        storage.folder.rename(tmp_path / "moved")
        assert not lease._released.wait(0.2), "some renewals"
        assert not storage.folder.exists()
    assert not storage.folder.exists()
