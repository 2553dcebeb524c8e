"""The page of questions, operated by keyboard."""

from __future__ import annotations

from tests.browser import Page

SCREEN = "document.querySelector('main:not([hidden])').id"
FOCUSED = "document.activeElement.id"
ENTER = {"key": "Enter", "code": "Enter", "windowsVirtualKeyCode": 13, "text": "\r"}


def press(page: Page, *keys: str) -> None:
    """Press keys, one after the other."""
    for key in keys:
        pressed = (
            ENTER
            if key == "Enter"
            else {"key": key, "code": key, **({"windowsVirtualKeyCode": 9} if key == "Tab" else {})}
        )
        page.command("Input.dispatchKeyEvent", type="keyDown", **pressed)
        page.command("Input.dispatchKeyEvent", type="keyUp", **pressed)


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
