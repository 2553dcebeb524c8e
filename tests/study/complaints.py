"""What reading a study file complains of."""

from __future__ import annotations

from pathlib import Path

import pytest

from wsml_study.errors import StudyFileError
from wsml_study.study.reading import read_study


def complaint(folder: Path, text: str | bytes) -> str:
    """The message about a study file with this text, without the file's name."""
    file = folder / "study.yaml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(StudyFileError) as raised:
        read_study(file)
    return str(raised.value).replace(str(file), "study.yaml")


def assert_complains(folder: Path, text: str, *lines: str) -> None:
    count = f"{len(lines)} problem{'s' if len(lines) > 1 else ''}"
    assert complaint(folder, text).splitlines() == [f"study.yaml: {count}", *(f"  {line}" for line in lines)]
