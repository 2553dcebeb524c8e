"""Keeps a section that is equal in many trial configs in memory once: a history may hold 100,000 configs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wsml_study.record.kept_result import packed

MOST = 1000
"""Number of different sections that are remembered; those that are searched differ from trial to trial."""


class SharedSections:
    """Replaces equal sections of trial configs by one shared object, so the sections must not be modified.

    >>> shared = SharedSections()
    >>> one, other = (shared.of({"data": {"root": "photos"}, "training": {"seed": seed}}) for seed in (0, 1))
    >>> one["data"] is other["data"], other
    (True, {'data': {'root': 'photos'}, 'training': {'seed': 1}})
    """

    def __init__(self) -> None:
        self._known: dict[tuple[str, bytes], Any] = {}

    def of(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """A new mapping equal to the config, with shared sections.

        Args:
            config: plain data that JSON can hold.
        """
        return {name: self._section(name, section) for name, section in config.items()}

    def _section(self, name: str, section: Any) -> Any:
        # By their bytes: 1, 1.0 and true are equal, but not the same in a log or a table.
        key = name, packed([section])
        if key not in self._known:
            if len(self._known) >= MOST:
                self._known.clear()
            self._known[key] = section
        return self._known[key]
