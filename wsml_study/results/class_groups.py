"""mAP by groups of classes, where a dataset has them by number of training labels: OpenImages V3's fifths, and LVIS's.

LVIS's are rare (G1), common and frequent classes.
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

EXPLAINED = "G1 are the classes with the fewest training labels, the last group those with the most"


def group_means(ap_C: Sequence[float | None], groups_C: Sequence[int]) -> dict[int, float | None]:
    """Mean AP of each group of classes.

    >>> group_means([50.0, None, 70.0, 80.0], [2, 1, 2, 3])
    {1: None, 2: 60.0, 3: 80.0}

    Args:
        ap_C: AP per class in any unit; None for one that cannot be evaluated, which is left out.
        groups_C: group of each class.

    Returns:
        By group, ascending; None for a group without any AP.
    """
    by_group: dict[int, list[float]] = {group: [] for group in sorted(set(groups_C))}
    for ap, group in zip(ap_C, groups_C, strict=True):
        if ap is not None:
            by_group[group].append(ap)
    return {group: sum(found) / len(found) if found else None for group, found in by_group.items()}


def trial_groups(classes: pd.DataFrame, split: str) -> pd.DataFrame:
    """mAP of each group of classes, a row per trial: columns G1, G2, ... in percent, NaN for a group without any AP.

    Args:
        classes: the table `classes`.
        split: `validation` or `test`.

    Returns:
        Indexed by trial; empty, without columns, for a dataset without groups.
    """
    some = classes[(classes["split"] == split) & classes["class_group"].notna()]
    if some.empty:
        return pd.DataFrame()
    means = some.groupby(["trial", "class_group"])["average_precision"].mean().unstack("class_group")
    return means.rename(columns=lambda group: f"G{int(group)}").rename_axis(columns=None)
