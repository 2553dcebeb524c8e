"""Lists of records in the JSON files of datasets' releases."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from wsml_study.data.problem_list import Problems, shown
from wsml_study.data.text_lines import kind_of
from wsml_study.errors import DataError


def read_json(file: Path, *, remedy: str) -> Any:
    """What a JSON file holds.

    Raises:
        DataError: it cannot be read, or is no JSON; the message ends in the remedy.
    """
    try:
        written = file.read_bytes()
        if (other := kind_of(written)) is not None:
            raise ValueError(other)
        return json.loads(written)
    except OSError as error:
        raise DataError(f"{file}: {error.strerror}; {remedy}") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{file}: expected JSON, got {error}; {remedy}") from error


def read_records(file: Path, keys: Mapping[str, type], *, remedy: str) -> list[dict[str, Any]]:
    """The records of a file that is a list of them.

    Args:
        file: JSON.
        keys: that every record has, and the kind of each.
        remedy: where the file comes from, for errors.

    Raises:
        DataError: the file cannot be read, is no list of records, or is empty, or records lack keys.
    """
    content = read_json(file, remedy=remedy)
    if not isinstance(content, list) or not content:
        raise DataError(f"{file}: expected a list of records, got {_kind(content)}; {remedy}")
    problems = Problems()
    for place, record in enumerate(content):
        if not isinstance(record, dict):
            problems.add("records", f"entry {place}: expected a record with {', '.join(keys)}, got {shown(record)}")
            continue
        for key, kind in keys.items():
            if not isinstance(record.get(key), kind):
                got = shown(record[key]) if key in record else "no such key"
                problems.add("keys", f"entry {place}: expected `{key}`, a {kind.__name__}, got {got}")
    if problems:
        raise problems.error(file, remedy=remedy)
    return content


def _kind(content: object) -> str:
    return "an empty one" if isinstance(content, list) else f"a {type(content).__name__}"
