"""Gain in AP of one trial over another, class by class."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

RESAMPLES = 4000
BATCH = 200
"""Resamples that are held in memory at once: with thousands of classes, all of them would take gigabytes."""

LEVEL = 0.95


@dataclass(frozen=True, kw_only=True)
class Gain:
    """Mean gain in AP over the classes, in percentage points, and a bootstrap interval over the classes.

    The interval covers the variation over classes, not over seeds.
    """

    mean: float
    low: float
    high: float
    num_classes: int


def ap_by_class(classes: pd.DataFrame, trial: int) -> pd.Series:
    """Class -> AP of a trial on the validation images, percent; without classes that have no annotations."""
    rows = classes[(classes["trial"] == trial) & (classes["split"] == "validation")]
    return rows.set_index("class")["average_precision"].dropna()


def gain(ap: pd.Series, baseline: pd.Series) -> Gain | None:
    """Mean difference over the classes that both have, with a bootstrap interval; None with fewer than two classes."""
    differences_C = (ap - baseline).dropna().to_numpy()
    num_classes = len(differences_C)
    if num_classes < 2:
        return None
    interval = stats.bootstrap(
        (differences_C,),
        np.mean,
        n_resamples=RESAMPLES,
        batch=BATCH,
        confidence_level=LEVEL,
        method="percentile",
        rng=np.random.default_rng(0),
    ).confidence_interval
    return Gain(
        mean=float(differences_C.mean()), low=float(interval.low), high=float(interval.high), num_classes=num_classes
    )
