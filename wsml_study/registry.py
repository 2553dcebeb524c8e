"""Extensible things by name: those of this package, and those of installed plug-ins.

One `Registry` per kind of thing: methods, dataset readers, backbones, samplers, early stopping rules, trackers, epoch
metrics. Its records come from two places:

- modules of a folder of this package, each of which lists its own as `RECORDS`; a new file there is all it takes;
- entry points of installed distributions, whose objects are a record or a tuple of records.

Records are read whenever a study is described, so a module that holds some must not import torch, ray, optuna or numpy
at its top; what computes is named as `module:attribute` and imported by `implementation` when it is first needed.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import pkgutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Generic, Protocol, TypeVar

from wsml_study.errors import PluginError


class Record(Protocol):
    """What every kind of record has."""

    @property
    def name(self) -> str:
        """As study files have it."""

    @property
    def position(self) -> int:
        """Where lists show it: records are sorted by it, then by module."""

    @property
    def requires(self) -> tuple[Requirement, ...]:
        """Packages that it needs beyond those that every installation has."""


@dataclass(frozen=True, kw_only=True)
class Requirement:
    """A package that a record needs, and that is not installed with this one.

    Attributes:
        module: what is imported.
        install: the command that installs it.
    """

    module: str
    install: str

    @property
    def is_met(self) -> bool:
        """Whether the module is there; it is not imported."""
        return importlib.util.find_spec(self.module) is not None


R = TypeVar("R", bound=Record)

EXPECTED_PLUGINS = "WSML_STUDY_PLUGINS"
"""Environment variable of a submitted job: JSON, distribution -> version of the plug-ins that its study uses."""

LAST = 1000
"""Position of a record that does not say one."""


@dataclass(frozen=True, kw_only=True)
class Distribution:
    """An installed distribution that a record comes from."""

    name: str
    version: str

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


class Registry(Mapping[str, R], Generic[R]):
    """Records of one kind by name: ours first, then those of plug-ins by name."""

    def __init__(self, kind: str, record: type[R], *, group: str, package: str, suffix: str = "") -> None:
        """Nothing is imported yet.

        Args:
            kind: what one of these is called in messages, such as `method`.
            record: the class of the records.
            group: of the entry points, such as `wsml_study.methods`.
            package: whose modules hold our own records.
            suffix: what the names of those modules end with.
        """
        self.kind, self.group = kind, group
        self._record, self._package, self._suffix = record, package, suffix

    def __getitem__(self, name: str) -> R:
        return self._found[name][0]

    def __iter__(self) -> Iterator[str]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)

    def distribution(self, name: str) -> Distribution | None:
        """The distribution that a plug-in's record comes from; None for one of ours.

        Raises:
            KeyError: there is no such record.
        """
        return self._found[name][1]

    @cached_property
    def _found(self) -> dict[str, tuple[R, Distribution | None]]:
        found: dict[str, tuple[R, Distribution | None]] = {one.name: (one, None) for one in self._own()}
        for entry_point in sorted(_all_entry_points().select(group=self.group), key=lambda one: one.name):
            distribution = _distribution(entry_point)
            for record in self._loaded(entry_point, distribution):
                if record.name in found:
                    other = found[record.name][1] or "wsml-study itself"
                    raise PluginError(
                        f"{distribution}: its {self.kind} {record.name} has the name of one of {other}; rename one of "
                        f"them, or uninstall {distribution.name}"
                    )
                found[record.name] = (record, distribution)
        return found

    def _own(self) -> list[R]:
        folder = importlib.import_module(self._package)
        modules = sorted(one.name for one in pkgutil.iter_modules(folder.__path__) if one.name.endswith(self._suffix))
        records: list[R] = []
        for name in modules:
            found = getattr(importlib.import_module(f"{self._package}.{name}"), "RECORDS", ())
            records += (one for one in found if isinstance(one, self._record))  # a folder may hold several kinds
        return sorted(records, key=lambda one: one.position)

    def _loaded(self, entry_point: EntryPoint, distribution: Distribution) -> list[R]:
        described = f"entry point {entry_point.name} = {entry_point.value} of {distribution} ({self.group})"
        try:
            content = entry_point.load()
        except Exception as error:  # whatever somebody else's module raises
            raise PluginError(
                f"{described} cannot be loaded: {type(error).__name__}: {error}; mend or uninstall {distribution.name}"
            ) from error
        records = list(content) if isinstance(content, Iterable) else [content]
        for record in records:
            if not isinstance(record, self._record):
                raise PluginError(
                    f"{described}: expected a {self._record.__name__}, or a tuple of them, got {type(record).__name__}"
                )
        return records


@cache
def _all_entry_points() -> Any:
    """Of every installed distribution; looking for them reads a file of each, so it is done once."""
    return entry_points()


def plugin_distributions() -> dict[str, str]:
    """Every installed distribution that has a plug-in of any kind -> its version."""
    groups = (group for group in _all_entry_points().groups if group.startswith("wsml_study."))
    found = [_distribution(one) for group in groups for one in _all_entry_points().select(group=group)]
    return {one.name: one.version for one in sorted(found, key=lambda one: one.name)}


def check_expected_plugins() -> None:
    """See that the plug-ins are here that a study was submitted with; nothing to see elsewhere.

    Raises:
        PluginError: some are not installed, or in another version.
    """
    expected: dict[str, str] = json.loads(os.environ.get(EXPECTED_PLUGINS, "{}"))
    installed = plugin_distributions()
    absent = [f"{name}=={version}" for name, version in expected.items() if installed.get(name) != version]
    if absent:
        raise PluginError(
            f"the study was submitted with plug-ins that this machine lacks: {', '.join(absent)}; install them there, "
            f"or submit with --requirements FILE, a pip requirements file that lists them"
        )


def _distribution(entry_point: EntryPoint) -> Distribution:
    assert entry_point.dist is not None, "an entry point that was found has a distribution"
    return Distribution(name=entry_point.dist.name, version=entry_point.dist.version)


def implementation(reference: str) -> Any:
    """What `module:attribute` refers to.

    >>> implementation("math:ceil")(0.5)
    1

    Raises:
        PluginError: there is no such module or attribute.
    """
    module, _, attribute = reference.partition(":")
    try:
        return getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise PluginError(f"{reference} cannot be imported: {error}; expected `module:attribute`") from error
