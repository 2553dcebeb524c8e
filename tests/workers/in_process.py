"""A slot, its mailbox and its workers in one process: threads instead of Ray, and trials whose epochs take no time."""

from __future__ import annotations

import asyncio
import pickle
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from pyarrow import fs

from tests.end_to_end.light_trials import LightEpoch
from wsml_study.methods.contract import Peers
from wsml_study.study.reading import parse_study
from wsml_study.study.search_space import SearchSpace
from wsml_study.study.spec import TrialConfig
from wsml_study.workers.loop import OpenTrial, Worker
from wsml_study.workers.mailbox import Mailbox
from wsml_study.workers.ray_train_group import reply_to_crash
from wsml_study.workers.slot import Slot, WorkerSettings

NUM_EPOCHS = 3
JOIN_S = 5.0


class InProcessMailbox:
    """Client of a `Mailbox` on an event loop in a thread. Messages are pickled on their way, as they are with Ray."""

    def __init__(self, num_ranks: int) -> None:
        self._mailbox = Mailbox(num_ranks)
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()

    def send(self, command):
        self._run(self._mailbox.send(pickle.dumps(command)))

    def ask(self, command):
        return pickle.loads(self._run(self._mailbox.ask(pickle.dumps(command))))

    def next_command(self, rank):
        return pickle.loads(self._run(self._mailbox.next_command(rank)))

    def reply(self, reply):
        self._run(self._mailbox.reply(pickle.dumps(reply)))

    def announce(self, address, port):
        self._run(self._mailbox.announce(address, port))

    def rendezvous(self):
        return self._run(self._mailbox.rendezvous())

    def prepares(self, what):
        self._run(self._mailbox.prepares(what))

    def preparation(self):
        return self._run(self._mailbox.preparation())

    def _run(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()


class InProcessGroup:
    """A worker group of threads, one per rank; an error in one of them ends the group as Ray Train's would."""

    def __init__(self, open_trial: OpenTrial, num_ranks: int = 1) -> None:
        self.mailbox = InProcessMailbox(num_ranks)
        self.threads = [
            threading.Thread(target=self._serve, args=(open_trial, Peers(rank=rank, size=num_ranks)), daemon=True)
            for rank in range(num_ranks)
        ]
        for thread in self.threads:
            thread.start()

    def _serve(self, open_trial: OpenTrial, peers: Peers) -> None:
        try:
            Worker(open_trial, device=torch.device("cpu"), peers=peers).serve(self.mailbox)
        except Exception as error:
            self.mailbox.reply(reply_to_crash(error))

    def join(self, timeout_s: float) -> None:
        for thread in self.threads:
            thread.join(timeout_s)

    @property
    def has_ended(self) -> bool:
        return not any(thread.is_alive() for thread in self.threads)


@dataclass(frozen=True, kw_only=True)
class TinyTest:
    test_map: float
    best_epoch: int


@dataclass
class TinyTrial:
    """Epoch n of seed s has a validation mAP of 10 s + n."""

    config: TrialConfig
    error: BaseException | None
    keep_best: bool
    peers: Peers
    epoch: int = 0
    best: tuple[float, int] = (0.0, 0)

    def run_epoch(self):
        if self.error is not None and self.epoch == 1:
            raise self.error
        self.epoch += 1
        val_map = 10.0 * self.config.training.seed + self.epoch
        self.best = max(self.best, (val_map, self.epoch))
        return LightEpoch(self.epoch, val_map=val_map, best_val_map=self.best[0], best_epoch=self.best[1])

    def test(self):
        assert self.keep_best
        return TinyTest(test_map=self.best[0] - 1, best_epoch=self.best[1])

    def best_weights_safetensors(self):
        return b"weights"

    def distrusted_labels(self):
        return None

    def state_dict(self):
        return {"seed": self.config.training.seed, "epoch": self.epoch, "best": self.best}

    def load_state_dict(self, state):
        assert state["seed"] == self.config.training.seed
        self.epoch, self.best = state["epoch"], state["best"]

    def take_over(self, state, *, best_objective, best_val_map, best_epoch):
        assert state["seed"] != self.config.training.seed
        self.epoch, self.best = state["epoch"], (best_val_map, best_epoch)


@dataclass(frozen=True)
class Tiny:
    """Opens tiny trials.

    Attributes:
        errors: seed -> what the second epoch of its trials raises.
        opened: every trial that was opened.
    """

    errors: Mapping[int, BaseException] = field(default_factory=dict)
    opened: list[TinyTrial] = field(default_factory=list)

    def __call__(self, config, *, device, peers, keep_best):
        trial = TinyTrial(config, self.errors.get(config.training.seed), keep_best, peers)
        self.opened.append(trial)
        return trial


class Bench:
    """A slot, and the worker groups that it has started."""

    def __init__(self, folder: Path, open_trial: OpenTrial, *, num_ranks: int = 1, **settings) -> None:
        self.groups: list[InProcessGroup] = []
        defaults = {
            "num_workers": num_ranks,
            "cpus_per_worker": 1,
            "gpus_per_worker": 0,
            "filesystem": fs.LocalFileSystem(),
            "scratch_folder": str(folder),
            "corrections_folder": str(folder / "corrections"),
            "distrust_folder": str(folder / "distrusted"),
            "scores_folder": None,
            "resamples_folder": None,
            "checkpoint_interval_s": 1e9,
            "checkpoint_interval_epochs": None,
            "tested": False,
            "exclusive": False,
            "model_folder": None,
            "model_card": None,
            "provenance": None,
            "open_trial": open_trial,
        }
        self.settings = WorkerSettings(**defaults | settings)
        self.slot = Slot(self.settings, self._start_group)

    def _start_group(self) -> InProcessGroup:
        self.groups.append(InProcessGroup(self.settings.open_trial, self.settings.num_workers))
        return self.groups[-1]


def config_with(seed: int) -> TrialConfig:
    content = {
        "name": "tiny",
        "data": {"dataset": "digit_scenes"},
        "method": {"name": "AN"},
        "training": {"epochs": NUM_EPOCHS, "learning_rate": 1e-3},
        "search": {"training.seed": {"int": {"low": 0, "high": 9}}},
        "sampler": {"name": "grid"},
        "trials": 1,
    }
    study = parse_study(content, source="tiny")
    return SearchSpace.from_study(study).resolve(study, {"training.seed": seed})
