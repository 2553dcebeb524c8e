"""Many problems with one dataset, reported in one message."""

from __future__ import annotations

from collections.abc import Sequence

from wsml_study.errors import DataError, printable

MOST_SHOWN = 10
MOST_LINES = 20
"""Of a message whose problems are grouped by cause."""

LONGEST_CELL = 60
LONGEST_NAME = 255
"""Of a file, in most file systems."""


def shown(cell: object) -> str:
    """What a cell holds, for messages: one line, quoted and cut; never bytes.

    >>> shown("two\\nlines")
    "'two\\\\nlines'"
    """
    if isinstance(cell, bytes | bytearray | memoryview):
        return f"{len(cell):,} bytes"
    text = repr(cell if isinstance(cell, str) else str(cell))
    return text if len(text) <= LONGEST_CELL else f"{text[: LONGEST_CELL - 4]}...{text[-1]}"


def cut(name: str) -> str:
    """As much of a text as a file can be called."""
    return name if len(name) <= LONGEST_NAME else f"{name[:LONGEST_NAME]}... ({len(name):,} characters)"


class Problems:
    """Problems of one place, grouped by their cause; a message of at most 20 lines shows some of each cause."""

    def __init__(self) -> None:
        self._by_cause: dict[str, list[str]] = {}
        self._remedies: dict[str, None] = {}

    def __len__(self) -> int:
        return sum(map(len, self._by_cause.values()))

    def __contains__(self, cause: str) -> bool:
        return cause in self._by_cause

    def add(self, cause: str, problem: str, *, remedy: str | None = None) -> None:
        """Note a problem.

        Args:
            cause: the same for all problems of a kind; shown where there are too many of them.
            problem: a line.
            remedy: what to do about this kind; each is shown once, below all problems.
        """
        self._by_cause.setdefault(cause, []).append(problem)
        if remedy is not None:
            self._remedies[remedy] = None

    def error(self, where: object, *, notices: Sequence[str] = (), remedy: str | None = None) -> DataError:
        """One error about all of them.

        Args:
            where: the place.
            notices: what was understood of it, which may explain the problems.
            remedy: what to do where no problem says it.
        """
        number = len(self)
        tail = [f"read so: {notice}" for notice in notices]
        tail += list(self._remedies) or ([] if remedy is None else [remedy])
        groups = list(self._by_cause.items())
        room = max(4, MOST_LINES - 1 - len(tail))
        most_groups = room // 2
        each = max(1, (room - 1) // min(len(groups), most_groups) - 1)
        lines = [f"{where}: {number:,} problem{'' if number == 1 else 's'}"]
        for cause, problems in groups[:most_groups]:
            # The line that tells of one problem more would take as much room as that problem.
            end = len(problems) if len(problems) <= each + 1 else each
            lines += [f"  {problem}" for problem in problems[:end]]
            if len(problems) > end:
                lines.append(f"  ... and {len(problems) - end:,} more: {cause}")
        if others := groups[most_groups:]:
            lines.append(f"  ... and {sum(len(problems) for _, problems in others):,} more of other kinds")
        return DataError("\n".join([*lines, *tail]))


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
