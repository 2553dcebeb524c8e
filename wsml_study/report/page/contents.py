"""The contents of a page, as plain data for the template."""

from __future__ import annotations

from dataclasses import dataclass

from wsml_study.report.figures.figure import Figure, LeftOut, Table


@dataclass(frozen=True, kw_only=True)
class Part:
    """Text, commands or a table under a title of its own.

    Attributes:
        name: CSS class of the table; may be empty.
    """

    title: str = ""
    text: str = ""
    commands: tuple[str, ...] = ()
    table: Table | None = None
    name: str = ""


@dataclass(frozen=True, kw_only=True)
class PageSection:
    """Figures, then parts, under one heading with an anchor."""

    name: str
    title: str
    text: str = ""
    figures: tuple[Figure | LeftOut, ...] = ()
    parts: tuple[Part, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Page:
    """A whole report.

    Attributes:
        study: its name.
        facts: what was studied, in a line.
        answer: in two sentences.
        notes: that belong to the answer.
        sections: in their order.
        footer: when and by what it was made.
    """

    study: str
    facts: str
    answer: tuple[str, ...]
    notes: tuple[str, ...]
    sections: tuple[PageSection, ...]
    footer: str
