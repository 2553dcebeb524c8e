"""Whether an interrupted study has lost nothing and has nothing twice."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq

from tests.end_to_end.interrupted_study import LOG
from tests.end_to_end.progress import events_so_far


def assert_whole(folder: Path, num_trials: int) -> None:
    """Check that the interrupted study has every trial once, and each with all its epochs once."""
    trials = pq.read_table(folder / "results/interrupted/trials.parquet").to_pandas()
    epochs = pq.read_table(folder / "results/interrupted/epochs.parquet").to_pandas()
    assert trials["trial"].tolist() == list(range(num_trials))
    assert set(trials["state"]) <= {"complete", "stopped"}
    for number, last_epoch in zip(trials["trial"], trials["last_epoch"], strict=True):
        assert epochs[epochs["trial"] == number]["epoch"].tolist() == list(range(1, last_epoch + 1))
    created = [event["trial"] for event in events_so_far(folder / LOG) if event["event"] == "created"]
    ended = [event["trial"] for event in events_so_far(folder / LOG) if event["event"] == "ended"]
    assert created == list(range(num_trials))
    assert len(ended) == len(set(ended))
