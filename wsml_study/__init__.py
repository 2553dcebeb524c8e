"""Studies of how a weakly supervised multi-label classifier should treat its unobserved labels."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wsml_study.results.loading import StudyResults

__all__ = ["load"]


def load(place: str | Path) -> StudyResults:
    """The results of a study, as pandas and Arrow tables.

    >>> wsml_study.load("results/rejection_rate").ranked  # doctest: +SKIP

    Args:
        place: the folder of its results, or a URI of `pyarrow.fs` such as `s3://bucket/results/x`.

    Raises:
        wsml_study.errors.ResultsError: no results are there.
    """
    from wsml_study.results import loading

    return loading.load(place)
