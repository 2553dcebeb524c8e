"""The live page in a real browser: widths, schemes, keyboard, contrast, and what happens when the server goes."""

from __future__ import annotations

import json
import shutil
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.browser import CONTRAST, Page, opened, press
from tests.live.served import RECORDED, Served, served
from tests.sample_studies.synthetic import synthetic_events, synthetic_study, write_folder
from wsml_study.report.html_report import write_report

HOSTILE = "<img src=x onerror=alert(1)>"
WIDER_THAN_ITS_WINDOW = "document.documentElement.scrollWidth > window.innerWidth"
FOLLOWS = "Number(document.documentElement?.dataset.turn) >= 1"
CURVES = "document.querySelectorAll('#learning_curves .chart.drawn svg.marks path').length"
WIDTH_OF_CURVES = "document.querySelector('#learning_curves svg.marks').getBoundingClientRect().width"
FOCUSED = "document.activeElement.dataset.id ?? document.activeElement.id"
NOTES = "[...document.querySelectorAll('.notes li p:first-child')].map(one => one.textContent)"
UNNAMED = """[...document.querySelectorAll('button, a, input, textarea, select, progress, [role=img], [role=region]')]
  .filter(one => one.getClientRects().length && !(one.textContent.trim() || one.ariaLabel || one.labels?.length
    || one.getAttribute('aria-labelledby'))).map(one => one.outerHTML.slice(0, 80))"""
SMALL_TARGETS = """[...document.querySelectorAll('button, .link, input, select, .bar a')]
  .filter(one => one.getClientRects().length && one.getBoundingClientRect().height < 36).map(one => one.outerHTML)"""


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished study, and one with hostile names that is being written."""
    folder = tmp_path_factory.mktemp("live") / "results"
    shutil.copytree(RECORDED / "confirmed" / "results" / "confirmed", folder / "confirmed")
    study = synthetic_study(12)
    events = synthetic_events(study)
    events[0]["classes"][0] = HOSTILE
    write_folder(folder / f"synthetic {HOSTILE.replace('/', '')}", study, events[:81])
    return folder


def test_all_of_a_study_is_there_legibly_without_a_complaint_or_a_foreign_request(results: Path) -> None:
    with served(results) as it, opened(it.address, width=1280) as page:
        page.wait_until("document.querySelectorAll('.studies li').length === 2")
        assert page.evaluate("document.querySelectorAll('img').length") == 0
        check(page)
        page.evaluate("[...document.querySelectorAll('.studies a')].find(a => a.text === 'confirmed').click()")
        page.wait_until(f"{FOLLOWS} && document.querySelector('#learning_curves .chart') !== null")
        see(page, "#learning_curves")
        check(page)
        on_a_phone_at_night(page)
        page.wait_until(f"{WIDTH_OF_CURVES} < 380")
        see(page, "#t-figures")
        page.wait_until("document.querySelectorAll('.group figure').length > 5")
        see(page, ".group figure:has(.chart)")
        check(page)
        page.evaluate("document.querySelector('#home').click()")
        page.wait_until("document.querySelectorAll('.studies li').length === 2")
        check(page)
        assert page.complaints == []
        assert [url for url in page.requests if not url.startswith((it.address, "data:"))] == []


def see(page: Page, place: str) -> None:
    """Scroll to a place, and wait until a chart there is drawn."""
    page.evaluate(f"document.querySelector('{place}').scrollIntoView({{behavior: 'instant'}})")
    if place != "#t-figures":
        page.wait_until(f"document.querySelector('{place} .chart.drawn svg.marks path') !== null")


def on_a_phone_at_night(page: Page) -> None:
    page.command("Emulation.setDeviceMetricsOverride", width=390, height=900, deviceScaleFactor=1, mobile=False)
    page.command("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark"}])


def check(page: Page) -> None:
    assert not page.evaluate(WIDER_THAN_ITS_WINDOW)
    assert page.evaluate(CONTRAST) >= 4.5
    assert page.evaluate(UNNAMED) == []
    assert page.evaluate(SMALL_TARGETS) == []


@pytest.mark.slow
def test_a_command_is_run_by_keyboard_after_it_was_confirmed(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(results.parent)
    with served("results") as it, opened(f"{it.address}study/{it.key('confirmed')}", width=1280) as page:
        page.wait_until("document.querySelector('[data-id=export]') !== null")
        page.evaluate("document.querySelector('[data-id=stop]').focus()")
        press(page, "Enter")
        page.wait_until("document.querySelector('#why').textContent === 'Stop: The study is not running.'")
        press(page, "Tab", "Tab", "Tab")
        assert page.evaluate(FOCUSED) == "export"
        press(page, "Enter")
        page.wait_until("!document.querySelector('#dialog-run').disabled")
        command = "wsml-study export results/confirmed --by confirmed -o configs/"
        assert page.evaluate("document.querySelector('#dialog-command').textContent") == command
        assert page.evaluate(CONTRAST) >= 4.5
        page.command("Input.dispatchKeyEvent", type="keyDown", key="Escape", code="Escape", windowsVirtualKeyCode=27)
        page.wait_until("!document.querySelector('#dialog').open")
        assert page.evaluate(FOCUSED) == "export"
        assert it.get(f"api/study/{it.key('confirmed')}")["commands"] == []
        press(page, "Enter")
        page.wait_until("!document.querySelector('#dialog-run').disabled")
        page.evaluate("document.querySelector('#dialog-run').focus()")
        press(page, "Enter")
        page.wait_until("document.querySelector('.command .state.done') !== null")
        assert "configs/confirmed-" in page.evaluate("document.querySelector('.command pre').textContent")
        assert page.complaints == []


@pytest.mark.slow
def test_curves_grow_and_an_open_page_outlives_the_server(results: Path) -> None:
    [folder] = results.glob("synthetic*")
    lines = [json.dumps(event) + "\n" for event in synthetic_events(synthetic_study(12))]
    with ExitStack() as first:
        it = first.enter_context(served(results))
        with opened(f"{it.address}study/{it.key(folder.name)}", width=1280) as page:
            page.wait_until(f"{CURVES} > 0")
            assert page.evaluate("document.querySelector('h1').textContent") == folder.name
            before = page.evaluate(CURVES)
            with (folder / "events.jsonl").open("a") as file:
                file.write("".join(lines[81:]))
            page.wait_until(f"{CURVES} > {before}")
            page.wait_until("document.querySelector('.tile .value').textContent.startsWith('12')")
            add_note(page, f"looks good {HOSTILE}")
            page.wait_until(f"{NOTES}.length === 1")
            first.close()
            add_note(page, "still here")
            page.wait_until("document.querySelector('#contact.off') !== null")
            assert "goes on when `wsml-study serve` is started again" in page.evaluate(
                "document.querySelector('#notice').textContent"
            )
            assert page.evaluate("document.querySelector('#note').value") == "still here"
            with served(results):
                page.wait_until("document.querySelector('#contact.on') !== null")
                assert page.evaluate("document.querySelector('#notice').hidden")
                page.evaluate("document.querySelector('form.note button').click()")
                page.wait_until(f"{NOTES}.length === 2")
            assert page.evaluate(NOTES) == ["still here", f"looks good {HOSTILE}"]
            assert page.evaluate("document.querySelectorAll('img').length") == 0


def add_note(page: Page, text: str) -> None:
    page.evaluate("document.querySelector('#note').focus()")
    page.command("Input.insertText", text=text)
    page.evaluate("document.querySelector('form.note button').click()")


@pytest.mark.slow
def test_a_report_is_drawn_apart_from_the_page(results: Path) -> None:
    write_report(results / "confirmed", results / "confirmed" / "report.html", address="results/confirmed")
    with served(results) as it, opened(report_of(it), width=1280) as page:
        page.wait_until("document.documentElement.dataset.figures === 'drawn'")
        assert page.evaluate("window.origin") == "null"
        assert page.complaints == []
    (results / "confirmed" / "report.html").unlink()


def report_of(it: Served) -> str:
    address = it.get(f"api/study/{it.key('confirmed')}")["report"]
    return f"http://127.0.0.1:{it.port}{address}"
