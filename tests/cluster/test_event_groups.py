"""Tune's slots are answered in groups: no command leaves before the events that led to it are durable."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace

import pytest
import ray

from wsml_study.cluster.event_groups import GroupingActorManager
from wsml_study.errors import ResultsError


class Far:
    """Stands for Ray: futures that are ready when the test says so, and actors that note what they are told."""

    def __init__(self, monkeypatch) -> None:
        self.ready, self.sent, self.committed, self.handled, self.waits = [], [], 0, [], 0
        monkeypatch.setattr(ray, "wait", self._wait)
        monkeypatch.setattr(ray, "get", lambda future: future)
        self.manager = GroupingActorManager(NoResources(), commit=self._commit)
        self.actors = [Actor(number) for number in range(4)]
        for actor in self.actors:
            answers = SimpleNamespace(
                train=self._method(actor, "train"), save=self._method(actor, "save"), stop=self._method(actor, "stop")
            )
            self.manager._live_actors_to_ray_actors_resources[actor] = (answers, None)

    def _method(self, actor, name):
        def remote(*arguments, **settings):
            self.sent.append((actor.actor_id, name, self.committed))
            return (actor.actor_id, name, len(self.sent))

        return SimpleNamespace(remote=remote)

    def _commit(self) -> None:
        self.committed += 1

    def _wait(self, futures, num_returns, timeout):
        self.waits += 1
        found = [future for future in futures if future in self.ready][:num_returns]
        self.ready = [future for future in self.ready if future not in found]
        return found, [future for future in futures if future not in found]

    def train(self, number: int) -> None:
        """As Tune does: the next epoch is asked for when one has ended."""

        def ended(actor, result) -> None:
            self.handled.append(number)
            self.train(number)

        self.manager.schedule_actor_task(self.actors[number], "train", on_result=ended)


@dataclass(eq=False)
class Actor:
    actor_id: int


class NoResources:
    def get_resource_futures(self):
        return []

    def has_resources_ready(self, request):
        return False


def test_all_that_is_ready_is_handled_after_one_wait_and_answered_after_one_commit(monkeypatch):
    far = Far(monkeypatch)
    for number in range(3):
        far.train(number)
    assert far.sent == [], "nothing is sent before the group ends"
    assert not far.manager.next(timeout=0.01)
    assert far.sent == [(number, "train", 1) for number in range(3)]
    far.ready = [(number, "train", number + 1) for number in range(3)]
    waits = far.waits
    for _ in range(3):  # one event each, as Tune expects
        assert far.manager.next(timeout=0.01)
    assert (sorted(far.handled), far.committed, far.waits - waits) == ([0, 1, 2], 2, 2)
    assert len(far.sent) == 3
    far.manager.next(timeout=0.01)
    assert {committed for _, _, committed in far.sent[3:]} == {3}


def test_a_command_to_an_actor_whose_trial_has_ended_is_not_sent(monkeypatch):
    far = Far(monkeypatch)
    far.train(0)
    far.train(1)
    far.manager.clear_actor_task_futures(far.actors[0])
    far.manager.next(timeout=0.01)
    assert [number for number, *_ in far.sent] == [1]


def test_an_actor_is_stopped_after_what_came_before_is_durable(monkeypatch):
    far = Far(monkeypatch)
    far.train(0)
    future = far.manager.schedule_actor_task(far.actors[1], "stop", _return_future=True)
    assert (far.sent, future) == ([(0, "train", 1), (1, "stop", 1)], (1, "stop", 2))


def test_where_nothing_can_be_made_durable_no_command_is_sent_but_actors_can_be_stopped(monkeypatch):
    far = Far(monkeypatch)

    def full() -> None:
        raise ResultsError("no space left")

    far.manager._commit = full
    far.train(0)
    with pytest.raises(ResultsError, match="no space left"):
        far.manager.next(timeout=0.01)
    far.manager.schedule_actor_task(far.actors[1], "stop", _return_future=True)
    assert [name for _, name, _ in far.sent] == ["stop"]
