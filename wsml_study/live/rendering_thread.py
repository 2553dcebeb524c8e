"""Makes ranking, answer and figures, which take long, in a thread that leaves the study its CPUs."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal

from wsml_study.errors import WsmlStudyError
from wsml_study.live.followed_study import FollowedStudy, Results

Kind = Literal["results", "figures"]
MakePart = Callable[[Results], dict[str, Any]]
"""Gives a part as plain data."""

PAUSE_FACTORS: dict[Kind, float] = {"results": 60, "figures": 200}
"""Rest after a part was made, until one of its kind is made anew, as a multiple of the CPU time that it took.

Together they take at most 2.2 % of one core, while a study changes all the time and somebody looks at it.
"""

WANTED_S = 20.0
"""A part is made again as long as a page has asked for it within this time."""

NICENESS = 10


@dataclass(frozen=True, kw_only=True)
class Rendered:
    """A part of the page.

    Attributes:
        version: of the study's results that it shows.
        content: JSON.
    """

    version: int
    content: bytes


class RenderingThread:
    """Makes parts: at once for the first page that asks for one, and again, once it is out of date, after a rest."""

    def __init__(self, make: Callable[[], dict[Kind, MakePart]], begin: Callable[[], object]) -> None:
        """Start the thread.

        Args:
            make: gives what makes the parts; takes long when it is first called.
            begin: is called in the thread.
        """
        self._make, self._begin = make, begin
        self._changed = threading.Condition()
        self._first: dict[tuple[str, Kind], threading.Lock] = {}
        self._rendered: dict[tuple[str, Kind], Rendered] = {}
        self._wanted: dict[tuple[str, Kind], tuple[float, FollowedStudy]] = {}
        self._rest_until: dict[Kind, float] = {"results": 0.0, "figures": 0.0}
        self._ended = False
        self._thread = threading.Thread(target=self._run, name="rendering", daemon=True)
        self._thread.start()

    def get(self, study: FollowedStudy, kind: Kind) -> bytes:
        """The newest one there is, as JSON."""
        key = (study.found.key, kind)
        if key not in self._rendered:
            with self._first.setdefault(key, threading.Lock()):  # the others of many that ask at once find it
                if key not in self._rendered:
                    self._render_and_rest(study, kind)
        return self._rendered[key].content

    def want(self, study: FollowedStudy, kind: Kind) -> str | None:
        """Have a part made anew if it is out of date; returns what changes with the one that is there, None without."""
        key = (study.found.key, kind)
        found = self._rendered.get(key)
        if found is None:
            return None  # `get` makes the first one
        if found.version != study.snapshot().version:
            with self._changed:
                self._wanted[key] = time.monotonic(), study
                self._changed.notify_all()
        return str(found.version)

    def close(self) -> None:
        """End the thread, after the part that it is at."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _run(self) -> None:
        if sys.platform == "linux":  # elsewhere it would be the priority of the whole process
            with suppress(OSError):
                os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
        self._make()
        self._begin()
        while True:
            with self._changed:
                while (key := self._next()) is None and not self._ended:
                    self._changed.wait(self._pause())
                if self._ended or key is None:
                    return
                study = self._wanted.pop(key)[1]
            self._render_and_rest(study, key[1])

    def _next(self) -> tuple[str, Kind] | None:
        """What to make now: of what is wanted still and whose rest is over, what has been asked for longest."""
        now = time.monotonic()
        self._wanted = {key: one for key, one in self._wanted.items() if now - one[0] < WANTED_S}
        return next((key for key in self._wanted if now >= self._rest_until[key[1]]), None)

    def _pause(self) -> float | None:
        rests = [self._rest_until[kind] for _, kind in self._wanted]
        return max(0.01, min(rests) - time.monotonic()) if rests else None

    def _render_and_rest(self, study: FollowedStudy, kind: Kind) -> None:
        started = time.thread_time()
        self._rendered[study.found.key, kind] = self._render(study, kind)
        took = time.thread_time() - started
        self._rest_until[kind] = time.monotonic() + PAUSE_FACTORS[kind] * took

    def _render(self, study: FollowedStudy, kind: Kind) -> Rendered:
        version = study.snapshot().version
        try:
            results = study.results()
            version, content = results.version, self._make()[kind](results)
        except (WsmlStudyError, OSError) as error:
            content = {"error": str(error)}
        except Exception as error:  # one study's results must not end the thread, nor hide the others
            content = {"error": f"wsml-study failed ({type(error).__name__}: {error})"}
        return Rendered(version=version, content=json.dumps(content, allow_nan=False).encode())
