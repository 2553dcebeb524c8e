"""The folders that the server may touch: paths outside are refused, also those that a study file names."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from wsml_study.errors import ResultsError, StudyFileError
from wsml_study.study.reading import read_study
from wsml_study.study.spec import Study

DOWNLOADED = "hf://"
"""Begins addresses that a study may read from, although they are no paths of this machine."""


class AllowedPaths:
    """One folder for studies and their results, and further ones that studies may read from."""

    def __init__(self, root: Path, data: Sequence[Path] = ()) -> None:
        """Allow a folder and what is in it.

        Args:
            root: study files and results; relative paths start here.
            data: further folders, such as those of datasets.

        Raises:
            ResultsError: one of them is no folder.
        """
        for folder in (root, *data):
            if not folder.is_dir():
                raise ResultsError(f"{folder}: expected a folder")
        self.root = root.resolve()
        self._readable = (self.root, *(folder.resolve() for folder in data))

    def inside(self, path: str) -> Path:
        """A path inside the root folder, absolute, with symbolic links resolved.

        Raises:
            ResultsError: it leads outside.
        """
        resolved = _resolved(self.root, path)
        if resolved is None or not resolved.is_relative_to(self.root):
            raise ResultsError(f"{path}: outside of {self.root}, the folder that this server works in")
        return resolved

    def study(self, path: str) -> Study:
        """The study of a file inside the root folder, all of whose own paths are allowed.

        Raises:
            ResultsError: the file is outside.
            StudyFileError: it is not a valid study, or it names paths outside.
        """
        study = read_study(self.inside(path))
        if refused := list(self._refused(study)):
            raise StudyFileError(
                f"{path}: {', '.join(refused)}: outside of {self.root}, the folder that this server works in; datasets "
                "elsewhere need `wsml-study mcp --data FOLDER`"
            )
        return study

    def results_of(self, path: str) -> Path:
        """The folder of a study's results, inside the root folder: of a study file, or the folder itself.

        Raises:
            ResultsError, StudyFileError: as `inside` and `study`.
        """
        found = self.inside(path)
        if found.is_dir():
            return found
        study = self.study(path)
        return self.inside(f"{study.storage}/{study.name}")

    def _refused(self, study: Study) -> Iterator[str]:
        """Keys of a study whose values are paths or addresses that are not allowed."""
        content = study.model_dump(mode="json")
        beside = self.root / str(study.data.root or "")
        for key, value in _strings(content):
            is_address = "://" in value
            if key.startswith("tracking.") and value.startswith(("http://", "https://")):
                continue
            if key != "storage" and value.startswith(DOWNLOADED):
                continue
            allowed = (self.root,) if key == "storage" else self._readable
            for start in (self.root, *([beside] if key.startswith("data.features.") else [])):
                resolved = None if is_address else _resolved(start, value)
                if resolved is None or not any(resolved.is_relative_to(folder) for folder in allowed):
                    yield f"{key} {value}"
                    break


def _resolved(start: Path, path: str) -> Path | None:
    """The path that a text stands for; None for a text that is none."""
    try:
        return (start / path).resolve()
    except (OSError, ValueError, RuntimeError):  # a NUL, or links in a circle
        return None


def _strings(content: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Dotted key and value of every text in plain content."""
    if isinstance(content, str):
        yield key, content
    elif isinstance(content, dict):
        for name, value in content.items():
            yield from _strings(value, f"{key}.{name}" if key else str(name))
    elif isinstance(content, list):
        for value in content:
            yield from _strings(value, key)
