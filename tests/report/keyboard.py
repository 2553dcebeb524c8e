"""The page of questions, operated by keyboard."""

from __future__ import annotations

from tests.browser import Page, press

SCREEN = "document.querySelector('main:not([hidden])').id"
FOCUSED = "document.activeElement.id"


def begin(page: Page, name: str) -> None:
    """Type a name where the focus is, and start."""
    assert page.evaluate(FOCUSED) == "name"
    page.command("Input.insertText", text=name)
    press(page, "Enter")
    page.wait_until(f"{SCREEN} !== 'start'")


def press_download(page: Page, folder: str) -> None:
    """Press the download button of the screen; the file arrives in the folder."""
    page.command("Browser.setDownloadBehavior", behavior="allow", downloadPath=folder)
    page.evaluate("document.querySelector('main:not([hidden]) .download').focus()")
    press(page, "Enter")
