"""Whether early stopping was safe: the rank agreement of trials after each epoch with their final ranking."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import pandas as pd

from wsml_study.record.trial_history import TrialState

FEWEST_TRIALS = 4
"""With fewer trials a rank correlation is meaningless."""


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """Rank agreement of trials after an epoch with their final ranking.

    Attributes:
        epoch: from 1.
        arrived: number of trials that reached the epoch.
        stopped: number of these that were stopped early after it.
        finished: number of these that are complete; only these enter the correlations.
        spearman, kendall: rank correlations; None with fewer than FEWEST_TRIALS trials or if all are equal.
        rank_of_best: rank, after this epoch, of the trial that was best in the end, from 1.
    """

    epoch: int
    arrived: int
    stopped: int
    finished: int
    spearman: float | None
    kendall: float | None
    rank_of_best: int


def rung_agreement(trials: pd.DataFrame, epochs: pd.DataFrame, *, sign: int = 1) -> list[Agreement]:
    """Agreement after every epoch but the last; empty with fewer than two complete trials.

    Args:
        trials: with columns trial, state, value, last_epoch.
        epochs: with columns trial, epoch, objective.
        sign: -1 if a smaller objective is better, else 1.
    """
    ended = trials[trials["state"] == TrialState.COMPLETE].dropna(subset=["value"])
    final: dict[int, float] = dict(zip(ended["trial"], ended["value"], strict=True))
    if len(final) < 2:
        return []
    winner = max(final, key=lambda trial: sign * final[trial])
    stopped_after = trials.loc[trials["state"] == TrialState.STOPPED, "last_epoch"]
    found = []
    for epoch in range(1, int(ended["last_epoch"].max())):
        rows = epochs[epochs["epoch"] == epoch]
        here: dict[int, float] = dict(zip(rows["trial"], rows["objective"], strict=True))
        if winner not in here:
            break
        finished = [trial for trial in final if trial in here]
        pair = [here[trial] for trial in finished], [final[trial] for trial in finished]
        found.append(
            Agreement(
                epoch=epoch,
                arrived=len(here),
                stopped=int((stopped_after == epoch).sum()),
                finished=len(finished),
                spearman=correlation("spearmanr", *pair),
                kendall=correlation("kendalltau", *pair),
                rank_of_best=1 + sum(sign * value > sign * here[winner] for value in here.values()),
            )
        )
    return found


def correlation(measure: Literal["spearmanr", "kendalltau"], early: list[float], late: list[float]) -> float | None:
    """A rank correlation by scipy; None with fewer than FEWEST_TRIALS values or if all are equal."""
    if len(early) < FEWEST_TRIALS or len(set(early)) < 2 or len(set(late)) < 2:
        return None
    from scipy import stats  # the import takes half a second

    return float(getattr(stats, measure)(early, late).statistic)
