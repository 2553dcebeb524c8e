"""Tune's slots are answered in groups: no command leaves before the events that led to it are durable."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from types import SimpleNamespace

import pytest
import ray
from ray.air.execution.resources import ResourceRequest

from wsml_study.cluster.event_groups import GroupingActorManager
from wsml_study.errors import ResultsError
from wsml_study.record.event_log import EventLog
from wsml_study.record.storage import EventMirror


class Storage(EventMirror):
    """Remote storage that can be slow, or full."""

    def __init__(self) -> None:
        """Take writes at once."""
        self.answers, self.is_full, self.writes = threading.Event(), False, 0
        self.answers.set()

    def append(self, lines: bytes) -> None:
        assert self.answers.wait(60)
        if self.is_full:
            raise ResultsError("no space left")
        self.writes += 1


class Far:
    """Stands for Ray: futures that are ready when the test says so, and actors that note what they are told.

    A command is noted with the number of events that were durable when it was sent.
    """

    def __init__(self, monkeypatch, folder) -> None:
        self.ready, self.sent, self.handled, self.waits = [], [], [], 0
        monkeypatch.setattr(ray, "wait", self._wait)
        monkeypatch.setattr(ray, "get", lambda future: future)
        self.storage = Storage()
        self.log = EventLog(folder / "events.jsonl", mirror=self.storage)
        self.started: list[int] = []
        self.manager = GroupingActorManager(Resources(self.started), log=self.log)
        self.actors = [Actor(number) for number in range(4)]
        for actor in self.actors:
            answers = SimpleNamespace(
                train=self._method(actor, "train"), save=self._method(actor, "save"), stop=self._method(actor, "stop")
            )
            self.manager._live_actors_to_ray_actors_resources[actor] = (answers, None)

    def _method(self, actor, name):
        def remote(*arguments, **settings):
            self.sent.append((actor.actor_id, name, self.log.path.read_bytes().count(b"\n")))
            return (actor.actor_id, name, len(self.sent))

        return SimpleNamespace(remote=remote)

    def _wait(self, futures, num_returns, timeout):
        self.waits += 1
        found = [future for future in futures if future in self.ready][:num_returns]
        self.ready = [future for future in self.ready if future not in found]
        return found, [future for future in futures if future not in found]

    def train(self, number: int) -> None:
        """As Tune does: the next epoch is asked for when one has ended, which is noted."""

        def ended(actor, result) -> None:
            self.handled.append(number)
            self.train(number)

        self.log.append("exhausted")
        self.manager.schedule_actor_task(self.actors[number], "train", on_result=ended)

    def start(self, number: int) -> None:
        """As Tune does: an actor is asked for, for a trial that is noted."""
        self.log.append("exhausted")
        self.manager.add_actor(Actor, {"number": number}, resource_request=ResourceRequest([{"CPU": 1}]))

    def next(self) -> bool:
        """One turn of Tune's loop."""
        return self.manager.next(timeout=0.01)


@pytest.fixture
def far(monkeypatch, tmp_path):
    far = Far(monkeypatch, tmp_path)
    try:
        with far.log.grouped(lambda: None):
            yield far
    except ResultsError:
        assert far.storage.is_full


@dataclass(eq=False)
class Actor:
    actor_id: int


class Resources:
    """Resources of a cluster, of which there are enough, and on which actors start."""

    def __init__(self, started) -> None:
        self.started = started

    def get_resource_futures(self):
        return []

    def has_resources_ready(self, request):
        return True

    def request_resources(self, resource_request):
        pass

    def acquire_resources(self, resource_request):
        return self

    def annotate_remote_entities(self, entities):
        def remote(number):
            self.started.append(number)
            return SimpleNamespace(__ray_ready__=SimpleNamespace(remote=lambda: ("started", number)))

        return [SimpleNamespace(remote=remote)]


def test_all_that_is_ready_is_handled_after_one_wait_and_answered_after_one_write(far):
    for number in range(3):
        far.train(number)
    assert far.sent == [], "nothing is sent before the group ends"
    assert not far.next()
    assert far.sent == [(number, "train", 3) for number in range(3)]
    far.ready = [(number, "train", number + 1) for number in range(3)]
    waits = far.waits
    for _ in range(3):  # one event each, as Tune expects
        assert far.next()
    assert (sorted(far.handled), far.storage.writes, far.waits - waits) == ([0, 1, 2], 1, 2)
    assert len(far.sent) == 3
    far.next()
    assert ({durable for _, _, durable in far.sent[3:]}, far.storage.writes) == ({6}, 2)


def test_while_a_group_is_written_the_next_one_is_handled(far):
    far.train(0)
    far.next()
    far.storage.answers.clear()
    far.train(1)
    far.ready = [(0, "train", 1)]
    assert far.next(), "handled, although what came before is not durable yet"
    assert (far.handled, len(far.sent)) == ([0], 1)
    far.ready = [(0, "train", 1)]
    far.storage.answers.set()
    while far.storage.writes < 2:
        pass
    far.manager._ends_at = 0.0  # the group ends
    far.next()
    assert far.sent[1:] == [(1, "train", 2), (0, "train", 3)]


def test_a_command_to_an_actor_whose_trial_has_ended_is_not_sent(far):
    far.train(0)
    far.train(1)
    far.manager.clear_actor_task_futures(far.actors[0])
    far.next()
    assert [number for number, *_ in far.sent] == [1]


def test_nor_is_one_that_waits_for_a_write(far):
    far.storage.answers.clear()
    far.train(0)
    far.train(1)
    far.manager._begin_commit()
    far.manager.clear_actor_task_futures(far.actors[0])
    far.storage.answers.set()
    far.next()
    assert [number for number, *_ in far.sent] == [1]


def test_an_actor_is_stopped_after_what_came_before_is_durable(far):
    far.train(0)
    future = far.manager.schedule_actor_task(far.actors[1], "stop", _return_future=True)
    assert (far.sent, future) == ([(0, "train", 1), (1, "stop", 1)], (1, "stop", 2))


def test_what_waited_when_the_run_was_interrupted_is_dropped(far):
    def interrupted() -> None:
        raise KeyboardInterrupt

    far.storage.answers.clear()
    far.train(0)
    far.manager._begin_commit()
    with pytest.raises(KeyboardInterrupt):
        far.manager._ask_log(interrupted)
    far.storage.answers.set()
    far.log.commit()
    assert far.sent == []


def test_an_actor_starts_once_its_trial_is_durable(far):
    far.storage.answers.clear()
    far.start(0)
    far.manager._begin_commit()
    far.start(1)
    far.manager._try_start_actors()
    assert far.started == []
    far.storage.answers.set()
    far.log.commit()
    far.manager._try_start_actors()
    assert far.started == [0], "the other one's trial was noted after the group had ended"
    assert not far.next()
    assert far.started == [0, 1], "where nothing else is to be done, the log is waited for"


def test_where_nothing_can_be_made_durable_no_command_is_sent_but_actors_can_be_stopped(far):
    far.storage.is_full = True
    far.train(0)
    with pytest.raises(ResultsError, match="no space left"):
        far.next()
    far.manager.schedule_actor_task(far.actors[1], "stop", _return_future=True)
    assert [name for _, name, _ in far.sent] == ["stop"]
