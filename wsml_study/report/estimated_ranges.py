"""Reads the data of a study that leaves the range of its rejection rate to them, and says what they give."""

from __future__ import annotations

from wsml_study.data.dataset import Dataset
from wsml_study.data.false_negatives import ObservedCounts, false_negatives
from wsml_study.data.label_states import dense_rows
from wsml_study.data.observation import observed_labels, train_and_validation_rows
from wsml_study.data.readers import read_dataset
from wsml_study.data.validation_labels import LabelChoice, validation_labels
from wsml_study.errors import DataError
from wsml_study.study.rate_ranges import open_ranges, with_ranges
from wsml_study.study.search_section import Estimated
from wsml_study.study.spec import Study

DIGITS = 5
"""Decimals of a share that are recorded."""


def with_estimated_ranges(study: Study, dataset: Dataset | None = None) -> Study:
    """The study with the ranges that its data give; unchanged if it leaves none to them.

    Args:
        study: of the search.
        dataset: its data; None reads them.

    Raises:
        DataError: the data cannot be read, or do not tell the share of false negatives.
        StudyFileError: about no label is a false negative.
    """
    keys = open_ranges(study)
    if not keys:
        return study
    data = study.data
    if dataset is None:
        dataset = read_dataset(
            data.dataset, root=data.root, labels=data.labels, features=data.features, **data.reader_options
        )
    truth_NC = dataset.train.labels_NC
    observed_NC = observed_labels(truth_NC, **data.observe.model_dump())
    train, validation = train_and_validation_rows(
        dataset, data.validation.fraction, data.validation.seed, hold_out=data.holds_out, share=data.train_share
    )
    # `observed` takes the unobserved for negative, which tells nothing of them.
    choice: LabelChoice = "clean" if data.validation.labels == "clean" else "known"
    validation_MC = validation_labels(
        choice, truth_MC=dense_rows(truth_NC, validation), observed_MC=dense_rows(observed_NC, validation)
    )
    try:
        found = false_negatives(ObservedCounts.of(observed_NC[train]), validation_MC)
    except DataError as error:
        instead = "give a range, such as `float: {low: 0.0005, high: 0.02, log: true}`"
        raise DataError(f"search.{keys[0]}: {error}; {instead}") from error
    ends = {name: round(getattr(found, name), DIGITS) for name in ("share", "low", "high")}
    return with_ranges(study, Estimated(basis=found.basis, **ends))


def range_lines(study: Study) -> list[str]:
    """Where the ranges that came from the data come from; empty if none did."""
    found = {key: one for key, one in study.search.items() if isinstance(one.auto, Estimated)}
    return [
        f"{key} is searched from {one.float.low:g} to {one.float.high:g}: {one.auto.text}"
        for key, one in found.items()
        if one.float is not None and isinstance(one.auto, Estimated)
    ]
