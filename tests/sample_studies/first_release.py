"""The tables as release 0.1 wrote them: their schemas, and rows of a study, without anything of ours."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

PERCENT = {"unit": "percent, mean over classes"}
SINCE_1970 = {"unit": "s since 1970-01-01 UTC"}
CONFIG = json.dumps({"data": {"dataset": "digit_scenes"}, "method": {"name": "AN"}})


def _schema(table: str, fields: list[pa.Field]) -> pa.Schema:
    return pa.schema(fields, metadata={"wsml_study.table": table, "wsml_study.version": "1"})


TRIALS = _schema(
    "trials",
    [
        pa.field("study", pa.string(), nullable=False),
        pa.field("trial", pa.int32(), nullable=False),
        pa.field("state", pa.string(), nullable=False),
        pa.field("method", pa.string(), nullable=False),
        pa.field("value", pa.float64(), metadata=PERCENT),
        pa.field("best_epoch", pa.int32()),
        pa.field("last_epoch", pa.int32(), nullable=False),
        pa.field("test_map", pa.float64(), metadata=PERCENT),
        pa.field("attempts", pa.int32(), nullable=False),
        pa.field("error", pa.string()),
        pa.field("started", pa.float64(), metadata=SINCE_1970),
        pa.field("ended", pa.float64(), metadata=SINCE_1970),
        pa.field("values", pa.string(), nullable=False),
        pa.field("config", pa.string(), nullable=False),
        pa.field("training.seed", pa.int64()),
    ],
)
EPOCHS = _schema(
    "epochs",
    [
        pa.field("study", pa.string(), nullable=False),
        pa.field("trial", pa.int32(), nullable=False),
        pa.field("epoch", pa.int32(), nullable=False),
        pa.field("attempt", pa.int32(), nullable=False),
        pa.field("train_loss", pa.float64(), nullable=False),
        pa.field("val_map", pa.float64(), nullable=False, metadata=PERCENT),
        pa.field("val_map_true", pa.float64(), nullable=False, metadata=PERCENT),
        pa.field("val_map_observed", pa.float64(), nullable=False, metadata=PERCENT),
        pa.field("best_val_map", pa.float64(), nullable=False, metadata=PERCENT),
        pa.field("rejection_rate", pa.float64()),
        pa.field("num_distrusted", pa.int64(), nullable=False),
        pa.field("distrust_precision", pa.float64()),
        pa.field("distrust_recall", pa.float64()),
        pa.field("loss_true_positive", pa.float64()),
        pa.field("loss_true_negative", pa.float64()),
        pa.field("loss_false_negative", pa.float64()),
        pa.field("train_seconds", pa.float64(), nullable=False),
        pa.field("validation_seconds", pa.float64(), nullable=False),
        pa.field("time", pa.float64(), nullable=False),
    ],
)
CLASSES = _schema(
    "classes",
    [
        pa.field("study", pa.string(), nullable=False),
        pa.field("trial", pa.int32(), nullable=False),
        pa.field("split", pa.string(), nullable=False),
        pa.field("epoch", pa.int32(), nullable=False),
        pa.field("class", pa.string(), nullable=False),
        pa.field("average_precision", pa.float64()),
    ],
)


def write_first_release(folder: Path) -> None:
    """Two trials of one epoch, as the first release left them."""
    trials = [
        {
            "study": "old",
            "trial": number,
            "state": "complete",
            "method": "AN",
            "value": 80.0 + number,
            "best_epoch": 1,
            "last_epoch": 1,
            "attempts": 1,
            "values": json.dumps({"training.seed": number}),
            "config": CONFIG,
            "training.seed": number,
        }
        for number in range(2)
    ]
    needed = {"train_loss": 0.5, "val_map_true": 80.0, "val_map_observed": 40.0, "num_distrusted": 0, "time": 9.0}
    seconds = {"train_seconds": 1.0, "validation_seconds": 0.5}
    epochs = [
        {"study": "old", "trial": number, "epoch": 1, "attempt": 1, "val_map": 80.0, "best_val_map": 80.0}
        | needed
        | seconds
        for number in range(2)
    ]
    classes = [{"study": "old", "trial": 0, "split": "validation", "epoch": 1, "class": "cat"}]
    for name, rows, schema in (("trials", trials, TRIALS), ("epochs", epochs, EPOCHS), ("classes", classes, CLASSES)):
        pq.write_table(pa.Table.from_pylist(rows, schema=schema), folder / f"{name}.parquet", compression="zstd")
