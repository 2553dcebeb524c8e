"""The live page beside a study of 1,000 trials: how soon it is there, 20 browsers at once, what it takes of the CPUs.

    python -m benchmarks.serve_page                  # 2 minutes
    python -m benchmarks.serve_page --seconds 600    # a longer look at what it takes

A process stands in for the driver: it holds the lease and appends the last trials' events by the event log's own
writer, two epochs a second. The rest of the study lies there already. Browsers ask as the page's script does. Exits
with 1 if a part of the page takes over 2 s, or the server over 2 % of the machine's CPU time.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import threading
import time
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.sample_studies.synthetic import synthetic_events, synthetic_study, write_folder
from wsml_study.record.event_log import EventLog
from wsml_study.record.storage import StudyStorage
from wsml_study.record.study_folder import locked

MOST_S, MOST_SHARE = 2.0, 0.02
EVENT_S = 0.5
ALREADY = 0.9


class Browser:
    """Asks for the page of a study as its script does, over one connection."""

    def __init__(self, address: str, key: str) -> None:
        parts = urlsplit(address)
        self._connection, self._base = HTTPConnection(parts.netloc, timeout=120), parts.path
        self._key, self._etags, self._versions = key, dict[str, str](), dict[str, Any]()
        self.times: list[tuple[str, int, float]] = []

    def get(self, path: str) -> bytes:
        headers = {"If-None-Match": self._etags[path]} if path in self._etags else {}
        started = time.monotonic()
        self._connection.request("GET", self._base + path, headers=headers)
        reply = self._connection.getresponse()
        content = reply.read()
        assert reply.status in (200, 304), content
        self.times.append((path, reply.status, time.monotonic() - started))
        self._etags[path] = reply.headers.get("ETag") or ""
        return content

    def open(self) -> None:
        study = f"api/study/{self._key}"
        for path in (f"study/{self._key}", "static/live.css", "static/live.js", "static/vega.js", f"{study}?figures"):
            self.get(path)
        for kind in ("results", "figures"):
            self.get(f"{study}/{kind}")

    def follow(self, until: float) -> None:
        study = f"api/study/{self._key}"
        while time.monotonic() < until:
            time.sleep(2.0)
            content = self.get(f"{study}?figures")
            for kind, version in json.loads(content)["parts"].items() if content else ():
                if version != self._versions.get(kind, version):
                    self.get(f"{study}/{kind}")
                self._versions[kind] = version


def drive(folder: Path, events: list[dict[str, Any]], ready: Any, end: Any) -> None:
    """Append events as a driver does, each when it is due."""
    with locked(StudyStorage(folder=folder, remote=None), lambda _: None):
        log = EventLog(folder / "events.jsonl")
        ready.set()
        for event in events:
            details = {key: value for key, value in event.items() if key not in ("event", "time", "number")}
            log.append(event["event"], **details)
            if end.wait(EVENT_S if event["event"] == "epoch" else 0):
                return
        end.wait()


def cpu_seconds(pid: int) -> float:
    """User and system time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--browsers", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=90.0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        os.environ["WSML_CACHE"] = f"{temporary}/cache"
        sys.exit(not measure(Path(temporary) / "results", arguments))


def measure(results: Path, arguments: argparse.Namespace) -> bool:
    study = synthetic_study(arguments.trials)
    events = [event | {"number": number} for number, event in enumerate(synthetic_events(study), start=1)]
    num_before = int(ALREADY * len(events))
    write_folder(results / study.name, study, events[:num_before])
    print(f"{arguments.trials:,} trials, {num_before:,} of {len(events):,} events before")
    context = multiprocessing.get_context("spawn")
    ready, end = context.Event(), context.Event()
    driver = context.Process(target=drive, args=(results / study.name, events[num_before:], ready, end))
    driver.start()
    ready.wait()
    started = time.monotonic()
    server = subprocess.Popen([sys.executable, "-m", "wsml_study", "serve", str(results)], stdout=subprocess.PIPE)
    try:
        address = server.stdout.readline().decode().split()[-1] if server.stdout else ""
        print(f"address printed after {time.monotonic() - started:.2f} s")
        return browse(server, address, arguments)
    finally:
        end.set()
        server.terminate()
        server.wait()
        driver.join()


def browse(server: subprocess.Popen[bytes], address: str, arguments: argparse.Namespace) -> bool:
    waiting = Browser(address, "")
    for path in ("static/vega.js", "static/live.css"):  # put together once, after which a file and a cache keep them
        waiting.get(path)
    time.sleep(2.0)
    print(f"ready to draw {sum(seconds for *_, seconds in waiting.times) + 2:.2f} s after that")
    key = json.loads(Browser(address, "").get("api/studies"))["studies"][0]["key"]
    first = Browser(address, key)
    before, started = cpu_seconds(server.pid), time.monotonic()
    first.open()
    took = {path.rpartition("/")[2][-12:]: seconds for path, _, seconds in first.times}
    print("first page: " + ", ".join(f"{name} {seconds:.2f} s" for name, seconds in took.items()))
    is_soon = sum(seconds for name, seconds in took.items() if name != "figures") <= MOST_S
    print(
        f"all but the report's figures after {sum(took.values()) - took['figures']:.2f} s, these too after "
        f"{time.monotonic() - started:.2f} s; {cpu_seconds(server.pid) - before:.2f} s of CPU (load of the machine "
        f"{os.getloadavg()[0]:.1f})"
    )
    browsers = [Browser(address, key) for _ in range(arguments.browsers)]
    opened = [threading.Thread(target=browser.open) for browser in browsers]
    started = time.monotonic()
    for thread in opened:
        thread.start()
    for thread in opened:
        thread.join()
    print(f"{arguments.browsers} more at once, all parts: {time.monotonic() - started:.2f} s")
    for browser in browsers:
        browser.times.clear()
    before, began = cpu_seconds(server.pid), time.monotonic()
    followed = [threading.Thread(target=one.follow, args=(began + arguments.seconds,)) for one in browsers]
    for thread in followed:
        thread.start()
    for thread in followed:
        thread.join()
    wall = time.monotonic() - began
    used = cpu_seconds(server.pid) - before
    times = sorted(seconds for browser in browsers for *_, seconds in browser.times)
    changed = sum(status == 200 for browser in browsers for _, status, _ in browser.times)
    share = used / wall / (os.cpu_count() or 1)
    print(
        f"{arguments.browsers} browsers for {wall:.0f} s: {len(times):,} requests, {changed:,} with something new; "
        f"median {times[len(times) // 2] * 1e3:.1f} ms, 99 % {times[int(len(times) * 0.99)] * 1e3:.0f} ms, longest "
        f"{times[-1]:.2f} s"
    )
    print(f"server: {used:.1f} s of CPU, {used / wall:.1%} of a core, {share:.1%} of {os.cpu_count()} cores")
    return is_soon and share <= MOST_SHARE


if __name__ == "__main__":
    main()
