"""Which slot gets which run of a factorial design, so that a worker is given the runs that it has trained already.

A worker trains linear probes in batches, before their trials are started (`workers/batched_heads.py`). A trial that is
started in another slot is trained there once more. Tune starts a trial in the slot that became free first, so that the
source of trials can choose a run for that slot.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

RunKey = tuple[int, int]
"""Number of a config, and of its run."""


class Lanes:
    """A lane per slot: the runs that its worker trains in one batch are promised to it.

    Should Tune start a trial in another slot after all, only time is lost.
    """

    def __init__(self) -> None:
        self._at_work: dict[str, int] = {}  # Tune's trial -> lane
        self._free: deque[int] = deque()
        self._promised: dict[int, set[RunKey]] = {}

    @property
    def next(self) -> int:
        """The lane of the slot that became free first; a new one if none is free."""
        return self._free[0] if self._free else len(self._at_work)

    def take(self, trial_id: str) -> None:
        """A trial goes to the next lane."""
        lane = self.next
        if self._free:
            self._free.popleft()
        self._at_work[trial_id] = lane

    def free(self, trial_id: str) -> None:
        """A trial has left its slot."""
        self._free.append(self._at_work.pop(trial_id))

    def promise(self, lane: int, runs: Iterable[RunKey]) -> None:
        """Keep runs for a lane."""
        self._promised.setdefault(lane, set()).update(runs)

    def of(self, lane: int) -> set[RunKey]:
        """The runs that are kept for a lane."""
        return self._promised.get(lane, set())

    def of_others(self, lane: int) -> set[RunKey]:
        """The runs that are kept for other lanes, as long as these have a trial at work."""
        others = set(self._at_work.values()) - {lane}
        return set().union(*(self._promised.get(one, set()) for one in others))

    def begin(self, run: RunKey) -> None:
        """A run begins, and is kept for no lane any longer."""
        for promised in self._promised.values():
            promised.discard(run)
