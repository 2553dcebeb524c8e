"""The live page of a bucket, and of a server that is killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.live.served import Served, served, wait_until
from tests.sample_studies.synthetic import synthetic_events, synthetic_study
from tests.storage_server import CREDENTIALS, bucket
from wsml_study.record.event_log import EventLog
from wsml_study.record.storage import EventMirror, open_storage
from wsml_study.study.writing import dump_config


@pytest.mark.slow
def test_studies_of_a_bucket_are_followed_and_noted_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for key, value in CREDENTIALS.items():
        monkeypatch.setenv(key, value)
    study = synthetic_study(6)
    events = synthetic_events(study)
    with bucket("studies") as uri:
        monkeypatch.setenv("WSML_CACHE", str(tmp_path / "driver"))
        place = open_storage(uri, study.name)
        place.write("study.yaml", dump_config(study).encode())
        log = EventLog(place.folder / "events.jsonl", EventMirror(place))
        append(log, events[:40])
        with served(uri) as page:
            key = page.key(study.name)
            before = page.get(f"api/study/{key}")
            assert before["place"].startswith("s3://studies/lab/")
            assert page.get(f"api/study/{key}/results")["ranking"]["body"]
            append(log, events[40:])  # the driver's working copy, in the same cache, is left alone
            wait_until(lambda: page.get(f"api/study/{key}")["ended"] == 6)
            assert page.post(f"api/study/{key}/notes", {"text": "good"})[0] == 201
            assert b'"good"' in (place.read("notes.jsonl") or b"")
            command = page.get(f"api/study/{key}/command?action=confirm")["command"]
            assert command.endswith(f"study.yaml --storage '{uri}'")


def append(log: EventLog, events: list) -> None:
    for event in events:
        log.append(event["event"], **{key: value for key, value in event.items() if key not in ("event", "time")})


@pytest.mark.slow
def test_a_server_that_was_killed_goes_on_without_loss(results: Path) -> None:
    process, page = started(results)
    key = page.key("confirmed")
    assert page.post(f"api/study/{key}/notes", {"text": "before"})[0] == 201
    order = {"action": "export", "by": "confirmed"}
    command = page.get(f"api/study/{key}/command?action=export&by=confirmed")["command"]
    assert page.post(f"api/study/{key}/commands", order | {"command": command})[0] == 202
    process.send_signal(signal.SIGKILL)
    process.wait()
    again, later = started(results)
    assert later.address == page.address
    assert page.post(f"api/study/{key}/notes", {"text": "after"})[0] == 201
    assert [note["text"] for note in page.get(f"api/study/{key}")["notes"]] == ["before", "after"]
    wait_until(lambda: page.get(f"api/study/{key}")["commands"][0]["state"] != "running")
    assert page.get(f"api/study/{key}")["commands"][0]["state"] == "done"
    again.terminate()
    assert again.wait() == 0
    lines = (results / "confirmed" / "notes.jsonl").read_text().splitlines()
    assert [json.loads(line)["text"] for line in lines] == ["before", "after"]


def started(results: Path) -> tuple[subprocess.Popen[str], Served]:
    """The command, in a process of its own that is the leader of its group."""
    process = subprocess.Popen(
        [sys.executable, "-m", "wsml_study", "serve", "results"],
        cwd=results.parent,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    return process, Served(process.stdout.readline().split()[-1])
