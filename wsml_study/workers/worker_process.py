"""What Ray Train runs in each worker process.

A file of its own: a worker that imported `ray_train_group.py` would load Ray Train's controller, 0.2 s for nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ray import train

from wsml_study.workers.loop import OpenTrial, Worker
from wsml_study.workers.mailbox import RayMailbox

if TYPE_CHECKING:
    from wsml_study.data.stored_file import Progress


@dataclass(frozen=True, kw_only=True)
class LoopSettings:
    """What every worker of a group is started with.

    Attributes:
        mailbox: brings the commands.
        open_trial: makes a trial.
        threads: of torch.
        backend: of the process group, gloo or nccl.
        trials_per_gpu: that share a GPU, each in a group of its own; 0 to keep no pixels there, and on a CPU.
    """

    mailbox: RayMailbox
    open_trial: OpenTrial
    threads: int
    backend: str
    trials_per_gpu: int


def serve_rank(config: dict[str, LoopSettings]) -> None:
    """Ray Train's training function: one rank's command loop, from the group's start to its end."""
    import torch

    from wsml_study.data.features import features_progress
    from wsml_study.methods.contract import Peers
    from wsml_study.training.device_pixels import gpu_shared_by
    from wsml_study.workers.process_group import process_group

    settings = config["settings"]
    torch.set_num_threads(settings.threads)
    context = train.get_context()
    peers = Peers(rank=context.get_world_rank(), size=context.get_world_size())
    device = torch.device("cpu")
    if settings.backend == "nccl":
        from ray.train.torch import get_device  # takes a while to import

        device = get_device()
        torch.cuda.set_device(device)
    worker = Worker(settings.open_trial, device=device, peers=peers)
    with process_group(peers, settings.mailbox, backend=settings.backend):
        if peers.rank == 0:
            settings.mailbox.prepares("")
        with features_progress(_told(settings.mailbox, peers.rank)), gpu_shared_by(settings.trials_per_gpu):
            worker.serve(settings.mailbox)


def _told(mailbox: RayMailbox, rank: int) -> Progress:
    """Tells the mailbox how far the features are that rank 0 computes."""

    def tell(done: int, total: int) -> None:
        if rank == 0:
            mailbox.prepares(f"computing features: {done:,} of {total:,} images" if done < total else "")

    return tell
