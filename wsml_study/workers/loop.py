"""What each Ray Train worker does: obey commands from the mailbox, trial after trial.

Between trials the process, the CUDA context, the opened data and the process group stay.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import ray
from ray import train

from wsml_study.errors import TrainingError
from wsml_study.study.spec import TrialConfig
from wsml_study.workers.batched_heads import FusedTrial, FusedTrials

if TYPE_CHECKING:
    import torch

    from wsml_study.methods.contract import Peers


class Trial(Protocol):
    """What a worker needs of a trial; `TrialTraining` is one."""

    def run_epoch(self) -> Any:
        """Train one epoch and say what it showed, as a dataclass."""

    def test(self) -> Any:
        """Judge the best epoch on the test images, as a dataclass."""

    def best_weights_safetensors(self) -> bytes:
        """The best epoch's weights."""

    def state_dict(self) -> dict[str, Any]:
        """All that the next epoch depends on."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a state."""

    def take_over(self, state: dict[str, Any], *, best_val_map: float, best_epoch: int) -> None:
        """Go on from another trial's state with the numbers of this one's own config."""


class OpenTrial(Protocol):
    """Makes a trial in a worker process."""

    def __call__(self, config: TrialConfig, *, device: torch.device, peers: Peers, keep_best: bool) -> Trial:
        """A trial that has run no epoch."""


def open_trial(config: TrialConfig, *, device: torch.device, peers: Peers, keep_best: bool) -> Trial:
    """The real thing: images, classifier and method of a config."""
    from wsml_study.training.trial import TrialTraining
    from wsml_study.training.trial_data import open_trial_data

    return TrialTraining(config, open_trial_data(config.data), device=device, peers=peers, keep_best=keep_best)


def serve(settings: dict[str, Any]) -> None:
    """The train loop of each worker: obey commands until told to stop.

    Args:
        settings: mailbox (actor handle), open_trial, threads, backend (gloo or nccl).

    Raises:
        Exception: whatever is not the trial's own fault, a lack of memory among it; the worker group ends with it.
    """
    import torch

    from wsml_study.methods.contract import Peers
    from wsml_study.workers.process_group import process_group

    torch.set_num_threads(settings["threads"])
    context = train.get_context()
    peers = Peers(rank=context.get_world_rank(), size=context.get_world_size())
    device = torch.device("cpu")
    if settings["backend"] == "nccl":
        from ray.train.torch import get_device  # takes a while to import

        device = get_device()
        torch.cuda.set_device(device)
    worker = _Worker(settings["open_trial"], device=device, peers=peers)
    with process_group(peers, settings["mailbox"], backend=settings["backend"]):
        _obey_until_told_to_stop(worker, settings["mailbox"])


def _obey_until_told_to_stop(worker: _Worker, mailbox: Any) -> None:
    while True:
        command, *arguments = ray.get(mailbox.next_command.remote(worker.peers.rank))
        if command == "stop":
            return
        try:
            reply = ("ok", worker.obey(command, *arguments))
        except TrainingError as error:
            # Every rank raises these at the same point, so the group stays fit for the next trial.
            reply = ("failed", str(error))
        except (RuntimeError, MemoryError) as error:
            if _is_lack_of_memory(error):
                # Other ranks may wait for this one: the group is lost, and the trial is tried again elsewhere.
                ray.get(mailbox.reply.remote("out of memory", str(error).partition("\n")[0]))
            raise
        if worker.peers.rank == 0:
            ray.get(mailbox.reply.remote(*reply))


class _Worker:
    """One rank, and the trial that it has at hand."""

    def __init__(self, open_trial: OpenTrial, *, device: torch.device, peers: Peers) -> None:
        self.open_trial = open_trial
        self.device = device
        self.peers = peers
        self.trial: _LoneTrial | FusedTrial | None = None
        self.fused = FusedTrials(device)

    def obey(self, command: str, *arguments: Any) -> Any:
        """Carry out a command and return what rank 0 is to reply."""
        if command == "start":
            return self._start(*arguments)
        assert self.trial is not None, f"{command} before start"
        match command:
            case "epoch":
                return [vars(result) for result in self.trial.run_epochs()]
            case "test":
                return vars(self.trial.test()), ray.put(self.trial.best_weights_safetensors())
            case "save":
                return [ray.put(_to_bytes(self.trial.state_after(*arguments)))] if self.peers.rank == 0 else None
            case "load":
                return self._lone.load_state_dict(self._state(*arguments))
            case "take over":
                state, best_val_map, best_epoch = arguments
                return self._lone.take_over(self._state(state), best_val_map=best_val_map, best_epoch=best_epoch)
        raise AssertionError(f"unknown command {command}")

    def _state(self, reference: list[ray.ObjectRef]) -> dict[str, Any]:
        return _from_bytes(ray.get(reference[0]), self.device)

    @property
    def _lone(self) -> Trial:
        assert isinstance(self.trial, _LoneTrial), "a trial that goes on is trained by itself"
        return self.trial.training

    def _start(self, config_json: str, keep_best: bool, companions: Sequence[str] | None) -> None:
        """Open a trial: out of memory, as one with its companions, or by itself; None is for it to be by itself."""
        if self.trial is not None:
            self.trial.leave()
        self.trial = None  # its memory is needed for the next one
        config = TrialConfig.model_validate_json(config_json)
        if companions is not None:
            others = [TrialConfig.model_validate_json(one) for one in companions]
            self.trial = self.fused.take(config, others, keep_best=keep_best)
        if self.trial is None:
            training = self.open_trial(config, device=self.device, peers=self.peers, keep_best=keep_best)
            self.trial = _LoneTrial(training)


@dataclass(frozen=True)
class _LoneTrial:
    """A trial that is trained by itself, an epoch when it is asked for one; to a worker as a `FusedTrial` is."""

    training: Trial

    def run_epochs(self) -> list[Any]:
        return [self.training.run_epoch()]

    def test(self) -> Any:
        return self.training.test()

    def best_weights_safetensors(self) -> bytes:
        return self.training.best_weights_safetensors()

    def state_after(self, epoch: int) -> dict[str, Any]:
        del epoch  # the newest there is
        return self.training.state_dict()

    def leave(self) -> None:
        """Nobody goes on without it."""


def _is_lack_of_memory(error: BaseException) -> bool:
    import torch

    # On a CPU torch raises a bare RuntimeError.
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or "DefaultCPUAllocator" in str(error)


def _to_bytes(state: dict[str, Any]) -> bytes:
    import torch

    buffer = io.BytesIO()
    torch.save(state, buffer)
    return buffer.getvalue()


def _from_bytes(content: bytes, device: torch.device) -> dict[str, Any]:
    import torch

    return torch.load(io.BytesIO(content), map_location=device, weights_only=True)  # type: ignore[no-any-return]
