"""Studies in Python are refused, checked and shown as on the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

import wsml_study
from wsml_study.errors import StudyFileError
from wsml_study.study.reading import read_study

STUDIES = Path(__file__).parents[1] / "studies"
SECTIONS = {
    "name": "s",
    "data": {"dataset": "digit_scenes"},
    "method": {"name": "LL-R", "schedule": {"rate_per_epoch": 0.002}},
}


@pytest.mark.parametrize(
    ("sections", "words"),
    [
        ({"search": {"training.epohcs": {"choice": [1, 2]}}}, "did you mean `training.epochs`?"),
        ({"search": {"data.root": {"choice": ["a", "b"]}}}, "cannot be searched"),
        ({"trials": 3}, "without `search` all trials would be the same"),
        ({"optimiser": "adam"}, "unknown key"),
    ],
)
def test_what_a_study_file_may_not_say_python_may_not_either(sections, words: str) -> None:
    with pytest.raises(StudyFileError, match=words.replace("?", r"\?").replace(".", r"\.")):
        wsml_study.Study(**SECTIONS, **sections)


def test_a_study_is_the_same_from_python_from_its_file_and_from_its_own_yaml(tmp_path: Path) -> None:
    read = wsml_study.Study.read(STUDIES / "rejection_rate.yaml")
    (tmp_path / "again.yaml").write_text(read.to_yaml())
    assert read_study(tmp_path / "again.yaml") == read.specification
    assert wsml_study.Study(**SECTIONS).specification.method.name == "LL-R"


def test_check_says_what_the_command_line_says(capsys: pytest.CaptureFixture[str]) -> None:
    from typer.testing import CliRunner

    from wsml_study.cli.entry import app

    path = str(STUDIES / "rejection_rate.yaml")
    printed = CliRunner().invoke(app, ["check", path]).stdout
    checked = wsml_study.Study.read(path).check()
    assert str(checked) == printed.rstrip("\n")
    assert checked._repr_html_().startswith("<pre>study rejection_rate")


def test_results_show_themselves_in_a_notebook(folder: Path) -> None:
    results = wsml_study.load(folder)
    page = results._repr_html_()
    assert "<table" in page
    assert results.folder.name in page
    assert list(results.best["method"]) == list(dict.fromkeys(results.ranked.dropna(subset=["value"])["method"]))
    assert "trial" in str(results)
