"""AP of several runs by labels that are known only in part: by probabilities, and by draws of the labels.

Images of equal score count together, as in `training/average_precision.py`.

Shapes: K runs, M images, S draws of the labels, P positives of a draw; one class throughout.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

_ENTRIES_AT_ONCE = 2**23
"""Runs times draws times positives sorted together: bounds memory, some 20 bytes each."""

Floats = npt.NDArray[np.floating]
Ranks = npt.NDArray[np.int32]


def ranks_by_score(scores_KM: npt.NDArray[np.floating]) -> Ranks:
    """For each image, how many images a run scores no less, itself among them.

    >>> ranks_by_score(np.array([[0.9, 0.1, 0.5, 0.5]]))
    array([[1, 4, 3, 3]], dtype=int32)
    """
    num_images = scores_KM.shape[1]
    ranks_KM = np.empty(scores_KM.shape, np.int32)
    for scores_M, ranks_M in zip(scores_KM, ranks_KM, strict=True):
        ranks_M[:] = num_images - np.searchsorted(np.sort(scores_M), scores_M)
    return ranks_KM


def drawn_ap(ranks_KM: Ranks, positive_SM: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """AP (S, K) of each run in each draw of the labels, as fractions; 0 for a draw without positives.

    >>> drawn_ap(np.array([[1, 2, 3, 4]], np.int32), np.array([[True, False, True, False]]))
    array([[0.83333333]])
    """
    num_draws, num_runs = len(positive_SM), len(ranks_KM)
    most = int(positive_SM.sum(1).max(initial=0))
    ap_SK = np.zeros((num_draws, num_runs))
    at_once = max(1, _ENTRIES_AT_ONCE // max(1, num_runs * most))
    for start in range(0, num_draws, at_once):
        ap_SK[start : start + at_once] = _drawn_ap(ranks_KM, positive_SM[start : start + at_once])
    return ap_SK


def _drawn_ap(ranks_KM: Ranks, positive_SM: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    count_S = positive_SM.sum(1)
    most = int(count_S.max(initial=0))
    if most == 0:
        return np.zeros((len(positive_SM), len(ranks_KM)))
    draws, images = np.nonzero(positive_SM)
    place = np.arange(len(draws)) - np.repeat(np.cumsum(count_S) - count_S, count_S)
    none = np.iinfo(np.int32).max
    rank_SKP = np.full((len(positive_SM), len(ranks_KM), most), none, np.int32)
    rank_SKP[draws, :, place] = ranks_KM[:, images].T
    rank_SKP.sort(axis=-1)
    hits_SKP = np.broadcast_to(np.arange(1, most + 1, dtype=np.int32), rank_SKP.shape)
    tied_SKP = rank_SKP[..., :-1] == rank_SKP[..., 1:]
    if (tied_SKP & (rank_SKP[..., 1:] != none)).any():
        # Positives of equal score count together: each has the hits of the last among them.
        hits_SKP = hits_SKP.copy()
        hits_SKP[..., :-1][tied_SKP] = most
        hits_SKP = np.minimum.accumulate(hits_SKP[..., ::-1], axis=-1)[..., ::-1]
        hits_SKP = np.minimum(hits_SKP, count_S[:, None, None])
    precision_SKP = np.where(rank_SKP == none, 0, hits_SKP / rank_SKP)
    return np.asarray(precision_SKP.sum(-1) / np.maximum(count_S, 1)[:, None])
