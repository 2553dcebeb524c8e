"""Folders in which a local Ray cannot make its sockets are refused before it starts."""

from __future__ import annotations

from pathlib import Path

import pytest

from wsml_study.cluster.session import check_temporary_folder, ray_session
from wsml_study.errors import ResourcesError

LONG = "/TMP/slurm_jobdir_1355700_slurm_jobdir_1355700/user.t0016/tmp"


@pytest.mark.parametrize("environ", [{}, {"TMPDIR": "/tmp"}, {"TMPDIR": LONG, "RAY_TMPDIR": "/scratch/tmp"}])
def test_short_folders_are_taken(environ: dict[str, str]) -> None:
    check_temporary_folder(environ)


@pytest.mark.parametrize(
    ("environ", "variable"),
    [
        ({"TMPDIR": LONG}, "TMPDIR"),
        ({"TMPDIR": "/tmp", "RAY_TMPDIR": LONG}, "RAY_TMPDIR"),
        ({"RAY_TMPDIR": "/TMP/Größe"}, "RAY_TMPDIR"),
    ],
)
def test_long_and_foreign_ones_are_refused_in_one_line(environ: dict[str, str], variable: str) -> None:
    with pytest.raises(ResourcesError, match=rf"^{variable}=/TMP/.* at most \d+ ASCII characters; set RAY_TMPDIR to"):
        check_temporary_folder(environ)


def test_the_session_says_so_before_ray_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_TMPDIR", LONG)
    with pytest.raises(ResourcesError, match="set RAY_TMPDIR to a shorter folder"), ray_session(None, tmp_path / "log"):
        pytest.fail("Ray has started")
