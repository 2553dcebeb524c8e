"""The folder of inputs from the field, where it is at hand: $WSML_SHARED_CASES, or beside the checkout."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def cases() -> Path:
    beside = Path(__file__).parents[3] / "shared" / "cases"
    folder = Path(os.environ.get("WSML_SHARED_CASES") or beside)
    if not folder.is_dir():
        pytest.skip(f"no cases at {folder}; set WSML_SHARED_CASES to where they lie")
    return folder


@pytest.fixture
def case_copy(cases: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Copies a case into a folder that can be written, and goes there."""

    def copy(name: str) -> Path:
        folder = shutil.copytree(cases / name, tmp_path / name)
        for path in (folder, *folder.rglob("*")):
            path.chmod(0o755 if path.is_dir() else 0o644)
        monkeypatch.chdir(folder)
        return folder

    return copy
