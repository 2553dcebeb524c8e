"""Label states +1, -1 and 0: hiding labels, splitting off validation images, and counting what is left to see.

Shapes: N images, C classes. In a dataset's own labels a state of 0 means that the entry is not annotated; in the
labels that a method sees, it means unobserved.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias, TypeGuard

import numpy as np
import numpy.typing as npt

from wsml_study.errors import DataError

if TYPE_CHECKING:
    from scipy import sparse  # which takes longer to import than most labels to read

POSITIVE = 1
UNOBSERVED = 0
NEGATIVE = -1

Labels = npt.NDArray[np.int8]
SparseLabels: TypeAlias = "sparse.csr_array"
"""int8 (N, C) of which only what is annotated is stored."""

AnyLabels: TypeAlias = "Labels | SparseLabels"
Rows = npt.NDArray[np.int64]
Kept = int | Literal["all"]


def is_sparse(labels_NC: AnyLabels) -> TypeGuard[SparseLabels]:
    """Whether only the annotated entries are stored."""
    return not isinstance(labels_NC, np.ndarray)


def dense_rows(labels_NC: AnyLabels, rows_M: Rows) -> Labels:
    """Labels (M, C) of some images, every entry written down.

    Raises:
        DataError: there are too many for the memory of this machine.
    """
    if not is_sparse(labels_NC):
        return labels_NC[rows_M]
    try:
        return np.asarray(labels_NC[rows_M].toarray(), dtype=np.int8)
    except MemoryError as error:
        num_bytes = len(rows_M) * labels_NC.shape[1]
        raise DataError(
            f"the labels of {len(rows_M):,} images and {labels_NC.shape[1]:,} classes take {num_bytes / 2**30:.0f} "
            f"GiB, more than this machine has; use fewer images or classes, or a larger machine"
        ) from error


def hide_labels(truth_NC: Labels, *, positives: Kept, negatives: Kept, seed: int) -> Labels:
    """Observed labels (N, C) int8: a random few true labels of each image, and 0 elsewhere.

    Args:
        truth_NC: int8 true states.
        positives: how many positives to keep per image; an image that has fewer keeps those it has.
        negatives: the same for negatives.
        seed: the same seed gives the same draw on every platform.

    Raises:
        ValueError: a count is negative or neither a number nor "all".

    Source: the preparation of Cole et al., CVPR 2021, whose draw this is, bit for bit: one `RandomState` for the whole
    matrix; image by image, the positives are put in random order, then the negatives, and the first ones are kept. They
    hide labels of all training images first and split off the validation images afterwards.

    >>> hide_labels(np.array([[1, 1, -1], [-1, 1, -1]], dtype=np.int8), positives=1, negatives=0, seed=1200)
    array([[1, 0, 0],
           [0, 1, 0]], dtype=int8)
    """
    limits = ((POSITIVE, limit_of("positives", positives)), (NEGATIVE, limit_of("negatives", negatives)))
    random = np.random.RandomState(seed)
    observed_NC = np.full_like(truth_NC, UNOBSERVED)
    for truth_C, observed_C in zip(truth_NC, observed_NC, strict=True):
        for state, limit in limits:
            entries = np.flatnonzero(truth_C == state)
            # Drawn even where none is kept: the draws of the images that follow depend on it.
            order = random.permutation(len(entries))
            observed_C[entries[order[:limit]]] = state
    return observed_NC


def split_validation(num_images: int, fraction: float, seed: int) -> tuple[Rows, Rows]:
    """Rows to train on and rows to validate on, each ascending, disjoint, together all of `num_images`.

    Raises:
        ValueError: the fraction is not between 0 and 1.
        DataError: the images are too few for the fraction: one of the two parts would be empty.

    Source: the random split of Cole et al.; their seed is 1200, their fraction 0.2.

    >>> split_validation(5, 0.2, seed=1200)
    (array([0, 1, 2, 4]), array([3]))
    """
    if not 0 < fraction < 1:
        raise ValueError(f"expected a fraction between 0 and 1, got {fraction}")
    num_validation = round(fraction * num_images)
    num_train = num_images - num_validation
    if num_train <= 0 or num_validation == 0:
        raise DataError(
            f"{num_images} training images cannot be split: a validation fraction of {fraction} leaves {num_train} to "
            f"train on and {num_validation} to validate on; use more images or another fraction"
        )
    order = np.random.RandomState(seed).permutation(num_images)
    return np.sort(order[:num_train]), np.sort(order[num_train:])


def assume_negative(labels_MC: Labels) -> Labels:
    """int8 +1 and -1: everything unobserved taken as negative."""
    return np.where(labels_MC > 0, POSITIVE, NEGATIVE).astype(np.int8)


def draw_groups(groups_N: Sequence[str], fraction: float, seed: int) -> Rows:
    """Rows of whole groups, drawn at random, ascending: about a fraction of all rows, and not all of them.

    >>> draw_groups(["a", "a", "b", "b", "c"], 0.4, seed=0)
    array([2, 3, 4])

    Raises:
        DataError: there are fewer than two groups.
    """
    rows: dict[str, list[int]] = {}
    for row, group in enumerate(groups_N):
        rows.setdefault(group, []).append(row)
    if len(rows) < 2:
        raise DataError(f"expected two groups of images at least, to hold one of them out, got {len(rows)}")
    wanted, drawn = round(fraction * len(groups_N)), list[int]()
    order = np.random.RandomState(seed).permutation(len(rows))
    groups = list(rows.values())
    for place in order[:-1]:
        if drawn and len(drawn) + len(groups[place]) / 2 > wanted:
            break
        drawn += groups[place]
    return np.sort(np.array(drawn, dtype=np.int64))


def judged_classes(labels_NC: AnyLabels, *, least_positives: int = 1) -> npt.NDArray[np.bool_]:
    """(C,) whether some image is known to show a class, and another one not to: only then it has an AP that can differ.

    >>> judged_classes(np.array([[1, 1, 0], [-1, 1, -1]], dtype=np.int8))
    array([ True, False, False])

    Args:
        labels_NC: states.
        least_positives: images that have to show it; fewer than 1 means 1.
    """
    return shown_classes(labels_NC, least_positives=least_positives) & _any_entry(labels_NC, NEGATIVE)


def shown_classes(labels_NC: AnyLabels, *, least_positives: int = 1) -> npt.NDArray[np.bool_]:
    """(C,) whether this many images, one at least, are known to show a class."""
    if least_positives > 1:
        return np.asarray(num_positives(labels_NC) >= least_positives)
    return _any_entry(labels_NC, POSITIVE)


def num_positives(labels_NC: AnyLabels) -> npt.NDArray[np.int64]:
    """(C,) images that are known to show a class."""
    if not is_sparse(labels_NC):
        return np.asarray((labels_NC == POSITIVE).sum(axis=0))
    return np.bincount(labels_NC.indices[labels_NC.data == POSITIVE], minlength=labels_NC.shape[1])


def _any_entry(labels_NC: AnyLabels, state: int) -> npt.NDArray[np.bool_]:
    if not is_sparse(labels_NC):
        return np.asarray((labels_NC == state).any(axis=0))
    found_C = np.zeros(labels_NC.shape[1], dtype=bool)
    found_C[labels_NC.indices[labels_NC.data == state]] = True
    return found_C


def class_priors(labels_NC: Labels) -> npt.NDArray[np.float64]:
    """(C,) share of positives among the annotated entries of each class; NaN for a class without annotations.

    >>> class_priors(np.array([[1, 0], [-1, 0]], dtype=np.int8))
    array([0.5, nan])
    """
    num_positive_C = (labels_NC == POSITIVE).sum(axis=0)
    num_annotated_C = (labels_NC != UNOBSERVED).sum(axis=0)
    # A class without annotations is 0 / 0, which is NaN as documented.
    with np.errstate(invalid="ignore"):
        return np.asarray(num_positive_C / num_annotated_C, dtype=np.float64)


@dataclass(frozen=True, kw_only=True)
class LabelCounts:
    """How many entries of a label matrix there are of each kind.

    Attributes:
        num_images: N.
        num_classes: C.
        true_positives: entries that are positive in truth.
        true_negatives: entries that are negative in truth.
        observed_positives: entries that the method sees as positive.
        observed_negatives: entries that the method sees as negative.
        hidden_positives: unobserved entries that are positive in truth: assume-negative's false negatives.
        hidden_negatives: unobserved entries that are negative in truth.
    """

    num_images: int
    num_classes: int
    true_positives: int
    true_negatives: int
    observed_positives: int
    observed_negatives: int
    hidden_positives: int
    hidden_negatives: int

    @property
    def positives_per_image(self) -> float | None:
        """Mean number of true positives of an image; None without images."""
        return self.true_positives / self.num_images if self.num_images else None

    @property
    def false_negative_share(self) -> float | None:
        """Fraction of the unobserved entries of known truth that are positive; None where there are none.

        With one positive kept per image and every image having one, this is (m - 1) / (C - 1), m being the mean number
        of true positives per image.
        """
        num_hidden = self.hidden_positives + self.hidden_negatives
        return self.hidden_positives / num_hidden if num_hidden else None


def count_labels(truth_NC: AnyLabels, observed_NC: AnyLabels) -> LabelCounts:
    """Count the entries of a label matrix by their true and their observed state.

    Raises:
        ValueError: the two are not matrices of one shape.
    """
    if truth_NC.ndim != 2 or truth_NC.shape != observed_NC.shape:
        raise ValueError(f"expected two matrices of one shape, got {truth_NC.shape} and {observed_NC.shape}")
    if is_sparse(truth_NC) and is_sparse(observed_NC):
        return _count_sparse(truth_NC, observed_NC)
    assert not is_sparse(truth_NC)
    assert not is_sparse(observed_NC)
    unobserved_NC = observed_NC == UNOBSERVED

    def count(mask_NC: npt.NDArray[np.bool_]) -> int:
        return int(np.count_nonzero(mask_NC))

    return LabelCounts(
        num_images=truth_NC.shape[0],
        num_classes=truth_NC.shape[1],
        true_positives=count(truth_NC == POSITIVE),
        true_negatives=count(truth_NC == NEGATIVE),
        observed_positives=count(observed_NC == POSITIVE),
        observed_negatives=count(observed_NC == NEGATIVE),
        hidden_positives=count(unobserved_NC & (truth_NC == POSITIVE)),
        hidden_negatives=count(unobserved_NC & (truth_NC == NEGATIVE)),
    )


def _count_sparse(truth_NC: SparseLabels, observed_NC: SparseLabels) -> LabelCounts:
    """What is sparse is partial already, and nothing of it is hidden."""
    positives, negatives = (int(np.count_nonzero(observed_NC.data == state)) for state in (POSITIVE, NEGATIVE))
    return LabelCounts(
        num_images=truth_NC.shape[0],
        num_classes=truth_NC.shape[1],
        true_positives=positives,
        true_negatives=negatives,
        observed_positives=positives,
        observed_negatives=negatives,
        hidden_positives=0,
        hidden_negatives=0,
    )


def limit_of(name: str, kept: Kept) -> int | None:
    """Where to cut a random order of entries; None keeps them all."""
    if kept == "all":
        return None
    if isinstance(kept, bool) or not isinstance(kept, int) or kept < 0:
        raise ValueError(f"{name}: expected a count of at least 0 or 'all', got {kept!r}")
    return kept
