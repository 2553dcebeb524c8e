"""Validation labels of a study completed by its trials' scores and people's answers, several times by chance.

What is chosen by labels, such as a threshold, is chosen by each completion; how far the choices differ shows how much
rests on labels that nobody has told.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from wsml_study.results.answered_runs import labels_with_answers
from wsml_study.results.answered_scores import drawn_labels

NUM_DRAWS = 20


@dataclass(frozen=True, kw_only=True, eq=False)
class CompletedLabels:
    """Labels of M validation images and C classes, in S completions.

    Attributes:
        names: of the images.
        classes: names.
        states_MC: +1 and -1 where a label is given or answered, else 0.
        left_out_MC: pairs of which a person could not say; they count in no completion.
        counted_C: classes with a known positive; the labels of the others are not completed.
        positive_SMC: the completions.
        num_answers: pairs with an answer.
    """

    names: tuple[str, ...]
    classes: tuple[str, ...]
    states_MC: npt.NDArray[np.int8]
    left_out_MC: npt.NDArray[np.bool_]
    counted_C: npt.NDArray[np.bool_]
    positive_SMC: npt.NDArray[np.bool_]
    num_answers: int


def completed_labels(folder: Path, *, num: int = NUM_DRAWS, seed: int = 0) -> CompletedLabels:
    """Complete a study's validation labels.

    Args:
        folder: of the study's results.
        num: of completions, S.
        seed: of the draws.

    Raises:
        ResultsError: the study has no answers or no scores, or a file of them is damaged.
    """
    known, states_MC, asked_MC, num_answers = labels_with_answers(folder)
    return CompletedLabels(
        names=known.labels.names,
        classes=known.labels.classes,
        states_MC=states_MC,
        left_out_MC=asked_MC & (states_MC == 0),
        counted_C=known.counted_C,
        positive_SMC=drawn_labels(known.scores_KMC, states_MC, asked_MC, counted_C=known.counted_C, num=num, seed=seed),
        num_answers=num_answers,
    )
