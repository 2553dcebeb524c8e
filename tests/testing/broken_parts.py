"""What the records of `broken_records.py` refer to."""

from __future__ import annotations

import math
import random
from functools import partial

import numpy as np
import optuna

from wsml_study.data.dataset import Dataset, RenderedImages, Split


def __getattr__(name: str) -> object:
    """Parts that need torch, which a reader must not import."""
    if name.startswith("__"):
        raise AttributeError(name)
    import broken_torch_parts

    return getattr(broken_torch_parts, name)


def render(seed: int) -> np.ndarray:
    return np.random.RandomState(seed).randint(0, 256, size=(20, 1, 8, 8)).astype(np.uint8)


def split(name: str, seed: int, names_of: str | None = None) -> Split:
    labels_NC = np.where(np.random.RandomState(seed).rand(20, 3) < 0.5, 1, -1).astype(np.int8)
    names = tuple(f"{names_of or name}-{number}" for number in range(20))
    images = RenderedImages(identity=f"broken {seed}", count=20, render=partial(render, seed))
    return Split(names=names, labels_NC=labels_NC, images=images)


def dataset(name: str, *, seed: int = 1, test_names: str = "test") -> Dataset:
    return Dataset(
        name=name,
        classes=("a", "b", "c"),
        train=split("train", seed),
        test=split("test", 2, test_names),
        image_size=8,
        horizontal_flip=True,
        channels=1,
    )


def writable_labels() -> Dataset:
    made = dataset("writable_labels")
    made.test.labels_NC.flags.writeable = True
    return made


def shares_images() -> Dataset:
    return dataset("shares_images", test_names="train")


def draws_by_hash() -> Dataset:
    return dataset("draws_by_hash", seed=hash("train") % 1000)


def imports_torch() -> Dataset:
    import torch

    assert torch
    return dataset("imports_torch")


def wrong_name() -> Dataset:
    return dataset("another_name")


class IndependentSampler(optuna.samplers.BaseSampler):
    """Draws uniformly, each key on its own."""

    def __init__(self, request) -> None:
        self.draw = random.Random(request.seed)

    def infer_relative_search_space(self, study, trial):
        return {}

    def sample_relative(self, study, trial, search_space):
        return {}

    def sample_independent(self, study, trial, param_name, param_distribution):
        u = self.share(study)
        if isinstance(param_distribution, optuna.distributions.CategoricalDistribution):
            return param_distribution.choices[int(u * len(param_distribution.choices))]
        low, high, step = param_distribution.low, param_distribution.high, param_distribution.step
        return low + u * (high - low) if step is None else low + step * int(u * ((high - low) / step + 1))

    def share(self, study) -> float:
        return self.draw.random()


class GlobalState(IndependentSampler):
    def share(self, study) -> float:
        return random.random()


class LooksAtResults(IndependentSampler):
    def share(self, study) -> float:
        values = [trial.value for trial in study.get_trials(deepcopy=False) if trial.value is not None]
        return (self.draw.random() + 0.01 * sum(values)) % 1.0


class AlwaysTheSame(IndependentSampler):
    def share(self, study) -> float:
        return 0.5


class Rule:
    """Ends a trial whose newest value is not above all its values of three and more epochs ago."""

    def __init__(self) -> None:
        self.values: dict[int, dict[int, float]] = {}

    def record(self, trial: int, epoch: int, value: float) -> None:
        before = self.values.get(trial, {})
        self.values[trial] = {at: noted for at, noted in before.items() if at < epoch} | {epoch: value}

    def goes_on(self, trial: int, epoch: int) -> bool:
        values = self.values[trial]
        return values[epoch] > max((value for at, value in values.items() if at <= epoch - 3), default=-math.inf)


class KeepsLostEpochs(Rule):
    """Takes the last value that was ever told, of epochs that no longer count."""

    def record(self, trial: int, epoch: int, value: float) -> None:
        self.values.setdefault(trial, {}).setdefault(epoch, value)


class CountsQuestions(Rule):
    num_questions = 0

    def goes_on(self, trial: int, epoch: int) -> bool:
        self.num_questions += 1
        return self.num_questions % 2 == 0


class DependsOnOrder(Rule):
    """Compares with the value that was told last, of whichever trial."""

    last = previous = 0.0

    def record(self, trial: int, epoch: int, value: float) -> None:
        super().record(trial, epoch, value)
        self.previous, self.last = self.last, value

    def goes_on(self, trial: int, epoch: int) -> bool:
        return self.last > self.previous


class EndsNothing(Rule):
    def goes_on(self, trial: int, epoch: int) -> bool:
        return True


def keeps_lost_epochs(options, epochs):
    return KeepsLostEpochs()


def counts_questions(options, epochs):
    return CountsQuestions()


def depends_on_order(options, epochs):
    return DependsOnOrder()


def ends_nothing(options, epochs):
    return EndsNothing()


class TooEarly(Rule):
    def goes_on(self, trial: int, epoch: int) -> bool:
        return self.values[trial][epoch] > 40.0


def too_early(options, epochs):
    return TooEarly()


class TellsTwice:
    called = "tells_twice"

    def __init__(self, study, folder, value) -> None:
        self.path = folder / "lines.txt"
        self.known: set[int] = set()

    def begin(self, history) -> None:
        self.path.touch()

    def show(self, trial) -> None:
        if trial.closed and trial.number not in self.known:
            self.known.add(trial.number)
            self.write([trial.number])

    def write(self, numbers) -> None:
        with self.path.open("a") as file:
            file.writelines(f"{number}\n" for number in numbers)

    def close(self) -> None: ...


class LosesWhenKilled(TellsTwice):
    """Writes at the end of a run what was ended in it."""

    called = "loses_when_killed"

    def __init__(self, study, folder, value) -> None:
        super().__init__(study, folder, value)
        self.new: list[int] = []

    def begin(self, history) -> None:
        self.path.touch()
        if self.path.read_text() or len(history.runs) > 1:
            self.known = {number for number, trial in history.trials.items() if trial.closed}

    def write(self, numbers) -> None:
        self.new += numbers

    def close(self) -> None:
        if self.new:
            super().write(self.new)


class Fails(TellsTwice):
    called = "fails"

    def show(self, trial) -> None:
        raise OSError("the store is full")
