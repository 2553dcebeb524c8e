"""What the workers do before they can train, asked of their mailboxes and told to the user.

A worker that starts, or that computes the features of thousands of images, reports no epoch for a while.
"""

from __future__ import annotations

import time
from typing import Any

import ray
from ray import tune
from ray.exceptions import RayError
from ray.util import list_named_actors

from wsml_study.tuning.ledger import Listener
from wsml_study.workers.mailbox import NAMED

BUSY_INTERVAL_S, QUIET_INTERVAL_S = 0.5, 5.0
"""Pause between two questions while a worker prepares, and while all train."""

ANSWER_S = 0.5
MOST_ASKED = 32
"""Mailboxes that are asked: enough to know what a large run waits for, and no burden on the driver."""


class Preparation(tune.Callback):  # type: ignore[misc]
    """Tells a listener what the workers do before they can train."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._due = 0.0
        self._told = ""
        self._mailboxes: dict[str, Any] = {}

    def __reduce__(self) -> tuple[type, tuple[()]]:
        # Tune pickles its callbacks into an experiment snapshot that is never restored; a terminal cannot be pickled.
        return tune.Callback, ()

    def on_step_begin(self, iteration: int, trials: list[Any], **info: Any) -> None:
        """Called by Tune before it processes the next event of its trials."""
        if time.monotonic() < self._due:
            return
        message = self._message()
        if message != self._told:
            self._listener.on_preparation(message)
            self._told = message
        self._due = time.monotonic() + (BUSY_INTERVAL_S if message else QUIET_INTERVAL_S)

    def _message(self) -> str:
        """What one of the workers does that tells most; empty if all can train."""
        try:
            names = sorted(name for name in list_named_actors() if name.startswith(NAMED))[:MOST_ASKED]
            self._mailboxes = {name: self._mailboxes.get(name) or ray.get_actor(name) for name in names}
            said = ray.get([mailbox.preparation.remote() for mailbox in self._mailboxes.values()], timeout=ANSWER_S)
        except (RayError, ValueError):  # one has just ended, or its machine does not answer
            return self._told
        # Workers whose features another one computes wait in silence; those that start say least.
        return max((message for message in said if message), key=len, default="")
