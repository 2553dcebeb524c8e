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


def label_effects(ranks_KM: Ranks, likely_M: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """(K, M) derivative of each run's AP, on probabilities of being positive, with respect to each probability.

    That AP is (1/n) sum over i of p_i (1 + sum over k above i of p_k) / rank_i, with n = sum of p_i, 1 at least. Images
    of equal score count one after the other.

    Args:
        ranks_KM: of the images in each run.
        likely_M: probability of being positive; 1 and 0 where it is known.
    """
    order_KM = np.argsort(ranks_KM, axis=1, kind="stable")
    p_KM = likely_M[order_KM]
    rank_M = np.arange(1, len(likely_M) + 1)
    precision_KM = (1 + np.cumsum(p_KM, axis=1) - p_KM) / rank_M
    share_KM = p_KM / rank_M
    below_KM = share_KM.sum(1, keepdims=True) - np.cumsum(share_KM, axis=1)
    expected = max(float(likely_M.sum()), 1.0)
    ap_K1 = (p_KM * precision_KM).sum(1, keepdims=True) / expected
    effects_KM = np.empty(p_KM.shape)
    np.put_along_axis(effects_KM, order_KM, (precision_KM + below_KM - ap_K1) / expected, axis=1)
    return effects_KM
