"""A page in a real browser: headless Chromium, spoken to over its DevTools protocol."""

from __future__ import annotations

import base64
import itertools
import json
import shutil
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import ClientConnection, connect

PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
PATIENCE_S = 60.0
ENTER = {"key": "Enter", "code": "Enter", "windowsVirtualKeyCode": 13, "text": "\r"}
CONTRAST = """(() => {
  const light = (text) => {
    const [r, g, b] = text.match(/[\\d.]+/g).slice(0, 3).map((c) => c / 255)
      .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b + 0.05;
  };
  const ground = (one) => {
    const color = getComputedStyle(one).backgroundColor;
    return color === 'rgba(0, 0, 0, 0)' ? ground(one.parentElement) : color;
  };
  return Math.min(...[...document.querySelectorAll('main *, header *, dialog[open] *')]
    .filter((one) => one.getClientRects().length && [...one.childNodes].some((n) => n.nodeType === 3 && n.data.trim()))
    .filter((one) => !one.closest(':disabled'))
    .map((one) => [light(getComputedStyle(one).color), light(ground(one))].sort((a, b) => b - a))
    .map(([high, low]) => high / low));
})()"""
"""The lowest contrast of a text with its ground."""


LEFT_ITS_PAGE = "Inspected target navigated"
"""What Chromium says where a page was left before it had answered."""


class LeftItsPageError(Exception):
    """A page was left while it was asked something."""


@dataclass
class Page:
    """A loaded page.

    Attributes:
        complaints: what the console and the log said at the level of warning or error, and uncaught exceptions.
        requests: every URL that the page asked for, its own first.
    """

    socket: ClientConnection
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def command(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a DevTools command and wait for its result."""
        number = next(self.numbers)
        self.socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while True:
            message = json.loads(self.socket.recv(timeout=PATIENCE_S))
            if message.get("id") == number:
                if LEFT_ITS_PAGE in message.get("error", {}).get("message", ""):
                    raise LeftItsPageError(method)
                assert "error" not in message, message["error"]
                return message["result"]
            self._note(message)

    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression."""
        result = self.command("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def wait_until(self, expression: str) -> None:
        """Wait until a JavaScript expression is true, on this page or on one that is being loaded."""
        deadline = time.monotonic() + PATIENCE_S
        while not self._is_true(expression):
            assert time.monotonic() < deadline, f"{expression}; {self.complaints}"
            time.sleep(0.05)

    def _is_true(self, expression: str) -> bool:
        try:
            return bool(self.evaluate(expression))
        except LeftItsPageError:
            return False

    def screenshot(self, path: Path) -> None:
        """The whole page as a PNG."""
        shot = self.command("Page.captureScreenshot", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(shot["data"]))

    def _note(self, message: dict[str, Any]) -> None:
        parameters = message.get("params", {})
        match message.get("method"):
            case "Runtime.consoleAPICalled" if parameters["type"] in ("error", "warning", "assert"):
                self.complaints.append(str([one.get("value") for one in parameters["args"]]))
            case "Log.entryAdded" if parameters["entry"]["level"] in ("error", "warning"):
                self.complaints.append(parameters["entry"]["text"])
            case "Runtime.exceptionThrown":
                self.complaints.append(str(parameters["exceptionDetails"]))
            case "Network.requestWillBeSent":
                self.requests.append(parameters["request"]["url"])


def press(page: Page, *keys: str) -> None:
    """Press keys, one after another, where the focus is."""
    for key in keys:
        pressed = (
            ENTER
            if key == "Enter"
            else {"key": key, "code": key, **({"windowsVirtualKeyCode": 9} if key == "Tab" else {})}
        )
        page.command("Input.dispatchKeyEvent", type="keyDown", **pressed)
        page.command("Input.dispatchKeyEvent", type="keyUp", **pressed)


@contextmanager
def opened(url: str, *, width: int, dark: bool = False) -> Iterator[Page]:
    """A page in a window of a width in pixels; skips the test where there is no Chromium."""
    program = next((found for name in PROGRAMS if (found := shutil.which(name))), None)
    if program is None:
        pytest.skip(f"no Chromium here ({', '.join(PROGRAMS)}): pages are looked at where there is one")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-port=0"]
        browser = subprocess.Popen(
            [program, *options, f"--user-data-dir={profile}", "about:blank"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            with connect(_address(Path(profile) / "DevToolsActivePort"), max_size=None) as socket:
                page = Page(socket)
                for domain in ("Page", "Runtime", "Log", "Network"):
                    page.command(f"{domain}.enable")
                page.command(
                    "Emulation.setDeviceMetricsOverride",
                    width=width,
                    height=900,
                    deviceScaleFactor=1,
                    mobile=width < 600,
                )
                scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
                page.command("Emulation.setEmulatedMedia", features=scheme)
                page.command("Page.navigate", url=url)
                page.wait_until("document.readyState === 'complete'")
                yield page
        finally:
            browser.terminate()
            browser.wait()


def _address(port_file: Path) -> str:
    """Where the browser's first tab listens, once it does."""
    deadline = time.monotonic() + PATIENCE_S
    while not (port_file.exists() and port_file.read_text().strip()):
        assert time.monotonic() < deadline, "Chromium does not start"
        time.sleep(0.05)
    port = port_file.read_text().split()[0]
    while True:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/json", timeout=PATIENCE_S) as answer:
            tabs = [tab for tab in json.load(answer) if tab["type"] == "page"]
        if tabs:
            return str(tabs[0]["webSocketDebuggerUrl"])
        assert time.monotonic() < deadline, "Chromium opens no page"
        time.sleep(0.05)
