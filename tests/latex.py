"""LaTeX for tests: documents compiled by pdflatex, and the text of what they show."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

NEEDED = {
    "pdflatex": "texlive-latex-base and texlive-latex-recommended",
    "bibtex": "texlive-binaries",
    "pdftotext": "poppler-utils",
}
"""Program -> the Debian packages that have it."""


def skip_without_latex() -> None:
    """Skip the test where a program is missing, and say which package has it."""
    missing = [f"{program} ({package})" for program, package in NEEDED.items() if shutil.which(program) is None]
    if missing:
        pytest.skip(f"needs {', '.join(missing)}")


def compiled(document: Path, *, bibliography: bool = False) -> Path:
    """The PDF of a LaTeX document; the first error of the log fails the test, and so does an undefined reference."""
    skip_without_latex()
    _run("pdflatex", document)
    if bibliography:
        done = subprocess.run(["bibtex", document.stem], cwd=document.parent, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout
        _run("pdflatex", document)
    log = _run("pdflatex", document)
    assert "undefined" not in log, [line for line in log.splitlines() if "undefined" in line]
    return document.with_suffix(".pdf")


def text_of(pdf: Path) -> str:
    """What a PDF shows, without spaces."""
    done = subprocess.run(["pdftotext", "-layout", pdf, "-"], capture_output=True, text=True, check=True)
    return "".join(done.stdout.split())


def _run(program: str, document: Path) -> str:
    command = [program, "-interaction=nonstopmode", "-halt-on-error", document.name]
    done = subprocess.run(command, cwd=document.parent, capture_output=True, text=True, errors="replace")
    assert done.returncode == 0, "\n".join(done.stdout.splitlines()[-30:])
    return done.stdout
