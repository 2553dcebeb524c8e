"""The wheel: what is in it, and that it works without the checkout, in a virtual environment of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
PACKAGE = PROJECT / "wsml_study"
CHECKOUT = (sys.executable, "-m", "wsml_study")


@dataclass(frozen=True)
class Installed:
    """The wheel in a virtual environment that sees this one's packages, but no checkout.

    Attributes:
        program: its `wsml-study`.
        folder: where commands run; empty at first.
    """

    program: Path
    folder: Path

    def __call__(self, *arguments: str, program: tuple[str, ...] | None = None) -> str:
        environment = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "RAY_ADDRESS")}
        done = subprocess.run(
            [*(program or (str(self.program),)), *arguments],
            cwd=self.folder,
            env=environment | {"WSML_CACHE": str(self.folder.parent / "cache"), "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout


def build(target: str, project: Path, folder: Path) -> Path:
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--target", target, "--directory", str(folder)],
        cwd=project,
        stdout=subprocess.DEVNULL,
        check=True,
    )
    (built,) = folder.glob("*.whl" if target == "wheel" else "*.tar.gz")
    return built


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("wheel", PROJECT, tmp_path_factory.mktemp("dist"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    place = tmp_path_factory.mktemp("user")
    subprocess.run([sys.executable, "-m", "venv", str(place / "venv")], check=True)
    (packages,) = (place / "venv/lib").glob("python*/site-packages")
    dependencies = [path for path in sys.path if path.endswith("site-packages")]
    (packages / "dependencies.pth").write_text("\n".join(dependencies) + "\n")
    install = ("install", "--quiet", "--no-deps", "--no-index", "--disable-pip-version-check", str(wheel))
    subprocess.run([place / "venv/bin/pip", *install], check=True)
    (place / "empty").mkdir()
    return Installed(place / "venv/bin/wsml-study", place / "empty")


def names_in(wheel: Path) -> set[str]:
    return set(zipfile.ZipFile(wheel).namelist())


def test_the_wheel_holds_the_package_the_studies_and_nothing_else(wheel: Path) -> None:
    package = {
        path.relative_to(PROJECT).as_posix()
        for path in PACKAGE.rglob("*")
        if path.is_file() and path.parent.name != "__pycache__"
    }
    studies = {f"wsml_study/{path.relative_to(PROJECT).as_posix()}" for path in (PROJECT / "studies").rglob("*.*")}
    described = {name for name in names_in(wheel) if ".dist-info/" in name}
    assert {name.partition("/")[2] for name in described} == {
        "METADATA",
        "RECORD",
        "WHEEL",
        "entry_points.txt",
        "licenses/LICENSE",
    }
    assert names_in(wheel) - described == package | studies


def test_what_is_installed_is_used(installed: Installed) -> None:
    python = (str(installed.program.with_name("python")), "-c")
    printed = installed("import wsml_study; print(wsml_study.__file__)", program=python)
    assert Path(printed.strip()).is_relative_to(installed.program.parents[1])


@pytest.mark.parametrize("command", [("init", "--list"), ("check", "--demo")], ids=" ".join)
def test_a_wheel_prints_what_a_checkout_prints(installed: Installed, command: tuple[str, ...]) -> None:
    assert installed(*command) == installed(*command, program=CHECKOUT)


def test_an_example_is_written_from_the_wheel(installed: Installed) -> None:
    installed("init", "--from", "paper/voc2012", "mine.yaml")
    written = (installed.folder / "mine.yaml").read_text().splitlines()
    source = (PROJECT / "studies/paper/voc2012.yaml").read_text().replace("studies/paper/voc2012.yaml", "mine.yaml")
    assert written[2:] == source.splitlines()[1:]


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_demo_runs_in_an_empty_folder(installed: Installed) -> None:
    printed = installed("run", "--demo")
    assert "wrote rejection_rate.yaml, the demo study" in printed
    assert "12 of 12 trials ended" in printed
    installed("report", "rejection_rate.yaml")
    assert (installed.folder / "results/rejection_rate/report.html").stat().st_size > 100_000
    assert "12 of 12 trials ended" in installed("run", "--demo")


@pytest.mark.slow
def test_the_source_distribution_makes_the_same_wheel(wheel: Path, tmp_path: Path) -> None:
    with tarfile.open(build("sdist", PROJECT, tmp_path)) as archive:
        archive.extractall(tmp_path, filter="data")
    (source,) = tmp_path.glob("wsml_study-*/")
    assert {"LICENSE", "CITATION.cff", "constraints.txt", "tests", "docs"} <= {path.name for path in source.iterdir()}
    assert names_in(build("wheel", source, tmp_path)) == names_in(wheel)
