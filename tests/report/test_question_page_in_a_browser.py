"""The page of questions as a person answers it, in a browser: by keyboard, from a file and served."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.browser import CONTRAST, PATIENCE_S, Page, opened, press
from tests.report.asked_photos import ASKED, PICTURES
from tests.report.keyboard import SCREEN, begin, press_download
from wsml_study.errors import ResultsError
from wsml_study.record.answer_files import read_answers
from wsml_study.record.questions import Answer
from wsml_study.report.question_page import asking_order, question_page
from wsml_study.report.question_server import served_questions

WIDER_THAN_ITS_WINDOW = "document.documentElement.scrollWidth > window.innerWidth"
BELOW_ITS_WINDOW = "document.documentElement.scrollHeight > window.innerHeight"
QUESTION = "document.querySelector('#question').textContent"
COUNT = "document.querySelector('#count').textContent"
SAID = "document.querySelector('#said').textContent"
LEAVES = "window.dispatchEvent(new Event('beforeunload', {cancelable: true}))"
"""Whether the browser would leave the page without asking."""

ORDER = asking_order(ASKED)


def reload(page: Page) -> None:
    """Load the page anew, as one does who has closed it."""
    page.evaluate("window.loadedBefore = true")
    page.command("Page.reload")
    page.wait_until("window.loadedBefore === undefined && document.readyState === 'complete'")


def outside(page: Page) -> list[str]:
    """Requests other than those for pictures within the page."""
    return [url for url in page.requests if not url.startswith(("data:", "blob:"))]


def downloaded(page: Page, folder: Path) -> list[Answer]:
    """Press the download button by hand of the keyboard's Enter, and read what it saves."""
    press_download(page, str(folder))
    deadline = time.monotonic() + PATIENCE_S
    while not (found := list(folder.glob("birds-answers-2-*.json"))):
        assert time.monotonic() < deadline, "nothing is downloaded"
        time.sleep(0.05)
    answers = read_answers(found[0], [ASKED])
    found[0].unlink()
    return answers


@pytest.fixture
def url(tmp_path: Path) -> str:
    file = tmp_path / "questions.html"
    file.write_text(question_page(ASKED, PICTURES, command="wsml-study answers results/birds {file}"), encoding="utf-8")
    return file.as_uri()


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_every_screen_fits_is_legible_and_makes_no_request(url: str, width: int, dark: bool):
    with opened(url, width=width, dark=dark) as page:
        for keys in ((), ("n",), ("n",) * 4):
            if not keys:
                assert page.evaluate(CONTRAST) >= 4.5
                begin(page, "Ann")
            press(page, *keys)
            page.evaluate("document.getAnimations().forEach((one) => one.finish())")
            assert page.evaluate(CONTRAST) >= 4.5
            assert not page.evaluate(WIDER_THAN_ITS_WINDOW)
            assert not page.evaluate(BELOW_ITS_WINDOW)
        assert page.evaluate(SCREEN) == "done"
        assert page.complaints == []
        assert outside(page) == [url]


def test_answers_given_by_keyboard_are_downloaded_as_given(url: str, tmp_path: Path):
    with opened(url, width=1280) as page:
        begin(page, "Ann")
        assert page.evaluate(QUESTION) == "Is there a dog?"
        assert page.evaluate(COUNT) == "1 of 5"
        press(page, "y", "ArrowLeft", "ArrowDown")
        assert page.evaluate(QUESTION) == "Is there a <b>owl & co</b>?"
        assert page.evaluate(SAID).startswith("cannot say. Question 4 of 5. Is there a <b>owl")
        press(page, "z")
        assert page.evaluate(COUNT) == "3 of 5"
        press(page, "n", "ArrowRight", "u")
        assert page.evaluate(SCREEN) == "done"
        assert page.evaluate("document.querySelector('#tally').textContent") == "2 yes, 2 no, 1 cannot say."
        command = page.evaluate("document.querySelector('#command').textContent")
        assert command == "wsml-study answers results/birds birds-answers-2-Ann.json"
        answers = downloaded(page, tmp_path)
        assert [(one.pair, one.answer, one.by) for one in answers] == [
            (question.pair, reply, "Ann")
            for question, reply in zip(ORDER, ["yes", "no", "no", "yes", "unsure"], strict=True)
        ]
        assert page.complaints == []


def test_a_page_that_is_opened_again_goes_on_and_others_answer_for_themselves(url: str, tmp_path: Path):
    with opened(url, width=390) as page:
        begin(page, "constructor")
        press(page, "y", "n")
        assert not page.evaluate(LEAVES)
        assert len(downloaded(page, tmp_path)) == 2
        assert page.evaluate(LEAVES)
        reload(page)
        assert page.evaluate(COUNT) == "3 of 5"
        press(page, "z")
        assert page.evaluate(COUNT) == "2 of 5"
        page.evaluate("document.querySelector('#person').click()")
        page.evaluate("document.querySelector('#name').select()")
        begin(page, "Bo")
        assert page.evaluate(COUNT) == "1 of 5"
        press(page, "u")
        assert [(one.by, one.answer) for one in downloaded(page, tmp_path)] == [
            ("constructor", "yes"),
            ("Bo", "unsure"),
        ]


def test_a_browser_that_keeps_nothing_says_so_and_loses_nothing(url: str, tmp_path: Path):
    with opened(url, width=390) as page:
        begin(page, "Ann")
        press(page, "y")
        page.evaluate("Storage.prototype.setItem = () => { throw new Error('full'); }")
        press(page, "n", "u")
        assert "This browser keeps nothing" in page.evaluate("document.querySelector('#notice').textContent")
        assert not page.evaluate(WIDER_THAN_ITS_WINDOW)
        assert [one.answer for one in downloaded(page, tmp_path)] == ["yes", "no", "unsure"]


def test_buttons_answer_by_tap_and_the_photo_is_enlarged(url: str):
    with opened(url, width=390) as page:
        begin(page, "")
        page.evaluate("document.querySelector('#photo').click()")
        assert page.evaluate("document.querySelector('#photo').getBoundingClientRect().height") == 900
        press(page, "Escape")
        assert page.evaluate("document.querySelector('#photo').getBoundingClientRect().height") < 800
        page.evaluate("document.querySelector('#yes').click()")
        page.evaluate("document.querySelector('#undo').click()")
        page.evaluate("document.querySelector('#no').click()")
        assert page.evaluate(COUNT) == "2 of 5"
        assert page.evaluate("document.querySelector('#person').textContent") == "unnamed"
        assert page.evaluate("document.querySelector('#last').textContent") == "dog: no"


def test_a_served_page_sends_each_answer_and_says_when_one_is_not_kept():
    kept: list[Answer] = []
    disk = {"full": False}

    def keep(answers: list[Answer]) -> None:
        if disk["full"]:
            raise ResultsError("the disk is full")
        kept.extend(answers)

    def html(reply_to: str) -> str:
        return question_page(ASKED, PICTURES, reply_to=reply_to, answers=kept)

    with served_questions(ASKED, html, keep) as (address, complete), opened(address, width=1280) as page:
        begin(page, "Ann")
        press(page, "y", "n")
        page.wait_until("unsent().length === 0")
        assert [one.answer for one in kept] == ["yes", "no"]
        disk["full"] = True
        press(page, "n")
        page.wait_until("document.querySelector('#notice').textContent.includes('the disk is full')")
        disk["full"] = False
        page.wait_until("document.querySelector('#notice').hidden && unsent().length === 0")  # sent again by itself
        page.evaluate("localStorage.clear()")  # as in another browser
        reload(page)
        page.evaluate("document.querySelector('#people button').click()")
        assert page.evaluate(COUNT) == "4 of 5"
        press(page, "z", "y", "y", "n")
        page.wait_until("unsent().length === 0")
        assert [one.answer for one in kept] == ["yes", "no", "no", "unsure", "yes", "yes", "no"]
        assert complete.is_set()
        assert {url.removeprefix(address) for url in outside(page)} == {"", "answers"}
