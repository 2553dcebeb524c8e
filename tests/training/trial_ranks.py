"""Program: trains small trials of some methods on one rank of a real process group, and writes down what they became.

Usage: python -m tests.training.trial_ranks SIZE RANK FOLDER. The results are in FOLDER/SIZE-RANK.pt.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import torch.distributed

from tests.training.digit_trials import config_of
from wsml_study.methods.contract import Peers
from wsml_study.study.data_section import Data, Observe
from wsml_study.study.model_section import Model
from wsml_study.study.partial_training import PEFT, Freeze, Lora
from wsml_study.training.trial import TrialTraining
from wsml_study.training.trial_data import TrialData, open_trial_data

CASES: dict[str, tuple[str, dict[str, Any], str | None]] = {
    "ROLE": ("ROLE", {}, None),
    "EPR": ("EPR", {}, None),
    "EM+APL": ("EM+APL", {"warmup_epochs": 1}, None),
    "EM+APL, mirrored": ("EM+APL", {"warmup_epochs": 1, "pseudo_label_mirroring": True}, None),
    "CSL": ("CSL", {"prior_threshold": 0.2, "likely_per_image": 1}, None),
    "LL-Cp kept by the boosted head": ("LL-Cp", {}, "boostlu"),
    "PLC": ("PLC", {}, None),
    "IGNORE": ("IGNORE", {"warmup_epochs": 1}, None),
}
RECIPES: dict[str, dict[str, Any]] = {
    "AdamW at a cosine, clipped": {
        "optimizer": "adamw",
        "weight_decay": 0.1,
        "learning_rate_schedule": "cosine",
        "learning_rate_warmup": 0.5,
        "gradient_clipping": 0.3,
        "dropout": 0.3,
        "random_crop": 0.6,
        "rand_augment": 2,
    },
    "SGD at one cycle, two batches a step": {
        "optimizer": "sgd",
        "learning_rate": 0.1,
        "learning_rate_schedule": "one_cycle",
        "accumulate": 2,
        "ema_decay": 0.8,
    },
    "rows of the head, class by class": {
        "epochs": 1,
        "class_wise_epochs": 2,
        "class_wise_learning_rate": 0.02,
        "class_wise_unobserved": "negative",
    },
    "LogicMix of balanced draws, warm": {
        "mixup": "logicmix",
        "sampling": "class_balanced",
        "temperature": 2.0,
        "cutout": 0.3,
        "layer_decay": 0.7,
    },
    "mixup": {"mixup": "mixup", "mixup_alpha": 1.0},
}
"""Of assume-negative."""
PARTS: dict[str, Model] = {
    "frozen stages": Model(freeze=Freeze(all_but=2)),
    **({"LoRA": Model(lora=Lora(rank=2))} if PEFT.is_met else {}),
}
"""Of assume-negative, with parts of the network that learn."""
NUM_EPOCHS, NUM_IMAGES = 3, 75  # batches of 32, 32 and 11: the last one is uneven for two ranks


def main(size: int, rank: int, folder: Path) -> None:
    if size > 1:
        store = f"file://{folder / 'store'}"
        torch.distributed.init_process_group("gloo", init_method=store, rank=rank, world_size=size)
    torch.set_num_threads(1)
    data = few_scenes(folder)
    torch.save(
        {case: train(case, data, Peers(rank, size)) for case in (*CASES, *RECIPES, *PARTS)},
        folder / f"{size}-{rank}.pt",
    )
    if size > 1:
        torch.distributed.destroy_process_group()


def few_scenes(folder: Path) -> TrialData:
    data = open_trial_data(Data(dataset="digit_scenes", observe=Observe(positives=1)), cache_dir=folder / "images")
    parts = {}
    for name in ("train", "validation"):
        split = getattr(data, name)
        arrays = {key: getattr(split, key)[:NUM_IMAGES] for key in ("rows_M", "truth_MC", "observed_MC")}
        parts[name] = replace(split, **arrays)
    truth_MC = parts["train"].truth_MC.copy()
    truth_MC[0, parts["train"].observed_MC[0].argmin()] = 0  # unknown, so that trials count what they distrust
    parts["train"] = replace(parts["train"], truth_MC=truth_MC)
    return replace(data, horizontal_flip=True, **parts)


def train(case: str, data: TrialData, peers: Peers) -> dict[str, Any]:
    name, values, head = CASES.get(case, ("AN", {}, None))
    config = config_of(name, values, head, **({"epochs": NUM_EPOCHS} | RECIPES.get(case, {})))
    config = config.model_copy(update={"model": PARTS.get(case, config.model)})
    trial = TrialTraining(config, data, peers=peers)
    results = [trial.run_epoch() for _ in range(NUM_EPOCHS)]
    return {
        "train_loss": [result.train_loss for result in results],
        "num_distrusted": [result.num_distrusted for result in results],
        "corrections": trial.corrections(),
        "distrusted": trial.distrusted_labels(),
        "weights": {key: value.clone() for key, value in trial.classifier.state_dict().items()},
        "val_map": [(result.val_map_raw, result.val_map_averaged) for result in results],
        "state": {key: value.clone() for key, value in trial.method.state_dict().items()},
    }


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
