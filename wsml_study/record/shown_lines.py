"""Findings that have lines of text: printing them, and showing them in a notebook or a terminal, shows the lines."""

from __future__ import annotations

import html


class ShownLines:
    """Shows its `lines()`; a dataclass needs `repr=False` for that."""

    def lines(self) -> list[str]:
        """As text."""
        raise NotImplementedError

    def __str__(self) -> str:
        return "\n".join(self.lines())

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(str(self))}</pre>"
