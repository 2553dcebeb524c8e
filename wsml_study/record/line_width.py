"""Lines of text fitted to the width of a terminal."""

from __future__ import annotations

import re
import textwrap

NARROW = 80
"""Columns that every terminal has."""

GAPS = re.compile(r"\S {2,}(?=\S)")
"""What stands between the columns of a table."""

COMMAND = "wsml-study "
"""Begins a command of ours."""


def fitted(line: str, width: int) -> list[str]:
    """A line in parts of at most `width` characters, broken between words; further parts are indented.

    Rows of tables, and commands that the user may copy, stay whole.

    >>> fitted("  note: broken between words", 22)
    ['  note: broken between', '      words']
    >>> fitted("  wsml-study confirm studies/rejection_rate.yaml", 22)
    ['  wsml-study confirm studies/rejection_rate.yaml']
    """
    content = line.lstrip()
    is_row = len(GAPS.findall(content)) > 1
    if len(line) <= width or is_row or content.startswith(COMMAND):
        return [line]
    indent = " " * min(len(line) - len(content) + 4, width // 2)
    return textwrap.wrap(line, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
