"""Lists of classes in one cell: separated, or written as JSON, Python or NumPy print them; errors are reported."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from unicodedata import normalize

QUOTED = re.compile(r"""\s*(?:"((?:[^"\\]|\\.)*)"|'((?:[^'\\]|\\.)*)')\s*(,?)""")
ESCAPED = re.compile(r"\\(.)")
BRACKETS = {"[": "]", "(": ")", "{": "}"}
STRONG = ("|", ";", "\t", "\n", "\uff5c", "\uff1b", "\uff0c", "\u3001")
"""Characters that separate classes and are next to never in the name of one; the last four are East Asian."""

WEAK = (",", "/", "&", "+", "#", " ")
"""Characters that separate classes, or stand in the name of one."""

PRINTED = re.compile(r"""^(['"]).*\1$|^[A-Za-z_.]+\(\)$|[\[{(]\s*['"]|['"]\s*[\]})]""", re.DOTALL)
"""What is in a text that a program has printed and nobody calls a class: `set()`, `array(['cat'])`, `'cat', 'dog'`."""

NOTHING = frozenset({"nan", "null", "none", "<na>", "n/a"})
"""How programs write an empty cell."""


def listed(cell: object, separator: str) -> list[str]:
    """The classes that a cell lists.

    Args:
        cell: text, or a list, as Parquet has it.
        separator: between classes in a text that is no list in brackets.

    Raises:
        ValueError: the cell holds something else.

    >>> listed("cat; dog", ";"), listed("['cat' 'dog']", ";"), listed('{"choices": ["cat"]}', ";"), listed("[]", ";")
    (['cat', 'dog'], ['cat', 'dog'], ['cat'], [])
    """
    if isinstance(cell, str):
        text = cell.strip()
        if text and BRACKETS.get(text[0]) == text[-1]:
            return _bracketed(text)
        return [name for part in text.split(separator) if (name := part.strip())]
    if cell is None:
        return []
    return _items(cell)


def _bracketed(text: str) -> list[str]:
    try:
        return _items(json.loads(text))
    except json.JSONDecodeError:
        pass
    inside = text[1:-1].strip()
    if inside[:1] in ("'", '"'):
        return _quoted(inside)
    if text[0] == "{" or any(mark in inside for mark in "'\"[]{}()"):
        raise ValueError("a list that cannot be understood")
    if not inside:
        return []
    # Numbers as NumPy prints them have no commas; words without quotes cannot be separated without them.
    numbers = inside.split()
    parts = numbers if all(_is_number(part) for part in numbers) else inside.split(",")
    return [part.strip() for part in parts if part.strip()]


def _quoted(inside: str) -> list[str]:
    """Quoted names with commas between them, as Python prints lists, or with blanks, as NumPy prints arrays."""
    names, commas, place = [], [], 0
    while place < len(inside):
        found = QUOTED.match(inside, place)
        if found is None:
            raise ValueError("a list that cannot be understood")
        names.append(ESCAPED.sub(r"\1", found[1] if found[1] is not None else found[2]))
        commas.append(bool(found[3]))
        place = found.end()
    if len(set(commas[:-1])) > 1:  # some names side by side, others not
        raise ValueError("a list that cannot be understood")
    return _items(names)


def _items(content: object) -> list[str]:
    if isinstance(content, dict) and list(content) == ["choices"]:  # Label Studio
        content = content["choices"]
        content = [content] if isinstance(content, str) else content
    if isinstance(content, dict):
        raise ValueError("an object, not a list of classes")
    if not isinstance(content, list | tuple):
        content = [content]
    names = []
    for item in content:
        if isinstance(item, bool):
            raise ValueError("true and false, not names of classes")
        if isinstance(item, bytes | dict | list | tuple):
            raise ValueError("a list of lists or objects" if not isinstance(item, bytes) else "bytes")
        if item is not None and (name := str(item).strip()):
            names.append(name)
    return names


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def alike_names(names: Iterable[str]) -> list[list[str]]:
    """Different names that agree but for upper and lower case or their Unicode form.

    >>> alike_names(["cat", "dog", "Cat"])
    [['Cat', 'cat']]
    """
    folded: dict[str, list[str]] = {}
    for name in sorted(set(names)):
        folded.setdefault(normalize("NFC", name).casefold(), []).append(name)
    return [alike for alike in folded.values() if len(alike) > 1]


def looks_like_states(lists: Sequence[Sequence[str]]) -> bool:
    """Whether lists hold 0 or 1 for every class instead of names: all of one length, and nothing else in them."""
    lengths = {len(names) for names in lists}
    found = {name for names in lists for name in names}
    return len(lengths) == 1 and lengths != {0} and lengths != {1} and found <= {"0", "1", "0.0", "1.0", "-1"}


def likely_separator(cells: Iterable[str], separator: str) -> tuple[str, int, int] | None:
    """Which character separates classes where no cell holds the separator: it, how many cells hold it, of how many.

    A character that may stand in a name counts only if a cell that holds it consists of parts that other cells hold as
    well, as `cat dog` does beside `cat` and `dog horse`.

    >>> likely_separator(["cat|dog", "cat"], ";"), likely_separator(["No Finding", "Effusion"], ";")
    (('|', 1, 2), None)
    """
    texts = [text for cell in cells if (text := cell.strip())]
    if any(separator in text for text in texts):
        return None
    distinct = set(texts)
    for mark in (*STRONG, *WEAK):
        holding = {text for text in distinct if mark in text}
        if holding and mark != separator and (mark in STRONG or _recurs(holding, distinct, mark)):
            return mark, sum(mark in text for text in texts), len(texts)
    return None


def _recurs(holding: set[str], distinct: set[str], mark: str) -> bool:
    """Whether all parts of some text are in other texts."""
    parts_of = {text: {part.strip() for part in text.split(mark)} - {""} for text in distinct}
    number = Counter(part for parts in parts_of.values() for part in parts)
    return any(len(parts_of[text]) > 1 and all(number[part] > 1 for part in parts_of[text]) for text in holding)
