"""Checks of `training.compile`: what torch's compiler needs on the machine, and studies that it does not train."""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from pathlib import Path

from wsml_study.study.problems import Problem
from wsml_study.study.spec import Draft

KEY = "training.compile"


def check_compile(draft: Draft) -> Iterator[Problem]:
    """Trials of several workers, and a machine without a C++ compiler or Python's headers."""
    if not draft.training.compile:
        return
    if (num_workers := draft.resources.workers_per_trial) > 1:
        message = f"expected resources.workers_per_trial: 1, got {num_workers}; leave one of the keys out"
        yield _problem(message, "resources.workers_per_trial")
    if (missing := missing_for_compiling(os.environ)) is not None:
        yield _problem(f"{missing}, or leave the key out")


def missing_for_compiling(environ: Mapping[str, str]) -> str | None:
    """What torch's compiler needs of this machine and does not find, with a remedy; None if all is there."""
    compiler = environ.get("CXX") or ("clang++" if sys.platform == "darwin" else "g++")
    if shutil.which(compiler, path=environ.get("PATH")) is None:
        return f"needs a C++ compiler, and there is no {compiler}: install one (`apt install g++`), or name it in CXX"
    headers = Path(sysconfig.get_path("include"))
    if not (headers / "Python.h").exists():
        return f"needs Python's headers, and {headers} has none: install them (`apt install python3-dev`)"
    return None


def _problem(message: str, *others: str) -> Problem:
    return Problem(label=KEY, message=message, path=("training", "compile"), at_key=True, about=(KEY, *others))
