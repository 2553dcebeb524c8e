"""Proposals of the sampler that would have computed the same as an earlier trial, and were not run again."""

from __future__ import annotations

import json
from collections import Counter

import pandas as pd


def num_repeats(trials: pd.DataFrame) -> Counter[int]:
    """Number of a trial -> how many later proposals share its run.

    Args:
        trials: the table of trials.
    """
    return Counter(repeat["trial"] for column in trials["repeats"].dropna() for repeat in json.loads(column))


def repeat_notes(trials: pd.DataFrame) -> list[str]:
    """A sentence about the proposals that were not run; none if every proposal was a trial of its own."""
    repeats = num_repeats(trials)
    if not repeats:
        return []
    methods = dict(zip(trials["trial"], trials["method"], strict=True))
    shared = ", ".join(f"trial {trial} ({methods[trial]}) {number}" for trial, number in sorted(repeats.items()))
    subject = "1 proposal" if repeats.total() == 1 else f"{repeats.total()} proposals"
    return [
        f"{subject} of the sampler would have computed the same as an earlier trial and shared its run instead of "
        f"running again: {shared}."
    ]
