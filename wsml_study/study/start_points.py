"""Section `start_from`: configs that a search runs first, as values of its searched keys.

An entry is a mapping of searched keys to values, the path of an exported config, or `paper`: the published settings for
the study's dataset and head, one config per method. Keys that an entry does not mention take their value in the base
config.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from wsml_study.description import Scalar
from wsml_study.errors import StudyFileError
from wsml_study.methods.catalogue import METHODS
from wsml_study.options import SAME_DEFAULTS
from wsml_study.study.confirm_section import START_FROM
from wsml_study.study.factors import proposed_space
from wsml_study.study.identity import differences
from wsml_study.study.key_rules import value_at
from wsml_study.study.problems import Path, Problem, listed, shown
from wsml_study.study.published_protocol import BOOSTLU_RATES, PROTOCOLS, Protocol, protocol_of
from wsml_study.study.search_section import FloatRange, IntRange
from wsml_study.study.search_space import SearchedKey, SearchSpace, base_value, same, trial_content
from wsml_study.study.spec import Draft, Study, TrialConfig
from wsml_study.study.training_section import OFF
from wsml_study.study.writing import flow

PAPER = "paper"
SECTION = START_FROM


@dataclass(frozen=True, kw_only=True)
class StartPoint:
    """A config that a search begins with.

    Attributes:
        values: of the searched keys that apply to it, by dotted path.
        origin: where it comes from, for tables and messages.
        differs: what the config that it comes from has differently in keys that are not searched, a text per key; the
            base config's value counts.
    """

    values: dict[str, Scalar]
    origin: str
    differs: tuple[str, ...] = ()


@dataclass(kw_only=True)
class StartPoints:
    """Start points of a study, and what is wrong with its entries."""

    points: list[StartPoint] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


def start_points(draft: Draft, read_file: Callable[[str], Study] | None) -> StartPoints:
    """The configs that a search begins with, in the order of the entries.

    Args:
        draft: with a sound search.
        read_file: reads the file that an entry names; None leaves these entries out. A recorded study has their values
            in its log, and does not need the files any more.
    """
    found = StartPoints()
    for index, entry in enumerate(draft.start_from or ()):
        if isinstance(entry, Mapping):
            _add(found, draft, dict(entry), origin=f"{SECTION} {index + 1}", path=(SECTION, index))
        elif entry == PAPER:
            _add_published(found, draft, (SECTION, index))
        elif read_file is not None:
            _add_file(found, draft, entry, (SECTION, index), read_file)
    return found


def _add(
    found: StartPoints, draft: Draft, given: Mapping[str, Any], *, origin: str, path: Path, in_file: bool = True
) -> dict[str, Scalar] | None:
    """Add a start point with these values, or what is wrong with them.

    Args:
        found: is added to.
        draft: the study.
        given: dotted key -> value.
        origin: of the point.
        path: of the entry.
        in_file: the values stand in the entry itself, so that a problem has the place of its key.
    """
    space, values = proposed_space(draft), dict[str, Scalar]()
    problems = list(_not_searched(space, given, path)) if in_file else []
    for key in space.keys:
        if not key.applies(values):
            continue
        value = given.get(key.path)
        value = base_value(draft, key.path) if value is None else value
        value = OFF.get(key.path.removeprefix("training.")) if value is None else value
        if value is None or not key.contains(value):
            problems.append(_outside(key, value, origin, path, mentioned=in_file and key.path in given))
            break  # conditions of later keys depend on it
        values[key.path] = _as_searched(key, value)
    else:
        problems += _idle(given, values, path) if in_file and not problems else []
    found.problems += problems
    if problems:
        return None
    found.points.append(StartPoint(values=values, origin=origin))
    return values


def _not_searched(space: SearchSpace, given: Mapping[str, Any], path: Path) -> Iterator[Problem]:
    searched = [key.path for key in space.keys]
    for key in given:
        if key not in searched:
            known = listed(searched)
            message = f"not searched, so it cannot differ here: remove it, or add it to `search`, which has {known}"
            yield Problem(label=f"{SECTION}.{key}", message=message, path=(*path, key), at_key=True)


def _outside(key: SearchedKey, value: Any, origin: str, path: Path, *, mentioned: bool) -> Problem:
    domain = _domain(key)
    if value is None:
        message = f"needs a value of {key.path}, which the base config does not have either; expected {domain}"
    elif mentioned:
        message = f"expected {domain}, got {shown(value)}; widen the search, or change the value"
    else:
        message = f"{origin}: {key.path} is {shown(value)}, and the search has {domain}; widen the search" + (
            f", or give `{key.path}` here" if origin.startswith(SECTION) else ", or remove this entry"
        )
    place = (*path, key.path) if mentioned else path
    label = f"{SECTION}.{key.path}" if mentioned else SECTION
    return Problem(label=label, message=message, path=place)


def _idle(given: Mapping[str, Any], values: Mapping[str, Scalar], path: Path) -> Iterator[Problem]:
    for key in given:
        if key not in values:
            message = (
                "no trial with these values searches it: its `when`, or its method or shape, excludes it; remove it"
            )
            yield Problem(label=f"{SECTION}.{key}", message=message, path=(*path, key), at_key=True)


def _domain(key: SearchedKey) -> str:
    match key.domain:
        case FloatRange(low=low, high=high, step=step) | IntRange(low=low, high=high, step=step):
            return f"{flow(low)} to {flow(high)}" + (f" in steps of {flow(step)}" if step is not None else "")
        case choices:
            return f"one of {', '.join(map(flow, choices))}"


def _as_searched(key: SearchedKey, value: Scalar) -> Scalar:
    """The value as a sampler would propose it: of the range's type, or the very choice."""
    match key.domain:
        case FloatRange():
            return float(value)
        case IntRange():
            return int(value)
        case choices:
            return next(choice for choice in choices if same(choice, value))


def _add_published(found: StartPoints, draft: Draft, path: Path) -> None:
    """One point per method, with what is published for the dataset and the head."""
    dataset = SAME_DEFAULTS.get(draft.data.dataset.value, draft.data.dataset.value)
    if dataset not in PROTOCOLS:
        message = (
            f"`{PAPER}`: the papers have no settings for the dataset {draft.data.dataset.value}, only for "
            f"{listed(PROTOCOLS)}; give the values as a mapping of searched keys"
        )
        found.problems.append(Problem(label=SECTION, message=message, path=path))
        return
    data = draft.data.model_copy(update={"dataset": type(draft.data.dataset)(dataset)})
    protocol = protocol_of(draft.model_copy(update={"data": data}))
    assert protocol is not None, "the dataset has one"
    searched = draft.search.get("method.name")
    methods = [draft.method.name.value] if searched is None else [str(name) for name in searched.choice or ()]
    for method in methods:
        values = _published_values(method, dataset, protocol, boosted=draft.model.head == "boostlu")
        if values is not None:
            _add(found, draft, values, origin=f"{PAPER}: {method}", path=path, in_file=False)


def _published_values(method: str, dataset: str, protocol: Protocol, *, boosted: bool) -> dict[str, Any] | None:
    """Dotted key -> published value; None for a method whose rate is not published."""
    record = METHODS[method]
    values: dict[str, Any] = {"method.name": method} | {
        f"training.{key}": getattr(protocol, key) for key in ("optimizer", "learning_rate", "momentum", "weight_decay")
    }
    values |= {"training.epochs": 10, "training.batch_size": 16, "training.head_learning_rate_multiplier": 10}
    values |= {f"method.{option.key}": option.default_for(dataset) for option in record.options}
    if record.takes_schedule:
        rate = BOOSTLU_RATES.get(method) if boosted else record.rate_by_dataset.get(dataset)
        if rate is None or not protocol.rates_are_published:
            return None
        values |= {
            "method.variant": protocol.stores[0] if method == "LL-Cp" else "code",
            "method.schedule.shape": "linear",
            "method.schedule.rate_per_epoch": rate,
            "method.schedule.warmup_epochs": 1,
        }
    return values


def _add_file(found: StartPoints, draft: Draft, name: str, path: Path, read_file: Callable[[str], Study]) -> None:
    try:
        config = read_file(name)
    except StudyFileError as error:
        message = f"{error}; an entry is `{PAPER}`, the path of an exported config, or a mapping of searched keys"
        found.problems.append(Problem(label=SECTION, message=message, path=path))
        return
    if config.search:
        message = (
            f"{name}: expected a config with nothing left to search, as `wsml-study export` writes it, got a study"
        )
        found.problems.append(Problem(label=SECTION, message=message, path=path))
        return
    content = config.model_dump(mode="json")
    given = {key: value_at(content, key) for key in draft.search}
    values = _add(found, draft, given, origin=name, path=path, in_file=False)
    if values is not None:
        theirs = TrialConfig.model_validate({key: content[key] for key in TrialConfig.model_fields})
        ours = TrialConfig.model_validate(trial_content(draft, values))
        found.points[-1] = dataclasses.replace(found.points[-1], differs=tuple(differences(theirs, ours)))
