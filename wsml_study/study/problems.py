"""Problems of a study file, with their places, and the text that reports them."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

Path = tuple[str | int, ...]
"""Keys and list positions from the root of the file to a value."""

LONGEST_SHOWN = 60
LONGEST_LIST = 10


@dataclass(frozen=True, order=True)
class Place:
    """A position in a text; both count from 1."""

    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.line}:{self.column}"


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One problem of a study file.

    Attributes:
        message: what was expected, what came, and the remedy.
        label: dotted key that the message is about; empty for the whole file.
        path: of the value; if the file lacks it, the nearest existing place is shown.
        at_key: show the place of the key, not of its value.
        about: dotted keys that must be valid for the message to be true; by default the label.
        meant: dotted key that a misspelt one most likely stands for.
        place: line and column in the text, once known.
    """

    message: str
    label: str = ""
    path: Path = ()
    at_key: bool = False
    about: tuple[str, ...] = ()
    meant: str | None = None
    place: Place | None = None

    def may_follow_from(self, unsound: set[str]) -> bool:
        """Whether a problem with one of these keys, or of a section among them, may be the cause of this one."""
        about = self.about or (self.label,)
        return any(key == bad or key.startswith(f"{bad}.") for key in about for bad in unsound)

    @property
    def unsound(self) -> set[str]:
        """Dotted keys that no other check can draw conclusions about."""
        return {key for key in (self.label, self.meant) if key}

    def __str__(self) -> str:
        return f"{self.label}: {self.message}" if self.label else self.message


def render(source: str, problems: Iterable[Problem]) -> str:
    """One message with all problems of a file, sorted by line and column."""
    lines = sorted({(problem.place or Place(0, 0), str(problem)) for problem in problems})
    places = [str(place) if place.line else "" for place, _ in lines]
    width = max(map(len, places))
    heading = f"{source}: {len(lines)} problem{'s' if len(lines) > 1 else ''}"
    rows = (f"  {place:<{width}}{'  ' if width else ''}{text}" for place, (_, text) in zip(places, lines, strict=True))
    return "\n".join([heading, *rows])


def dotted(path: Path) -> str:
    """The path as users write it: without list positions, and without the `search` in front of a dotted key.

    >>> dotted(("search", "method.name", "choice", 1))
    'method.name.choice'
    """
    names = [part for part in path if isinstance(part, str)]
    return ".".join(names[1:] if names[0:1] == ["search"] and len(names) > 1 else names)


def listed(names: Iterable[str]) -> str:
    """The names separated by commas; of a long list only the first ones and the number of others.

    >>> listed(map(str, range(20)))
    '0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 10 more'
    """
    names = list(names)
    if len(names) <= LONGEST_LIST:
        return ", ".join(names)
    return f"{', '.join(names[:LONGEST_LIST])} and {len(names) - LONGEST_LIST} more"


def closest(word: str, known: Iterable[str]) -> str | None:
    """The known word that a misspelt one, or a part of its name such as `ema`, most likely stands for, or None."""
    by_lower_case = {name.lower(): name for name in known}
    matches = difflib.get_close_matches(word.lower(), by_lower_case, n=1)
    if not matches:
        of_part = [name for name in by_lower_case if word.lower() in name.split("_")]
        matches = of_part if len(of_part) == 1 else []
    return by_lower_case[matches[0]] if matches else None


def shown(value: Any) -> str:
    """A value of a file as messages show it; text that looks like a number is marked as text."""
    match value:
        case None:
            return "nothing"
        case bool():
            return "true" if value else "false"
        case int() | float():
            return f"{value}"
        case str():
            text = value if len(value) <= LONGEST_SHOWN else f"{value[:LONGEST_SHOWN]}..."
            return f"the text `{text}`" if _looks_like_a_number(value) else f"`{text}`"
        case dict():
            return "a mapping" if value else "an empty mapping"
        case _:
            return "an empty list" if not value else "a list"


def _looks_like_a_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
