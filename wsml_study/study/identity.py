"""What makes two studies, or two trials, the same: everything that decides results, and nothing else."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from wsml_study.study.spec import Study, TrialConfig
from wsml_study.study.writing import flow

DECIDES_NO_RESULT = frozenset(
    {"name", "trials", "confirm", "retries", "resources", "storage", "provenance", "tracking"}
)
"""Sections that say how much of a study runs, on what, and what it is called. A trial's batches are global, so what it
computes does not depend on how many workers share them. Where the data lies (`data.root`) decides nothing either."""


def canonical(description: Study | TrialConfig) -> str:
    """JSON of all that decides results: sorted keys, defaults spelled out, absent values left out.

    A later version may add a key that is absent by default without changing what this returns.
    """
    return _json(_deciding(description))


def fingerprint(description: Study | TrialConfig) -> str:
    """Sixteen hexadecimal digits of the SHA-256 of `canonical`; equal for equal results, seeds included."""
    return hashlib.sha256(canonical(description).encode()).hexdigest()[:16]


def without_seeds(config: TrialConfig) -> str:
    """As `fingerprint`, but equal for configs that differ in their seeds of training and hidden labels alone."""
    observe = config.data.observe.model_copy(update={"seed": 0})
    data, training = config.data.model_copy(update={"observe": observe}), config.training.model_copy(update={"seed": 0})
    return fingerprint(config.model_copy(update={"data": data, "training": training}))


def differences(old: Study | TrialConfig, new: Study | TrialConfig) -> list[str]:
    """What decides results and differs, one line per dotted key, such as `training.epochs: 10 -> 20`.

    A searched key's whole entry counts as one value. Empty exactly when the fingerprints are equal.
    """
    before, after = dict(_leaves(_deciding(old))), dict(_leaves(_deciding(new)))
    keys = [*before, *(key for key in after if key not in before)]
    changed = (key for key in keys if _json(before.get(key)) != _json(after.get(key)))
    return [f"{key}: {_shown(before, key)} -> {_shown(after, key)}" for key in changed]


def _json(content: Any) -> str:
    return json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)


def _deciding(description: Study | TrialConfig) -> dict[str, Any]:
    content = description.model_dump(mode="json", exclude_none=True, exclude={"data": {"root"}})
    return {key: value for key, value in content.items() if key not in DECIDES_NO_RESULT}


def _leaves(content: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in content.items():
        if isinstance(value, Mapping) and prefix != "search.":
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _shown(leaves: Mapping[str, Any], key: str) -> str:
    return flow(leaves[key]) if key in leaves else "absent"
