"""LICENSE and CITATION.cff are what programs that read them expect, and agree with pyproject.toml."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

PROJECT = Path(__file__).parents[1]
APACHE_2 = "cfc7749b96f63bd31c3c42b5c471bf756814053e847c10f3eb003417bc523d30"
"""SHA-256 of the license as its authors publish it."""


def described() -> dict[str, Any]:
    content: dict[str, Any] = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    return content


def citation() -> dict[str, Any]:
    content: dict[str, Any] = YAML(typ="safe").load((PROJECT / "CITATION.cff").read_text())
    return content


def test_the_license_is_apache_2_word_for_word() -> None:
    assert hashlib.sha256((PROJECT / "LICENSE").read_bytes()).hexdigest() == APACHE_2


def test_the_citation_is_of_this_package() -> None:
    cited = citation()
    assert (cited["title"], cited["version"], cited["license"]) == tuple(
        described()[key] for key in ("name", "version", "license")
    )
    assert [author["name"] for author in cited["authors"]] == ["The wsml-study authors"]


def test_the_citation_refers_to_the_paper_of_the_large_loss_methods() -> None:
    (paper,) = citation()["references"]
    assert paper["url"] == "https://arxiv.org/abs/2206.03740"
    assert [author["family-names"] for author in paper["authors"]] == ["Kim", "Kim", "Akata", "Lee"]


@pytest.mark.slow
def test_cffconvert_finds_the_citation_valid(tmp_path: Path) -> None:
    """In an environment of its own: it asks for an older jsonschema than the other tests."""
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "venv")], check=True)
    installed = subprocess.run([tmp_path / "venv/bin/pip", "install", "--quiet", "cffconvert"], check=False)
    if installed.returncode:
        pytest.skip("pip has no cffconvert here")
    done = subprocess.run(
        [tmp_path / "venv/bin/cffconvert", "--validate", "--infile", PROJECT / "CITATION.cff"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "valid according to schema version 1.2.0" in done.stdout
