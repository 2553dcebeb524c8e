"""Which trials can be trained together: linear probes on the same features, in batches of the same size."""

from __future__ import annotations

from wsml_study.data.reader_record import Reads
from wsml_study.study.data_section import Data
from wsml_study.study.spec import TrialConfig
from wsml_study.study.training_section import Training

OF_EACH_TRIAL = frozenset(
    {"seed", "optimizer", "learning_rate", "head_learning_rate_multiplier", "momentum", "weight_decay"}
)
"""Keys of `training` that may differ between trials trained in one batch; `method`, `data.observe` and
`data.pseudo_labels` may as well."""

_DATA_IN_COMMON = tuple(Data.model_fields.keys() - {"observe", "pseudo_labels"})
_TRAINING_IN_COMMON = tuple(Training.model_fields.keys() - OF_EACH_TRIAL)


def is_linear_probe(config: TrialConfig) -> bool:
    """Whether a trial is a linear probe: it trains only a linear head on fixed features, in every epoch."""
    return config.training.mode == "linear" or config.data.record.reads is Reads.FEATURE_FILES


def is_stackable(config: TrialConfig) -> bool:
    """Whether `FusedTraining` can train a trial: a linear probe with the optimization that stacks have."""
    return is_linear_probe(config) and not config.training.recipe


def can_train_together(one: TrialConfig, other: TrialConfig) -> bool:
    """Whether `FusedTraining` can train two trials in one batch."""
    return (
        is_stackable(one)
        and is_stackable(other)
        and (one.model, one.objective) == (other.model, other.objective)
        and all(getattr(one.data, key) == getattr(other.data, key) for key in _DATA_IN_COMMON)
        and all(getattr(one.training, key) == getattr(other.training, key) for key in _TRAINING_IN_COMMON)
    )
