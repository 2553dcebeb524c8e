"""On how many labels of how many figures are judged, and whether positives are likelier to be labelled than negatives.

Shapes: M images of a split, C classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from wsml_study.data.label_states import NEGATIVE, POSITIVE, UNOBSERVED, Labels
from wsml_study.data.validation_labels import EpochChoice

LEAST_LABELS = 10
"""Positives and negatives that a ratio takes at least, on both sides."""

LEAST_COMPLETE = 0.95
"""Share of its labels that a split has to have to tell how frequent positives are."""


@dataclass(frozen=True, kw_only=True)
class JudgedLabels:
    """The labels of each class that images are judged by; the four numbers of a class sum up to the images.

    Attributes:
        positives_C: images labelled with the class.
        negatives_C: images labelled as without it.
        assumed_C: images without a label that count as negative.
        left_out_C: images without a label that are left out.
    """

    positives_C: tuple[int, ...]
    negatives_C: tuple[int, ...]
    assumed_C: tuple[int, ...]
    left_out_C: tuple[int, ...]

    @classmethod
    def count(cls, labels_MC: Labels, *, choice: EpochChoice = "known") -> JudgedLabels:
        """Count labels.

        Args:
            labels_MC: int8 states, 0 without a label.
            choice: what such an entry counts as: negative if `observed`, otherwise it is left out.
        """

        def number_of(state: int) -> tuple[int, ...]:
            return tuple((labels_MC == state).sum(axis=0).tolist())

        unlabelled_C, none_C = number_of(UNOBSERVED), (0,) * labels_MC.shape[1]
        return cls(
            positives_C=number_of(POSITIVE),
            negatives_C=number_of(NEGATIVE),
            assumed_C=unlabelled_C if choice == "observed" else none_C,
            left_out_C=none_C if choice == "observed" else unlabelled_C,
        )

    @property
    def known(self) -> int:
        """Labels that somebody gave."""
        return sum(self.positives_C) + sum(self.negatives_C)

    @property
    def total(self) -> int:
        """Images times classes."""
        return self.known + sum(self.assumed_C) + sum(self.left_out_C)


def positives_likelier(labels_MC: Labels, references: Sequence[Labels]) -> float | None:
    """How many times likelier a positive label of these images is known than a negative one; None if that is unknown.

    By Bayes' rule it is the ratio of positives to negatives among the known labels over the same ratio among all.

    >>> import numpy as np
    >>> truth_MC = np.array([[1, -1]] * 20)
    >>> known_MC = np.where(np.arange(40).reshape(20, 2) % 4 == 1, 0, truth_MC)
    >>> positives_likelier(known_MC, [truth_MC])
    2.0

    Args:
        labels_MC: int8 states, 0 without a label; None is returned where there is no such entry.
        references: labels of these or of other images of the same kind; the first that are almost complete are taken.
    """
    known = JudgedLabels.count(labels_MC)
    if known.known == known.total:
        return None
    for reference in map(JudgedLabels.count, references):
        if reference.total and reference.known >= LEAST_COMPLETE * reference.total:
            counts = [*map(sum, (known.positives_C, known.negatives_C, reference.positives_C, reference.negatives_C))]
            if min(counts) < LEAST_LABELS:
                return None
            return (counts[0] / counts[1]) / (counts[2] / counts[3])
    return None
