"""Texts about partial labels: on how many of how many figures are judged, and the likely error of that."""

from __future__ import annotations

FAR_LIKELIER = 2.0
"""From this ratio on it is told that positives, or negatives, are likelier to be labelled than the others."""


def labels_text(known: int, total: int, *, assumed: bool = False) -> str:
    """The labels that figures are judged on; empty if they are complete.

    >>> labels_text(4120, 19300)
    '4,120 of 19,300 labels'
    """
    if known == total:
        return ""
    return f"{known:,} of {total:,} labels" + (", the others counted as negative" if assumed else "")


def likelier_text(ratio: float | None) -> str:
    """A warning where known validation labels mislead, with the likely direction of the error; empty where not.

    >>> likelier_text(0.8)
    ''
    """
    if ratio is None or 1 / FAR_LIKELIER < ratio < FAR_LIKELIER:
        return ""
    if ratio > 1:
        return (
            f"warning: positives are {ratio:.1f} times likelier to be labelled than negatives in validation: mAP on "
            f"the known labels alone is probably too high"
        )
    return (
        f"warning: negatives are {1 / ratio:.1f} times likelier to be labelled than positives in validation: mAP on "
        f"the known labels alone is probably too low"
    )
