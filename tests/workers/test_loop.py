"""A worker's command loop, without a slot."""

from __future__ import annotations

import socket
import weakref

import pytest
import torch

from tests.workers.in_process import JOIN_S, InProcessGroup, Tiny, TinyTrial, config_with
from wsml_study.errors import TrainingError
from wsml_study.methods.contract import ALONE, Peers
from wsml_study.workers.loop import Worker, state_from_bytes
from wsml_study.workers.protocol import Done, OutOfMemory, RunEpochs, Save, Start, Stop, TrialFailed

CPU = torch.device("cpu")


def start(seed: int) -> Start:
    return Start(config=config_with(seed), companions=(), keep_best=False)


def test_of_several_ranks_only_the_first_replies():
    group = InProcessGroup(Tiny({1: TrainingError("nan")}), num_ranks=3)
    replies = [group.mailbox.ask(command) for command in (start(1), RunEpochs(), RunEpochs(), start(2), RunEpochs())]
    assert replies[0] == replies[3] == Done(answer=socket.gethostname())
    assert [result["val_map"] for result in replies[1].answer + replies[4].answer] == [11.0, 21.0]
    assert replies[2] == TrialFailed(error="nan")
    group.mailbox.send(Stop())
    group.join(JOIN_S)
    assert group.has_ended
    assert group.mailbox._mailbox._replies.empty()


def test_any_rank_that_runs_out_of_memory_says_so():
    def open_trial(config, *, device, peers, keep_best):
        return TinyTrial(config, MemoryError("of rank 1") if peers.rank == 1 else None, keep_best, peers, epoch=1)

    group = InProcessGroup(open_trial, num_ranks=2)
    group.mailbox.ask(start(0))
    group.mailbox.send(RunEpochs())
    group.threads[1].join(JOIN_S)
    replies = {type(group.mailbox.ask(Stop())) for _ in range(3)}
    assert OutOfMemory in replies


def test_only_the_first_rank_writes_the_state():
    states = []
    for rank in range(2):
        worker = Worker(Tiny(), device=CPU, peers=Peers(rank=rank, size=2))
        worker.obey(start(4))
        states.append(worker.obey(Save(epoch=0)))
    assert state_from_bytes(states[0], CPU)["seed"] == 4
    assert states[1] is None


def test_a_trials_memory_is_free_before_the_next_is_opened():
    alive = []

    class Watching(Tiny):
        def __call__(self, config, **settings):
            alive.append([one() is not None for one in opened])
            trial = TinyTrial(config, None, settings["keep_best"], settings["peers"])
            opened.append(weakref.ref(trial))
            return trial

    opened: list[weakref.ref[TinyTrial]] = []
    worker = Worker(Watching(), device=CPU, peers=ALONE)
    for seed in range(3):
        worker.obey(start(seed))
    assert alive == [[], [False], [False, False]]


def test_a_command_before_the_first_start_is_our_own_mistake():
    with pytest.raises(AssertionError, match="no trial was started"):
        Worker(Tiny(), device=CPU, peers=ALONE).obey(RunEpochs())
