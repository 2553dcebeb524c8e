"""The table of a paper: methods by datasets, means with intervals beside the published figures; LaTeX and Markdown."""

from __future__ import annotations

import html
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from wsml_study.methods.catalogue import METHODS
from wsml_study.methods.method_record import KIM
from wsml_study.record.markup import latex_text, markdown_text
from wsml_study.report.paper.study_columns import Basis, Cell, Column
from wsml_study.results.ranking import UPPER_BOUND
from wsml_study.results.statistics import Estimate

NONE = "--"
WIDEST = 4
"""Datasets of a tabular."""
MARKED = (
    "Bold: the best mean of the methods that see only the observed labels; underlined: not told apart from it by the "
    "tests named below. Columns without marks are not tested"
)


@dataclass(frozen=True, kw_only=True)
class Markup:
    """How a cell is written in a markup language.

    Attributes:
        best, alike: a mean that is the best one, and one that is not told apart from it.
        interval: beside its mean.
    """

    best: str
    alike: str
    interval: str


LATEX = Markup(best=r"\textbf{{{}}}", alike=r"\underline{{{}}}", interval=r"{{\scriptsize [{}]}}")
MARKDOWN = Markup(best="**{}**", alike="<ins>{}</ins>", interval="({})")
"""Markdown has no underline, so that HTML's `ins` stands for it; brackets would make a link."""
HTML = Markup(best="<b>{}</b>", alike="<u>{}</u>", interval="<small>[{}]</small>")


@dataclass(frozen=True, kw_only=True, repr=False)
class ResultTable:
    """The table of methods by columns.

    Attributes:
        columns: one or more of each study.
    """

    columns: tuple[Column, ...]

    @property
    def methods(self) -> list[str]:
        """Methods of any column, the upper bound first, then as in the catalogue."""
        found = dict.fromkeys(method for column in self.columns for method in column.cells)
        order = list(METHODS)
        return sorted(found, key=lambda method: (method != UPPER_BOUND, order.index(method.split(" ")[0]), method))

    def latex_parts(self) -> list[str]:
        """Tabulars below each other, of as many datasets as fit a page."""
        headings = self._headings()
        return [
            ResultTable(columns=self.columns[first : first + WIDEST])._latex(headings[first : first + WIDEST])
            for first in range(0, len(self.columns), WIDEST)
        ]

    def _latex(self, headings: Sequence[str]) -> str:
        """A tabular with the rules of booktabs, and a row of headings that span the two columns of a dataset."""
        sides = "".join("rr" if column.has_published else "r" for column in self.columns)
        lines = [rf"\begin{{tabular}}{{l{sides}}}", r"\toprule", *self._latex_headings(headings), r"\midrule"]
        for method in self.methods:
            lines.append(" & ".join([latex_text(method), *self._row(method, LATEX)]) + r" \\")
            if method == UPPER_BOUND and len(self.methods) > 1:
                lines.append(r"\midrule")
        return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"]) + "\n"

    def markdown(self) -> str:
        """A table of GitHub's Markdown."""
        names = ["method"]
        for column, heading in zip(self.columns, self._headings(), strict=True):
            names.append(f"{markdown_text(heading)}: {markdown_text(column.quantity)}")
            names += ["published"] if column.has_published else []
        rows = [[markdown_text(method), *self._row(method, MARKDOWN)] for method in self.methods]
        table = [names, ["---", *["---:"] * (len(names) - 1)], *rows]
        return "".join(f"| {' | '.join(row)} |\n" for row in table)

    def __repr__(self) -> str:
        return "\n".join([self.markdown(), *(f"{note}." for note in self.notes())])

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        names = ["method"]
        for column, heading in zip(self.columns, self._headings(), strict=True):
            names += [f"{heading}: {column.quantity}", *(["published"] if column.has_published else [])]
        head = "".join(f"<th>{html.escape(name)}</th>" for name in names)
        rows = ([html.escape(method), *self._row(method, HTML)] for method in self.methods)
        body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
        notes = "".join(f"<li>{html.escape(note)}.</li>" for note in self.notes())
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table><ul>{notes}</ul>"

    def notes(self) -> list[str]:
        """What the marks mean, what each column rests on, and how it departs from the published protocol."""
        notes = ["Mean and 95 % interval"]
        if any(column.is_tested for column in self.columns):
            notes.append(MARKED)
        if any(column.has_published for column in self.columns):
            sources = {cell.published.source for cell in self._cells() if cell.published is not None}
            notes.append(f"Published: {' and '.join(sorted(sources, key=lambda source: source != KIM))}")
        about: dict[str, list[str]] = {}
        for column, heading in zip(self.columns, self._headings(), strict=True):
            said = "; ".join([column.basis.value, *column.notes, *_departures(column)])
            named = heading if column.study in heading else f"{heading} ({column.study})"
            about.setdefault(said, []).append(named)
        return [*notes, *(f"{', '.join(headings)}: {said}" for said, headings in about.items())]

    def unconfirmed(self) -> list[Column]:
        """The columns that rest on a search alone."""
        return [column for column in self.columns if column.basis is Basis.SEARCH]

    def _headings(self) -> list[str]:
        """Of the columns; with the study's name where several have the same."""
        plain = [column.heading for column in self.columns]
        return [
            heading if plain.count(heading) == 1 else f"{heading} ({column.study})"
            for column, heading in zip(self.columns, plain, strict=True)
        ]

    def _latex_headings(self, headings: Sequence[str]) -> Iterator[str]:
        place, groups, rules, names = 2, [""], [], ["method"]
        for column, heading in zip(self.columns, headings, strict=True):
            width = 2 if column.has_published else 1
            groups.append(rf"\multicolumn{{{width}}}{{c}}{{{latex_text(heading)}}}")
            rules.append(rf"\cmidrule(lr){{{place}-{place + width - 1}}}")
            names += [latex_text(column.quantity), *(["published"] if column.has_published else [])]
            place += width
        yield " & ".join(groups) + r" \\"
        yield "".join(rules)
        yield " & ".join(names) + r" \\"

    def _row(self, method: str, markup: Markup) -> Iterator[str]:
        for column in self.columns:
            cell = column.cells.get(method)
            yield NONE if cell is None else _mean(cell, markup, _number(column))
            if column.has_published:
                yield NONE if cell is None or cell.published is None else cell.published.text

    def _cells(self) -> Iterator[Cell]:
        return (cell for column in self.columns for cell in column.cells.values())


def _number(column: Column) -> Callable[[float], str]:
    """Two decimals of percentages, four of other objectives."""
    return "{:.2f}".format if "(%)" in column.quantity else "{:.4f}".format


def _mean(cell: Cell, markup: Markup, number: Callable[[float], str]) -> str:
    look = markup.best if cell.is_best else markup.alike if cell.is_alike else "{}"
    mean, ends = look.format(number(cell.mean.mean)), _ends(cell.mean, number)
    return mean if ends is None else f"{mean} {markup.interval.format(ends)}"


def _ends(mean: Estimate, number: Callable[[float], str]) -> str | None:
    return None if mean.low is None or mean.high is None else f"{number(mean.low)}, {number(mean.high)}"


def _departures(column: Column) -> Iterator[str]:
    """How the configs depart from the protocol of the published figures, methods that depart alike together."""
    kinds: dict[tuple[str, ...], list[str]] = {}
    for method, cell in column.cells.items():
        if cell.published is not None:
            kinds.setdefault(cell.departures, []).append(method)
    for departures, methods in kinds.items():
        who = "all methods" if len(kinds) == 1 else ", ".join(methods)
        if departures:
            yield f"{who}: differs from the published protocol by {', '.join(departures)}"
        else:
            yield f"{who}: the published protocol in every key that is published"
