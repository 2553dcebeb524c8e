"""What a notebook shows of results: tables and figures that need no network, and no name that does anything."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import vl_convert

import wsml_study
from tests.sample_studies.stories import small_study, told_events
from tests.sample_studies.synthetic import write_folder
from wsml_study.report.loading import StudyResults
from wsml_study.report.notebook import html_table

CONFIRMED = Path(__file__).parents[1] / "recorded" / "confirmed" / "results" / "confirmed"
HOSTILE = "<script>alert(1)</script>"
TOOLTIPS = "application/vnd.vegalite.v6+json"


@pytest.fixture
def hostile(tmp_path: Path) -> StudyResults:
    """A study one of whose classes has a hostile name."""
    study, events = small_study(), told_events(small_study())
    events[0]["classes"] = [HOSTILE, "dog"]
    write_folder(tmp_path / "told", study, events)
    return wsml_study.load(tmp_path / "told")


def test_a_figure_is_shown_as_vega_lite_and_as_a_picture(hostile: StudyResults) -> None:
    for figure in hostile.figures.values():
        bundle = figure._repr_mimebundle_()
        assert bundle.keys() == {TOOLTIPS, "text/html", "text/plain"}
        assert "<svg" in vl_convert.vegalite_to_svg(bundle[TOOLTIPS])
        assert "<svg" in bundle["text/html"]
        assert "<script" not in bundle["text/html"]
        assert set(re.findall(r"https?://[^\"' ]+", bundle["text/html"])) <= {
            "http://www.w3.org/2000/svg",
            "http://www.w3.org/1999/xlink",
        }


def test_the_list_of_figures_and_the_numbers_of_one_are_tables(hostile: StudyResults) -> None:
    assert "<td>trials_by_method</td>" in hostile.figures._repr_html_()
    assert hostile.figures["trials_by_method"].table is None
    confirmed = wsml_study.load(CONFIRMED).figures["confirmed"]
    assert confirmed.table["trial"].tolist() == ["2", "8", "1"]


def test_a_confirmation_is_shown_by_its_lines() -> None:
    found = wsml_study.load(CONFIRMED).confirmation
    assert "Answer: No method beats AN" in str(found)
    assert found._repr_html_().startswith("<pre>trial")


def test_the_paper_s_table_is_shown_with_its_marks(hostile: StudyResults) -> None:
    page = wsml_study.load(CONFIRMED).paper_table(hostile)._repr_html_()
    assert "<td><b>86.65</b> <small>[86.58, 86.72]</small></td>" in page
    assert "<td><u>83.34</u>" in page
    assert "<li>digit_scenes (told): unconfirmed search" in page


def test_a_paper_is_written_from_python(hostile: StudyResults, tmp_path: Path) -> None:
    written = hostile.write_paper(tmp_path / "paper")
    assert written.unconfirmed == ("told",)
    assert (tmp_path / "paper" / "paper.tex").exists()


def test_a_report_is_written_from_python(hostile: StudyResults, tmp_path: Path) -> None:
    assert hostile.write_report().path == hostile.folder / "report.html"
    assert hostile.write_report(tmp_path / "mine.html").num_figures > 0


def test_a_table_escapes_names() -> None:
    assert html_table({HOSTILE: [HOSTILE]}).count("&lt;script&gt;") == 2
