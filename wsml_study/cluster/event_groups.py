"""Ray Tune speaks to its slots in groups: one wait for Ray and one write of the event log for all that has arrived.

Tune waits for one future among those of all slots, handles it, and waits again, so an event costs the more the more
slots there are. Here a wait takes all futures that are ready. They are still handled one by one, as Tune expects; the
commands that follow are sent once the events that led to them are durable. A group is written to the log while the next
one is handled.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

import ray

from wsml_study.cluster.ray_internals import RayActorManager, tune_controller

MOST_STARTING = 1024
SLOTS_PER_START = 8
LEAST_STARTING_ON_CLUSTER = 16
"""How many slots start at a time. Tune itself starts one after the other, 8,000 of them in hours; a single machine is
the slower the more start there at once."""

STARTING_VARIABLE = "TUNE_MAX_PENDING_TRIALS_PG"
"""By which Tune is told how many slots start at a time."""

LONGEST_GROUP_S = 0.05
"""After so long a group ends although more has arrived, so that no slot waits long for its command."""


class Log(Protocol):
    """What events are noted in, as an `EventLog`; any of these raises ResultsError if it cannot be written."""

    def begin_commit(self) -> None:
        """Begin to make all events so far durable."""

    def commit(self) -> None:
        """Wait until they are, and do what waits for that."""

    def settle(self) -> None:
        """Do what waits for events that are durable now."""

    def once_durable(self, act: Callable[[], None]) -> None:
        """Do something once the events so far are durable."""


@dataclass
class _Group:
    """What is to happen once the events of a group are durable.

    Attributes:
        commands: of an actor, in their order.
        actors: that may start.
    """

    commands: dict[Any, list[Callable[[], Any]]] = field(default_factory=dict)
    actors: list[Any] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.commands or self.actors)

    def send(self) -> None:
        """Send the commands."""
        for of_actor in self.commands.values():
            for send in of_actor:
                send()


class GroupingActorManager(RayActorManager):  # type: ignore[misc]
    """As its parent: a group begins with a wait for Ray, and ends before the next one."""

    def __init__(self, resource_manager: Any, log: Log | None = None) -> None:
        """Begin without actors.

        Args:
            resource_manager: as the parent's.
            log: what the events of a group are noted in.
        """
        super().__init__(resource_manager)
        if log is not None:  # Ray's `cleanup` calls this again with its own argument alone
            self._log = log
        self._ready: deque[ray.ObjectRef] = deque()
        self._group = _Group()
        self._waiting: deque[_Group] = deque()  # those that have ended and are not durable yet
        self._may_start: set[Any] = set()  # actors whose first trial is durable
        self._ends_at = 0.0
        self._has_failed = False

    def next(self, timeout: float | None = None) -> bool:
        """Handle one event; wait for the next group where none is left of this one.

        Returns:
            whether there was an event within `timeout` seconds.
        """
        begins = not self._ready or time.monotonic() >= self._ends_at
        if begins:
            self._begin_commit()
            self._ends_at = time.monotonic() + LONGEST_GROUP_S
        elif self._waiting:
            self._ask_log(self._log.settle)
        if self._try_kill_actor():
            return True
        if begins:
            self._try_start_actors()
        future = self._next_future(timeout)
        if future is None:
            return False
        of_state = future in self._actor_state_events._tracked_futures
        (self._actor_state_events if of_state else self._actor_task_events).resolve_future(future)
        return True

    def _begin_commit(self) -> None:
        """End the group: its commands are sent, and its actors start, once what was noted is durable.

        Raises:
            ResultsError: something cannot be made durable. The commands that wait are dropped, and all later ones are
                sent at once: they end the run.
        """
        group, self._group = self._group, _Group()
        if self._has_failed:
            group.send()
        elif group:
            self._waiting.append(group)
            self._ask_log(partial(self._log.once_durable, self._send_oldest))
        self._ask_log(self._log.begin_commit)

    def _commit(self) -> None:
        """As `_begin_commit`, and wait until all is durable and sent."""
        self._begin_commit()
        self._ask_log(self._log.commit)

    def _ask_log(self, act: Callable[[], None]) -> None:
        if self._has_failed:
            return
        try:
            act()
        except BaseException:
            self._has_failed = True
            self._waiting.clear()
            raise

    def _send_oldest(self) -> None:
        if self._waiting:  # else they were dropped
            group = self._waiting.popleft()
            self._may_start.update(group.actors)
            group.send()

    def add_actor(self, *arguments: Any, **settings: Any) -> Any:
        """As the parent's; it starts once its trial is durable."""
        actor = super().add_actor(*arguments, **settings)
        self._group.actors.append(actor)
        return actor

    def clear_actor_task_futures(self, tracked_actor: Any) -> None:
        """Drop the commands of an actor, also those that were not sent yet."""
        for group in (self._group, *self._waiting):
            group.commands.pop(tracked_actor, None)
        super().clear_actor_task_futures(tracked_actor)

    def _schedule_tracked_actor_task(
        self, tracked_actor_task: Any, method_name: str, *, _return_future: bool = False, **arguments: Any
    ) -> Any:
        send = partial(super()._schedule_tracked_actor_task, tracked_actor_task, method_name, **arguments)
        if method_name == "stop":  # its future is needed at once
            self._commit()
            return send(_return_future=_return_future)
        self._group.commands.setdefault(tracked_actor_task._tracked_actor, []).append(send)
        # Tune keeps the future of a save only to know that there is one.
        return (tracked_actor_task, None) if _return_future else tracked_actor_task

    def _try_start_actors(self, max_actors: int | None = None) -> int:
        # An actor is started with its first trial, whose creation must be durable.
        pending = self._resource_request_to_pending_actors
        if not any(
            actors and self._resource_manager.has_resources_ready(request) for request, actors in pending.items()
        ):
            return 0
        others = {request: [one for one in actors if one not in self._may_start] for request, actors in pending.items()}
        for actors in pending.values():
            actors[:] = filter(self._may_start.__contains__, actors)
        started: int = super()._try_start_actors(max_actors)
        for request, actors in others.items():
            pending[request].extend(actors)
        self._may_start.intersection_update(self._pending_actors_to_attrs)
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
            waits_for_log = bool(self._waiting or self._group) and not self._has_failed
            if not self._take_ready(0.0 if waits_for_log else left):
                if not waits_for_log:
                    return None
                self._commit()
                self._try_start_actors()

    def _take_ready(self, timeout: float | None) -> bool:
        """Wait until futures are ready and take all that are; False if none is in time."""
        for_resources = self._resource_manager.get_resource_futures()
        state, task = self._actor_state_events.get_futures(), self._actor_task_events.get_futures()
        futures = [*for_resources, *state, *task]
        ready: list[ray.ObjectRef] = []
        if timeout != 0:
            ready, futures = ray.wait(futures, num_returns=1, timeout=timeout)
        if futures and (ready or timeout == 0):
            ready += ray.wait(futures, num_returns=len(futures), timeout=0)[0]
        if not ready:
            return False
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
def events_in_groups(log: Log, *, starting: int) -> Iterator[None]:
    """Let Tune handle events in groups during the block.

    Args:
        log: what they are noted in.
        starting: how many slots start at a time.
    """
    original, starting_before = tune_controller.RayActorManager, os.environ.get(STARTING_VARIABLE)
    tune_controller.RayActorManager = partial(GroupingActorManager, log=log)
    os.environ[STARTING_VARIABLE] = str(starting)
    try:
        yield
    finally:
        tune_controller.RayActorManager = original
        del os.environ[STARTING_VARIABLE]
        if starting_before is not None:
            os.environ[STARTING_VARIABLE] = starting_before
