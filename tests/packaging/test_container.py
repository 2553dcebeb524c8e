"""`docs/cluster/Containerfile`: its files exist, it names no registry, and its build steps run."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from ruamel.yaml import YAML

PROJECT = Path(__file__).parents[2]
CLUSTER = PROJECT / "docs/cluster"
CONTAINERFILE = (CLUSTER / "Containerfile").read_text()


def instructions(name: str) -> list[list[str]]:
    """The words of each COPY or RUN."""
    return [line.split()[1:] for line in CONTAINERFILE.splitlines() if line.startswith(f"{name} ")]


def copied(into: Path) -> None:
    """What the image has in /src, in a folder."""
    into.mkdir()
    for *sources, target in instructions("COPY"):
        for source in sources:
            place = into / Path(target).relative_to("/src")
            if (PROJECT / source).is_dir():
                shutil.copytree(PROJECT / source, place, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(PROJECT / source, place)


def test_no_registry_is_named_beside_the_image() -> None:
    text = CONTAINERFILE + (CLUSTER / "install.sh").read_text()
    assert re.findall(r"https?://\S+|\S*index-url\S*|^FROM .*$", text, re.MULTILINE) == ["FROM python:3.11"]


def test_the_image_has_the_study_of_the_job_for_kubernetes(tmp_path: Path) -> None:
    copied(tmp_path / "src")
    job = YAML(typ="safe").load((CLUSTER / "rayjob.yaml").read_text())
    study = job["spec"]["entrypoint"].split()[2]
    assert ["useradd", "--create-home", "wsml", "&&", "cp", "--recursive", "/src/studies", "/home/wsml/studies"] in (
        instructions("RUN")
    )
    assert (tmp_path / "src" / study).exists()


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_build_steps_install_the_versions_of_the_constraints(tmp_path: Path) -> None:
    copied(tmp_path / "src")
    (step,) = (words[words.index("sh") :] for words in instructions("RUN") if "sh" in words)
    venv = tmp_path / "venv"
    command = [word.replace("/src", str(tmp_path / "src")).replace("/opt/wsml-study", str(venv)) for word in step]
    try:
        printed = subprocess.run(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True, check=True).stdout
        assert "ray, version" in printed
        assert "12 trials" in printed
        frozen = subprocess.check_output([venv / "bin/pip", "freeze", "--exclude", "wsml-study"], text=True)
        constraints = {
            line.lower().replace("_", "-") for line in (PROJECT / "constraints.txt").read_text().splitlines()
        }
        assert {line.lower().replace("_", "-") for line in frozen.splitlines()} - constraints == set()
    finally:
        shutil.rmtree(venv, ignore_errors=True)  # gigabytes, which pytest would keep
