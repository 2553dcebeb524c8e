"""Fingerprints and differences of studies and trial configs, over exactly the keys that affect results."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from wsml_study.study.spec import Study, TrialConfig
from wsml_study.study.writing import flow

NOT_IN_FINGERPRINT = frozenset(
    {"name", "trials", "budget", "stop_when", "confirm", "retries", "resources", "storage", "provenance", "tracking"}
)
"""Keys without effect on a trial's result: the name, how many trials run, and on what. The batch size is global, so a
result does not depend on the number of workers."""

PLACES = {"data": {"root"}, "sampler": {"folder"}}
"""Section -> keys that say where something is stored, and are left out as well; `sampler.digest` says what is there."""


def canonical(description: Study | TrialConfig) -> str:
    """JSON of all keys that affect results: sorted, with defaults, without absent values.

    A later version may add a key that is absent by default without changing what this returns.
    """
    return _json(_result_keys(description))


def fingerprint(description: Study | TrialConfig) -> str:
    """Sixteen hexadecimal digits of the SHA-256 of `canonical`; equal for equal results, seeds included."""
    return hashlib.sha256(canonical(description).encode()).hexdigest()[:16]


def without_seeds(config: TrialConfig) -> str:
    """As `fingerprint`, but equal for configs that differ only in their seeds of training and hidden labels."""
    observe = config.data.observe.model_copy(update={"seed": 0})
    data, training = config.data.model_copy(update={"observe": observe}), config.training.model_copy(update={"seed": 0})
    return fingerprint(config.model_copy(update={"data": data, "training": training}))


def differences(old: Study | TrialConfig, new: Study | TrialConfig) -> list[str]:
    """Keys that affect results and differ, one line per dotted key, such as `training.epochs: 10 -> 20`.

    An entry of `search` counts as one value. Empty exactly when the fingerprints are equal.
    """
    before, after = dict(_leaves(_result_keys(old))), dict(_leaves(_result_keys(new)))
    keys = [*before, *(key for key in after if key not in before)]
    changed = (key for key in keys if _json(before.get(key)) != _json(after.get(key)))
    return [f"{key}: {_shown(before, key)} -> {_shown(after, key)}" for key in changed]


def _json(content: Any) -> str:
    return json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)


def _result_keys(description: Study | TrialConfig) -> dict[str, Any]:
    content = description.model_dump(mode="json", exclude_none=True, exclude=PLACES)
    return {key: value for key, value in content.items() if key not in NOT_IN_FINGERPRINT}


def _leaves(content: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in content.items():
        if isinstance(value, Mapping) and prefix != "search.":
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _shown(leaves: Mapping[str, Any], key: str) -> str:
    return flow(leaves[key]) if key in leaves else "(not set)"
