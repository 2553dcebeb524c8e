"""Searched rejection rates whose range comes from the data: `{auto: true}`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import ceil, floor, log10

from wsml_study.errors import StudyFileError
from wsml_study.study.problems import Problem
from wsml_study.study.search_section import Estimated, FloatRange, Parameter
from wsml_study.study.spec import Draft, Study

PER_EPOCH, FINAL = "method.schedule.rate_per_epoch", "method.schedule.final_rate"

BELOW, ABOVE = 8, 8
"""The range of final rates is from the low end of the estimated share over the one to the high end times the other."""

LARGEST_RATE = 0.5
"""A range ends here at most."""

LEAST_OF_SHARE = 0.25
"""The low end of an interval counts as this part of the estimate at least: it may be 0, a rate's range not."""


def open_ranges(study: Draft) -> tuple[str, ...]:
    """Searched keys whose range is still to come from the data."""
    return tuple(key for key, one in study.search.items() if isinstance(one.auto, bool | str))


def with_range(study: Study, key: str, estimated: Estimated) -> Study:
    """The study with the range of a key that an estimate gives.

    The final rate is searched from an eighth of the low end of the estimated share of false negatives to eight times
    its high end, on a logarithmic scale. `rate_per_epoch` has this range divided by the epochs after the base config's
    warm-up.

    Raises:
        StudyFileError: there is about no false negative.
    """
    low = max(estimated.low, LEAST_OF_SHARE * estimated.share) / BELOW
    high = min(LARGEST_RATE, ABOVE * estimated.high)
    if not 0 < low < high:
        raise StudyFileError(
            f"{study.name}: about no training label is a false negative ({100 * estimated.share:.2f} %, by "
            f"{estimated.basis}), so there is no rejection rate to look for; search another method, or give the range"
        )
    per = _epochs_of_growth(study) if key == PER_EPOCH else 1
    found = FloatRange(low=_rounded(low / per, floor), high=_rounded(high / per, ceil), log=True)
    resolved = Parameter(float=found, auto=estimated, when=study.search[key].when)
    return study.model_copy(update={"search": study.search | {key: resolved}})


def with_recorded_ranges(study: Study, begun_as: Study | None) -> Study:
    """The study with the ranges of its folder, where both leave a range to the data."""
    if begun_as is None:
        return study
    recorded = {
        key: begun_as.search[key]
        for key in open_ranges(study)
        if key in begun_as.search and begun_as.search[key].auto is not None
    }
    same = {key: one for key, one in recorded.items() if one.when == study.search[key].when}
    return study.model_copy(update={"search": study.search | same}) if same else study


def auto_problems(draft: Draft) -> Iterator[Problem]:
    """Keys that cannot take their range from the data."""
    varied = [key for key in draft.factors or {} if key.startswith("data.")]
    for key, parameter in draft.search.items():
        if parameter.auto is None:
            continue
        if key not in (PER_EPOCH, FINAL):
            message = f"`auto` is for {PER_EPOCH} and {FINAL}; give `float`, `int` or `choice`"
        elif key in open_ranges(draft) and varied:
            message = f"`auto` needs one share of false negatives, and the factor {varied[0]} changes it; give a range"
        else:
            continue
        yield Problem(label=key, message=message, path=("search", key, "auto"), at_key=True)


def _epochs_of_growth(study: Study) -> int:
    schedule = study.method.schedule
    warmup = 1 if schedule is None else schedule.warmup_epochs
    return max(1, study.training.epochs - warmup)


def _rounded(value: float, to_whole: Callable[[float], int]) -> float:
    """To two significant digits, as `floor` or `ceil` rounds."""
    unit = 10.0 ** (floor(log10(value)) - 1)
    return float(f"{to_whole(value / unit) * unit:.6g}")
