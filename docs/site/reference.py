"""Reference pages of commands, of the keys of a study file, and of methods."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterable, Iterator, Mapping
from enum import EnumType
from typing import Any

HEAD = ("key", "value", "default", "meaning")

KINDS = {"integer": "whole number", "object": "mapping", "array": "list", "string": "text"}
LIMITS = {"minimum": "from", "maximum": "to", "exclusiveMinimum": "above", "exclusiveMaximum": "below"}
"""Words of JSON Schema -> what a reader is told."""


def commands_page() -> str:
    """Every command with its arguments and options."""
    import typer

    from wsml_study.cli.entry import app

    parts = ["# Commands", "`wsml-study COMMAND --help` says the same in a terminal."]
    for path, command in _commands(typer.main.get_command(app), "wsml-study"):
        named = [_argument(param) for param in command.params if not _is_option(param)]
        usage = " ".join([path, *named, "[OPTIONS]"])
        parts += [f"## {path.removeprefix('wsml-study ')}", _prose(command.help or ""), f"```text\n{usage}\n```"]
        rows = [_parameter(param) for param in command.params if param.name != "help"]
        if rows:
            parts.append(table(("name", "what", "default"), rows))
    return "\n\n".join(parts) + "\n"


def _commands(command: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Commands without subcommands, by their full names."""
    for name, inner in getattr(command, "commands", {}).items():
        if hasattr(inner, "commands"):
            yield from _commands(inner, f"{path} {name}")
        else:
            yield f"{path} {name}", inner


def _parameter(param: Any) -> tuple[str, str, str]:
    names = param.opts if _is_option(param) else [_argument(param)]
    kind = param.type_descriptor.annotation
    choices = list(kind) if isinstance(kind, EnumType) else []
    what = _prose(param.help or "") + (f" One of {', '.join(f'`{one.value}`' for one in choices)}." if choices else "")
    what += f" Environment: `{param.envvar}`." if param.envvar else ""
    has_default = isinstance(param.default, str | int | float) and not isinstance(param.default, bool)
    return ", ".join(f"`{name}`" for name in names), what.strip(), f"`{param.default}`" if has_default else ""


def _prose(text: str) -> str:
    """Help as Markdown, which would take what stands in angle brackets for HTML."""
    return inspect.cleandoc(text).replace("<", "&lt;")


def _argument(param: Any) -> str:
    return str(param.metavar or param.name.upper())


def _is_option(param: Any) -> bool:
    return bool(param.opts[0].startswith("-"))


def study_keys_page() -> str:
    """Every key of a study file, from the schema."""
    from wsml_study.study.schema import schema

    content = schema()
    parts = ["# Keys of a study file", "[The study file](../study_file.md) explains how they work together."]
    plain = []
    for name, key in content["properties"].items():
        inner = _resolved(key, content)
        if "properties" in inner:
            text = key.get("description") or inner.get("description", "")
            rows = list(_key_rows(inner, content, f"{name}."))
            parts += [f"## {name}", text, table(HEAD, rows)]
        else:
            plain.append(_key_row(name, key, content))
    others = ["## Other keys", table(HEAD, plain)]
    search = _resolved({"$ref": "#/$defs/Parameter"}, content)
    entry = [
        "## An entry of search",
        search["description"],
        table(HEAD, _key_rows(search, content, "")),
    ]
    return "\n\n".join([*parts, *others, *entry]) + "\n"


def _key_rows(section: Mapping[str, Any], content: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, ...]]:
    for name, key in section["properties"].items():
        inner = _resolved(key, content)
        if "properties" in inner:
            yield from _key_rows(inner, content, f"{prefix}{name}.")
        else:
            yield _key_row(f"{prefix}{name}", key, content)


def _key_row(name: str, key: Mapping[str, Any], content: Mapping[str, Any]) -> tuple[str, ...]:
    default = key.get("default")
    shown = "" if default in (None, {}, []) or isinstance(default, dict) else f"`{json.dumps(default)}`"
    return f"`{name}`", _values(key, content), shown, key.get("description", "")


def _resolved(key: Mapping[str, Any], content: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a key is, behind references, where it is one thing or nothing."""
    options = [one for one in key.get("anyOf", []) if one.get("type") != "null"]
    if len(options) == 1:
        return _resolved(options[0], content)
    if "$ref" in key:
        return _resolved(content["$defs"][key["$ref"].rpartition("/")[2]], content)
    return key


def _values(key: Mapping[str, Any], content: Mapping[str, Any]) -> str:
    """What values a key takes, in words."""
    if options := [one for one in key.get("anyOf", []) if one.get("type") != "null"]:
        return " or ".join(dict.fromkeys(_values(one, content) for one in options))
    if "$ref" in key:
        return _values(_resolved(key, content), content)
    if "enum" in key:
        return ", ".join(f"`{value}`" for value in key["enum"])
    if "const" in key:
        return f"`{key['const']}`"
    kind = key.get("type", "")
    limits = (f"{word} {key[name]:g}" for name, word in LIMITS.items() if name in key)
    return " ".join([KINDS.get(kind, kind), *limits])


def methods_page() -> str:
    """Every method and head as `wsml-study methods NAME` explains it."""
    from wsml_study.methods.catalogue import HEADS, METHODS
    from wsml_study.methods.explanation import explain

    parts = [
        "# Methods",
        "What `wsml-study methods` prints. p is the sigmoid of a logit, U the unobserved labels of a batch.",
    ]
    for name in (*METHODS, *(head for head in HEADS if head != "linear")):
        parts += [f"## {name}", "```text\n" + "\n".join(explain(name)) + "\n```"]
    return "\n\n".join(parts) + "\n"


def table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """Rows as a table of Markdown; what they hold is Markdown already."""
    cells = [[text.replace("|", "\\|").replace("\n", " ") for text in row] for row in rows]
    lines = [head, ["---"] * len(head), *cells]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
