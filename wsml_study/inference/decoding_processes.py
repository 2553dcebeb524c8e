"""Decodes received pictures in processes of their own, with limits of time and memory.

A picture that makes a decoder hang, crash or eat memory ends one of these processes and is refused; the next picture
gets a new process. Threads could not be stopped.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import queue
import resource
import signal
from http import HTTPStatus
from multiprocessing.connection import Connection
from typing import Self

import numpy as np
from PIL import Image

from wsml_study.data.decoded_rows import Images
from wsml_study.inference.received_picture import PictureFormat, RefusedPictureError, read_received

MEMORY_LIMIT = 4 * 2**30
"""Bytes of address space of a process; its libraries take about a quarter."""

START_S = 60.0
PIXELS, REFUSED, READY = b"p", b"r", b"s"


class DecodingProcesses:
    """Some processes, each of which decodes one picture at a time; `decode` may be called by as many threads."""

    def __init__(self, count: int, taken: PictureFormat, *, seconds: float) -> None:
        """Start the processes.

        Args:
            count: of them.
            taken: what the model takes.
            seconds: after which a picture is given up.
        """
        self._taken, self._seconds = taken, seconds
        self._all = [_Process(taken) for _ in range(count)]
        self._free: queue.Queue[_Process] = queue.Queue()
        for process in self._all:
            self._free.put(process)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        for process in self._all:
            process.end()

    def decode(self, content: bytes) -> Images:
        """As `read_received`.

        Raises:
            RefusedPictureError: as there, or it took too long, or the decoder crashed (422).
        """
        process = self._free.get()
        try:
            return process.decode(content, self._seconds)
        finally:
            self._free.put(process)


class _Process:
    """A process that is started again when it has ended or was ended."""

    def __init__(self, taken: PictureFormat) -> None:
        self._taken = taken
        self._start()

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")  # a fork would copy the threads' locks of torch
        self._connection, other = context.Pipe()
        self._process = context.Process(target=_decode_all, args=(other, self._taken), daemon=True)
        self._process.start()
        other.close()
        self._is_ready = False

    def decode(self, content: bytes, seconds: float) -> Images:
        try:
            if not self._is_ready:
                self._reply(START_S)
                self._is_ready = True
            self._connection.send_bytes(content)
            reply = self._reply(seconds)
        except TimeoutError:
            self._restart()
            raise _given_up(f"takes longer than {seconds:g} s") from None
        except (EOFError, OSError):
            self._restart()
            raise _given_up("makes the decoder crash") from None
        if reply[:1] == REFUSED:
            status, reason = json.loads(reply[1:])
            raise RefusedPictureError(HTTPStatus(status), reason)
        taken = self._taken
        return np.frombuffer(reply, dtype=np.uint8, offset=1).reshape(taken.channels, taken.size, taken.size)

    def _reply(self, seconds: float) -> bytes:
        if not self._connection.poll(seconds):
            raise TimeoutError
        return self._connection.recv_bytes()

    def _restart(self) -> None:
        self.end()
        self._start()

    def end(self) -> None:
        self._process.kill()
        self._process.join()
        self._connection.close()


def _given_up(what: str) -> RefusedPictureError:
    return RefusedPictureError(HTTPStatus.UNPROCESSABLE_ENTITY, f"cannot be decoded: it {what}")


def _decode_all(connection: Connection, taken: PictureFormat) -> None:
    """Decode what comes until the other side closes the connection."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in a terminal is for the service, which ends this process
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT, MEMORY_LIMIT))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    Image.MAX_IMAGE_PIXELS = None  # the limit is `most_pixels`
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # else whoever sends damaged files fills the service's log
    connection.send_bytes(READY)
    while True:
        try:
            content = connection.recv_bytes()
        except EOFError:
            return
        connection.send_bytes(_decoded(content, taken))


def _decoded(content: bytes, taken: PictureFormat) -> bytes:
    try:
        return PIXELS + read_received(content, taken).tobytes()
    except RefusedPictureError as refusal:
        return REFUSED + json.dumps([refusal.status, refusal.reason]).encode()
