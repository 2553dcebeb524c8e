"""The labels that a study's images are judged by, counted when a run begins and noted in its log."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from wsml_study.data.judged_labels import JudgedLabels, positives_likelier
from wsml_study.data.validation_labels import LabelChoice
from wsml_study.record.score_files import PartialLabels
from wsml_study.study.spec import Study
from wsml_study.training.trial_data import TrialData
from wsml_study.tuning.planned import PlannedTrial

COLUMNS = {
    "num_positives": "positives_C",
    "num_negatives": "negatives_C",
    "num_assumed_negative": "assumed_C",
    "num_left_out": "left_out_C",
}
"""Columns of the table `classes`, and the attributes of `JudgedLabels` that they hold."""


def judged_labels(study: Study, data: TrialData, plan: Sequence[PlannedTrial] = ()) -> dict[str, Any]:
    """Numbers of labels by class: of the test images as `test`, of the validation images by the choice of labels.

    Also `positives_likelier`, where trials are judged by known labels. Observed validation labels are left out if
    trials of the plan, such as those of a confirmation, hide others.
    """
    validation, test = data.validation, data.test
    choices = _choices(study)
    if study.data.observe.hides_labels and any(one.config.data.observe != study.data.observe for one in plan):
        choices = tuple(choice for choice in choices if choice == "clean")
    counts = {"test": JudgedLabels.count(test.truth_MC)}
    for choice in choices:
        labels_MC = validation.truth_MC if choice == "clean" else validation.observed_MC
        counts[str(choice)] = JudgedLabels.count(labels_MC, choice=validation.epoch_choice(choice))
    found: dict[str, Any] = {
        name: {column: list(getattr(one, attribute)) for column, attribute in COLUMNS.items()}
        for name, one in counts.items()
    }
    if [validation.epoch_choice(choice) for choice in choices] == ["known"]:
        ratio = positives_likelier(validation.observed_MC, [validation.truth_MC, test.truth_MC])
        found["positives_likelier"] = ratio
    return found


def partial_labels(study: Study, data: TrialData) -> PartialLabels | None:
    """The validation labels of a study whose trials partial labels judge, for people to be asked about the others.

    None where labels are complete, or trials are judged by clean ones.
    """
    validation = data.validation
    if not any(validation.is_partial(choice) for choice in _choices(study)):
        return None
    return PartialLabels(
        names=tuple(validation.names_N[row] for row in validation.rows_M),
        classes=data.classes,
        states_MC=validation.observed_MC,
        images=data.validation_images,
    )


def _choices(study: Study) -> tuple[LabelChoice, ...]:
    """The choices of validation labels that trials are judged by; several where they are searched."""
    searched = study.search.get("data.validation.labels")
    return (study.data.validation.labels,) if searched is None else tuple(searched.choice or ())  # type: ignore[arg-type]
