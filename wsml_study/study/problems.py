"""What is wrong with a study file: where, what was expected, what came."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

Path = tuple[str | int, ...]
"""Keys and list positions that lead to a value of the file."""

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
    """One thing to mend.

    Attributes:
        message: what was expected, what came, what to do.
        label: the dotted key that the message is about; empty for the file as a whole.
        path: where in the file it is; the nearest place that exists is shown.
        at_key: show where the key is written, not where its value is.
        about: dotted keys whose soundness the message takes for granted; by default the label.
        meant: the dotted key that a misspelt one most likely means.
        place: where that is in the text, once known.
    """

    message: str
    label: str = ""
    path: Path = ()
    at_key: bool = False
    about: tuple[str, ...] = ()
    meant: str | None = None
    place: Place | None = None

    def is_echo_of(self, unsound: set[str]) -> bool:
        """Whether a problem of one of these keys, or of a section that they name, could be the cause."""
        about = self.about or (self.label,)
        return any(key == bad or key.startswith(f"{bad}.") for key in about for bad in unsound)

    @property
    def unsound(self) -> set[str]:
        """Dotted keys about which nothing can be concluded any more."""
        return {key for key in (self.label, self.meant) if key}

    def __str__(self) -> str:
        return f"{self.label}: {self.message}" if self.label else self.message


def render(source: str, problems: Iterable[Problem]) -> str:
    """All problems of a file as one message, in the order of the file."""
    lines = sorted({(problem.place or Place(0, 0), str(problem)) for problem in problems})
    places = [str(place) if place.line else "" for place, _ in lines]
    width = max(map(len, places))
    heading = f"{source}: {len(lines)} problem{'s' if len(lines) > 1 else ''}"
    rows = (f"  {place:<{width}}{'  ' if width else ''}{text}" for place, (_, text) in zip(places, lines, strict=True))
    return "\n".join([heading, *rows])


def dotted(path: Path) -> str:
    """The path as the user writes it: list positions and the `search` that holds dotted keys left out.

    >>> dotted(("search", "method.name", "choice", 1))
    'method.name.choice'
    """
    names = [part for part in path if isinstance(part, str)]
    return ".".join(names[1:] if names[0:1] == ["search"] and len(names) > 1 else names)


def listed(names: Iterable[str]) -> str:
    """The names, or the first of them and how many more there are.

    >>> listed(map(str, range(20)))
    '0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 10 more'
    """
    names = list(names)
    if len(names) <= LONGEST_LIST:
        return ", ".join(names)
    return f"{', '.join(names[:LONGEST_LIST])} and {len(names) - LONGEST_LIST} more"


def closest(word: str, known: Iterable[str]) -> str | None:
    """The known word that a misspelt one most likely means, or None."""
    by_lower_case = {name.lower(): name for name in known}
    matches = difflib.get_close_matches(word.lower(), by_lower_case, n=1)
    return by_lower_case[matches[0]] if matches else None


def shown(value: Any) -> str:
    """A value of a file in the words of a message."""
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
