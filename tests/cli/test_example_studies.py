"""`init` with the example studies, and `--demo`."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from wsml_study.cli.demo import study_to_run
from wsml_study.cli.entry import app
from wsml_study.errors import ResultsError
from wsml_study.study.example_studies import example_names
from wsml_study.study.reading import read_study

STUDIES = Path(__file__).parents[2] / "studies"


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def said(*arguments: str) -> str:
    done = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def test_the_examples_are_the_studies_of_the_repository() -> None:
    assert example_names() == sorted(
        path.relative_to(STUDIES).with_suffix("").as_posix() for path in STUDIES.rglob("*.yaml")
    )


def test_every_example_is_listed_with_what_it_is() -> None:
    lines = said("init", "--list").splitlines()
    assert [line.split()[0] for line in lines] == example_names()
    assert all(len(line.split()) > 5 for line in lines)


@pytest.mark.parametrize("name", example_names())
def test_an_example_is_written_as_the_same_study(name: str) -> None:
    file = Path(f"{name.replace('/', '_')}.yaml")
    assert said("init", "--from", name) == f"wrote {file}; next: wsml-study check {file}\n"
    assert read_study(file) == read_study(STUDIES / f"{name}.yaml")
    assert "studies/" not in file.read_text()


def test_commands_in_an_example_name_the_file_that_was_written() -> None:
    said("init", "--from", "voc2012", "my folder/mine.yaml")
    assert "#   wsml-study run 'my folder/mine.yaml' --data-root DIR" in Path("my folder/mine.yaml").read_text()


def test_an_unknown_example_is_answered_with_all_names() -> None:
    with pytest.raises(ResultsError, match=r"no example study 'voc2021'; did you mean voc2012\? there are all_methods"):
        said("init", "--from", "voc2021")


def test_an_example_never_replaces_a_file() -> None:
    Path("voc2012.yaml").write_text("mine")
    with pytest.raises(ResultsError, match="exists already"):
        said("init", "--from", "voc2012")
    assert Path("voc2012.yaml").read_text() == "mine"


def test_checking_the_demo_writes_nothing(tmp_path: Path) -> None:
    assert "12 trials" in said("check", "--demo")
    assert list(tmp_path.iterdir()) == []


def test_running_the_demo_writes_its_study_once(capsys: pytest.CaptureFixture[str]) -> None:
    assert read_study(study_to_run(None, True)) == read_study(STUDIES / "rejection_rate.yaml")
    assert capsys.readouterr().out == "wrote rejection_rate.yaml, the demo study\n"
    assert study_to_run(None, True) == Path("rejection_rate.yaml")
    assert capsys.readouterr().out == ""


def test_the_demo_does_not_run_another_file_of_its_name() -> None:
    Path("rejection_rate.yaml").write_text("name: mine\n")
    with pytest.raises(ResultsError, match="is not the demo study"):
        study_to_run(None, True)
    assert Path("rejection_rate.yaml").read_text() == "name: mine\n"


@pytest.mark.parametrize(
    ("arguments", "message"), [(("check",), "Missing argument"), (("run", "a.yaml", "--demo"), "both a study file")]
)
def test_a_command_takes_a_study_or_the_demo(arguments: tuple[str, ...], message: str) -> None:
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 2
    assert message in done.output
