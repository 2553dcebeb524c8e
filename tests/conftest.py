"""Fixtures of all tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.sample_studies.stories import small_study, told_history
from wsml_study.record.tables import write_tables
from wsml_study.study.writing import dump_config

REPOSITORY = Path(__file__).parent.parent


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real photos and annotations, which are not part of the project: $WSML_SHARED_DATA, or beside the checkout."""
    folder = Path(os.environ.get("WSML_SHARED_DATA") or REPOSITORY.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}; set WSML_SHARED_DATA to where it lies")
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A study's folder as a run leaves it."""
    study = small_study()
    path = tmp_path / "results" / "told"
    path.mkdir(parents=True)
    (path / "study.yaml").write_text(dump_config(study))
    write_tables(path, study, told_history(study))
    return path
