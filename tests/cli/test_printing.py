"""What is printed: names cannot steer a terminal."""

from __future__ import annotations

import sys
from importlib.metadata import version
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from wsml_study.cli import entry
from wsml_study.cli.entry import app

NAME = "a\x1b]0;title\x07.png"
STUDY = """\
name: printed
data: {{dataset: table, root: {root}, image_size: 16, labels: {{file: {root}/labels.csv, test_fraction: 0.5}}}}
method: {{name: AN}}
"""


@pytest.fixture
def study(tmp_path: Path) -> Path:
    root = tmp_path / "photos"
    root.mkdir()
    for name in (NAME, "b.png", "c.png"):
        Image.new("RGB", (20, 20), "red").save(root / name, format="png")
    (root / "labels.csv").write_text(f"image,c\x1b[31mat,dog\n{NAME},1,0\nb.png,0,1\nc.png,1,0\n")
    path = tmp_path / "study.yaml"
    path.write_text(STUDY.format(root=root))
    return path


def test_names_with_control_characters_are_escaped(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WSML_CACHE", str(study.parent / "cache"))
    for command in ("info", "verify"):
        done = CliRunner().invoke(app, ["data", command, str(study)])
        assert "\x1b" not in done.output
        assert "\x07" not in done.output
    assert "3 images are nearly constant" in done.output
    assert "a\\x1b]0;title\\x07.png" in done.output


def test_errors_are_escaped(study: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    (study.parent / "photos" / NAME).unlink()
    monkeypatch.setattr(sys, "argv", ["wsml-study", "data", "verify", str(study)])
    with pytest.raises(SystemExit, match="1"):
        entry.main()
    told = capsys.readouterr().err
    assert "\x1b" not in told
    assert "a\\x1b]0;title\\x07.png" in told


def test_the_version_is_that_of_the_installed_package() -> None:
    done = CliRunner().invoke(app, ["--version"])
    assert (done.exit_code, done.output) == (0, f"wsml-study {version('wsml-study')}\n")
