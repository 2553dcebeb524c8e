"""Ray Tune speaks to its slots in groups: one wait for Ray and one write of the event log for all that has arrived.

Tune waits for one future among those of all slots, handles it, and waits again, so an event costs the more the more
slots there are. Here a wait takes all futures that are ready. They are still handled one by one, as Tune expects; the
commands that follow are sent once the events that led to them are durable.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import ray

from wsml_study.cluster.ray_internals import RayActorManager, tune_controller

MOST_STARTING = 1024
SLOTS_PER_START = 8
LEAST_STARTING_ON_CLUSTER = 16
"""How many slots start at a time. Tune itself starts one after the other, 8,000 of them in hours; a single machine is
the slower the more start there at once."""

STARTING_VARIABLE = "TUNE_MAX_PENDING_TRIALS_PG"
"""By which Tune is told how many slots start at a time."""

LONGEST_GROUP_S = 0.1
"""After so long a group ends although more has arrived, so that no slot waits long for its command."""


class GroupingActorManager(RayActorManager):  # type: ignore[misc]
    """As its parent: a group begins with a wait for Ray, and ends before the next one."""

    def __init__(self, resource_manager: Any, commit: Callable[[], None] | None = None) -> None:
        """Begin without actors.

        Args:
            resource_manager: as the parent's.
            commit: makes what was noted in a group durable.
        """
        super().__init__(resource_manager)
        if commit is not None:  # Ray's `cleanup` calls this again with its own argument alone
            self._commit = commit
        self._ready: deque[ray.ObjectRef] = deque()
        self._unsent: dict[Any, list[Callable[[], Any]]] = {}  # actor -> its commands, in their order
        self._ends_at = 0.0
        self._has_failed = False

    def next(self, timeout: float | None = None) -> bool:
        """Handle one event; wait for the next group where none is left of this one.

        Returns:
            whether there was an event within `timeout` seconds.
        """
        begins = not self._ready or time.monotonic() >= self._ends_at
        if begins:
            self.end_group()
            self._ends_at = time.monotonic() + LONGEST_GROUP_S
        if self._try_kill_actor():
            return True
        if begins:  # actors that are due start together: each start is preceded by a write
            self._try_start_actors()
        future = self._next_future(timeout)
        if future is None:
            return False
        of_state = future in self._actor_state_events._tracked_futures
        (self._actor_state_events if of_state else self._actor_task_events).resolve_future(future)
        return True

    def end_group(self) -> None:
        """Make what was noted durable, and send the commands that follow from it.

        Raises:
            ResultsError: it cannot be made durable. The commands are dropped, and all later ones are sent at once: they
                end the run.
        """
        if not self._has_failed:
            try:
                self._commit()
            except BaseException:
                self._has_failed = True
                self._unsent.clear()
                raise
        unsent, self._unsent = self._unsent, {}
        for commands in unsent.values():
            for send in commands:
                send()

    def clear_actor_task_futures(self, tracked_actor: Any) -> None:
        """Drop the commands of an actor, also those that were not sent yet."""
        self._unsent.pop(tracked_actor, None)
        super().clear_actor_task_futures(tracked_actor)

    def _schedule_tracked_actor_task(
        self, tracked_actor_task: Any, method_name: str, *, _return_future: bool = False, **arguments: Any
    ) -> Any:
        send = partial(super()._schedule_tracked_actor_task, tracked_actor_task, method_name, **arguments)
        if method_name == "stop":  # its future is needed at once
            self.end_group()
            return send(_return_future=_return_future)
        self._unsent.setdefault(tracked_actor_task._tracked_actor, []).append(send)
        # Tune keeps the future of a save only to know that there is one.
        return (tracked_actor_task, None) if _return_future else tracked_actor_task

    def _try_start_actors(self, max_actors: int | None = None) -> int:
        # An actor is started with its first trial, whose creation must be durable.
        pending = self._resource_request_to_pending_actors.items()
        if any(actors and self._resource_manager.has_resources_ready(request) for request, actors in pending):
            self.end_group()
        started: int = super()._try_start_actors(max_actors)
        return started

    def _next_future(self, timeout: float | None) -> ray.ObjectRef | None:
        """A future that is ready and whose actor still matters; None if none becomes ready in time."""
        ends_at = None if timeout is None else time.monotonic() + timeout
        while True:
            while self._ready:
                future = self._ready.popleft()
                events = (self._actor_state_events, self._actor_task_events)
                if any(future in one._tracked_futures for one in events):
                    return future
            left = None if ends_at is None else max(1e-9, ends_at - time.monotonic())
            if not self._wait(left):
                return None

    def _wait(self, timeout: float | None) -> bool:
        """Wait until futures are ready and take all that are; False if none is in time."""
        for_resources = self._resource_manager.get_resource_futures()
        state, task = self._actor_state_events.get_futures(), self._actor_task_events.get_futures()
        futures = [*for_resources, *state, *task]
        ready, waiting = ray.wait(futures, num_returns=1, timeout=timeout)
        if not ready:
            return False
        if waiting:
            ready += ray.wait(waiting, num_returns=len(waiting), timeout=0)[0]
        if not set(ready).isdisjoint(for_resources):
            self._handle_ready_resource_future()
        self._ready.extend(sorted(set(ready).difference(for_resources), key=task.__contains__))
        return True


def starting_at_a_time(slots: int, *, on_cluster: bool) -> int:
    """How many of so many slots start at a time; a cluster may grow.

    >>> [starting_at_a_time(slots, on_cluster=False) for slots in (2, 64, 8000)]
    [1, 8, 1000]
    """
    least = LEAST_STARTING_ON_CLUSTER if on_cluster else 1
    return max(least, min(slots // SLOTS_PER_START, MOST_STARTING))


@contextmanager
def events_in_groups(commit: Callable[[], None], *, starting: int) -> Iterator[None]:
    """Let Tune handle events in groups during the block.

    Args:
        commit: makes what was noted of a group durable.
        starting: how many slots start at a time.
    """
    original, starting_before = tune_controller.RayActorManager, os.environ.get(STARTING_VARIABLE)
    tune_controller.RayActorManager = partial(GroupingActorManager, commit=commit)
    os.environ[STARTING_VARIABLE] = str(starting)
    try:
        yield
    finally:
        tune_controller.RayActorManager = original
        del os.environ[STARTING_VARIABLE]
        if starting_before is not None:
            os.environ[STARTING_VARIABLE] = starting_before
