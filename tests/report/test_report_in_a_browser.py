"""The report as a colleague opens it: in a browser, from a file, without a network."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.browser import opened
from tests.sample_studies.synthetic import (
    synthetic_confirmation,
    synthetic_events,
    synthetic_study,
    write_events,
    write_folder,
)
from wsml_study.report.html_report import Report, write_report

DRAWN = "document.documentElement.dataset.figures === 'drawn'"
PANELS = "document.querySelectorAll('.chart').length"
CHARTS = "[...document.querySelectorAll('.chart svg.marks')].filter(svg => svg.querySelector('path, text')).length"
SMALLEST_TEXT = (
    "Math.min(...[...document.querySelectorAll('.chart svg.marks text')].map(text =>"
    " parseFloat(getComputedStyle(text).fontSize) * text.getScreenCTM().a))"
)
CUT_OFF = (
    "[...document.querySelectorAll('.chart svg.marks')].flatMap(svg => [...svg.querySelectorAll('text')].filter(text =>"
    " text.getBoundingClientRect().right > svg.getBoundingClientRect().right + 1"
    " || text.getBoundingClientRect().left < svg.getBoundingClientRect().left - 1).map(text => text.textContent))"
)
WIDER_THAN_ITS_WINDOW = "document.documentElement.scrollWidth > window.innerWidth"
GROUND = "getComputedStyle(document.body).backgroundColor"


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    """Of 60 made-up trials and their confirmation: every figure is in it."""
    study, folder = synthetic_study(60), tmp_path_factory.mktemp("report") / "synthetic"
    history = write_folder(folder, study, synthetic_events(study))
    write_events(folder / "confirm", synthetic_confirmation(study, history))
    return write_report(folder, folder / "report.html", address=str(folder))


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_every_figure_is_drawn_legibly_without_a_complaint_or_a_request(report, tmp_path: Path, width: int, dark: bool):
    url = report.path.as_uri()
    with opened(url, width=width, dark=dark) as page:
        page.wait_until(DRAWN)
        assert report.left_out.keys() == {"corrections"}, "the synthetic study has no log of corrected labels"
        assert page.evaluate(CHARTS) == page.evaluate(PANELS) == 22
        assert page.evaluate(SMALLEST_TEXT) >= 11
        assert page.evaluate(CUT_OFF) == []
        assert not page.evaluate(WIDER_THAN_ITS_WINDOW)
        assert page.evaluate(GROUND) == ("rgb(22, 25, 31)" if dark else "rgb(255, 255, 255)")
        page.screenshot(tmp_path / "page.png")
        assert (tmp_path / "page.png").read_bytes().startswith(b"\x89PNG")
        assert page.complaints == []
        assert page.requests == [url]


def test_a_trial_tells_its_config_when_it_is_pointed_at(report):
    with opened(report.path.as_uri(), width=1280) as page:
        page.wait_until(DRAWN)
        mark = "document.querySelector('#trials_by_method svg.marks [aria-roledescription=tick]')"
        page.evaluate(f"{mark}.scrollIntoView({{block: 'center', behavior: 'instant'}})")
        box = page.evaluate(f"{mark}.getBoundingClientRect().toJSON()")
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        page.command("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)
        page.wait_until("document.querySelector('#vg-tooltip-element.visible') !== null")
        tooltip = page.evaluate("document.querySelector('#vg-tooltip-element').textContent")
        assert "learning rate" in tooltip
        assert "validation mAP" in tooltip


def test_figures_follow_the_window_as_it_narrows(report):
    with opened(report.path.as_uri(), width=1280) as page:
        page.wait_until(DRAWN)
        width = "document.querySelector('#learning_curves svg.marks').getBoundingClientRect().width"
        assert page.evaluate(width) > 700
        page.command("Emulation.setDeviceMetricsOverride", width=390, height=900, deviceScaleFactor=1, mobile=False)
        page.wait_until(f"{width} < 380")
