"""The command loop of a worker: trial after trial in one process.

Between trials the process, the CUDA context, the opened data and the process group stay.
"""

from __future__ import annotations

import io
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from wsml_study.errors import TrainingError
from wsml_study.study.batching import is_stackable
from wsml_study.study.spec import TrialConfig
from wsml_study.workers.batched_heads import BatchedTrial, TrialBatches
from wsml_study.workers.protocol import (
    BestEpochScores,
    Command,
    Done,
    ListCorrections,
    ListDistrusted,
    Load,
    OutOfMemory,
    Reply,
    ResampleTest,
    RunEpochs,
    RunTest,
    Save,
    ScoreValidation,
    Start,
    Stop,
    TakeOver,
    TrialFailed,
)

if TYPE_CHECKING:
    import torch

    from wsml_study.methods.contract import Peers
    from wsml_study.workers.mailbox import MailboxClient


class Trial(Protocol):
    """What a worker needs of a trial; `TrialTraining` is one."""

    def run_epoch(self) -> Any:
        """Train one epoch and return its result, a dataclass."""

    def test(self) -> Any:
        """Evaluate the best epoch on the test images; the result is a dataclass."""

    def best_weights_safetensors(self) -> bytes:
        """The best epoch's weights."""

    def corrections(self) -> dict[str, list[Any]]:
        """Columns of the labels that were corrected for good; asked only of methods that do so."""

    def distrusted_labels(self) -> dict[str, list[Any]] | None:
        """Columns of how often labels were distrusted; None where that is not counted."""

    def test_resamples(self) -> Any:
        """AP (R, C) in resamples of the test images, after `test()`; None if there are too many images."""

    def best_scores(self) -> Any:
        """The best epoch's scores of the validation images; asked only of trials that partial labels may judge."""

    def state_dict(self) -> dict[str, Any]:
        """Everything that the next epoch depends on."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a state of the trial's own."""

    def take_over(
        self, state: dict[str, Any], *, best_objective: float | None, best_val_map: float | None, best_epoch: int
    ) -> None:
        """Go on from another trial's state with the numbers of this trial's config."""


class OpenTrial(Protocol):
    """Makes a trial in a worker process."""

    def __call__(self, config: TrialConfig, *, device: torch.device, peers: Peers, keep_best: bool) -> Trial:
        """A trial that has run no epoch."""


def open_trial(config: TrialConfig, *, device: torch.device, peers: Peers, keep_best: bool) -> Trial:
    """The trial of every study: images, classifier and method of a config. Others are for tests and benchmarks."""
    from wsml_study.training.stacked_heads import LinearProbeTraining
    from wsml_study.training.trial import TrialTraining
    from wsml_study.training.trial_data import open_trial_data

    kind = LinearProbeTraining if is_stackable(config) and peers.size == 1 else TrialTraining
    return kind(config, open_trial_data(config.data), device=device, peers=peers, keep_best=keep_best)


class Worker:
    """One rank of a worker group, and the trial that is open in it."""

    def __init__(self, open_trial: OpenTrial, *, device: torch.device, peers: Peers) -> None:
        """No trial is open until `Start`.

        Args:
            open_trial: makes a trial.
            device: where trials train.
            peers: this rank, and how many there are.
        """
        self._open_trial = open_trial
        self._device = device
        self._peers = peers
        self._trial: SingleTrial | BatchedTrial | None = None
        self._batches = TrialBatches(device)

    def serve(self, mailbox: MailboxClient) -> None:
        """Obey the mailbox's commands until `Stop`.

        Raises:
            Exception: any error that is not the trial's own, a lack of memory included; it ends the worker group.
        """
        while not isinstance(command := mailbox.next_command(self._peers.rank), Stop):
            reply: Reply
            try:
                reply = Done(answer=self.obey(command))
            except TrainingError as error:
                # Every rank raises these at the same point, so the group stays fit for the next trial.
                reply = TrialFailed(error=str(error))
            except (RuntimeError, MemoryError) as error:
                if _is_lack_of_memory(error):
                    # Any rank replies, not only rank 0: the others may wait for this one in a collective operation.
                    mailbox.reply(OutOfMemory(error=str(error).partition("\n")[0]))
                raise
            if self._peers.rank == 0:
                mailbox.reply(reply)

    def obey(self, command: Command[Any]) -> Any:
        """Carry out a command, and return the answer of rank 0."""
        match command:
            case Start():
                self._start(command)
                return socket.gethostname()
            case RunEpochs():
                return [vars(result) for result in self._open.run_epochs()]
            case RunTest():
                trial = self._open
                return BestEpochScores(metrics=vars(trial.test()), weights=trial.best_weights_safetensors())
            case ListCorrections():
                return self._open.corrections()
            case ListDistrusted():
                return self._open.distrusted_labels()
            case ResampleTest():
                return self._open.test_resamples() if self._peers.rank == 0 else None
            case ScoreValidation(epoch=epoch):
                scores = self._open.scores_in(epoch)
                return None if scores is None else vars(scores)
            case Save(epoch=epoch):
                return _to_bytes(self._open.state_after(epoch)) if self._peers.rank == 0 else None
            case Load(state=state):
                return self._single.load_state_dict(state_from_bytes(state, self._device))
            case TakeOver(state=state, best_before=best):
                other = state_from_bytes(state, self._device)
                return self._single.take_over(
                    other, best_objective=best.objective, best_val_map=best.val_map, best_epoch=best.epoch
                )
        raise AssertionError(f"unknown command {command}")

    @property
    def _open(self) -> SingleTrial | BatchedTrial:
        assert self._trial is not None, "no trial was started"
        return self._trial

    @property
    def _single(self) -> Trial:
        assert isinstance(self._trial, SingleTrial), "a trial that goes on from a state is started without a batch"
        return self._trial.training

    def _start(self, command: Start) -> None:
        if self._trial is not None:
            self._trial.leave()
        self._trial = None  # frees its memory before the next trial is opened
        if command.companions is not None:
            self._trial = self._batches.take(command.config, command.companions, keep_best=command.keep_best)
        if self._trial is None:
            training = self._open_trial(
                command.config, device=self._device, peers=self._peers, keep_best=command.keep_best
            )
            self._trial = SingleTrial(training)


@dataclass(frozen=True)
class SingleTrial:
    """A trial outside of any batch, with the interface of a `BatchedTrial`: one epoch is trained per request."""

    training: Trial

    def run_epochs(self) -> list[Any]:
        """Train the next epoch, and return its result in a list."""
        return [self.training.run_epoch()]

    def test(self) -> Any:
        """Evaluate the best epoch on the test images."""
        return self.training.test()

    def best_weights_safetensors(self) -> bytes:
        """The best epoch's weights."""
        return self.training.best_weights_safetensors()

    def corrections(self) -> dict[str, list[Any]]:
        """The labels that were corrected for good, after the last epoch."""
        return self.training.corrections()

    def distrusted_labels(self) -> dict[str, list[Any]] | None:
        """How often labels were distrusted, up to the last epoch."""
        return self.training.distrusted_labels()

    def test_resamples(self) -> Any:
        """AP in resamples of the test images, after `test()`."""
        return self.training.test_resamples()

    def scores_in(self, epoch: int) -> Any:
        """Scores of the validation images in an epoch, if it is the best."""
        scores = self.training.best_scores()
        return scores if scores is not None and scores.epoch == epoch else None

    def state_after(self, epoch: int) -> dict[str, Any]:
        """The newest state, which is that after the epoch: nothing is trained ahead."""
        del epoch
        return self.training.state_dict()

    def leave(self) -> None:
        """No-op: there is no batch to leave."""


def _is_lack_of_memory(error: BaseException) -> bool:
    import torch

    # torch.OutOfMemoryError is CUDA's; the CPU allocator raises a plain RuntimeError.
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or "DefaultCPUAllocator" in str(error)


def _to_bytes(state: dict[str, Any]) -> bytes:
    import torch

    buffer = io.BytesIO()
    torch.save(state, buffer)
    return buffer.getvalue()


def state_from_bytes(content: bytes, device: torch.device) -> dict[str, Any]:
    """A state as `torch.save` wrote it; code hidden in it is refused, not run."""
    import torch

    return torch.load(io.BytesIO(content), map_location=device, weights_only=True)  # type: ignore[no-any-return]
