"""Program: trains a linear probe, and a linear probe and then end to end, on one rank of a real process group.

Usage: python -m tests.training.phase_ranks SIZE RANK FOLDER. The results are in FOLDER/phases-SIZE-RANK.pt.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import torch
import torch.distributed

from tests.training.small_backbone import BACKBONE
from wsml_study.data.label_files import LabelFiles
from wsml_study.methods.contract import Peers
from wsml_study.study.data_section import Data, Observe
from wsml_study.study.method_section import Method, Schedule
from wsml_study.study.model_section import Model
from wsml_study.study.spec import TrialConfig
from wsml_study.study.training_section import Training
from wsml_study.training.trial import TrialTraining
from wsml_study.training.trial_data import open_trial_data

MODES: dict[str, dict[str, Any]] = {
    "linear": {"mode": "linear", "epochs": 3, "mirror_features": True},
    "linear_init": {"mode": "linear_init", "linear_epochs": 2, "epochs": 1, "hand_over": "best"},
    "averaged": {"epochs": 1, "ema_decay": 0.8},
}


def main(size: int, rank: int, folder: Path) -> None:
    os.environ["WSML_CACHE"] = str(folder / "cache")
    if size > 1:
        store = f"file://{folder / 'phase_store'}"
        torch.distributed.init_process_group("gloo", init_method=store, rank=rank, world_size=size)
    torch.set_num_threads(1)
    torch.save({mode: train(mode, folder, Peers(rank, size)) for mode in MODES}, folder / f"phases-{size}-{rank}.pt")
    if size > 1:
        torch.distributed.destroy_process_group()


def train(mode: str, folder: Path, peers: Peers) -> dict[str, Any]:
    labels = LabelFiles(file=str(folder / "labels.csv"))
    config = TrialConfig(
        data=Data(dataset="table", root=str(folder), labels=labels, image_size=32, observe=Observe()),
        model=Model(backbone=BACKBONE, weights=str(folder / "backbone.pth")),
        method=Method(name="LL-R", schedule=Schedule(rate_per_epoch=0.05)),
        training=Training(batch_size=13, learning_rate=1e-3, **MODES[mode]),
    )
    trial = TrialTraining(config, open_trial_data(config.data), peers=peers)
    results = [trial.run_epoch() for _ in range(config.training.total_epochs)]
    return {
        "phases": [result.phase for result in results],
        "train_loss": [result.train_loss for result in results],
        "head_epoch": [result.head_epoch for result in results],
        "val_map": [result.val_map for result in results],
        "num_distrusted": [result.num_distrusted for result in results],
        "parameters": {name: parameter.detach() for name, parameter in trial.classifier.named_parameters()},
        "buffers": dict(trial.classifier.named_buffers()),
        "average": {} if (average := trial.optimization.average) is None else average.state_dict(),
    }


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
