"""The documentation site: all pages are in it, its reference is complete, it builds, and a browser loads no more."""

from __future__ import annotations

import functools
import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import typer
from ruamel.yaml import YAML

import wsml_study
from docs.site import build
from docs.site.docstrings import markdown_of
from docs.site.notebook_pages import notebook_page
from tests.browser import opened
from wsml_study.cli.entry import app
from wsml_study.methods.catalogue import METHODS
from wsml_study.study.schema import schema


@pytest.fixture(scope="module")
def pages() -> dict[str, str]:
    return build.pages()


def in_navigation() -> list[str]:
    text = (build.PROJECT / "mkdocs.yml").read_text().replace("!!python/object/apply:pymdownx.slugs.slugify", "")
    top = YAML(typ="safe").load(text)["nav"]
    return [page for entry in top for inside in entry.values() for page in pages_of(inside)]


def pages_of(inside: str | list[dict]) -> Iterator[str]:
    if isinstance(inside, str):
        yield inside
    else:
        for entry in inside:
            yield from entry.values()


def test_every_page_is_in_the_navigation_once(pages: dict[str, str]) -> None:
    listed = in_navigation()
    assert [page for page in pages if page not in listed] == [], "list it in mkdocs.yml"
    assert sorted(listed) == sorted(pages)


def test_the_reference_has_every_command_key_method_and_name(pages: dict[str, str]) -> None:
    commands = {
        name for name, command in typer.main.get_command(app).commands.items() if not hasattr(command, "commands")
    }
    assert [name for name in commands if f"\n## {name}\n" not in pages["reference/commands.md"]] == []
    assert "`--where`" in pages["reference/commands.md"]
    keys = pages["reference/study_keys.md"]
    assert [name for name in schema()["properties"] if f"## {name}\n" not in keys and f"| `{name}` |" not in keys] == []
    assert "| `training.batch_size` | whole number from 1 | `16` |" in keys
    assert [name for name in METHODS if f"\n## {name}\n" not in pages["reference/methods.md"]] == []
    python = pages["reference/python_api.md"]
    assert [name for name in wsml_study.__all__ if f"\n### {name}\n" not in python] == []
    assert "#### StudyResults.write_paper" in python


@pytest.mark.parametrize(
    ("link", "name", "expected"),
    [
        ("[a](docs/results.md)", "README.md", "[a](results.md)"),
        ("[a](docs/results.md#how-sure-it-is)", "README.md", "[a](results.md#how-sure-it-is)"),
        ("[a](../benchmarks/README.md#audit)", "docs/audit.md", "[a](benchmarks.md#audit)"),
        ("[a](../../benchmarks/README.md)", "docs/tutorials/answers.md", "[a](../benchmarks.md)"),
        ("[a](../studies)", "docs/results.md", "a"),
        ("[a](#here)", "docs/results.md", "[a](#here)"),
        ("[a](https://a.b/c.md)", "README.md", "[a](https://a.b/c.md)"),
        ("```\n[a](../studies)\n```", "docs/results.md", "```\n[a](../studies)\n```"),
        ("[a](paper_figures.ipynb)", "docs/notebooks/first_study.ipynb", "[a](paper_figures.md)"),
    ],
)
def test_links_between_pages_are_those_of_the_site(link: str, name: str, expected: str) -> None:
    names = ("README.md", "benchmarks/README.md", "docs/results.md", "docs/notebooks/paper_figures.ipynb")
    assert build.with_links(link, name, {one: build.place_of(one) for one in names}) == expected


def test_a_docstring_becomes_markdown() -> None:
    docstring = "A thing.\n\nArgs:\n    one: the first,\n        in two lines.\n\n>>> 1 + 1\n2"
    assert markdown_of(docstring).splitlines() == [
        "A thing.",
        "",
        "**Args**",
        "",
        "- `one`: the first,",
        "  in two lines.",
        "",
        "```python",
        ">>> 1 + 1",
        "2",
        "```",
    ]


def test_a_notebook_becomes_a_page() -> None:
    cells = [
        {"cell_type": "markdown", "source": ["# Title"]},
        {
            "cell_type": "code",
            "source": ["1 + 1"],
            "outputs": [
                {"output_type": "stream", "text": ["said\n"]},
                {"output_type": "execute_result", "data": {"text/plain": ["2"]}},
                {"output_type": "execute_result", "data": {"text/html": "<b>\n2</b>", "text/plain": "2"}},
                {"output_type": "execute_result", "data": {"text/html": "<pre>a\n\nb</pre>", "text/plain": "2"}},
            ],
        },
    ]
    page = notebook_page({"cells": cells})
    assert page.startswith("# Title\n\n```python\n1 + 1\n```\n\n```text\nsaid\n```\n\n```text\n2\n```\n\n<div")
    assert "<b> 2</b>" in page
    assert "<pre>a&#10;&#10;b</pre>" in page


@pytest.mark.slow
def test_the_site_builds_without_a_warning() -> None:
    assert build.main() == 0


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Says nothing of requests."""

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The address of a folder, served on this machine."""
    handler = functools.partial(Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.mark.slow
@pytest.mark.parametrize("width", [1280, 390])
def test_a_browser_finds_what_it_searches_and_loads_nothing_from_elsewhere(width: int) -> None:
    assert build.main() == 0
    with served(build.SITE) as address, opened(address, width=width) as page:
        page.evaluate("document.querySelector('.md-search__button').click()")
        page.wait_until("document.activeElement.shadowRoot !== null")  # the search, over the page
        page.command("Input.insertText", text="head_learning_rate_multiplier")
        page.wait_until("document.activeElement.shadowRoot.textContent.includes('Keys of a study file')")
        assert page.complaints == []
        assert [url for url in page.requests if not url.startswith((address, "data:", "blob:"))] == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width
