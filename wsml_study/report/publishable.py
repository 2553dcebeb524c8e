"""What must not be published: secrets, and absolute paths, which tell of a machine and mean nothing elsewhere."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Mapping
from pathlib import PurePath

import pyarrow as pa
import pyarrow.parquet as pq

from wsml_study.study.credentials import holds_secret

ABSOLUTE = re.compile(
    r"""(?<!<!--\s)(?:(?<=["'`(\[=,])|(?<=\s)|^)(?:~/|/(?!/)|[A-Za-z]:\\)[^\s"'`)\],;]+""", re.MULTILINE
)
"""An absolute path where a text begins with one, or after a blank, a quotation mark or a bracket.

`<!-- /decisions -->` in a model card is none."""

TEXTS = (".md", ".yaml", ".json")
MOST_SHOWN = 60


def problems_of(files: Mapping[str, bytes]) -> list[str]:
    """A line for each secret and each different absolute path in files; a secret is not shown."""
    found = []
    for name, content in files.items():
        texts = _texts(name, content)
        if any(map(holds_secret, texts)):
            found.append(f"{name}: holds a secret, such as a token or a password in an address")
        paths = dict.fromkeys(path for text in texts for path in ABSOLUTE.findall(text))
        found += [f"{name}: {path[:MOST_SHOWN]}" for path in paths]
    return found


def without_paths(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """The same files with the last part of each absolute path in its place."""
    return {name: _changed(name, content, _shortened) for name, content in files.items()}


def _shortened(text: str) -> str:
    return ABSOLUTE.sub(lambda path: PurePath(path.group().replace("\\", "/")).name, text)


def _texts(name: str, content: bytes) -> list[str]:
    if name.endswith(TEXTS):
        return [content.decode("utf-8", errors="replace")]
    if name.endswith(".parquet"):
        table = pq.read_table(io.BytesIO(content))
        return [text for column in _text_columns(table) for text in table[column].unique().to_pylist() if text]
    return []


def _changed(name: str, content: bytes, change: Callable[[str], str]) -> bytes:
    if name.endswith(TEXTS):
        return change(content.decode("utf-8")).encode()
    if not name.endswith(".parquet"):
        return content
    table = pq.read_table(io.BytesIO(content))
    for column in _text_columns(table):
        texts = [None if text is None else change(text) for text in table[column].to_pylist()]
        place = table.column_names.index(column)
        table = table.set_column(place, table.schema.field(column), pa.array(texts, table.schema.field(column).type))
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    return buffer.getvalue()


def _text_columns(table: pa.Table) -> list[str]:
    return [field.name for field in table.schema if pa.types.is_string(field.type)]
