"""How many labels the trials of a study will distrust, and how many different trainings its searched rates hold."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import partial

from wsml_study.data.label_states import LabelCounts
from wsml_study.description import Scalar
from wsml_study.methods.distrusted_counts import COUNT_ALL_ENTRIES, LARGE_LOSS, num_distrusted, rate_in_epoch
from wsml_study.methods.schedules import Schedule, schedule
from wsml_study.study.computation import course_of, variant_of
from wsml_study.study.search_space import SearchedKey, SearchSpace, longest_training
from wsml_study.study.spec import Study, TrialConfig
from wsml_study.study.writing import flow

MOST_BRANCHES = 200
"""Combinations of method, variant and shape, and of what they depend on, that are counted."""

MOST_EPOCHS = 1000
"""Epochs whose distrusted labels are counted."""

MOST_TRIED = 200
"""Values of a rate that are compared."""

DECIDES_COUNTS = {"method.name", "method.variant", "method.schedule.shape", "training.mode"}
GROW_WITH = ("method.schedule.rate_per_epoch", "method.schedule.final_rate", "method.schedule.rate_per_step")
SHRINK_WITH = ("method.schedule.warmup_epochs", "method.schedule.ramp_epochs", "method.schedule.epochs_per_step")
BATCH_SIZE = "training.batch_size"


@dataclass(frozen=True, kw_only=True)
class DistrustedLabels:
    """How many labels of a full batch some methods distrust under one schedule.

    Attributes:
        setting: the schedule, and the batch size where it is searched.
        methods: names, with the variant where it is not the default one.
        count_by_epoch: of every epoch, from the first, up to MOST_EPOCHS; an average where batches differ.
    """

    setting: str
    methods: tuple[str, ...]
    count_by_epoch: tuple[int | Fraction, ...]


@dataclass(frozen=True, kw_only=True)
class DifferentTrainings:
    """How many trainings a searched rate holds that differ in the labels they distrust.

    Attributes:
        key: the searched rate, a dotted path.
        method: name, with the variant where it is not the default one.
        number: of a continuous range a lower bound, exact where it is small.
    """

    key: str
    method: str
    number: int


def distrusted_labels(study: Study, train: LabelCounts) -> tuple[DistrustedLabels, ...]:
    """Counts at both ends of the searched rates; methods that agree under a schedule share a row."""
    methods: dict[tuple[str, tuple[int | Fraction, ...]], list[str]] = {}
    num_epochs = min(longest_training(study), MOST_EPOCHS)
    for values in extreme_values(study):
        config = SearchSpace.from_study(study).resolve(study, values)
        if config.method.schedule is not None:
            rate = schedule(**config.method.schedule.model_dump(mode="json"))
            counts = tuple(_num_distrusted(config, rate, train, epoch) for epoch in range(1, num_epochs + 1))
            names = methods.setdefault((_setting(study, config), counts), [])
            names += [name for name in [_method_name(config)] if name not in names]
    settings = list(dict.fromkeys(setting for setting, _ in methods))
    return tuple(
        DistrustedLabels(setting=setting, methods=tuple(names), count_by_epoch=counts)
        for (setting, counts), names in sorted(methods.items(), key=lambda row: settings.index(row[0][0]))
    )


def extreme_values(study: Study) -> Iterator[dict[str, Scalar]]:
    """For every method, variant and shape: the searched values that distrust fewest labels, and most."""
    space = SearchSpace.from_study(study)
    for most in (False, True):
        for branch in itertools.islice(space.branches(DECIDES_COUNTS & study.varied.keys()), MOST_BRANCHES):
            values: dict[str, Scalar] = {}
            for key in space.keys:
                if key.applies(values):
                    values[key.path] = branch.get(key.path, _end(key, most=most))
            yield values


def _end(key: SearchedKey, *, most: bool) -> Scalar:
    """The value with which fewest, or most, labels are distrusted; any value where it makes no difference."""
    if key.path not in (*GROW_WITH, *SHRINK_WITH, BATCH_SIZE):
        return key.value(0)
    upper = most != (key.path in SHRINK_WITH)
    if isinstance(key.domain, tuple):
        numbers = [value for value in key.domain if not isinstance(value, str)]
        return max(numbers) if upper else min(numbers)
    if key.num_values is None:
        return key.domain.high if upper else key.domain.low
    return key.value(key.num_values - 1 if upper else 0)


def _num_distrusted(config: TrialConfig, rate: Schedule, train: LabelCounts, epoch: int) -> int | Fraction:
    """k of a full batch; if the variant counts unobserved labels, of a batch with the average number of them."""
    batch_size = config.training.batch_size
    return num_distrusted(
        variant_of(config),
        rate_in_epoch(config.method.name.value, rate, config.training.epoch_of_phase(epoch)),
        num_images=batch_size,
        num_classes=train.num_classes,
        num_observed=round(batch_size * (train.observed_positives + train.observed_negatives) / train.num_images),
    )


def _setting(study: Study, config: TrialConfig) -> str:
    assert config.method.schedule is not None
    parameters = config.method.schedule.model_dump(mode="json", exclude_none=True)
    shape = parameters.pop("shape")
    batch = [f"batches of {config.training.batch_size}"] if BATCH_SIZE in study.varied else []
    mode = [f"mode {config.training.mode}"] if "training.mode" in study.varied else []
    return ", ".join([shape, *(f"{name} {flow(value)}" for name, value in parameters.items()), *batch, *mode])


def _method_name(config: TrialConfig) -> str:
    name, variant = config.method.name.value, variant_of(config)
    return name if variant == "code" else f"{name} ({variant})"


def different_trainings(study: Study, train: LabelCounts) -> tuple[DifferentTrainings, ...]:
    """For each method that takes a searched rate: how many different trainings that holds.

    Where batch size, shape or other parameters of the schedule are searched too, those with fewest count.

    Args:
        study: with a search.
        train: counts of the training images.
    """
    space = SearchSpace.from_study(study)
    found: dict[tuple[str, str], int] = {}
    for values in extreme_values(study):
        config = space.resolve(study, values)
        if config.method.name.value not in LARGE_LOSS or variant_of(config) not in (*COUNT_ALL_ENTRIES, "per_image"):
            continue  # every rate is a training of its own
        for key in space.keys:
            if key.path in GROW_WITH and key.path in values:
                number = _num_different(key, partial(_course_at, study, config, train, key.path.split(".")[-1]))
                place = (key.path, _method_name(config))
                found[place] = min(number, found.get(place, number))
    return tuple(DifferentTrainings(key=key, method=method, number=number) for (key, method), number in found.items())


Course = tuple[Fraction | int, ...]


def _course_at(study: Study, config: TrialConfig, train: LabelCounts, name: str, rate: float) -> Course:
    """What a trial takes from its schedule with this rate in it."""
    assert config.method.schedule is not None
    return tuple(
        course_of(
            config,
            config.method.schedule.model_copy(update={name: rate}),
            num_images=train.num_images,
            num_classes=train.num_classes,
            num_ranks=study.resources.workers_per_trial,
            most_epochs=MOST_EPOCHS,
        )
    )


def _num_different(key: SearchedKey, course_at: Callable[[float], Course]) -> int:
    """Different courses over the values of a rate; of a continuous range as many as MOST_TRIED values find."""
    if isinstance(key.domain, tuple) or key.num_values is not None:
        return len({course_at(float(value)) for value in itertools.islice(key.values(), MOST_TRIED)})
    # Courses grow with the rate, so equal ends enclose nothing else, and halving the rest finds what there is.
    ends = {rate: course_at(rate) for rate in (float(key.domain.low), float(key.domain.high))}
    between = deque([(min(ends), max(ends))])
    while between and len(ends) < MOST_TRIED:
        low, high = between.popleft()
        middle = (low + high) / 2
        if ends[low] != ends[high] and low < middle < high:
            ends[middle] = course_at(middle)
            between += [(low, middle), (middle, high)]
    return len(set(ends.values()))
