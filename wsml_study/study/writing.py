"""Writes a study as readable YAML, which reads back as an equal study."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from wsml_study.study.spec import Study
from wsml_study.study.tracking_section import Tracking
from wsml_study.study.yaml_tree import scalar

WIDEST = 100
"""Characters; longer mappings are written on several lines."""

PLAIN = re.compile(r"[A-Za-z0-9_./][A-Za-z0-9_./+=@-]*")
"""Text that needs no quotes, unless it would be read as a number, true, false or null."""

ONLY_FOR_A_SEARCH = ("sampler", "early_stopping", "trials")


def dump_config(study: Study) -> str:
    """The study as YAML, with defaults, without absent values, keys in the order of the sections.

    `read_study` of a file with this text gives an equal study, floats to the last bit.
    """
    return "\n".join(_block(_content(study), 0)) + "\n"


def flow(value: Any) -> str:
    """A value on one line, as YAML.

    >>> flow({"choice": ["AN", "1e-5", 1e-5], "log": True})
    '{choice: [AN, "1e-5", 1e-5], log: true}'
    """
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case float():
            return _float(value)
        case str():
            return value if PLAIN.fullmatch(value) and isinstance(scalar(value), str) else _quoted(value)
        case Mapping():
            return f"{{{', '.join(f'{flow(key)}: {flow(inner)}' for key, inner in value.items())}}}"
        case _:
            return f"[{', '.join(map(flow, value))}]"


def _content(study: Study) -> dict[str, Any]:
    content = study.model_dump(mode="json", exclude_none=True)
    if study.tracking == Tracking():
        del content["tracking"]  # without trackers the section says nothing
    if study.is_unbounded:
        del content["trials"]  # only the budget ends the search
    # Without defaults: an absent `log` reads better than `log: false`.
    content["search"] = {key: one.model_dump(mode="json", exclude_defaults=True) for key, one in study.search.items()}
    if not study.search:
        defaults = Study.model_fields
        idle = [key for key in ONLY_FOR_A_SEARCH if getattr(study, key) == defaults[key].default]
        content = {key: value for key, value in content.items() if key not in ("search", *idle)}
    return content


def _block(content: Mapping[str, Any], indent: int) -> list[str]:
    """One line per value; a mapping goes on one line if it holds no other mapping and fits."""
    lines = []
    for key, value in content.items():
        line = f"{' ' * indent}{flow(key)}: {flow(value)}"
        holds_mappings = isinstance(value, Mapping) and any(isinstance(inner, Mapping) for inner in value.values())
        if holds_mappings or (isinstance(value, Mapping) and len(line) > WIDEST):
            lines += [f"{' ' * indent}{flow(key)}:", *_block(value, indent + 2)]
        else:
            lines.append(line)
    return lines


def _float(value: float) -> str:
    """Python's shortest text that reads back as the same float, with `1e-5` instead of `1e-05`."""
    mantissa, e, exponent = repr(value).partition("e")
    return f"{mantissa}e{int(exponent)}" if e else mantissa


def _quoted(text: str) -> str:
    return f'"{"".join(map(_escaped, text))}"'


def _escaped(character: str) -> str:
    if character in '"\\':
        return f"\\{character}"
    # Readers disagree about unprintable characters and those beyond the Basic Multilingual Plane.
    return character if character.isprintable() and ord(character) < 0x10000 else f"\\U{ord(character):08X}"
