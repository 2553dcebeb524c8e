"""Weights with which positives of each class are drawn: `data.observe.semantic`.

Shapes: C classes.

Source: the semantic bias of Arroyo, Perona, Cole, "Understanding Label Bias in Single Positive Multi-Label Learning",
ICLR 2023 (tiny papers): how often people who looked at an image named the class, one weight per class for all images.
"""

from __future__ import annotations

import math
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from wsml_study.data.csv_columns import read_columns
from wsml_study.data.hub_files import local_path
from wsml_study.data.problem_list import shown
from wsml_study.errors import DataError

KEY = "data.observe.semantic"
REMEDY = "give a CSV table with the columns class and weight as `semantic` under data.observe"


def read_class_weights(file: str, classes: tuple[str, ...]) -> npt.NDArray[np.float64]:
    """Weights (C,), at least 0; only their proportions matter.

    Args:
        file: .csv with the columns `class` and `weight`, relative to where the command runs; other columns are left
            alone.
        classes: C names.

    Raises:
        DataError: the file is missing or malformed, lacks a class, or has one that is not among these.
    """
    return _read(local_path(file).absolute(), classes)


@lru_cache(maxsize=2)
def _read(file: Path, classes: tuple[str, ...]) -> npt.NDArray[np.float64]:
    rows, problems = read_columns(file, ("class", "weight"), remedy=REMEDY)
    weights: dict[str, float] = {}
    for row in rows:
        name, text = row.cells
        if name not in classes:
            problems.add("unknown classes", f"{row.where}: {shown(name)} is no class of the dataset")
        elif name in weights:
            problems.add("repeated classes", f"{row.where}: {shown(name)} is listed twice")
        weights[name] = _number(text)
        if not (0 <= weights[name] < math.inf):
            problems.add("weights", f"{row.where}: expected a number of at least 0, got {shown(text)}")
    if missing := [name for name in classes if name not in weights]:
        problems.add("missing classes", f"no weight of {', '.join(map(shown, missing[:5]))}, {len(missing)} in all")
    if problems:
        raise DataError(f"{KEY}: {problems.error(file, remedy='give each class of the dataset one weight')}")
    weights_C = np.array([weights[name] for name in classes])
    if not weights_C.any():
        raise DataError(f"{KEY}: {file}: expected weights above 0, got none; leave the key out for a draw without them")
    weights_C.flags.writeable = False
    return weights_C


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
