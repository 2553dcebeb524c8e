"""Which labels of the training images a method gets to see, and which images validate: one draw for all who ask.

Shapes: N images, C classes.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from wsml_study.data.class_weights import read_class_weights
from wsml_study.data.dataset import Dataset
from wsml_study.data.label_states import (
    NEGATIVE,
    POSITIVE,
    UNOBSERVED,
    AnyLabels,
    Kept,
    Labels,
    Rows,
    draw_groups,
    hide_labels,
    is_sparse,
    limit_of,
    split_validation,
)
from wsml_study.data.salience import Salient, salience
from wsml_study.errors import DataError

NEVER = 1e-300
"""Odds of what has none."""


def training_labels(
    dataset: Dataset,
    *,
    positives: Kept,
    negatives: Kept,
    bias: float | None,
    salient: Salient | None,
    semantic: str | None,
    share: float | None,
    share_per_class: float | None,
    seed: int,
) -> AnyLabels:
    """Observed labels (N, C) of a dataset's training images, as `observed_labels`, or drawn by boxes or weights.

    Args:
        dataset: whose training images they are.
        positives, negatives, bias, share, share_per_class, seed: as of `observed_labels`.
        salient: what positives are drawn by, see `salience`; None draws without regard to boxes.
        semantic: a file of weights of classes, see `read_class_weights`; None draws without regard to them.

    Raises:
        DataError: labels that are partial already are to be hidden, or boxes or weights are missing or malformed.
    """
    truth_NC = dataset.train.labels_NC
    if salient is not None and not is_sparse(truth_NC):
        return hide_salient(truth_NC, salience(dataset, salient), positives=positives, negatives=negatives, seed=seed)
    if semantic is not None and not is_sparse(truth_NC):
        weights_C = read_class_weights(semantic, dataset.classes)
        weights_NC = np.broadcast_to(weights_C, truth_NC.shape)
        return hide_salient(truth_NC, weights_NC, positives=positives, negatives=negatives, seed=seed)
    return observed_labels(
        truth_NC,
        positives=positives,
        negatives=negatives,
        bias=bias,
        share=share,
        share_per_class=share_per_class,
        seed=seed,
    )


def observed_labels(
    truth_NC: AnyLabels,
    *,
    positives: Kept,
    negatives: Kept,
    bias: float | None,
    share: float | None,
    share_per_class: float | None,
    seed: int,
) -> AnyLabels:
    """Observed labels (N, C) of training images with these true ones; the same seed gives the same.

    Args:
        truth_NC: true states.
        positives: how many to keep per image.
        negatives: how many to keep per image.
        bias: as in `hide_with_bias`; None draws fairly, as `hide_labels`.
        share: instead of counts, a share of all labels.
        share_per_class: instead of counts, a share of each class's labels.
        seed: of the draw.

    Raises:
        DataError: labels that are partial already are to be hidden.
    """
    counted = share is None and share_per_class is None
    if counted and (positives, negatives) == ("all", "all"):
        return truth_NC
    if is_sparse(truth_NC):
        raise DataError(
            "data.observe: these labels are partial already and nothing more of them can be hidden; leave the key out"
        )
    if share is not None:
        return keep_share(truth_NC, share, per_class=False, seed=seed)
    if share_per_class is not None:
        return keep_share(truth_NC, share_per_class, per_class=True, seed=seed)
    if bias is not None:
        return hide_with_bias(truth_NC, positives=positives, negatives=negatives, bias=bias, seed=seed)
    return hide_labels(truth_NC, positives=positives, negatives=negatives, seed=seed)


def train_and_validation_rows(
    dataset: Dataset, fraction: float, seed: int, *, hold_out: bool = True, share: float | None = None
) -> tuple[Rows, Rows]:
    """Rows of the training split to train on, and to validate on: as the labels say, or drawn, groups as a whole.

    A share of the training rows depends on the seed and not on labels: the rows of a smaller share are among those of
    a larger one, and the validation rows are the same for every share.

    Args:
        dataset: whose training split it is.
        fraction: of the images to validate on.
        seed: of their draw.
        hold_out: False trains on all of them, and validates on none.
        share: the fraction of the training rows to keep, rounded to whole images; None keeps all.

    Raises:
        DataError: the images are too few to draw from.
    """
    train, validation = _split_rows(dataset, fraction, seed, hold_out=hold_out)
    return train if share is None else _share_of(train, share, seed), validation


def _split_rows(dataset: Dataset, fraction: float, seed: int, *, hold_out: bool) -> tuple[Rows, Rows]:
    num_images = len(dataset.train)
    if not hold_out:
        return np.arange(num_images), np.arange(0)
    if dataset.validation_rows is None and dataset.groups is not None:
        validation = draw_groups(dataset.groups, fraction, seed)
        return np.setdiff1d(np.arange(num_images), validation), validation
    if dataset.validation_rows is None:
        return split_validation(num_images, fraction, seed)
    validation = np.array(dataset.validation_rows, dtype=np.int64)
    return np.setdiff1d(np.arange(num_images), validation), validation


def _share_of(rows_M: Rows, share: float, seed: int) -> Rows:
    """The first of these rows in an order that depends on their number and the seed, sorted."""
    count = round(share * len(rows_M))
    if count == 0:
        raise DataError(
            f"data.train_share: {share:g} of {len(rows_M):,} training images is less than one; give a larger share"
        )
    return np.sort(np.random.RandomState(seed).permutation(rows_M)[:count])


def hide_with_bias(truth_NC: Labels, *, positives: Kept, negatives: Kept, bias: float, seed: int) -> Labels:
    """Observed labels as `hide_labels`, but a positive is drawn with odds of its class's frequency to the power `bias`.

    People name what is common, or what strikes them: a bias above 0 keeps frequent classes, one below 0 rare ones.
    Negatives are drawn fairly.

    Raises:
        ValueError: a count is negative or neither a number nor "all".
    """
    frequency_C = (truth_NC == POSITIVE).sum(axis=0)
    # Logarithms: a power of a frequency may leave the range of floats.
    log_odds_C = bias * np.log(np.maximum(frequency_C, 1))
    log_odds_NC = np.broadcast_to(log_odds_C, truth_NC.shape)
    return _hide_by_odds(truth_NC, log_odds_NC, positives=positives, negatives=negatives, seed=seed)


def hide_salient(
    truth_NC: Labels, weights_NC: npt.NDArray[np.float64], *, positives: Kept, negatives: Kept, seed: int
) -> Labels:
    """Observed labels as `hide_labels`, but a positive is drawn in proportion to its weight in its image.

    A positive of weight 0, such as one without a box, is drawn only where all others of its image are.

    Raises:
        ValueError: a count is negative or neither a number nor "all".

    >>> truth_NC = np.array([[1, 1, -1]], dtype=np.int8)
    >>> hide_salient(truth_NC, np.array([[0.0, 3.0, 0.0]]), positives=1, negatives=0, seed=1)
    array([[0, 1, 0]], dtype=int8)
    """
    largest_N1 = weights_NC.max(axis=1, keepdims=True, initial=0)
    shares_NC = weights_NC / np.where(largest_N1 > 0, largest_N1, 1)
    log_odds_NC = np.log(np.maximum(shares_NC, NEVER))
    return _hide_by_odds(truth_NC, log_odds_NC, positives=positives, negatives=negatives, seed=seed)


def _hide_by_odds(
    truth_NC: Labels, log_odds_NC: npt.NDArray[np.float64], *, positives: Kept, negatives: Kept, seed: int
) -> Labels:
    num_positives, num_negatives = limit_of("positives", positives), limit_of("negatives", negatives)
    random = np.random.RandomState(seed)
    observed_NC = np.full_like(truth_NC, UNOBSERVED)
    for truth_C, observed_C, log_odds_C in zip(truth_NC, observed_NC, log_odds_NC, strict=True):
        present, missing = np.flatnonzero(truth_C == POSITIVE), np.flatnonzero(truth_C == NEGATIVE)
        # The largest of log odds plus Gumbel noise is a draw with these odds, and so on without replacement
        # (Gumbel's trick; Vieira, 2014).
        order = np.argsort(-(log_odds_C[present] + random.gumbel(size=len(present))), kind="stable")
        observed_C[present[order[:num_positives]]] = POSITIVE
        observed_C[missing[random.permutation(len(missing))[:num_negatives]]] = NEGATIVE
    return observed_NC


def keep_share(truth_NC: Labels, share: float, *, per_class: bool, seed: int) -> Labels:
    """Observed labels (N, C) int8: a random share of all annotated entries, or of those of each class, rounded.

    Raises:
        ValueError: the share is not in (0, 1].

    >>> truth_NC = np.array([[1, -1], [-1, 1], [1, 1], [-1, -1]], dtype=np.int8)
    >>> np.count_nonzero(keep_share(truth_NC, 0.5, per_class=True, seed=1), axis=0)
    array([2, 2])
    """
    if not 0 < share <= 1:
        raise ValueError(f"expected a share above 0 and at most 1, got {share}")
    random = np.random.RandomState(seed)
    observed_NC = np.full_like(truth_NC, UNOBSERVED)
    columns = range(truth_NC.shape[1]) if per_class else [slice(None)]
    for column in columns:
        truth, observed = truth_NC[:, column].reshape(-1), np.zeros(truth_NC[:, column].size, dtype=truth_NC.dtype)
        annotated = np.flatnonzero(truth != UNOBSERVED)
        kept = random.permutation(annotated)[: round(share * len(annotated))]
        observed[kept] = truth[kept]
        observed_NC[:, column] = observed.reshape(truth_NC[:, column].shape)
    return observed_NC
