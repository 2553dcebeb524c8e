"""Program: trains every method for some epochs on one rank of a real process group, and writes down what it saw.

Usage: python -m tests.methods.ranks SIZE RANK FOLDER. Rank 0 of 1 is the reference that more ranks have to equal. The
results are in FOLDER/SIZE-RANK.pt: per method a list of steps, the final state, and what was memorized in the last
epoch.
"""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import torch.distributed
from torch import Tensor
from torch.nn import functional as F

from tests.methods.cases import CASES, create
from wsml_study.methods.contract import PADDING, Batch, Method, Peers
from wsml_study.testing.method_contract import views_of
from wsml_study.training.memorization import MemorizationMeter

NUM_IMAGES, NUM_CLASSES, NUM_EPOCHS, BATCH_SIZE = 75, 7, 4, 32  # the last batch has 11 images: uneven for two ranks


def main(size: int, rank: int, folder: Path) -> None:
    if size > 1:
        store = f"file://{folder / 'store'}"
        torch.distributed.init_process_group("gloo", init_method=store, rank=rank, world_size=size)
    peers = Peers(rank, size)
    torch.save({case: train(case, peers) for case in CASES}, folder / f"{size}-{rank}.pt")
    if size > 1:
        torch.distributed.destroy_process_group()


@dataclass(frozen=True, kw_only=True)
class Tables:
    """One epoch of all images: logits that no training changes, observed labels, and the truth (0 where unknown)."""

    logits_NC: Tensor
    labels_NC: Tensor
    truth_NC: Tensor


def tables_of(epoch: int) -> Tables:
    """The same labels in every epoch; logits in halves, so that ties are common and some lie on different ranks."""
    shape, generator = (NUM_IMAGES, NUM_CLASSES), torch.Generator().manual_seed(0)
    truth_NC = torch.randint(-1, 2, shape, generator=generator, dtype=torch.int8)
    labels_NC = truth_NC * (torch.rand(shape, generator=generator) < 0.3)
    generator.manual_seed(epoch)
    logits_NC = (4 * torch.randn(shape, generator=generator)).round() / 2
    return Tables(logits_NC=logits_NC, labels_NC=labels_NC, truth_NC=truth_NC)


def train(case: str, peers: Peers) -> dict[str, Any]:
    labels_NC = tables_of(1).labels_NC
    early = {"warmup_epochs": 2} if case in ("EM+APL", "IGNORE") else {}  # remembers in the second of four epochs
    method = create(case, labels_NC, rate_per_epoch=0.02, **early)
    groups = method.parameter_groups(learning_rate=1.0)
    optimizer = torch.optim.SGD(groups) if groups else None
    steps: list[dict[str, Tensor]] = []
    for epoch in range(1, NUM_EPOCHS + 1):
        meter = MemorizationMeter("cpu", peers)
        batches = torch.randperm(NUM_IMAGES, generator=torch.Generator().manual_seed(epoch)).split(BATCH_SIZE)
        method.start_epoch(epoch, NUM_EPOCHS)
        for rows in batches:
            steps.append(step(method, meter, tables_of(epoch), rows, epoch, peers))
            peers.average_gradients(method)
            if optimizer is not None:
                optimizer.step()
                optimizer.zero_grad()
        method.finish_epoch(epoch, NUM_EPOCHS, lambda epoch=epoch: tables_of(epoch).logits_NC)
    return {"steps": steps, "state": method.state_dict(), "memorization": asdict(meter.result())}


def step(
    method: Method, meter: MemorizationMeter, tables: Tables, rows: Tensor, epoch: int, peers: Peers
) -> dict[str, Tensor]:
    """One rank's share: every size-th image of the batch, filled up with a padding row where a rank has one fewer."""
    share = rows[peers.rank :: peers.size]
    num_padding = -(-len(rows) // peers.size) - len(share)
    padding = (0, 0, 0, num_padding)
    logits_BC = F.pad(tables.logits_NC[share], padding, value=50.0).requires_grad_()
    labels_BC = F.pad(tables.labels_NC[share], padding, value=PADDING)
    outcome = method(
        Batch(
            logits_BC=logits_BC,
            labels_BC=labels_BC,
            indices_B=F.pad(share, (0, num_padding), value=-1),
            epoch=epoch,
            epochs=NUM_EPOCHS,
            num_images=len(rows),
            peers=peers,
            views=views_of(logits_BC),
        )
    )
    outcome.loss.backward()
    truth_BC = F.pad(tables.truth_NC[share], padding, value=1)
    meter.update(logits_BC=logits_BC, labels_BC=labels_BC, truth_BC=truth_BC, distrusted_BC=outcome.distrusted_BC)
    distrusted_BC = (
        torch.zeros_like(labels_BC, dtype=torch.bool) if outcome.distrusted_BC is None else outcome.distrusted_BC
    )
    assert not distrusted_BC[len(share) :].any()
    assert not logits_BC.grad[len(share) :].any()
    return {
        "distrusts": torch.tensor(outcome.distrusted_BC is not None),
        "loss": outcome.loss.detach(),
        "gradient_NC": torch.zeros_like(tables.logits_NC).index_copy(0, share, logits_BC.grad[: len(share)]),
        "distrusted_NC": torch.zeros_like(tables.labels_NC, dtype=torch.bool).index_copy(
            0, share, distrusted_BC[: len(share)]
        ),
    }


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
