"""What a study will run, determined without running it: data, search space, distrusted labels, trials, resources."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from wsml_study.data.dataset import Dataset
from wsml_study.data.inspection import unreadable_formats
from wsml_study.data.judged_classes import some_names, unjudged
from wsml_study.data.judged_labels import positives_likelier
from wsml_study.data.label_states import (
    NEGATIVE,
    POSITIVE,
    LabelCounts,
    count_labels,
    dense_rows,
    judged_classes,
    shown_classes,
)
from wsml_study.data.observation import train_and_validation_rows, training_labels
from wsml_study.data.validation_labels import EpochChoice, epoch_choice, incomplete, validation_labels
from wsml_study.record.line_width import NARROW, fitted
from wsml_study.report.distrusted_labels import (
    BATCH_SIZE,
    MOST_EPOCHS,
    DifferentTrainings,
    DistrustedLabels,
    different_trainings,
    distrusted_labels,
)
from wsml_study.report.estimated_ranges import range_lines, with_estimated_ranges
from wsml_study.report.failing_methods import failing_methods
from wsml_study.report.observation_text import observation, train_share
from wsml_study.report.run_preview import run_lines
from wsml_study.report.score_text import score_lines
from wsml_study.report.search_preview import factor_lines, search_lines
from wsml_study.report.study_dataset import dataset_of
from wsml_study.results.label_texts import labels_text, likelier_text
from wsml_study.study.data_section import Data, Observe
from wsml_study.study.factors import proposed_space
from wsml_study.study.new_defaults import with_new_defaults
from wsml_study.study.search_space import longest_training
from wsml_study.study.spec import Study

FEW_TRAININGS = 10
"""Fewer different trainings in a searched rate are remarked on."""

MOST_NAMES = 40
"""Classes whose names are shown."""

EMPTY = {
    "validation": ": no trial can be evaluated, so `run` refuses the study; change fraction or seed of data.validation",
    "test": ": test mAP will be empty",
}
"""The consequence if a split determines the AP of no class."""

MOST_ROWS = 16
"""Rows of counts that are shown; a search over more shapes and methods than that is cut."""


@dataclass(frozen=True, kw_only=True)
class Preview:
    """What a study will run.

    Attributes:
        study: as read, with the defaults of a new study.
        classes: names, in the order of the label columns.
        notices: the reader's remarks about the data.
        judged: whether each class has an AP that depends on the scores, by the split's name: some images
            are known to show it, and others not to.
        unseen: classes without an observed positive among the training labels.
        never_shown: classes that no image of any split is known to show.
        splits: what is known and what can be seen of the labels of each split, by the split's name.
        distrusted: at both ends of the searched rates.
        different: how many different trainings the searched rates hold.
        num_combinations: of searched values; None for infinitely many.
        failing: why trials of some methods cannot start on these labels, a sentence each.
        positives_likelier: than negatives to be known in validation, as the function of that name has it.
        image_size, num_channels: of the dataset's images by default, pixels of a side; None for given features.
    """

    study: Study
    classes: tuple[str, ...]
    notices: tuple[str, ...]
    splits: dict[str, LabelCounts]
    judged: dict[str, tuple[bool, ...]]
    unseen: tuple[str, ...]
    never_shown: tuple[str, ...]
    distrusted: tuple[DistrustedLabels, ...]
    different: tuple[DifferentTrainings, ...]
    num_combinations: int | None
    failing: tuple[str, ...]
    image_size: int | None
    num_channels: int | None
    positives_likelier: float | None = None

    @property
    def expected_false_negatives(self) -> float | None:
        """(m - 1) / (C - 1), m the true positives per training image; None unless one positive is kept and no negative.

        Expected share of false negatives among the unobserved training labels: a centre for the search of rates.
        """
        observe, positives = self.study.data.observe, self.splits["train"].positives_per_image
        one_positive = Observe(seed=observe.seed)
        if observe != one_positive or positives is None or len(self.classes) < 2:
            return None
        return (positives - 1) / (len(self.classes) - 1)

    def lines(self) -> list[str]:
        """The preview as text of at most 80 columns, but for wide tables."""
        sections = [
            _data_lines(self),
            [*search_lines(self.study, self.num_combinations), *(f"  {line}" for line in range_lines(self.study))],
            factor_lines(self.study),
            _distrusted_lines(self),
            run_lines(self.study),
            _failing_lines(self),
        ]
        lines = [f"study {self.study.name}", *(line for section in sections if section for line in ("", *section))]
        return [part for line in lines for part in fitted(line, NARROW)]


def preview(study: Study) -> Preview:
    """Read the data and the search space of a study.

    Raises:
        DataError: images or labels are missing or malformed.
    """
    study = with_new_defaults(study)
    data = study.data
    dataset = dataset_of(data)
    study = with_estimated_ranges(study, dataset)
    splits, seen_C = _count_splits(dataset, study.data)
    return Preview(
        study=study,
        classes=dataset.classes,
        notices=(*dataset.notices, *unreadable_formats(dataset), *score_lines(dataset, data)),
        splits=splits,
        judged=_judged(dataset, study),
        unseen=tuple(name for name, seen in zip(dataset.classes, seen_C, strict=True) if not seen),
        never_shown=_never_shown(dataset),
        distrusted=distrusted_labels(study, splits["train"]),
        different=different_trainings(study, splits["train"]),
        num_combinations=proposed_space(study).size(),
        failing=failing_methods(
            study, num_negatives=splits["train"].observed_negatives, mirrors=dataset.horizontal_flip
        ),
        image_size=dataset.image_size,
        num_channels=dataset.channels,
        positives_likelier=_positives_likelier(dataset, data),
    )


def _count_splits(dataset: Dataset, data: Data) -> tuple[dict[str, LabelCounts], list[bool]]:
    """The labels of each split, and whether each class has an observed positive in training.

    Labels are hidden first and validation images held out then, as in training; test labels are never hidden.
    """
    truth_NC = dataset.train.labels_NC
    observed_NC = training_labels(dataset, **data.observe.model_dump())
    train, validation = train_and_validation_rows(
        dataset,
        data.validation.fraction,
        data.validation.seed,
        hold_out=data.holds_out,
        share=data.train_share,
    )
    trained_NC = observed_NC[train]
    counts = {
        "train": count_labels(truth_NC[train], trained_NC),
        "validation": count_labels(truth_NC[validation], observed_NC[validation]),
        "test": count_labels(dataset.test.labels_NC, dataset.test.labels_NC),
    }
    return counts, shown_classes(trained_NC).tolist()


def _judged(dataset: Dataset, study: Study) -> dict[str, tuple[bool, ...]]:
    """Whether the validation images, and the test images, determine the AP of each class.

    Raises:
        DataError: no choice of validation images determines the AP of any class.
    """
    data = study.data
    least = study.objective.least_positives
    judged = {"test": tuple(judged_classes(dataset.test.labels_NC, least_positives=least).tolist())}
    _, validation = train_and_validation_rows(
        dataset,
        data.validation.fraction,
        data.validation.seed,
        hold_out=data.holds_out,
        share=data.train_share,
    )
    if not len(validation):
        return judged
    labels_NC, by_truth = dataset.train.labels_NC, data.validation.by_truth
    error = incomplete(data.record, truth_MC := dense_rows(labels_NC, validation))
    if error is not None and by_truth and study.provenance is None:
        raise error
    if not by_truth:
        labels_NC = training_labels(dataset, **data.observe.model_dump())
    observed_MC = dense_rows(labels_NC, validation)
    choice = epoch_choice(
        data.validation.labels,
        num_positives=int((observed_MC == POSITIVE).sum()),
        num_negatives=int((observed_MC == NEGATIVE).sum()),
    )
    labels_MC = validation_labels(choice, truth_MC=truth_MC, observed_MC=observed_MC)
    if choice == "observed":
        possible_C = shown_classes(labels_NC, least_positives=least)
    else:
        possible_C = judged_classes(labels_NC, least_positives=least)
    if not possible_C.any() and "data.validation.labels" not in study.varied:
        record = study.objective.record
        error = unjudged(
            dataset.classes,
            labels_NC,
            metric=record.name,
            least_positives=least if record.over_classes else 1,
            notices=dataset.notices,
        )
        if error is not None:
            raise error
    return {"validation": tuple(judged_classes(labels_MC, least_positives=least).tolist()), **judged}


def _positives_likelier(dataset: Dataset, data: Data) -> float | None:
    """Than negatives to be known, of the validation images."""
    truth_NC = dataset.train.labels_NC
    observed_NC = training_labels(dataset, **data.observe.model_dump())
    _, rows = train_and_validation_rows(
        dataset, data.validation.fraction, data.validation.seed, hold_out=data.holds_out, share=data.train_share
    )
    test_MC = dense_rows(dataset.test.labels_NC, np.arange(len(dataset.test)))
    return positives_likelier(dense_rows(observed_NC, rows), [dense_rows(truth_NC, rows), test_MC])


def _never_shown(dataset: Dataset) -> tuple[str, ...]:
    shown_C = shown_classes(dataset.train.labels_NC) | shown_classes(dataset.test.labels_NC)
    return tuple(name for name, found in zip(dataset.classes, shown_C, strict=True) if not found)


def _data_lines(shown: Preview) -> list[str]:
    data = shown.study.data
    source = "" if data.root is None else f" in {data.root}"
    thing = "image" if data.features is None else "row"
    whole = all(counts.num_true == counts.num_images * counts.num_classes for counts in shown.splits.values())
    positives = f"positives per {thing}" if whole else f"known positives per {thing}"
    heading = ["", f"{thing}s", positives, "observed positives", "observed negatives"]
    rows = [[name, *_split_cells(counts)] for name, counts in shown.splits.items()]
    return [
        f"data: {data.dataset}{source}, {len(shown.classes)} classes",
        *_table([heading, *rows]),
        *_share_lines(shown),
        *_class_lines(shown),
        *_partial_label_lines(shown),
        *(f"  {notice}" for notice in shown.notices),
        *_scaling_lines(shown.study),
        *(() if data.train_share is None else (f"  {train_share(data)}",)),
        f"  {observation(data.observe)}",
    ]


def _class_lines(shown: Preview) -> list[str]:
    """Names of the classes, and which of them each split can evaluate."""
    names = ", ".join(shown.classes[:MOST_NAMES])
    more = f" and {len(shown.classes) - MOST_NAMES:,} more" if len(shown.classes) > MOST_NAMES else ""
    lines = [f"  classes: {names}{more}"]
    counts = [f"{sum(judged):,} of {len(judged):,} in {split}" for split, judged in shown.judged.items()]
    least = shown.study.objective.least_positives
    some = "some images" if least <= 1 else f"{least:,} images or more"
    mean = "" if all(map(all, shown.judged.values())) else f"; mAP is the mean over {_mean_over(least)}"
    lines.append(
        f"  classes that can be evaluated ({some} show them, others are known not to): {', '.join(counts)}{mean}"
    )
    if shown.unseen:
        lines.append(f"  train has no observed positive of {some_names(shown.unseen)}")
    for split, judged in shown.judged.items():
        lacking = [name for name, found in zip(shown.classes, judged, strict=True) if not found]
        if lacking:
            empty = EMPTY[split] if len(lacking) == len(judged) else ""
            if split == "validation" and shown.study.objective.record.name != "map":
                empty = ""
            lines.append(f"  {split} cannot evaluate {some_names(lacking)}{empty}")
    if shown.never_shown:
        lines.append(f"  no image of any split shows {some_names(shown.never_shown)}")
    return lines


def _partial_label_lines(shown: Preview) -> list[str]:
    """On how many labels figures will be judged, where these are partial, and the likely error of that."""
    choice, texts = _epoch_choice(shown), []
    for split, counts in shown.splits.items():
        if split == "train" or not counts.num_images:
            continue
        by_truth = split == "test" or choice == "clean"
        num_known = counts.num_true if by_truth else counts.num_observed
        assumed = choice == "observed" and not by_truth
        if text := labels_text(num_known, counts.num_images * counts.num_classes, assumed=assumed):
            texts.append(f"{text} in {split}")
    lines = [f"  figures will be judged on {'; '.join(texts)}"] if texts else []
    validation = shown.splits["validation"]
    partial = validation.num_observed < validation.num_images * validation.num_classes
    if choice == "observed" and partial:
        lines.append("  a model that finds an unlabelled positive in validation counts as wrong: mAP is stated too low")
    if choice == "known" and partial:
        lines.append(f"  {likelier_text(shown.positives_likelier) or _if_by_chance(validation)}")
    if shown.study.data.validation.by_estimate:
        lines.append(
            f"  trials are ranked by mAP over what unobserved labels probably are; epochs by `{choice}` labels"
        )
    if choice != "clean" and partial and shown.study.objective.record.name == "map":
        lines.append(
            "  after the run, `wsml-study ask STUDY --answers 100` asks about the labels that decide most, and trials "
            "are ranked by the answers"
        )
    return lines


def _epoch_choice(shown: Preview) -> EpochChoice:
    """What the epochs of trials will be judged by."""
    known = shown.splits["validation"]
    return epoch_choice(
        shown.study.data.validation.labels,
        num_positives=known.observed_positives,
        num_negatives=known.observed_negatives,
    )


def _if_by_chance(validation: LabelCounts) -> str:
    """What the known labels say of all of them if labels are missing by chance, so that a reader can judge that."""
    share = validation.observed_positives / max(1, validation.num_observed)
    return (
        f"if labels are missing by chance, validation images show {share * validation.num_classes:.1f} of "
        f"{validation.num_classes:,} classes on average; if they show fewer, positives are likelier to be labelled, "
        f"and mAP on the known labels alone is too high"
    )


def _mean_over(least_positives: int) -> str:
    return "these" if least_positives else "all of them, 0 for those without a positive"


def _scaling_lines(study: Study) -> list[str]:
    """How given features are scaled."""
    if study.data.features is None or "data.feature_scaling" in study.varied:
        return []
    if study.data.feature_scaling == "none":
        return ["  features are used unscaled"]
    return ["  features get mean 0 and deviation 1 over the training rows"]


def _split_cells(counts: LabelCounts) -> list[str]:
    positives = counts.positives_per_image
    per_image = "-" if positives is None else f"{positives:.2f}"
    return [f"{counts.num_images:,}", per_image, f"{counts.observed_positives:,}", f"{counts.observed_negatives:,}"]


def _share_lines(shown: Preview) -> list[str]:
    train, expected = shown.splits["train"], shown.expected_false_negatives
    counted = train.false_negative_share
    if counted is None:
        if train.num_observed == train.num_images * train.num_classes:
            return [f"  no training label is unobserved, so there is none to distrust: {_hiding(shown.study.data)}"]
        return ["  the true values of the unobserved training labels are unknown, so false negatives cannot be counted"]
    by_formula = "" if expected is None else f", {expected:.2%} by (m-1)/(C-1)"
    num_unknown = train.num_images * train.num_classes - train.num_true
    unknown = f", leaving out {num_unknown:,} of unknown truth" if num_unknown else ""
    return [f"  false negatives among the unobserved training labels: {counted:.2%} as counted{unknown}{by_formula}"]


def _hiding(data: Data) -> str:
    """How labels become unobserved."""
    listed = data.labels is not None and data.labels.unlisted == "negative"
    return "hide some with data.observe" + (", or say `unlisted: unobserved` under data.labels" if listed else "")


def _distrusted_lines(shown: Preview) -> list[str]:
    if not shown.distrusted:
        return []
    batch = "" if BATCH_SIZE in shown.study.varied else f" of {shown.study.training.batch_size} images"
    num_epochs = longest_training(shown.study)
    which = f"by epoch, the first {MOST_EPOCHS:,} of {num_epochs:,}" if num_epochs > MOST_EPOCHS else "by epoch"
    lines = [f"k, the labels distrusted in a batch{batch} ({len(shown.classes)} classes), {which}"]
    rows = shown.distrusted[:MOST_ROWS]
    names = [f"  {', '.join(row.methods)}" for row in rows]
    epochs = _epochs_that_fit(rows, NARROW - max(map(len, [*names, "epoch"])) - 4)
    cells = [[_count(row.count_by_epoch[epoch - 1]) for epoch in epochs] for row in rows]
    header, *table = _table(
        [["epoch", *map(str, epochs)], *([name, *row] for name, row in zip(names, cells, strict=True))]
    )
    lines.append(header)
    for setting, group in itertools.groupby(zip(rows, table, strict=True), key=_setting_of):
        lines.append(f"  {setting}")
        lines += [line for _, line in group]
    num_left_out = len(shown.distrusted) - len(rows)
    return [*lines, *([f"  ... and {num_left_out} more"] if num_left_out else []), *_different_lines(shown)]


def _different_lines(shown: Preview) -> list[str]:
    """How many different trainings a searched rate holds, if the study could try as many."""
    lines = []
    for key, group in itertools.groupby(shown.different, key=lambda one: one.key):
        few = [f"{one.method} {one.number}" for one in group if one.number < min(FEW_TRAININGS, shown.study.trials)]
        if few:
            text = (
                f"  {key} holds few different trainings, since k is a whole number: {', '.join(few)}. Trials that are "
                f"equal run once; a larger training.batch_size tells more rates apart"
            )
            lines.append(text)
    return lines


def _count(number: int | Fraction) -> str:
    return str(number) if isinstance(number, int) else f"{float(number):.1f}"


def _setting_of(row: tuple[DistrustedLabels, str]) -> str:
    return row[0].setting


def _epochs_that_fit(rows: Sequence[DistrustedLabels], width: int) -> list[int]:
    """All epochs, or as many as fit, evenly spread, the first and the last among them."""
    num_epochs = len(rows[0].count_by_epoch)
    widest = max(len(_count(count)) for row in rows for count in (*row.count_by_epoch, num_epochs))
    num_shown = min(num_epochs, max(2, width // (widest + 2)))
    if num_shown == num_epochs:
        return list(range(1, num_epochs + 1))
    return [1 + round(position * (num_epochs - 1) / (num_shown - 1)) for position in range(num_shown)]


def _failing_lines(shown: Preview) -> list[str]:
    return ["`run` refuses the study:", *(f"  {reason}" for reason in shown.failing)] if shown.failing else []


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines with the first column to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for first, *others in rows:
        cells = [f"{first:<{widths[0]}}", *(f"{cell:>{width}}" for cell, width in zip(others, widths[1:], strict=True))]
        lines.append(f"  {'  '.join(cells)}")
    return lines
