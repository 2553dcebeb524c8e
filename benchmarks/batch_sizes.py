"""Whether the best rejection rate of one batch size is that of another, with variant `code` and with `carried`.

One study per data set: a grid over batch size, variant and rate, each with the same seeds, LL-R. Printed is the mean
over the seeds of the best validation mAP, and the best rate of each batch size.

    python benchmarks/batch_sizes.py scenes --train-share 0.5 --seeds 2
    python benchmarks/batch_sizes.py photos --data-root VOCdevkit/VOC2007 --weights mobilenet_v2-b0353104.pth
"""

from __future__ import annotations

import argparse
import json
import tempfile
from typing import Any

import pandas as pd

from wsml_study import Study

BATCH_SIZES = [4, 8, 16, 32, 64]
RATES = [0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03]
BATCH, VARIANT, RATE = "training.batch_size", "method.variant", "method.schedule.rate_per_epoch"


def scenes(arguments: argparse.Namespace) -> dict[str, Any]:
    """Scenes of digits, end to end."""
    return {
        "data": {"dataset": "digit_scenes", "train_share": arguments.train_share},
        "training": {"epochs": 10, "learning_rate": 1e-3},
    }


def photos(arguments: argparse.Namespace) -> dict[str, Any]:
    """Heads on features of VOC photos; mAP over the classes with ten or more positives."""
    return {
        "data": {"dataset": "voc2007", "root": arguments.data_root, "image_size": 224},
        "model": {"backbone": "mobilenet_v2", "weights": arguments.weights},
        "training": {"mode": "linear", "epochs": 20, "learning_rate": 1e-3},
        "objective": {"classes": {"min_positives": 10}},
    }


def study(arguments: argparse.Namespace, storage: str) -> Study:
    """The grid over a data set."""
    sections = {"scenes": scenes, "photos": photos}[arguments.data](arguments)
    schedule = {"rate_per_epoch": RATES[0], "warmup_epochs": 3 if arguments.data == "scenes" else 1}
    return Study(
        name=f"batch_sizes_{arguments.data}",
        **sections,
        method={"name": "LL-R", "variant": "code", "schedule": schedule},
        search={
            BATCH: {"choice": BATCH_SIZES},
            VARIANT: {"choice": ["code", "carried"]},
            RATE: {"choice": RATES},
        },
        factors={"training.seed": list(range(arguments.seeds))},
        sampler={"name": "grid"},
        trials=len(BATCH_SIZES) * 2 * len(RATES),
        storage=storage,
    )


def values_of(trials: pd.DataFrame) -> pd.DataFrame:
    """A row per combination of the grid and seed; configs that are equal to an earlier one have that one's values."""
    config_of = dict(zip(trials["trial"], trials["config_number"], strict=True))
    rows = [
        json.loads(values) | {"value": value} for values, value in zip(trials["values"], trials["value"], strict=True)
    ]
    for column in trials["repeats"].dropna():
        for repeat in json.loads(column):
            values = trials[trials["config_number"] == config_of[repeat["trial"]]]["value"]
            rows += [repeat["values"] | {"value": value} for value in values]
    return pd.DataFrame(rows)


def table(rows: pd.DataFrame, variant: str) -> str:
    """Mean value by batch size and rate, with the best rate of each batch size."""
    means = rows[rows[VARIANT] == variant].pivot_table(index=BATCH, columns=RATE, values="value", aggfunc="mean")
    best = means.idxmax(axis=1)
    return means.round(2).assign(best=best).to_string()


def main() -> None:
    """Run the study and print its tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", choices=["scenes", "photos"])
    parser.add_argument("--data-root")
    parser.add_argument("--weights")
    parser.add_argument("--train-share", type=float, help="of the scenes; default: all")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--storage", default=None, help="default: a temporary folder")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        results = study(arguments, arguments.storage or folder).run()
        rows = values_of(results.trials)
        num_trials = len(results.trials)
    print(f"{len(rows)} trainings, {num_trials} of them different")
    for variant in ("code", "carried"):
        print(f"\n{variant}: mean over {arguments.seeds} seeds of the best validation mAP")
        print(table(rows, variant))


if __name__ == "__main__":
    main()
