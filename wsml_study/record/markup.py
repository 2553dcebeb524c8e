"""Tables as LaTeX (booktabs) and Markdown, in which any text is shown as it is, whatever characters it has."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from wsml_study.errors import printable

LATEX_TEXT = str.maketrans(
    {character: f"\\{character}" for character in "&%$#_{}"}
    | {
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "\\": r"\textbackslash{}",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
        "|": r"\textbar{}",
        '"': r"{\char34}",
        "`": r"{\char96}",
        "[": "{[}",
        "]": "{]}",
        "*": "{*}",
        "±": r"$\pm$",
        "\N{MINUS SIGN}": "$-$",
    }
)
"""Special characters of LaTeX -> how they are written; `[` and `*`, since a row that begins with one would be taken as
an argument of the line end before it."""

LIGATURES = re.compile(r"(?<=-)(?=-)|(?<=,)(?=,)|(?<=')(?=')")
"""Between characters that LaTeX draws as another one, such as -- as a dash."""

MARKDOWN_TEXT = str.maketrans(
    {character: f"\\{character}" for character in "\\`*_[]|~$"} | {"<": "&lt;", ">": "&gt;", "&": "&amp;"}
)
"""Special characters of Markdown, HTML in it, and of GitHub's formulas -> how they are written."""

LINK = re.compile(r"://|www\.|@", re.IGNORECASE)
"""What GitHub's Markdown makes a link of."""

NUMBER = re.compile(r"[+-]?\d+(\.\d+)?|-")
"""A number, or the dash that stands for an absent one."""


SHORT = 21
"""Characters of a cell that no column of a longtable breaks."""

WRAPPED = 0.42
"""Share of the line that all wrapped columns of a longtable have."""


def latex(columns: Mapping[str, Sequence[str]]) -> str:
    """Columns of text as LaTeX's tabular, names first, with the rules of the package booktabs; numbers to the right."""
    names, *rows = _latex_rows(columns)
    sides = "".join("r" if of_numbers(column) else "l" for column in columns.values())
    heading = [rf"\begin{{tabular}}{{{sides}}}", r"\toprule", names, r"\midrule"]
    return "\n".join([*heading, *rows, r"\bottomrule", r"\end{tabular}"])


def long_latex(columns: Mapping[str, Sequence[str]]) -> str:
    """Columns of text as a longtable, which goes on over pages, and in which all long texts but the first's wrap."""
    names, *rows = _latex_rows(columns)
    wraps = [place > 0 and max(map(len, (name, *cells))) > SHORT for place, (name, cells) in enumerate(columns.items())]
    wide = rf">{{\raggedright\arraybackslash}}p{{{WRAPPED / max(1, sum(wraps)):.3f}\linewidth}}"
    sides = "".join(wide if wrapped else "l" for wrapped in wraps)
    heading = [rf"\begin{{longtable}}{{{sides}}}", r"\toprule", names, r"\midrule", r"\endhead", r"\bottomrule"]
    return "\n".join([*heading, r"\endfoot", *rows, r"\end{longtable}"])


def latex_text(text: str) -> str:
    r"""Text with LaTeX's special characters escaped; letters of any script stay, as LuaLaTeX and XeLaTeX take them.

    >>> print(latex_text("batch_size 8 & 95 % ± 1"))
    batch\_size 8 \& 95 \% $\pm$ 1
    >>> print(latex_text("[x] <b>--"))
    {[}x{]} \textless{}b\textgreater{}-{}-
    """
    return "{}".join(part.translate(LATEX_TEXT) for part in LIGATURES.split(cell_text(text)))


def markdown(columns: Mapping[str, Sequence[str]]) -> str:
    """Columns of text as a table of GitHub's Markdown, names first; numbers to the right."""
    names = _row(map(markdown_text, columns))
    sides = _row("---:" if of_numbers(column) else "---" for column in columns.values())
    rows = [_row(map(markdown_text, row)) for row in zip(*columns.values(), strict=True)]
    return "\n".join([names, sides, *rows])


def markdown_text(text: str) -> str:
    r"""Text with Markdown's special characters escaped, and no link or HTML in it.

    >>> print(markdown_text("a|b_c <img>"))
    a\|b\_c &lt;img&gt;
    """
    escaped = cell_text(text).translate(MARKDOWN_TEXT)
    return LINK.sub(lambda found: f"{found.group()[:-1]}&#{ord(found.group()[-1])};", escaped)


def cell_text(text: str) -> str:
    """Text on one line, with line ends, tabs and control characters escaped."""
    return printable(text).replace("\n", "\\n").replace("\t", "\\t")


def of_numbers(column: Sequence[str]) -> bool:
    """Whether a column holds numbers, and dashes for absent ones, alone."""
    return any(cell != "-" for cell in column) and all(NUMBER.fullmatch(cell) for cell in column)


def _latex_rows(columns: Mapping[str, Sequence[str]]) -> list[str]:
    """The names, then the rows."""
    return [" & ".join(map(latex_text, row)) + r" \\" for row in [tuple(columns), *zip(*columns.values(), strict=True)]]


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
