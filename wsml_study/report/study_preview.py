"""What a study will run, determined without running it: data, search space, distrusted labels, trials, resources."""

from __future__ import annotations

import itertools
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

from wsml_study.data.dataset import Dataset
from wsml_study.data.inspection import unreadable_formats
from wsml_study.data.judged_classes import some_names, unjudged
from wsml_study.data.label_states import (
    LabelCounts,
    assume_negative,
    count_labels,
    dense_rows,
    judged_classes,
    shown_classes,
)
from wsml_study.data.observation import observed_labels, train_and_validation_rows
from wsml_study.data.readers import read_dataset
from wsml_study.methods.catalogue import describe, missing_options
from wsml_study.report.distrusted_labels import (
    BATCH_SIZE,
    MOST_EPOCHS,
    DifferentTrainings,
    DistrustedLabels,
    different_trainings,
    distrusted_labels,
    extreme_values,
)
from wsml_study.report.expected_power import expected_power
from wsml_study.report.observation_text import observation, train_share
from wsml_study.study.budget_section import Budget
from wsml_study.study.clashes import PROBE_MODES
from wsml_study.study.data_section import Data, Observe
from wsml_study.study.early_stopping_section import EarlyStopping
from wsml_study.study.fidelity import at_level, heading, num_levels
from wsml_study.study.new_defaults import HAND_OVER, with_new_defaults
from wsml_study.study.resources_section import Resources
from wsml_study.study.search_section import FloatRange, IntRange
from wsml_study.study.search_space import SearchedKey, SearchSpace, longest_training
from wsml_study.study.spec import Study, TrialConfig
from wsml_study.study.training_section import LINEAR_EPOCHS
from wsml_study.study.writing import flow

WIDEST = 100
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
        """The preview as text of at most 100 columns."""
        sections = [
            _data_lines(self),
            _search_lines(self),
            _distrusted_lines(self),
            _run_lines(self.study),
            _failing_lines(self),
        ]
        return [f"study {self.study.name}", *(line for section in sections if section for line in ("", *section))]


def preview(study: Study) -> Preview:
    """Read the data and the search space of a study.

    Raises:
        DataError: images or labels are missing or malformed.
    """
    study = with_new_defaults(study)
    data = study.data
    dataset = read_dataset(
        data.dataset,
        root=data.root,
        labels=data.labels,
        features=data.features,
        **data.reader_options,
    )
    splits, seen_C = _count_splits(dataset, study.data)
    return Preview(
        study=study,
        classes=dataset.classes,
        notices=(*dataset.notices, *unreadable_formats(dataset)),
        splits=splits,
        judged=_judged(dataset, study),
        unseen=tuple(name for name, seen in zip(dataset.classes, seen_C, strict=True) if not seen),
        never_shown=_never_shown(dataset),
        distrusted=distrusted_labels(study, splits["train"]),
        different=different_trainings(study, splits["train"]),
        num_combinations=SearchSpace.from_study(study).size(),
        failing=tuple(dict.fromkeys(_failing_methods(study, splits["train"], mirrors=dataset.horizontal_flip))),
        image_size=dataset.image_size,
        num_channels=dataset.channels,
    )


def _count_splits(dataset: Dataset, data: Data) -> tuple[dict[str, LabelCounts], list[bool]]:
    """The labels of each split, and whether each class has an observed positive in training.

    Labels are hidden first and validation images held out then, as in training; test labels are never hidden.
    """
    truth_NC = dataset.train.labels_NC
    observed_NC = observed_labels(truth_NC, **data.observe.model_dump())
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
    labels_NC = dataset.train.labels_NC
    if data.validation.labels == "observed":
        labels_NC = observed_labels(labels_NC, **data.observe.model_dump())
    labels_MC = dense_rows(labels_NC, validation)
    if data.validation.labels == "observed":
        labels_MC = assume_negative(labels_MC)
        possible_C = shown_classes(labels_NC, least_positives=least)
    else:
        possible_C = judged_classes(labels_NC, least_positives=least)
    if not possible_C.any() and "data.validation.labels" not in study.search:
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


def _never_shown(dataset: Dataset) -> tuple[str, ...]:
    shown_C = shown_classes(dataset.train.labels_NC) | shown_classes(dataset.test.labels_NC)
    return tuple(name for name, found in zip(dataset.classes, shown_C, strict=True) if not found)


def _failing_methods(study: Study, train: LabelCounts, *, mirrors: bool) -> Iterator[str]:
    """Why a method that a trial may get cannot be trained on these labels, or without an option."""
    space = SearchSpace.from_study(study)
    for values in extreme_values(study):
        config = space.resolve(study, values)
        name, dataset = config.method.name.value, config.data.dataset.value
        given = config.method.model_dump(exclude={"name", "schedule"})
        if missing := missing_options(name, dataset=dataset, given=given):
            yield f"{name} has no default of {', '.join(missing)} for {dataset}; set method.{missing[0]}"
        if describe(name).needs_observed_negatives and train.observed_negatives == 0:
            yield f"{name} needs observed negatives, and none is observed; set data.observe.negatives to 1 or more"
        remedy = _why_not_mirrored(config, mirrors=mirrors)
        if config.method.given_options.get("pseudo_label_mirroring") and remedy is not None:
            yield f"{name} with pseudo_label_mirroring needs mirrored training images, and there are none; {remedy}"


def _why_not_mirrored(config: TrialConfig, *, mirrors: bool) -> str | None:
    """What to do so that training images are mirrored in every phase; None where they are."""
    if config.data.features is not None:
        return "given features have none; leave the option out"
    if config.training.mode in PROBE_MODES and not config.training.mirror_features:
        return "set training.mirror_features: true"
    flips = mirrors if config.data.horizontal_flip is None else config.data.horizontal_flip
    return None if flips or config.training.mode == "linear" else "set data.horizontal_flip: true"


def _data_lines(shown: Preview) -> list[str]:
    data = shown.study.data
    source = "" if data.root is None else f" in {data.root}"
    thing = "image" if data.features is None else "row"
    heading = ["", f"{thing}s", f"positives per {thing}", "observed positives", "observed negatives"]
    rows = [[name, *_split_cells(counts)] for name, counts in shown.splits.items()]
    return [
        f"data: {data.dataset}{source}, {len(shown.classes)} classes",
        *_table([heading, *rows]),
        *_share_lines(shown),
        *_class_lines(shown),
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
    return [line for text in lines for line in textwrap.wrap(text, WIDEST, subsequent_indent="      ")]


def _mean_over(least_positives: int) -> str:
    return "these" if least_positives else "all of them, 0 for those without a positive"


def _scaling_lines(study: Study) -> list[str]:
    """How given features are scaled."""
    if study.data.features is None or "data.feature_scaling" in study.search:
        return []
    if study.data.feature_scaling == "none":
        return ["  features are used unscaled"]
    return ["  features get mean 0 and deviation 1 over the training rows"]


def _split_cells(counts: LabelCounts) -> list[str]:
    positives = counts.positives_per_image
    per_image = "-" if positives is None else f"{positives:.2f}"
    return [f"{counts.num_images:,}", per_image, f"{counts.observed_positives:,}", f"{counts.observed_negatives:,}"]


def _share_lines(shown: Preview) -> list[str]:
    counted, expected = shown.splits["train"].false_negative_share, shown.expected_false_negatives
    if counted is None:
        train = shown.splits["train"]
        if train.observed_positives + train.observed_negatives == train.num_images * train.num_classes:
            return [f"  no training label is unobserved, so there is none to distrust: {_hiding(shown.study.data)}"]
        return ["  the true values of the unobserved training labels are unknown, so false negatives cannot be counted"]
    by_formula = "" if expected is None else f", {expected:.2%} by (m-1)/(C-1)"
    return [f"  false negatives among the unobserved training labels: {counted:.2%} as counted{by_formula}"]


def _hiding(data: Data) -> str:
    """How labels become unobserved."""
    listed = data.labels is not None and data.labels.unlisted == "negative"
    return "hide some with data.observe" + (", or say `unlisted: unobserved` under data.labels" if listed else "")


def _search_lines(shown: Preview) -> list[str]:
    study = shown.study
    if not study.search:
        return ["search: nothing; the study is one trial"]
    number = "" if shown.num_combinations is None else f"{shown.num_combinations:,} combinations, "
    what = "trials" if study.seeds is None else "configs"
    trials = what if study.is_unbounded else _trials(study.trials) if study.seeds is None else f"{study.trials} {what}"
    width = max(map(len, study.search))
    lines = [f"search: {number}{trials} proposed by {study.sampler.name}, seed {study.sampler.seed}"]
    keys = {key.path: key for key in SearchSpace.from_study(study).keys}
    for key in (keys[path] for path in study.search):
        text = f"  {key.path:<{width}}  {_domain(key)}{_condition(study, key)}"
        lines += textwrap.wrap(text, WIDEST, subsequent_indent=" " * (width + 4), break_on_hyphens=False)
    return [*lines, *_seed_lines(study)]


def _seed_lines(study: Study) -> list[str]:
    if study.seeds is None:
        return []
    number, draws = study.seeds.training, " and draws of the hidden labels" if study.seeds.draws else ""
    return [
        f"each config is judged by its mean over {number} seeds{draws}: at most {study.trials * number} runs",
        "    a config that is plausibly not among the best gets no further seed, often after its first",
    ]


def _domain(key: SearchedKey) -> str:
    match key.domain:
        case FloatRange(low=low, high=high, log=log, step=step) | IntRange(low=low, high=high, log=log, step=step):
            steps = "" if step is None else f" in steps of {flow(step)}"
            return f"{flow(low)} to {flow(high)}{steps}{', logarithmic' if log else ''}"
        case choices:
            return ", ".join(map(flow, choices))


def _condition(study: Study, key: SearchedKey) -> str:
    when = study.search[key.path].when or {}
    conditions = (f"{other} is {' or '.join(map(flow, values))}" for other, values in when.items())
    return f", when {' and '.join(conditions)}" if when else ""


def _distrusted_lines(shown: Preview) -> list[str]:
    if not shown.distrusted:
        return []
    batch = "" if BATCH_SIZE in shown.study.search else f" of {shown.study.training.batch_size} images"
    num_epochs = longest_training(shown.study)
    which = f"by epoch, the first {MOST_EPOCHS:,} of {num_epochs:,}" if num_epochs > MOST_EPOCHS else "by epoch"
    lines = [f"k, the labels distrusted in a batch{batch} ({len(shown.classes)} classes), {which}"]
    rows = shown.distrusted[:MOST_ROWS]
    names = [f"  {', '.join(row.methods)}" for row in rows]
    epochs = _epochs_that_fit(rows, WIDEST - max(map(len, [*names, "epoch"])) - 4)
    cells = [[_count(row.count_by_epoch[epoch - 1]) for epoch in epochs] for row in rows]
    header, *table = _table(
        [["epoch", *map(str, epochs)], *([name, *row] for name, row in zip(names, cells, strict=True))]
    )
    lines.append(header)
    for setting, group in itertools.groupby(zip(rows, table, strict=True), key=_setting_of):
        lines += textwrap.wrap(f"  {setting}", WIDEST, subsequent_indent="      ")
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
            lines += textwrap.wrap(text, WIDEST, subsequent_indent="      ", break_on_hyphens=False)
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


def _run_lines(study: Study) -> list[str]:
    epochs = longest_training(study)
    return [
        *_limit_lines(study),
        *_level_lines(study),
        f"early stopping: {_stopping(study.early_stopping, epochs)}",
        *_pausing_lines(study),
        _objective(study),
        f"each trial: {_length(study)}, {_workers(study.resources)}",
        f"a trial that fails is retried {study.retries} time{'s' if study.retries != 1 else ''}",
        *(["each complete trial is evaluated on the test images, which choose nothing"] if study.test_trials else []),
        *_confirmation_lines(study),
        f"results: {study.storage.rstrip('/')}/{study.name}",
    ]


def _pausing_lines(study: Study) -> list[str]:
    """What it takes on disk that paused trials can go on."""
    if not study.early_stopping.options.get("promote") or not any(study.early_stopping.rungs(longest_training(study))):
        return []
    return [
        "a trial that ends there is paused, and goes on once it is among the best there; while it can,",
        "    its checkpoint is kept (weights, with Adam three times as much; none of a linear probe)",
    ]


def _limit_lines(study: Study) -> list[str]:
    """What ends the search before its trials do, and how much the budget holds."""
    lines = []
    if study.budget is not None:
        text = f"budget of the search: {study.budget.described}{_holds(study.budget, longest_training(study))}"
        later = "; the confirmation comes on top" if study.confirm is not None else ""
        lines.append(f"{text}{later}")
    if study.stop_when is not None:
        limit = f"{study.stop_when.expected_regret:g} of {study.objective.metric}"
        lines.append(f"the search stops when the expected regret of its best config is at most {limit}")
    return lines


def _holds(budget: Budget, epochs: int) -> str:
    """How many trials an epoch budget holds; how long an epoch takes is only known once one has run."""
    if budget.epochs is None:
        return ""
    num = budget.epochs // epochs
    return f" ({num} trial{'s' if num != 1 else ''} of {epochs} epochs, more with early stopping)"


def _level_lines(study: Study) -> list[str]:
    """What runs before full size, level by level."""
    lines = []
    for number in range(1, num_levels(study)):
        there = at_level(study, number)
        stopping = _stopping(there.early_stopping, longest_training(there))
        text = f"{heading(study, number)}: {_trials(there.trials)} of {_length(there)}, early stopping: {stopping}"
        lines += textwrap.wrap(text, WIDEST, subsequent_indent="    ", break_on_hyphens=False)
    if study.fidelity is not None:
        lines.append(f"{heading(study, num_levels(study))}: {_trials(study.full_size_trials)}, as follows")
    return lines


def _trials(number: int) -> str:
    return f"{number} trial{'s' if number > 1 else ''}"


def _length(study: Study) -> str:
    """How long a trial takes, in epochs."""
    epochs = longest_training(study)
    up_to = "up to " if {"training.epochs", "training.linear_epochs", "training.mode"} & study.search.keys() else ""
    return f"{up_to}{epochs} epoch{'s' if epochs > 1 else ''}{_phases(study)}"


def _objective(study: Study) -> str:
    if not study.data.holds_out:
        return "objective: none, since no image is held out; train it with `wsml-study train`"
    return f"objective: {study.objective.metric} ({study.objective.mode}), on {study.data.validation.labels} labels"


def _confirmation_lines(study: Study) -> list[str]:
    if study.confirm is None:
        return []
    plan, seeds = study.confirm, study.confirm.most_seeds
    name = "the best baseline" if plan.baseline is None else f"the best {plan.baseline}"
    each = f"{seeds} seeds each" if plan.seeds == seeds else f"seeds in rounds, {seeds} at most"
    said = f"then: the best {plan.top} configs and {name}, {each}, up to {(plan.top + 1) * seeds} trials"
    return [said, *expected_power(study, plan)]


def _stopping(early_stopping: EarlyStopping, epochs: int) -> str:
    """Name of the early-stopping rule, and the epochs after which it compares trials."""
    if early_stopping.record.describe is not None:
        return early_stopping.record.describe(early_stopping.options)
    rungs = early_stopping.rungs(epochs)
    if early_stopping.record.rungs is None and early_stopping.record.create is not None:
        return early_stopping.name.value
    if not rungs or not rungs[0]:
        return "none"
    words = "; ".join(", ".join(map(str, some)) if some else "none" for some in rungs)
    return f"{early_stopping.name}, comparing trials after epoch {words}"


def _phases(study: Study) -> str:
    """Phases of training in which only the head is trained; empty if all of it is trained throughout."""
    modes = study.search["training.mode"].choice or () if "training.mode" in study.search else (study.training.mode,)
    probe = "of a linear probe: only the head, on frozen features"
    first = "ones" if "training.linear_epochs" in study.search else study.training.linear_epochs or LINEAR_EPOCHS
    words = {"linear": probe, "linear_init": f"the first {first} {probe}; {_handed_over(study)}"}
    phases = " or ".join(words[str(mode)] for mode in modes if mode in words)
    return f" ({phases})" if phases else ""


def _handed_over(study: Study) -> str:
    """The head that the end-to-end epochs of linear_init begin with."""
    if HAND_OVER in study.search:
        return f"the others from its {' or '.join(map(str, study.search[HAND_OVER].choice or ()))} head"
    best = study.training.hand_over == "best" and study.data.holds_out
    return f"the others from its {'best' if best else 'last'} head"


def _failing_lines(shown: Preview) -> list[str]:
    return ["these trials will fail:", *(f"  {reason}" for reason in shown.failing)] if shown.failing else []


def _workers(resources: Resources) -> str:
    num, cpus, gpus = resources.workers_per_trial, resources.cpus_per_worker, resources.gpus_per_worker
    gpu_words = "a GPU where there is any" if gpus == "auto" else f"{gpus:g} GPU{'s' if gpus != 1 else ''}"
    return f"{num} worker{'s' if num > 1 else ''} of {cpus} CPU{'s' if cpus > 1 else ''} and {gpu_words}"


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines with the first column to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for first, *others in rows:
        cells = [f"{first:<{widths[0]}}", *(f"{cell:>{width}}" for cell, width in zip(others, widths[1:], strict=True))]
        lines.append(f"  {'  '.join(cells)}")
    return lines
