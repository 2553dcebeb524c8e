"""What the keys of each event of a log hold, checked when a log is read: a file can be damaged, or edited by hand.

Logs of earlier versions lack some keys, and those of later ones may have more: only what is there is checked.
`tables.py` checks that nothing is missing that its columns need.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

Check = Callable[[Any], bool]

MOST = 2**31 - 1
"""Of a count: the tables have 32 bits for most."""

LATEST = 253_402_300_800
"""The year 10,000, in seconds since 1970."""


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MOST


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool)


def _is_large_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63


def _is_number(value: Any) -> bool:
    if type(value) is float:  # most are: a large log has a hundred million
        return -math.inf < value < math.inf
    # Python reads whole numbers of any length, which no column of a table holds.
    return (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and abs(value) < math.inf
        and (isinstance(value, float) or abs(value) < 2**63)
    )


def _is_number_or_none(value: Any) -> bool:
    if type(value) is float:  # as in `_is_number`, whose call takes as long again
        return -math.inf < value < math.inf
    return value is None or _is_number(value)


def _are_numbers_or_none(value: Any) -> bool:
    # A sum is finite only if all its terms are; one that overflows is looked at term by term.
    if type(value) is list and set(map(type, value)) == {float} and math.isfinite(sum(value)):
        return True
    return isinstance(value, list) and all(map(_is_number_or_none, value))


def _is_time(value: Any) -> bool:
    return _is_number(value) and abs(value) < LATEST


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_text_or_none(value: Any) -> bool:
    return value is None or isinstance(value, str)


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and all(map(_is_text, value))


def _is_object(value: Any) -> bool:
    return isinstance(value, dict)


def _is_promotion_or_none(value: Any) -> bool:
    return value is None or (
        isinstance(value, dict)
        and value.keys() == {"level", "trial", "value"}
        and _is_count(value["level"])
        and _is_count(value["trial"])
        and _is_number(value["value"])
    )


def _are_repeats(value: Any) -> bool:
    return isinstance(value, list) and all(
        isinstance(one, dict)
        and one.keys() == {"trial", "values", "sampler_state"}
        and _is_count(one["trial"])
        and _is_object(one["values"])
        and _is_object(one["sampler_state"])
        for one in value
    )


def _are_proposals(value: Any) -> bool:
    return isinstance(value, list) and all(
        isinstance(one, dict)
        and one.keys() - {"repeats"} == {"values", "sampler_state"}
        and _is_object(one["values"])
        and _is_object(one["sampler_state"])
        and _are_repeats(one.get("repeats", []))
        for one in value
    )


def _are_start_points(value: Any) -> bool:
    return isinstance(value, list) and all(
        isinstance(one, dict)
        and one.keys() == {"values", "origin"}
        and _is_object(one["values"])
        and _is_text(one["origin"])
        for one in value
    )


def _are_observations(value: Any) -> bool:
    return isinstance(value, list) and all(
        isinstance(one, dict)
        and one.keys() == {"study", "trial", "values", "value"}
        and _is_text(one["study"])
        and _is_count(one["trial"])
        and _is_object(one["values"])
        and _is_number(one["value"])
        for one in value
    )


def _is_count_or_none(value: Any) -> bool:
    return value is None or _is_count(value)


def _is_object_or_none(value: Any) -> bool:
    return value is None or isinstance(value, dict)


def _is_config(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(section, dict) for section in value.values())


EXPECTED: dict[Check, str] = {
    _is_count: "a whole number, 0 or more",
    _is_large_count: "a whole number, 0 or more",
    _is_number: "a number",
    _is_number_or_none: "a number or null",
    _are_numbers_or_none: "a list of numbers and nulls",
    _is_time: "seconds since 1970",
    _is_text: "text",
    _is_text_or_none: "text or null",
    _are_texts: "a list of texts",
    _is_object: "an object",
    _is_promotion_or_none: "level, trial and value, or null",
    _are_proposals: "a list of objects with values, sampler_state and perhaps repeats",
    _are_start_points: "a list of objects with values and origin",
    _are_observations: "a list of objects with study, trial, values and value",
    _are_repeats: "a list of objects with trial, values and sampler_state",
    _is_count_or_none: "a whole number or null",
    _is_object_or_none: "an object or null",
    _is_config: "an object of objects",
}

EVENTS: dict[str, dict[str, Check]] = {
    "run": {
        "classes": _are_texts,
        "num_trials": _is_count_or_none,
        "environment": _is_object,
        "limits": _is_object,
        "judged_labels": _is_object,
        "runs_per_config": _is_count,
        "every_run": _is_flag,
    },
    "lost": {"config_number": _is_count},
    "proposed": {"first": _is_count, "proposals": _are_proposals},
    "created": {
        "trial": _is_count,
        "values": _is_object,
        "config": _is_config,
        "sampler_state": _is_object,
        "config_number": _is_count_or_none,
        "run": _is_count,
        "computes": _is_text_or_none,
        "repeats": _are_repeats,
        "confirms": _is_count_or_none,
        "promoted": _is_promotion_or_none,
        "origin": _is_text_or_none,
        "proposed": _is_object_or_none,
    },
    "start_points": {"points": _are_start_points},
    "warm_start": {"observations": _are_observations, "notes": _are_texts},
    "exhausted": {},
    "search_ended": {"by": _is_text, "limit": _is_number, "message": _is_text},
    "attempt": {"trial": _is_count, "attempt": _is_count, "gpus": _is_number},
    "epoch": {
        "trial": _is_count,
        "attempt": _is_count,
        "result": _is_object,
        "state": _is_text,
        "test": _is_object_or_none,
        "host": _is_text,
    },
    "saved": {"trial": _is_count, "epoch": _is_count, "checkpoint": _is_text},
    "exploited": {
        "trial": _is_count,
        "epoch": _is_count,
        "source": _is_count,
        "checkpoint": _is_text,
        "values": _is_object,
        "config": _is_config,
    },
    "resumed": {"trial": _is_count, "epoch": _is_count},
    "out_of_memory": {"trial": _is_count, "error": _is_text},
    "ended": {"trial": _is_count, "state": _is_text, "error": _is_text_or_none, "sampler_state": _is_object},
}

OF_ANY: dict[str, Check] = {"time": _is_time}
"""What an event of any kind holds, also one of a later version."""

CHECKS = {kind: checks | OF_ANY for kind, checks in EVENTS.items()}

RESULT: dict[str, Check] = {
    "epoch": _is_count,
    "best_epoch": _is_count,
    "phase": _is_text,
    "train_loss": _is_number,
    "val_map": _is_number_or_none,
    "val_map_true": _is_number_or_none,
    "val_map_observed": _is_number_or_none,
    "val_map_raw": _is_number_or_none,
    "val_map_averaged": _is_number_or_none,
    "val_ap_C": _are_numbers_or_none,
    "best_val_map": _is_number_or_none,
    "objective": _is_number_or_none,
    "best_objective": _is_number_or_none,
    "rejection_rate": _is_number_or_none,
    "num_distrusted": _is_large_count,
    "distrust_precision": _is_number_or_none,
    "distrust_recall": _is_number_or_none,
    "loss_true_positive": _is_number_or_none,
    "loss_true_negative": _is_number_or_none,
    "loss_false_negative": _is_number_or_none,
    "train_seconds": _is_number,
    "validation_seconds": _is_number,
    "trained_together": _is_count,
}

TEST: dict[str, Check] = {"best_epoch": _is_count, "test_map": _is_number_or_none, "test_ap_C": _are_numbers_or_none}


def check_form(event: Mapping[str, Any]) -> None:
    """Check the values of an event's keys.

    Raises:
        ValueError: one is of another kind, or an epoch has no number or no mAP.
    """
    _check(event, CHECKS.get(event["event"], OF_ANY), "")
    if event["event"] != "epoch":
        return
    if missing := [key for key in ("epoch", "val_map") if key not in event["result"]]:
        raise ValueError(f"no key result.{missing[0]}")
    _check(event["result"], RESULT, "result.")
    if event.get("test") is not None:
        _check(event["test"], TEST, "test.")


def _check(values: Mapping[str, Any], checks: Mapping[str, Check], prefix: str) -> None:
    for key, check in checks.items():
        if key in values and not check(values[key]):
            raise ValueError(f"{prefix}{key}: expected {EXPECTED[check]}, got {values[key]!r:.60}")
