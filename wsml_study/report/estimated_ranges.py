"""Reads the data of a study that leaves the range of its rejection rate to them, and says what they give."""

from __future__ import annotations

from pathlib import Path

from wsml_study.data.dataset import Dataset
from wsml_study.data.false_negatives import FalseNegatives, ObservedCounts, false_negatives
from wsml_study.data.label_states import dense_rows
from wsml_study.data.observation import train_and_validation_rows, training_labels
from wsml_study.data.validation_labels import EpochChoice, validation_labels
from wsml_study.errors import DataError, ResultsError
from wsml_study.report.study_dataset import dataset_of
from wsml_study.results.answered_runs import read_hidden_positives
from wsml_study.study.rate_ranges import open_ranges, with_range
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
    if dataset is None:
        dataset = dataset_of(study.data)
    for key in keys:
        study = with_range(study, key, _estimated(study, key, dataset))
    return study


def _estimated(study: Study, key: str, dataset: Dataset) -> Estimated:
    data, auto = study.data, study.search[key].auto
    truth_NC = dataset.train.labels_NC
    observed_NC = training_labels(dataset, **data.observe.model_dump())
    train, validation = train_and_validation_rows(
        dataset, data.validation.fraction, data.validation.seed, hold_out=data.holds_out, share=data.train_share
    )
    observed = ObservedCounts.of(observed_NC[train])
    try:
        if isinstance(auto, str):
            return _by_answers(Path(auto), observed)
        # `observed` takes the unobserved for negative, which tells nothing of them.
        choice: EpochChoice = "clean" if data.validation.labels == "clean" else "known"
        validation_MC = validation_labels(
            choice, truth_MC=dense_rows(truth_NC, validation), observed_MC=dense_rows(observed_NC, validation)
        )
        return _rounded(false_negatives(observed, validation_MC))
    except (DataError, ResultsError) as error:
        instead = "give a range, such as `float: {low: 0.0005, high: 0.02, log: true}`"
        by_answers = "" if isinstance(auto, str) else ", or the folder of an earlier study that people have answered"
        raise DataError(f"search.{key}: {error}; {instead}{by_answers}") from error


def _by_answers(folder: Path, observed: ObservedCounts) -> Estimated:
    """The share among the unobserved validation labels of an earlier study, taken for that of the training labels."""
    found, num_answers = read_hidden_positives(folder)
    unobserved = float(observed.unobserved_C.sum() / observed.total)
    basis = f"{num_answers:,} answers about validation images of {folder.name}"
    return _rounded(
        FalseNegatives(
            share=found.share * unobserved, low=found.low * unobserved, high=found.high * unobserved, basis=basis
        )
    )


def _rounded(found: FalseNegatives) -> Estimated:
    share, low, high = (round(one, DIGITS) for one in (found.share, found.low, found.high))
    return Estimated(share=share, low=low, high=high, basis=found.basis)


def range_lines(study: Study) -> list[str]:
    """Where the ranges that came from the data come from; empty if none did."""
    return [
        f"{key} is searched from {one.float.low:g} to {one.float.high:g}: {one.auto.text}"
        for key, one in study.search.items()
        if one.float is not None and isinstance(one.auto, Estimated)
    ]
