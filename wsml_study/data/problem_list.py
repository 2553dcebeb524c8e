"""Many problems with one dataset, told in one message."""

from __future__ import annotations

from collections.abc import Sequence

from wsml_study.errors import DataError, printable

MOST_SHOWN = 10


def data_error(where: object, problems: Sequence[str], *, remedy: str | None = None) -> DataError:
    """One error about all problems of a place; the first ten are spelled out.

    >>> print(data_error("labels.txt", ["2: expected a number, got 'x'"], remedy="download it again"))
    labels.txt: 1 problem
      2: expected a number, got 'x'
    download it again
    """
    lines = [f"{where}: {len(problems):,} problem{'' if len(problems) == 1 else 's'}"]
    lines += [f"  {_one_line(problem)}" for problem in problems[:MOST_SHOWN]]
    if len(problems) > MOST_SHOWN:
        lines.append(f"  ... and {len(problems) - MOST_SHOWN:,} more")
    if remedy is not None:
        lines.append(remedy)
    return DataError("\n".join(lines))


def _one_line(problem: str) -> str:
    """A problem names files, and a name may hold a line end."""
    return printable(problem).replace("\n", "\\n")
