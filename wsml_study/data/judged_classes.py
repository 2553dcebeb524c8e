"""Which classes can be evaluated on the images of a split: an AP that depends on the scores needs images of both kinds.

Shapes: M images of a split, C classes.
"""

from __future__ import annotations

from collections.abc import Sequence

from wsml_study.data.label_states import (
    NEGATIVE,
    UNOBSERVED,
    AnyLabels,
    is_sparse,
    judged_classes,
    num_positives,
    shown_classes,
)
from wsml_study.data.problem_list import shown
from wsml_study.errors import DataError

MOST_NAMES = 8

ESTIMATED = (
    "say `validation: {labels: estimated}` under data: within a trial, unobserved validation labels count as negative, "
    "and trials are ranked by what these labels probably are, or by people's answers once there are some: `wsml-study "
    "ask STUDY --answers 100` after the run"
)
OBSERVED = (
    "say `validation: {labels: observed}` under data, which takes unobserved labels as negative in validation only"
)


def _too_few(classes: Sequence[str], labels_MC: AnyLabels, least_positives: int) -> DataError:
    """The error if every class has fewer positives than `objective.classes` asks for."""
    found_C = num_positives(labels_MC)
    return DataError(
        f"validation: none of {len(classes):,} classes counts in a mean over classes: objective.classes asks for "
        f"{least_positives:,} positives, and the most that {labels_MC.shape[0]:,} images have is {found_C.max():,} of "
        f"{shown(classes[int(found_C.argmax())])}\nask for fewer, or hold out more: `fraction` under data.validation"
    )


def some_names(names: Sequence[str]) -> str:
    """A few of these names, and how many more there are."""
    more = f" and {len(names) - MOST_NAMES:,} more" if len(names) > MOST_NAMES else ""
    return ", ".join(map(shown, names[:MOST_NAMES])) + more


def unjudged(
    classes: Sequence[str],
    labels_MC: AnyLabels,
    *,
    metric: str,
    least_positives: int = 1,
    notices: Sequence[str] = (),
) -> DataError | None:
    """The error if no class can be evaluated on the validation images, so that trials cannot be compared; else None.

    Args:
        classes: C names.
        labels_MC: int8 states that trials are evaluated on.
        metric: of the objective; mAP needs a class of both kinds, others, which compare labels of several classes, a
            positive and a negative of any class.
        least_positives: that a class needs to count in means over classes.
        notices: of the data, which may explain it.
    """
    shown_C, states = shown_classes(labels_MC), labels_MC.data if is_sparse(labels_MC) else labels_MC
    of_both_kinds = shown_C.any() and (states == NEGATIVE).any() if metric != "map" else judged_classes(labels_MC).any()
    enough_C = shown_classes(labels_MC, least_positives=least_positives)
    if metric == "map":
        enough_C = judged_classes(labels_MC, least_positives=least_positives)
    if not labels_MC.shape[0] or (of_both_kinds and enough_C.any()):
        return None
    if of_both_kinds:
        return _too_few(classes, labels_MC, least_positives)
    only_positives = [name for name, found in zip(classes, shown_C, strict=True) if found]
    unseen = [name for name, found in zip(classes, shown_C, strict=True) if not found]
    partial = is_sparse(labels_MC) or bool((states == UNOBSERVED).any())
    lines = [
        f"validation: none of {len(classes):,} classes can be evaluated on {labels_MC.shape[0]:,} images; AP needs "
        f"some that are known to show a class, and others that are known not to"
    ]
    if not states.any():
        lines.append("  no label is annotated: all of them are empty")
    else:
        if only_positives:
            lines.append(f"  none is known not to show {some_names(only_positives)}: AP would be 100 with any network")
        if unseen:
            lines.append(f"  none is known to show {some_names(unseen)}")
    lines += [f"read so: {notice}" for notice in notices]
    if only_positives and partial:
        lines.append(
            f"{ESTIMATED if metric == 'map' else OBSERVED};\nor, where what is not listed is known to be absent, "
            f"`unlisted: negative` under data.labels"
        )
    else:
        lines.append("annotate images of both kinds, or hold out others: `fraction` and `seed` under data.validation")
    return DataError("\n".join(lines))
