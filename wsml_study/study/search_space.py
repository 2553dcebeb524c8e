"""The search space: translates ranges and conditions to Optuna, and suggested values to a `TrialConfig`.

The key rules act as conditions, as `when` does: the parameters of a schedule are searched only in trials whose method
has a schedule and whose shape takes them. Optuna is imported only by functions that return its objects.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING, Any, cast

from wsml_study.description import Scalar
from wsml_study.study.config_keys import config_sections
from wsml_study.study.key_rules import KEY_RULES, KeyRule, value_at
from wsml_study.study.search_section import FloatRange, IntRange, Parameter
from wsml_study.study.spec import Draft, Study, TrialConfig
from wsml_study.study.training_section import LINEAR_EPOCHS

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.trial import Trial

Values = Mapping[str, Scalar]
"""Values of searched keys by dotted path; a key that a trial does not search is absent."""


class CircularConditionsError(ValueError):
    """Conditions of searched keys form a circle; `circle` names the keys, with the first one repeated at the end."""

    def __init__(self, circle: tuple[str, ...]) -> None:
        super().__init__(circle)
        self.circle = circle

    def __str__(self) -> str:
        return f"circular conditions: {' -> '.join(self.circle)}"


@dataclass(frozen=True, kw_only=True)
class Condition:
    """A key is searched only where another one has one of these values.

    Attributes:
        key: dotted path of the other key.
        values: values of that key with which the condition holds.
        otherwise: value of that key in a trial that does not search it; None if the condition fails there.
    """

    key: str
    values: tuple[Scalar, ...]
    otherwise: Scalar | None

    def holds(self, values: Values) -> bool:
        """Whether the condition holds, given the values of the preceding keys."""
        value = values.get(self.key, self.otherwise)
        return value is not None and any(same(value, allowed) for allowed in self.values)


@dataclass(frozen=True, kw_only=True)
class SearchedKey:
    """One dimension of the space."""

    path: str
    domain: tuple[Scalar, ...] | FloatRange | IntRange
    conditions: tuple[Condition, ...] = ()

    def applies(self, values: Values) -> bool:
        """Whether a trial searches this key, given the values of the preceding keys."""
        return all(condition.holds(values) for condition in self.conditions)

    @property
    def num_values(self) -> int | None:
        """The number of values; None for a continuous range."""
        if isinstance(self.domain, tuple):
            return len(self.domain)
        if isinstance(self.domain, IntRange):
            return (self.domain.high - self.domain.low) // (self.domain.step or 1) + 1
        if self.domain.step is None:
            return None
        # In decimal: in binary (0.3 - 0.0) / 0.1 is 2.9999999999999996, and the last step would be lost.
        return int((_exact(self.domain.high) - _exact(self.domain.low)) / _exact(self.domain.step)) + 1

    def value(self, index: int) -> Scalar:
        """The value at an index of a finite domain. Steps of floats are exact: 0.1 + 2 * 0.1 gives 0.3."""
        if isinstance(self.domain, tuple):
            return self.domain[index]
        if isinstance(self.domain, IntRange):
            return self.domain.low + index * (self.domain.step or 1)
        # One decimal multiplication instead of repeated addition: floats as the user would write them, without drift.
        return float(_exact(self.domain.low) + index * _exact(self.domain.step or 0.0))

    def values(self) -> Iterator[Scalar]:
        """All values of a finite domain, in order."""
        if self.num_values is None:
            raise ValueError(f"{self.path}: a continuous range has no list of values; give it a `step`")
        return (self.value(index) for index in range(self.num_values))

    def contains(self, value: Scalar) -> bool:
        """Whether the value is in the domain."""
        if isinstance(self.domain, tuple):
            return any(same(value, choice) for choice in self.domain)
        if isinstance(value, bool | str) or not self.domain.low <= value <= self.domain.high:
            return False
        if self.domain.step is None:
            return isinstance(self.domain, FloatRange) or value == int(value)
        # Rounding finds the nearest step despite binary arithmetic; the exact value of that step then decides.
        index = round((value - self.domain.low) / self.domain.step)
        return same(value, self.value(index))

    def suggest(self, trial: Trial) -> Scalar:
        """Ask Optuna for a value."""
        if isinstance(self.domain, tuple):
            return cast("Scalar", trial.suggest_categorical(self.path, self.domain))
        low, high, log, step = self.domain.low, self._last, self.domain.log, self.domain.step
        if isinstance(self.domain, IntRange):
            return trial.suggest_int(self.path, int(low), int(high), log=log, step=int(step or 1))
        return trial.suggest_float(self.path, low, high, log=log, step=step)

    def distribution(self) -> BaseDistribution:
        """The domain as a distribution of Optuna."""
        from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

        if isinstance(self.domain, tuple):
            return CategoricalDistribution(self.domain)
        low, high, log, step = self.domain.low, self._last, self.domain.log, self.domain.step
        if isinstance(self.domain, IntRange):
            return IntDistribution(int(low), int(high), log=log, step=int(step or 1))
        return FloatDistribution(low, high, log=log, step=step)

    @property
    def _last(self) -> float:
        """The greatest value of a range: its last step, which can be below `high`."""
        # Optuna would lower such a `high` too, but with a warning per trial.
        assert not isinstance(self.domain, tuple)
        return self.domain.high if self.num_values is None else float(self.value(self.num_values - 1))


@dataclass(frozen=True, kw_only=True)
class SearchSpace:
    """All keys in which trials of a study differ: the searched ones, and those of `factors`.

    Attributes:
        keys: each after the keys in its conditions, otherwise sorted by dotted path, since YAML mappings have no order.
    """

    keys: tuple[SearchedKey, ...]

    @classmethod
    def from_study(cls, study: Draft) -> SearchSpace:
        """The search space of a study.

        Raises:
            CircularConditionsError: the conditions of keys form a circle.
        """
        keys = {path: _searched_key(study, path, parameter) for path, parameter in study.varied.items()}
        before = {path: sorted({c.key for c in keys[path].conditions} & keys.keys()) for path in sorted(keys)}
        try:
            return cls(keys=tuple(keys[path] for path in _in_order(before)))
        except CycleError as error:
            raise CircularConditionsError(tuple(error.args[1])) from None

    def without(self, paths: Iterable[str]) -> SearchSpace:
        """The space without these keys, and without the conditions on them."""
        dropped = set(paths)
        left = (key for key in self.keys if key.path not in dropped)
        return SearchSpace(
            keys=tuple(
                replace(key, conditions=tuple(one for one in key.conditions if one.key not in dropped)) for key in left
            )
        )

    def applicable(self, values: Values) -> dict[str, Scalar]:
        """Those of the values whose keys apply."""
        applied: dict[str, Scalar] = {}
        for key in self.keys:
            if key.path in values and key.applies(applied):
                applied[key.path] = values[key.path]
        return applied

    def suggest(self, trial: Trial) -> dict[str, Scalar]:
        """Ask Optuna for a value of every key that applies (define-by-run: conditions depend on preceding values)."""
        values: dict[str, Scalar] = {}
        for key in self.keys:
            if key.applies(values):
                values[key.path] = key.suggest(trial)
        return values

    def distributions(self, values: Values) -> dict[str, BaseDistribution]:
        """Optuna's distributions of the keys that have a value, as needed to replay a trial."""
        return {path: one for path, one in self.distribution_of.items() if path in values}

    @cached_property
    def distribution_of(self) -> dict[str, BaseDistribution]:
        """Dotted path of every key -> its domain as a distribution of Optuna."""
        return {key.path: key.distribution() for key in self.keys}

    def resolve(self, study: Study, values: Values) -> TrialConfig:
        """The base config with these values in it.

        A key that the trial's method or schedule shape does not take is removed if the method or the shape is searched;
        if they are fixed, it is an error of the base config.

        Raises:
            ValueError: a value for a key that is not searched, or a config that contradicts itself.
        """
        if unknown := sorted(set(values) - {key.path for key in self.keys}):
            raise ValueError(f"{', '.join(unknown)}: not searched by study {study.name}")
        return TrialConfig.model_validate(trial_content(study, values))

    def grid(self) -> Iterator[dict[str, Scalar]]:
        """Every combination of a finite space, once, with the last keys varying fastest.

        Raises:
            ValueError: a continuous range.
        """
        if endless := [key.path for key in self.keys if key.num_values is None]:
            raise ValueError(f"a grid needs a `step` in the range of {', '.join(endless)}")
        return self._combinations(0, {})

    def shuffled(self, seed: int) -> Iterator[dict[str, Scalar]]:
        """As `grid`, in an order drawn at random from the seed, whose beginning is an even sample of the space."""
        size = self.size()
        if size is None:
            yield from self.grid()  # raises
            return
        draws, drawn, count = random.Random(seed), set[int](), _Count(self)
        while len(drawn) < size:
            position = draws.randrange(size)
            if position not in drawn:
                drawn.add(position)
                yield self._combination(position, count)

    def _combination(self, position: int, count: _Count) -> dict[str, Scalar]:
        """The combination at a position of the grid, without listing those before it."""
        values: dict[str, Scalar] = {}
        for index, key in enumerate(self.keys):
            if not key.applies(values):
                continue
            for value in key.values():
                ahead = count.combinations(index + 1, values | {key.path: value})
                assert ahead is not None, "a finite space"
                if position < ahead:
                    values[key.path] = value
                    break
                position -= ahead
        return values

    def size(self) -> int | None:
        """The number of combinations; None with a continuous range."""
        return _Count(self).combinations(0, {})

    def reaches(self, key: SearchedKey) -> bool:
        """Whether any trial searches the key."""
        return any(key.applies(values) for values in self.branches({c.key for c in key.conditions}))

    def branches(self, paths: set[str]) -> Iterator[dict[str, Scalar]]:
        """Combinations of the values of these keys, and of the keys in their conditions, up to equivalence.

        Of a range only the values that conditions mention are listed, and one more that stands for all others.
        """
        needed = self._with_ancestors(paths)
        narrowed = (self._narrowed(key) for key in self.keys if key.path in needed)
        return SearchSpace(keys=tuple(narrowed))._combinations(0, {})

    def _combinations(self, index: int, values: dict[str, Scalar]) -> Iterator[dict[str, Scalar]]:
        if index == len(self.keys):
            yield dict(values)
            return
        key = self.keys[index]
        if not key.applies(values):
            yield from self._combinations(index + 1, values)
            return
        for value in key.values():
            yield from self._combinations(index + 1, values | {key.path: value})

    def _with_ancestors(self, paths: set[str]) -> set[str]:
        needed = set(paths)
        for key in reversed(self.keys):
            if key.path in needed:
                needed |= {condition.key for condition in key.conditions}
        return needed

    def _narrowed(self, key: SearchedKey) -> SearchedKey:
        if isinstance(key.domain, tuple):
            return key
        values = tuple(value for value, _ in _weighted(key, _mentioned(self.keys, key.path)))
        return SearchedKey(path=key.path, domain=values, conditions=key.conditions)


class _Count:
    """Counts combinations without listing them.

    The number of ways to go on from a key depends only on those earlier values that later conditions mention, so it is
    computed once for each combination of these (dynamic programming).
    """

    def __init__(self, space: SearchSpace) -> None:
        self.keys = space.keys
        self.counts: dict[tuple[object, ...], int | None] = {}

    def combinations(self, index: int, values: dict[str, Scalar]) -> int | None:
        """The number of combinations of this and the following keys; None if infinite."""
        if index == len(self.keys):
            return 1
        seen_ahead = {condition.key for key in self.keys[index:] for condition in key.conditions}
        known = {path: value for path, value in values.items() if path in seen_ahead}
        # With the type, since True == 1 has the same hash and would share a count.
        state = (index, *((path, type(value), value) for path, value in sorted(known.items())))
        if state not in self.counts:
            self.counts[state] = self._count(self.keys[index], index, known)
        return self.counts[state]

    def _count(self, key: SearchedKey, index: int, values: dict[str, Scalar]) -> int | None:
        if not key.applies(values):
            return self.combinations(index + 1, values)
        total = 0
        for value, weight in _weighted(key, _mentioned(self.keys, key.path)):
            ahead = self.combinations(index + 1, values | {key.path: value})
            if weight is None or ahead is None:
                return None
            total += weight * ahead
        return total


def _mentioned(keys: tuple[SearchedKey, ...], path: str) -> list[Scalar]:
    """Values of a key that conditions of other keys mention."""
    return [value for key in keys for c in key.conditions if c.key == path for value in c.values]


def _weighted(key: SearchedKey, mentioned: list[Scalar]) -> list[tuple[Scalar, int | None]]:
    """One value per group that conditions treat alike, and the size of its group; None if infinite."""
    listed = [value for value in dict.fromkeys(mentioned) if key.contains(value)]
    if key.num_values is None:
        return [*((value, 1) for value in listed), (key.value(0), None)]
    # One of the first len(listed) + 1 values is not listed, unless all values are.
    candidates = (key.value(index) for index in range(min(key.num_values, len(listed) + 1)))
    other = [value for value in candidates if not any(same(value, one) for one in listed)][:1]
    return [*((value, 1) for value in listed), *((value, key.num_values - len(listed)) for value in other)]


def trial_content(study: Draft, values: Values) -> dict[str, Any]:
    """A trial's config as plain content, defaults included, not yet validated."""
    content = study.model_dump(mode="json", include=set(TrialConfig.model_fields), exclude_none=True)
    for path, value in values.items():
        put(content, path, value)
    if "model.weights" not in values:
        study.set_weights(content)
    varied = study.varied.keys()
    for rule in KEY_RULES:
        decision = _or_default(value_at(content, rule.controlling_key), rule)
        if rule.controlling_key in varied and decision not in rule.allowed_values:
            remove(content, rule.key)
    return content


def same(one: Scalar, other: Scalar) -> bool:
    """Equality of values in a study file, where `true` differs from 1."""
    return isinstance(one, bool) == isinstance(other, bool) and one == other


def longest_training(study: Draft) -> int:
    """The largest number of epochs of any trial, including those of the linear probe in `linear_init`."""
    modes = study.varied.get("training.mode")
    begins_with_head = "linear_init" in (modes.choice or () if modes is not None else (study.training.mode,))
    first = _most(study, "training.linear_epochs", study.training.linear_epochs or LINEAR_EPOCHS)
    most = _most(study, "training.epochs", study.training.epochs) + (first if begins_with_head else 0)
    return min(most, study.training.stop_after_epoch or most)


def _most(study: Draft, key: str, otherwise: int) -> int:
    """The largest value of an integer key over all trials."""
    match study.varied.get(key):
        case None:
            return otherwise
        case Parameter(int=IntRange(high=high)):
            return high
        case parameter:
            return max(int(value) for value in parameter.choice or ())


def _searched_key(study: Draft, path: str, parameter: Parameter) -> SearchedKey:
    # A `when` on a searched key fails in trials that do not search that key, even if its base value would match. A key
    # rule still holds there: the base value decides which keys are allowed.
    asked = [
        Condition(key=key, values=values, otherwise=None if key in study.varied else base_value(study, key))
        for key, values in (parameter.when or {}).items()
    ]
    implied = [
        Condition(
            key=rule.controlling_key,
            values=rule.allowed_values,
            otherwise=_or_default(base_value(study, rule.controlling_key), rule),
        )
        for rule in rules_above(path)
    ]
    return SearchedKey(path=path, domain=parameter.domain, conditions=(*asked, *implied))


def _or_default(value: Any, rule: KeyRule) -> Any:
    """The value of a rule's controlling key, where it is absent what that stands for."""
    return rule.by_default if value is None else value


def rules_above(path: str) -> list[KeyRule]:
    """The rules that decide whether a key, or a section around it, is allowed."""
    return [rule for rule in KEY_RULES if path == rule.key or path.startswith(f"{rule.key}.")]


def base_value(study: Draft, path: str) -> Any:
    """The value in the base config, or the default if the whole section is absent."""
    content = study.model_dump(mode="json")
    section, _, name = path.rpartition(".")
    if value_at(content, section) is not None or section not in config_sections():
        return value_at(content, path)
    return config_sections()[section].model_fields[name].default


def _in_order(before: Mapping[str, Sequence[str]]) -> Iterator[str]:
    sorter = TopologicalSorter(before)
    sorter.prepare()
    while sorter.is_active():
        ready = sorted(sorter.get_ready())
        yield from ready
        sorter.done(*ready)


def put(content: dict[str, Any], path: str, value: Scalar) -> None:
    """Set a dotted key of plain content; an absent section is created with its defaults."""
    section, _, name = path.rpartition(".")
    if value_at(content, section) is None:
        parent, _, section_name = section.rpartition(".")
        defaults = config_sections()[section]().model_dump(mode="json", exclude_none=True)
        value_at(content, parent)[section_name] = defaults
    value_at(content, section)[name] = value


def remove(content: dict[str, Any], path: str) -> None:
    """Remove a dotted key from plain content, if present."""
    section, _, name = path.rpartition(".")
    (value_at(content, section) or {}).pop(name, None)


def _exact(number: float) -> Decimal:
    """The shortest decimal that reads back as the float: what the user wrote, not the binary value."""
    return Decimal(repr(number))
