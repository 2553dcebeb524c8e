"""The dotted keys of a trial config: their schemas, and which of them can be searched."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from wsml_study.study.problems import Path, closest, listed, shown
from wsml_study.study.spec import Draft, TrialConfig

_OTHER_OBJECTIVE = "it changes what the objective means, so its trials could not be compared"
_OTHER_DATA = "it changes the data that trials are evaluated on, so its trials could not be compared"
NOT_SEARCHED = {
    "data.dataset": _OTHER_DATA,
    "data.root": _OTHER_DATA,
    "data.labels": _OTHER_DATA,
    "data.features": _OTHER_DATA,
    "data.store": "it only decides how decoded images are stored; set it in the base config",
    "data.train_on": _OTHER_OBJECTIVE,
    "data.train_share": "the largest share would win; list the shares under `factors`, or run a study per share",
    "data.validation": _OTHER_OBJECTIVE,
    "objective": _OTHER_OBJECTIVE,
    "model.lora.targets": "it is a list; set it in the base config",
    "training.compile": "it says how training is computed, not what; set it in the base config",
    "training.stop_after_epoch": "it belongs to final training; search training.epochs",
}
"""Keys and sections that cannot be searched -> the reason."""

NodeSchema = Mapping[str, Any]
"""JSON Schema of one value."""


@dataclass(frozen=True, kw_only=True)
class ConfigKey:
    """A single value of a trial config.

    Attributes:
        path: dotted.
        section: the pydantic model that holds it.
    """

    path: str
    section: type[BaseModel]

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rpartition(".")[2]

    @property
    def schema(self) -> NodeSchema:
        """JSON Schema of the value, taken from its section's schema: building that of a whole study is slower."""
        section = _section_schema(self.section)
        return _resolved(section["properties"][self.name], section)

    @property
    def description(self) -> str:
        """The description of the field, which documents the key for users."""
        description = self.section.model_fields[self.name].description
        assert description is not None, f"{self.path} has no description"
        return description

    @property
    def not_searched_because(self) -> str | None:
        """Why the key stays fixed, or None if it can be searched."""
        return next((why for held, why in NOT_SEARCHED.items() if f"{self.path}.".startswith(f"{held}.")), None)

    def takes(self, value: Any) -> bool:
        """Whether the key accepts the value, other keys aside."""
        try:
            self.section.model_validate({self.name: value})
        except ValidationError as error:
            return not any(found["loc"][0] == self.name for found in error.errors())
        return True


@cache
def config_keys() -> dict[str, ConfigKey]:
    """Dotted path -> key, for all keys of a trial config, in the order of the sections."""
    return {key.path: key for key in _keys_below(TrialConfig, "")}


@cache
def config_sections() -> dict[str, type[BaseModel]]:
    """Dotted path -> pydantic model, for all sections of a trial config."""
    paths = {path.rpartition(".")[0]: key.section for path, key in config_keys().items()}
    return {path: section for path, section in paths.items() if path}


def _keys_below(section: type[BaseModel], prefix: str) -> Iterator[ConfigKey]:
    for name, field in section.model_fields.items():
        inner = _section_in(field.annotation)
        if inner is None:
            yield ConfigKey(path=f"{prefix}{name}", section=section)
        else:
            yield from _keys_below(inner, f"{prefix}{name}.")


def _section_in(annotation: Any) -> type[BaseModel] | None:
    """The pydantic model that a field holds, `Schedule` in `Schedule | None`; None for a value that may be of another
    kind too."""
    options = get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,)
    kinds = [option for option in options if option is not NoneType]
    is_section = len(kinds) == 1 and isinstance(kinds[0], type) and issubclass(kinds[0], BaseModel)
    return kinds[0] if is_section else None


@cache
def _study_schema() -> NodeSchema:
    return Draft.model_json_schema()


@cache
def _section_schema(section: type[BaseModel]) -> NodeSchema:
    return section.model_json_schema()


def schema_at(path: Path) -> NodeSchema:
    """JSON Schema of the value at a path of a study file; unknown parts are entries, as in `search`."""
    whole = node = _study_schema()
    for part in path:
        if isinstance(part, int):
            node = _resolved(node["items"], whole)
        else:
            node = _mapping_in(node, whole)
            properties = node.get("properties", {})
            entries = node.get("additionalProperties")
            node = _resolved(properties.get(part) or (entries if isinstance(entries, dict) else {}), whole)
    return node


def keys_at(path: Path) -> list[str]:
    """The keys that the mapping at a path of a study file takes."""
    return list(_mapping_in(schema_at(path), _study_schema()).get("properties", {}))


def _mapping_in(node: NodeSchema, whole: NodeSchema) -> NodeSchema:
    """Of a value that is a word or a mapping, the mapping."""
    options = [_resolved(option, whole) for option in node.get("anyOf", [])]
    return next((option for option in options if option.get("type") == "object"), node)


def _resolved(node: NodeSchema, whole: NodeSchema) -> NodeSchema:
    """The schema with its reference into `whole` followed, and without the null that stands for an absent value."""
    if "$ref" in node:
        return _resolved(whole["$defs"][node["$ref"].rpartition("/")[2]], whole)
    options = [option for option in node.get("anyOf", []) if option.get("type") != "null"]
    return _resolved(options[0], whole) if len(options) == 1 else node


def _meant(node: NodeSchema) -> NodeSchema:
    return _resolved(node, _study_schema() if "$ref" in node else {})


def expectation(node: NodeSchema) -> str:
    """What a value must be, as messages say it.

    >>> expectation({"type": "number", "exclusiveMinimum": 0})
    'a number greater than 0'
    """
    if "anyOf" in node:
        options = [expectation(_meant(option)) for option in node["anyOf"] if option.get("type") != "null"]
        return "a number, a text, true or false" if len(options) > 2 else " or ".join(options)
    if "enum" in node or "const" in node:
        words = [f"`{word}`" for word in node.get("enum", [node.get("const")])]
        return words[0] if len(words) == 1 else f"one of {', '.join(words)}"
    match node.get("type"):
        case "integer":
            return f"a whole number{_bounds(node)}"
        case "number":
            return f"a number{_bounds(node)}"
        case "boolean":
            return "true or false"
        case "array":
            return "a list of at least one value" if node.get("minItems") else "a list"
        case "object":
            return f"a mapping{' of at least one key' if node.get('minProperties') else _known_keys(node)}"
    if "pattern" in node:
        return f"a text that matches {node['pattern']}"
    return "a text of at least one character" if node.get("minLength") else "a text"


def mismatch(node: NodeSchema, value: Any) -> str:
    """The message for a value that its key does not accept, with the closest allowed word as a hint."""
    meant = closest(value, node.get("enum", ())) if isinstance(value, str) else None
    hint = f"; did you mean `{meant}`?" if meant else ""
    if value == "" and node.get("minLength"):  # `separator: |` begins a block of text, which is empty then
        hint = "; quote a character that means something in YAML, as in '|'"
    return f"expected {expectation(node)}, got {shown(value)}{hint}"


def _bounds(node: NodeSchema) -> str:
    low, high = node.get("minimum"), node.get("maximum")
    above, below = node.get("exclusiveMinimum"), node.get("exclusiveMaximum")
    if low is not None and high is not None:
        return f" from {low} to {high}"
    bounds = {"of at least": low, "greater than": above, "of at most": high, "less than": below}
    words = " and ".join(f"{words} {bound}" for words, bound in bounds.items() if bound is not None)
    return f" {words}" if words else ""


def _known_keys(node: NodeSchema) -> str:
    known = node.get("properties", {})
    return f" with the {'key' if len(known) == 1 else 'keys'} {listed(known)}" if known else ""


def kinds(node: NodeSchema) -> set[str]:
    """JSON types that a value may have: integer, number, string, boolean; an enum counts as the type of its members."""
    options = node.get("anyOf", [node])
    return {_meant(option).get("type", "string") for option in options}


def suggestion(key: str) -> str | None:
    """The dotted key that a misspelt or misplaced one most likely stands for, or None.

    >>> suggestion("training.epoch"), suggestion("method.rate_per_epoch"), suggestion("training.color")
    ('training.epochs', 'method.schedule.rate_per_epoch', None)
    """
    section, _, name = key.rpartition(".")
    if section in config_sections():
        sibling = closest(
            name, (known.name for path, known in config_keys().items() if path == f"{section}.{known.name}")
        )
        if sibling is not None:
            return f"{section}.{sibling}"
    elif section and (whole := closest(key, config_keys())) is not None:
        return whole
    return _only_one_named(name) or _only_one_named(closest(name, {known.name for known in config_keys().values()}))


def _only_one_named(name: str | None) -> str | None:
    paths = [path for path, known in config_keys().items() if known.name == name]
    return paths[0] if len(paths) == 1 else None
