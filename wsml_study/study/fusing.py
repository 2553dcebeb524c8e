"""Which trials can be trained as one: those whose heads alone learn, from the same features in equal batches."""

from __future__ import annotations

from typing import Any

from wsml_study.study.spec import DatasetName, TrialConfig

OF_EACH_TRIAL: dict[str, Any] = {
    "data": {"observe"},
    "method": True,
    "training": {
        "seed",
        "optimizer",
        "learning_rate",
        "head_learning_rate_multiplier",
        "momentum",
        "weight_decay",
    },
}
"""What may differ between trials that are trained as one."""


def learns_head_alone(config: TrialConfig) -> bool:
    """Whether a trial has a head on features from its first epoch to its last."""
    return config.training.mode == "linear" or config.data.dataset is DatasetName.FEATURES


def can_train_as_one(one: TrialConfig, other: TrialConfig) -> bool:
    """Whether two trials can be trained as one."""
    return learns_head_alone(one) and _in_common(one) == _in_common(other)


def _in_common(config: TrialConfig) -> dict[str, Any]:
    return config.model_dump(exclude=OF_EACH_TRIAL)
