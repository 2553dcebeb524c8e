"""Keys of a trial config that population based training may change in mid-training."""

from __future__ import annotations

import json
from typing import Any

from wsml_study.methods.catalogue import METHODS
from wsml_study.options import Kind, limits_by_key
from wsml_study.study.key_rules import value_at
from wsml_study.study.method_section import SCHEDULE_PARAMETERS

PERTURBED = (
    "training.learning_rate",
    "training.head_learning_rate_multiplier",
    "training.weight_decay",
    "training.momentum",
    *(
        f"method.schedule.{key}"
        for key in sorted({key for keys in SCHEDULE_PARAMETERS.values() for key in keys if "rate" in key})
    ),
    *(f"method.{key}" for key, limits in limits_by_key(METHODS.values()).items() if limits.kind is Kind.NUMBER),
)
"""Numbers of a trial config that every epoch reads anew, so that they can change in mid-training. All other keys
define the network, its optimizer or its labels: the state of a trial with other values could not be loaded."""


def fixed_part(config_json: str) -> Any:
    """A trial config as plain content, without the keys that may change in mid-training."""
    content = json.loads(config_json)
    for key in PERTURBED:
        section, _, name = key.rpartition(".")
        (value_at(content, section) or {}).pop(name, None)
    return content
