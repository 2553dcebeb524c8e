"""A model over HTTP: what it answers is what `predict` says, and whatever is sent, it stays up."""

from __future__ import annotations

import io
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from wsml_study.data.digit_scenes import render_scenes
from wsml_study.errors import ResourcesError
from wsml_study.inference.decoding_processes import DecodingProcesses
from wsml_study.inference.model import load_model
from wsml_study.inference.model_service import Limits, ModelService
from wsml_study.inference.model_serving import served_model
from wsml_study.inference.received_picture import PictureFormat, RefusedPictureError

LIMITS = Limits(num_bytes=200_000, num_pixels=1_000_000, seconds=2.0, num_requests=16)


@dataclass(frozen=True)
class Served:
    port: int
    service: ModelService

    def ask(
        self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> tuple[int, Any]:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=30)
        connection.request(method, path, body, headers or {})
        reply = connection.getresponse()
        content = json.loads(reply.read())
        connection.close()
        return reply.status, content

    def predict(self, body: bytes, query: str = "", kind: str = "image/png") -> tuple[int, Any]:
        return self.ask("POST", f"/predict{query}", body, {"Content-Type": kind})


@pytest.fixture(scope="module")
def served(decided_folder: Path) -> Iterator[Served]:
    with served_model(decided_folder, port=0, limits=LIMITS, device="cpu") as (address, service):
        yield Served(int(address.rpartition(":")[2]), service)


def file_of(picture: Image.Image, kind: str = "png") -> bytes:
    content = io.BytesIO()
    picture.save(content, format=kind)
    return content.getvalue()


SCENES = [Image.fromarray(image_1HW[0]) for image_1HW in render_scenes("test", 24)]
PHOTO = file_of(SCENES[0].convert("RGB").resize((300, 200)))


def form_of(*files: bytes) -> bytes:
    parts = [
        b'--edge\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\n\r\n' + one + b"\r\n"
        for one in files
    ]
    return b"".join(parts) + b"--edge--\r\n"


def test_probabilities_and_decisions_are_those_of_predict(served: Served, decided_folder: Path) -> None:
    model = load_model(decided_folder, device="cpu")
    status, reply = served.predict(PHOTO)
    expected = model.predict([Image.open(io.BytesIO(PHOTO))])
    assert status == 200
    assert [one["class"] for one in reply["classes"]] == list(model.classes)
    np.testing.assert_allclose([one["probability"] for one in reply["classes"]], expected[0], rtol=1e-5)
    calibrated = model.decider().calibrated(expected)[0]
    np.testing.assert_allclose([one["calibrated"] for one in reply["classes"]], calibrated, rtol=1e-4)
    yes = [name for name, one in zip(model.classes, model.decider().decisions(expected)[0], strict=True) if one == 1]
    assert reply["decided"] == yes
    assert [one["class"] for one in reply["classes"] if one["decision"] == "yes"] == yes


def test_a_form_and_any_other_type_of_content_are_taken(served: Served) -> None:
    expected = served.predict(PHOTO)
    assert served.predict(form_of(PHOTO), kind="multipart/form-data; boundary=edge") == expected
    assert served.predict(PHOTO, kind="application/x-www-form-urlencoded") == expected, "as curl --data-binary sends it"
    likeliest = sorted(expected[1]["classes"], key=lambda one: -one["probability"])
    assert served.predict(PHOTO, query="?top=3")[1]["classes"] == likeliest[:3]


def test_many_requests_at_once_get_their_own_answers(served: Served, decided_folder: Path) -> None:
    files = [file_of(scene, "webp" if number % 2 else "bmp") for number, scene in enumerate(SCENES)]
    model = load_model(decided_folder, device="cpu")
    expected = model.predict([Image.open(io.BytesIO(one)) for one in files])
    with ThreadPoolExecutor(12) as threads:
        replies = list(threads.map(served.predict, files))
    found = [[one["probability"] for one in reply["classes"]] for _, reply in replies]
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_it_says_what_it_is(served: Served) -> None:
    status, reply = served.ask("GET", "/")
    assert (status, reply["model"], reply["thresholds"]) == (200, "small, seed 0", "the best F1")
    assert reply["limits"] == {"bytes": 200_000, "pixels": 1_000_000, "seconds": 2.0, "requests": 16}
    assert served.ask("GET", "/healthz")[1]["status"] == "ok"


def bomb() -> bytes:
    """A PNG of 30,000 x 30,000 gray pixels in 0.9 MB, cut off where no decoder gets to."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(10**7))) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(
    ("body", "kind", "status", "says"),
    [
        (b"", "image/png", 400, "expected a picture, got nothing"),
        (b"hello", "image/png", 415, "not a picture of a known format (JPEG, PNG"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "image/eps", 415, "not a picture of a known format"),
        (PHOTO[: len(PHOTO) // 2], "image/png", 422, "cannot be decoded: "),
        (bomb(), "image/png", 413, "30,000 x 30,000 pixels are more than 1,000,000"),
        (bytes(300_000), "image/png", 413, "more than 200,000 bytes"),
        (PHOTO, "multipart/form-data", 400, "not a multipart form with one file"),
        (b"--edge\r\nnonsense", "multipart/form-data; boundary=edge", 400, "expected a multipart form with one file"),
        (form_of(), "multipart/form-data; boundary=edge", 400, "expected a multipart form with one file"),
        (form_of(PHOTO, PHOTO), "multipart/form-data; boundary=edge", 400, "Too many files"),
    ],
)
def test_bad_files_are_refused_with_a_reason(served: Served, body: bytes, kind: str, status: int, says: str) -> None:
    found, reply = served.predict(body, kind=kind)
    assert (found, list(reply)) == (status, ["error"])
    assert says in reply["error"]
    assert served.predict(PHOTO)[0] == 200


@pytest.mark.parametrize(
    ("method", "path", "status", "says"),
    [
        ("GET", "/predict", 405, "GET is not understood here"),
        ("GET", "/nowhere", 404, "expected /predict, /healthz or /"),
        ("POST", "/predict?top=0", 400, "top: expected a whole number from 1 on, got '0'"),
        ("POST", "/predict?size=5", 400, "unknown parameter 'size'"),
    ],
)
def test_other_requests_are_refused_with_a_reason(
    served: Served, method: str, path: str, status: int, says: str
) -> None:
    found, reply = served.ask(method, path, PHOTO if method == "POST" else None)
    assert (found, says in reply["error"]) == (status, True)


def test_a_body_that_never_ends_arriving_is_given_up(served: Served) -> None:
    with socket.create_connection(("127.0.0.1", served.port), timeout=30) as connection:
        connection.sendall(b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nabc")
        assert b"did not arrive within 2 s" in connection.makefile("rb").read()
    with socket.create_connection(("127.0.0.1", served.port), timeout=30) as connection:
        connection.sendall(b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nabc")
    assert served.predict(PHOTO)[0] == 200, "one that hung up is no harm"


def test_more_requests_than_the_limit_are_told_to_come_back(decided_folder: Path) -> None:
    limits = Limits(num_requests=1, seconds=600)
    with served_model(decided_folder, port=0, limits=limits, device="cpu") as (address, service):
        served = Served(int(address.rpartition(":")[2]), service)
        with socket.create_connection(("127.0.0.1", served.port), timeout=30) as waiting:
            waiting.sendall(b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n")
            while served.ask("GET", "/healthz")[1]["requests"] < 1:
                time.sleep(0.01)
            assert served.predict(PHOTO) == (503, {"error": "too many requests at once; try again later"})


@pytest.mark.slow
def test_the_command_serves_until_it_is_interrupted(decided_folder: Path) -> None:
    command = [sys.executable, "-m", "wsml_study", "serve-model", str(decided_folder), "--port", "0", "--device", "cpu"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        port = int(running.stdout.readline().rpartition(":")[2])
        connection = HTTPConnection("127.0.0.1", port, timeout=30)
        connection.request("POST", "/predict", PHOTO)
        assert connection.getresponse().status == 200
        connection.close()
        running.send_signal(signal.SIGINT)
        assert running.wait(timeout=60) == 0


TAKEN = PictureFormat(size=8, channels=3, pixel_range="full", most_pixels=10**6)


def test_a_decoder_that_hangs_or_crashes_is_replaced() -> None:
    with DecodingProcesses(1, TAKEN, seconds=1.0) as decoding:
        assert decoding.decode(PHOTO).shape == (3, 8, 8)
        (process,) = decoding._all
        os.kill(process._process.pid or 0, signal.SIGSTOP)
        with pytest.raises(RefusedPictureError, match="takes longer than 1 s"):
            decoding.decode(PHOTO)
        assert decoding.decode(PHOTO).shape == (3, 8, 8)
        pid = process._process.pid or 0
        os.kill(pid, signal.SIGSTOP)
        threading.Timer(0.2, os.kill, (pid, signal.SIGKILL)).start()
        with pytest.raises(RefusedPictureError, match="makes the decoder crash"):
            decoding.decode(PHOTO)
        assert decoding.decode(PHOTO).shape == (3, 8, 8)


def test_a_port_in_use_is_named(served: Served, decided_folder: Path) -> None:
    with (
        pytest.raises(ResourcesError, match=rf"127.0.0.1, port {served.port}, cannot be used: Address already in use"),
        served_model(decided_folder, port=served.port),
    ):
        pass
