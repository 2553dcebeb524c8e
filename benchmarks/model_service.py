"""`serve-model` under load, and under bad files.

    python -m benchmarks.model_service models/voc/seed_0 photos --seconds 20 --storm 300

Photos go to the service over 1, 8 and 32 connections at once: requests a second, and the median and 99th percentile of
their times, beside what `predict` does in one process. Then bad files come over 8 connections for `--storm` seconds,
while one good photo a second is asked for. Exits with 1 if a good photo's answer is missing, wrong or late by more than
`--seconds-limit`, if a bad file is answered with anything but 200 (some still decode), 4xx or a closed connection, or
if the service is gone.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import random
import struct
import subprocess
import sys
import threading
import time
import zlib
from collections import Counter
from collections.abc import Callable
from http.client import HTTPConnection, HTTPException
from pathlib import Path

import numpy as np
from PIL import Image

from wsml_study.inference.model import load_model

CONNECTIONS = (1, 8, 32)
STORM_CONNECTIONS = 8
KINDS = ("jpeg", "png", "webp", "gif", "tiff", "bmp", "avif")
EDGE = "multipart/form-data; boundary=edge"

Sent = tuple[bytes, dict[str, str]]
"""Body and headers."""


def asked(connection: HTTPConnection, body: bytes, headers: dict[str, str]) -> tuple[int, bytes]:
    connection.request("POST", "/predict", body, headers)
    reply = connection.getresponse()
    return reply.status, reply.read()


def load(port: int, photos: list[bytes], connections: int, seconds: float) -> str:
    """A line about so many connections that ask all the time."""
    times: list[float] = []
    end = time.monotonic() + seconds

    def ask(number: int) -> None:
        connection = HTTPConnection("127.0.0.1", port, timeout=60)
        turn = number
        while (started := time.monotonic()) < end:
            status, content = asked(connection, photos[turn % len(photos)], {})
            assert status == 200, content
            times.append(time.monotonic() - started)
            turn += connections

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    p50, p99 = np.percentile(times, [50, 99]) * 1000
    return f"{connections:11d} {len(times) / seconds:12.1f} {p50:8.0f} {p99:8.0f}"


def bomb(side: int) -> bytes:
    """A PNG of many pixels in few bytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    rows = zlib.compress(bytes(10**7))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


class BadFiles:
    """Makes bad files of many kinds, by seed."""

    def __init__(self, good: list[bytes], seed: int) -> None:
        self.random, self.good = random.Random(seed), good
        self.bombs = [bomb(6_000), bomb(30_000), bomb(100_000)]
        self.makers: list[Callable[[], Sent]] = [
            lambda: (self.random.randbytes(self.random.randrange(1, 100_000)), {}),
            lambda: (self._cut(), {}),
            lambda: (self._flipped(), {}),
            lambda: (self._flipped(), {}),
            lambda: (self._joined(), {}),
            lambda: (self.random.choice(self.bombs), {}),
            lambda: (b"", {}),
            lambda: (b"<svg xmlns='http://www.w3.org/2000/svg'/>", {"Content-Type": "image/svg+xml"}),
            lambda: (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage", {}),
            lambda: (bytes(11 * 2**20), {}),
            lambda: (self._form(self._cut()), {"Content-Type": EDGE}),
            lambda: (self._form(self.random.choice(self.good))[: self.random.randrange(300)], {"Content-Type": EDGE}),
            lambda: (self.random.randbytes(500), {"Content-Type": "multipart/form-data"}),
        ]

    def one(self) -> Sent:
        return self.random.choice(self.makers)()

    def _cut(self) -> bytes:
        content = self.random.choice(self.good)
        return content[: self.random.randrange(1, len(content))]

    def _flipped(self) -> bytes:
        content = bytearray(self.random.choice(self.good))
        near = self.random.choice((64, 512, len(content)))  # heads make decoders do more than pixels do
        for _ in range(self.random.randrange(1, 30)):
            content[self.random.randrange(min(near, len(content)))] = self.random.randrange(256)
        return bytes(content)

    def _joined(self) -> bytes:
        return self._cut() + self.random.choice(self.good)[self.random.randrange(1000) :]

    def _form(self, content: bytes) -> bytes:
        name = self.random.choice((b"a.png", b"../../etc/passwd", b'"\x00\xff', b"x" * 3000))
        head = b'--edge\r\nContent-Disposition: form-data; name="f"; filename="' + name + b'"\r\n\r\n'
        return head + content + b"\r\n--edge--\r\n"


def encoded(photo: Image.Image) -> list[bytes]:
    """A photo in the formats that the service takes."""
    found = []
    for kind in KINDS:
        content = io.BytesIO()
        photo.convert("RGB").save(content, format=kind)
        found.append(content.getvalue())
    return found


def storm(port: int, files: BadFiles, end: float, statuses: Counter[str]) -> None:
    """Send bad files; every 50th connection is closed in the middle of a body."""
    while time.monotonic() < end:
        connection = HTTPConnection("127.0.0.1", port, timeout=60)
        try:
            if files.random.randrange(50) == 0:
                connection.putrequest("POST", "/predict")
                connection.putheader("Content-Length", "100000")
                connection.endheaders(b"partly")
                statuses["hung up"] += 1
                continue
            statuses[str(asked(connection, *files.one())[0])] += 1
        except (OSError, HTTPException):
            statuses["closed"] += 1
        finally:
            connection.close()


def memory_mib(pid: int) -> int:
    """Resident memory of a process and its children."""
    pids = [pid]
    for task in Path(f"/proc/{pid}/task").iterdir():
        children = task / "children"
        pids += [int(one) for one in children.read_text().split()]
    pages = 0
    for one in pids:
        try:
            pages += int(Path(f"/proc/{one}/statm").read_text().split()[1])
        except OSError:
            continue  # ended meanwhile
    return pages * os.sysconf("SC_PAGE_SIZE") // 2**20


def watched_storm(running: subprocess.Popen[str], port: int, photo: bytes, seconds: float, limit: float) -> int:
    """The storm, and a good photo a second; the number of failures."""
    expected = json.loads(asked(HTTPConnection("127.0.0.1", port, timeout=60), photo, {})[1])
    good = encoded(Image.open(io.BytesIO(photo)))
    makers = [BadFiles(good, seed) for seed in range(STORM_CONNECTIONS)]
    end, statuses, late, failures = time.monotonic() + seconds, Counter[str](), [], 0
    threads = [threading.Thread(target=storm, args=(port, files, end, statuses)) for files in makers]
    memory = [memory_mib(running.pid)]
    for thread in threads:
        thread.start()
    while time.monotonic() < end:
        started = time.monotonic()
        try:
            status, content = asked(HTTPConnection("127.0.0.1", port, timeout=60), photo, {})
        except (OSError, HTTPException) as error:
            status, content = 0, str(error).encode()
        late.append(time.monotonic() - started)
        if status != 200 or not equal(json.loads(content), expected) or late[-1] > limit:
            print(f"a good photo after {late[-1]:.1f} s: {status} {content[:200]!r}")
            failures += 1
        memory.append(memory_mib(running.pid))
        time.sleep(1)
    for thread in threads:
        thread.join()
    bad = {status: count for status, count in statuses.items() if status.startswith("5")}
    print(f"storm: {sum(statuses.values()):,} bad files in {seconds:.0f} s: {dict(sorted(statuses.items()))}")
    print(f"good photos: {len(late)}, {failures} failed; median {np.median(late):.2f} s, longest {max(late):.2f} s")
    print(f"memory of the service: {memory[0]} MiB before, {max(memory)} at most, {memory[-1]} after")
    return failures + sum(bad.values()) + (running.poll() is not None)


def equal(one: dict, other: dict) -> bool:
    values = [[row["probability"] for row in reply["classes"]] for reply in (one, other)]
    return np.allclose(values[0], values[1], rtol=1e-4)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("photos", type=Path, help="folder of .jpg files")
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--storm", type=float, default=180)
    parser.add_argument("--seconds-limit", type=float, default=10)
    arguments = parser.parse_args()
    files = sorted(arguments.photos.glob("*.jpg"))[:200]
    photos = [file.read_bytes() for file in files]
    command = [
        sys.executable,
        "-m",
        "wsml_study",
        "serve-model",
        str(arguments.model),
        "--port",
        "0",
        "--device",
        "cpu",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        try:
            port = int(running.stdout.readline().rpartition(":")[2])
            load(port, photos, 2, 2.0)  # warm
            print("connections  requests/s   p50 ms   p99 ms")
            for connections in CONNECTIONS:
                print(load(port, photos, connections, arguments.seconds), flush=True)
            failures = watched_storm(running, port, photos[0], arguments.storm, arguments.seconds_limit)
        finally:
            running.terminate()  # Ctrl-C is ignored where a shell has started this in the background
    model = load_model(arguments.model, device="cpu")
    started = time.monotonic()
    model.predict(files)
    print(f"predict: {len(files) / (time.monotonic() - started):.1f} images/s")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
