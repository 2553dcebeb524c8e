"""Defaults of new studies that differ from what earlier versions did, whose studies lack the key.

A config without such a key means what earlier versions did, so that their studies, trials and checkpoints keep their
meaning and their fingerprints. A new study gets the key with today's default before it is recorded.
"""

from __future__ import annotations

from wsml_study.study.fidelity_section import Level
from wsml_study.study.objective_section import EnoughPositives, Objective
from wsml_study.study.spec import Study, TrialConfig

MODE, HAND_OVER, PROMOTE = "training.mode", "training.hand_over", "promote"


def with_new_defaults(study: Study, *, begun_as: Study | None = None) -> Study:
    """The study with keys whose default has changed, where unsaid.

    These are `training.hand_over` if it has trials of `linear_init`, `objective.classes`, and `early_stopping.promote`
    if its rule takes that. A config with provenance comes from a recorded trial: it says what that trial did, by the
    absence of a key too.

    Args:
        study: as its file has it.
        begun_as: the study as its folder recorded it, if that holds trials: what it does not say keeps its old meaning.
    """
    if study.provenance is not None:
        return study
    if promote_is_unsaid(study) and (begun_as is None or not promote_is_unsaid(begun_as)):
        study = study.model_copy(update={"early_stopping": study.early_stopping.model_copy(update={PROMOTE: True})})
    if begun_as is None or begun_as.objective.classes is not None:
        study = study.model_copy(update={"objective": _with_classes(study.objective)})
    elif study.objective.classes == "all":  # what the folder means by the absence of the key
        study = study.model_copy(update={"objective": study.objective.model_copy(update={"classes": None})})
    return study if begun_as is not None and _hand_over_is_unsaid(begun_as) else _with_hand_overs(study)


def is_unsaid(study: Study) -> bool:
    """Whether a study leaves a key out whose default has changed."""
    return study.objective.classes is None or promote_is_unsaid(study) or _hand_over_is_unsaid(study)


def explicit(config: TrialConfig) -> TrialConfig:
    """The config of a recorded trial as a new study says it: what the absence of a key meant is given.

    That is `classes: all`, and with linear_init `hand_over: last`. An objective with the older `min_positives` stays as
    it is.
    """
    objective, training = config.objective, config.training
    if objective.classes is None and objective.older_min_positives is None:
        config = config.model_copy(update={"objective": objective.model_copy(update={"classes": "all"})})
    if training.mode == "linear_init" and training.hand_over is None:
        config = config.model_copy(update={"training": training.model_copy(update={"hand_over": "last"})})
    return config


def _with_classes(objective: Objective) -> Objective:
    """The objective with `classes`: as it says, from the older `min_positives`, or those that are present."""
    if objective.classes is not None:
        return objective
    least = objective.older_min_positives
    if least is None:
        return objective.model_copy(update={"classes": "present"})
    classes = EnoughPositives(min_positives=least) if least else "all"
    return objective.model_copy(update={"classes": classes, "min_positives": None})


def _with_hand_overs(study: Study) -> Study:
    if _base_is_unsaid(study):
        study = study.model_copy(update={"training": study.training.model_copy(update={"hand_over": "best"})})
    if study.fidelity is None:
        return study
    return study.model_copy(update={"fidelity": tuple(map(_with_hand_over, study.fidelity))})


def promote_is_unsaid(study: Study) -> bool:
    """Whether the early stopping rule can let paused trials go on, and the study does not say whether it does."""
    takes_it = any(option.key == PROMOTE for option in study.early_stopping.record.options)
    return takes_it and getattr(study.early_stopping, PROMOTE) is None


def _hand_over_is_unsaid(study: Study) -> bool:
    """Whether a study, or a level of it, has trials of `linear_init` and does not say which head they hand over."""
    return _base_is_unsaid(study) or any(map(_level_is_unsaid, study.fidelity or ()))


def _base_is_unsaid(study: Study) -> bool:
    searched = study.search.get(MODE)
    modes = (study.training.mode,) if searched is None else searched.choice or ()
    return "linear_init" in modes and study.training.hand_over is None and HAND_OVER not in study.search


def _level_is_unsaid(level: Level) -> bool:
    return level.set.get(MODE) == "linear_init" and HAND_OVER not in level.set


def _with_hand_over(level: Level) -> Level:
    if not _level_is_unsaid(level):
        return level
    return level.model_copy(update={"set": {**level.set, HAND_OVER: "best"}})
