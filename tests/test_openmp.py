"""How long OpenMP's threads spin: limited before torch is loaded, unless a user has decided it."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from wsml_study.openmp import DECIDED_BY, SPIN_COUNT, limit_spinning

LOADED = """
import ctypes, importlib.util
from pathlib import Path
import wsml_study
torch = Path(importlib.util.find_spec("torch").origin).parent
ctypes.CDLL(str(torch / "lib" / "libgomp.so.1"))
"""
"""Loads torch's OpenMP after the package, without the seconds that torch takes."""


def spin_count_of_libgomp(**chosen: str) -> int:
    """What libgomp says that it read, in a process whose environment has these variables."""
    inherited = {name: value for name, value in os.environ.items() if name not in DECIDED_BY}
    shown = subprocess.run(
        [sys.executable, "-c", LOADED],
        env=inherited | {"OMP_DISPLAY_ENV": "VERBOSE"} | chosen,
        capture_output=True,
        text=True,
        check=True,
    )
    (count,) = re.findall(r"GOMP_SPINCOUNT = '(\w+)'", shown.stderr)
    return int(count)


def test_torchs_openmp_reads_the_limit() -> None:
    assert spin_count_of_libgomp() == int(SPIN_COUNT)


def test_a_users_own_value_wins() -> None:
    assert spin_count_of_libgomp(GOMP_SPINCOUNT="77") == 77
    assert spin_count_of_libgomp(OMP_WAIT_POLICY="PASSIVE") == 0


@pytest.mark.parametrize("chosen", [{"GOMP_SPINCOUNT": "77"}, {"OMP_WAIT_POLICY": "ACTIVE"}])
def test_an_environment_that_decides_is_left_as_it_is(chosen: dict[str, str]) -> None:
    environ = dict(chosen)
    limit_spinning(environ)
    assert environ == chosen
