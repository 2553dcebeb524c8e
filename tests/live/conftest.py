"""Fixtures of the live page."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live.served import RECORDED, Served, served


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache for all servers: putting the script together that draws takes a second."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def _own_cache(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WSML_CACHE", str(cache))


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with studies that have run, in the current folder."""
    monkeypatch.chdir(tmp_path)
    for name in ("confirmed", "interrupted", "levels"):
        shutil.copytree(RECORDED / name / "results" / name, tmp_path / "results" / name)
    return tmp_path / "results"


@pytest.fixture
def page(results: Path) -> Iterator[Served]:
    """The page of these studies."""
    with served("results") as it:
        yield it
