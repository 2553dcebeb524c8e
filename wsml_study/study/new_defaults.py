"""Defaults of new studies that differ from what earlier versions did, whose studies lack the key.

A config without such a key means what earlier versions did, so that their studies, trials and checkpoints keep their
meaning and their fingerprints. A new study gets the key with today's default before it is recorded.
"""

from __future__ import annotations

from wsml_study.study.fidelity_section import Level
from wsml_study.study.spec import Study, TrialConfig

MODE, HAND_OVER, PROMOTE = "training.mode", "training.hand_over", "promote"


def with_new_defaults(study: Study, recorded: Study | None = None) -> Study:
    """The study with the keys that it leaves unsaid and that are newer than studies that were recorded without them.

    These are `training.hand_over: best` if it has trials of `linear_init`, and `early_stopping.promote: true` if its
    rule takes that. A config with provenance comes from a recorded trial: it says what that trial did, by the absence
    of the key too.

    Args:
        study: as its file has it.
        recorded: the same study as it was begun; what it leaves unsaid stays so. None for a study that is new.
    """
    if study.provenance is not None:
        return study
    if promote_is_unsaid(study) and (recorded is None or not promote_is_unsaid(recorded)):
        study = study.model_copy(update={"early_stopping": study.early_stopping.model_copy(update={PROMOTE: True})})
    if recorded is not None and hand_over_is_unsaid(recorded):
        return study
    if _base_is_unsaid(study):
        study = study.model_copy(update={"training": study.training.model_copy(update={"hand_over": "best"})})
    if study.fidelity is None:
        return study
    return study.model_copy(update={"fidelity": tuple(map(_with_hand_over, study.fidelity))})


def promote_is_unsaid(study: Study) -> bool:
    """Whether the early stopping rule can let paused trials go on, and the study does not say whether it does."""
    takes_it = any(option.key == PROMOTE for option in study.early_stopping.record.options)
    return takes_it and getattr(study.early_stopping, PROMOTE) is None


def hand_over_is_unsaid(study: Study) -> bool:
    """Whether a study, or a level of it, has trials of `linear_init` and does not say which head they hand over."""
    return _base_is_unsaid(study) or any(map(_level_is_unsaid, study.fidelity or ()))


def _base_is_unsaid(study: Study) -> bool:
    searched = study.search.get(MODE)
    modes = (study.training.mode,) if searched is None else searched.choice or ()
    return "linear_init" in modes and study.training.hand_over is None and HAND_OVER not in study.search


def explicit(config: TrialConfig) -> TrialConfig:
    """The config of a recorded trial as a new study says it: `hand_over: last` where absence meant that."""
    if config.training.mode != "linear_init" or config.training.hand_over is not None:
        return config
    return config.model_copy(update={"training": config.training.model_copy(update={"hand_over": "last"})})


def _level_is_unsaid(level: Level) -> bool:
    return level.set.get(MODE) == "linear_init" and HAND_OVER not in level.set


def _with_hand_over(level: Level) -> Level:
    if not _level_is_unsaid(level):
        return level
    return level.model_copy(update={"set": {**level.set, HAND_OVER: "best"}})
