"""docs/architecture.md and the sources: its tree, and every file and name that README and docs refer to.

WSML_WRITE_DOCS=1 pytest tests/test_architecture_page.py   # writes the tree anew
"""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[1]
PACKAGE = PROJECT / "wsml_study"
ARCHITECTURE = PROJECT / "docs" / "architecture.md"
PAGES = (PROJECT / "README.md", PROJECT / "CONTRIBUTING.md", *sorted((PROJECT / "docs").glob("*.md")))

TREE = re.compile(r"<!-- tree -->\n(.*?)<!-- /tree -->", re.DOTALL)
SENTENCE = re.compile(r"(.+?[.!?])(?:\s|$)")
NAME = re.compile(r"`([\w./-]+\.py):([\w.]+)`")
FILE = re.compile(r"`((?:[\w-]+/)+[\w-]+\.(?:py|md|yaml|json))[`:]")
FOLDERS = {path.name for folder in (PROJECT, PACKAGE) for path in folder.iterdir() if path.is_dir()} - {
    "configs",
    "models",
}
"""A path that begins with one of these is one of ours; others are files of a user or of an example."""

LINK = re.compile(r"\]\(([^)#:]*)(?:#([\w-]+))?\)")


def first_sentence(module: Path) -> str:
    """Of a module's docstring, on one line."""
    docstring = ast.get_docstring(ast.parse(module.read_text()))
    assert docstring, f"{module} has no docstring"
    line = " ".join(docstring.partition("\n\n")[0].split())
    sentence = SENTENCE.match(line)
    return sentence[1] if sentence else f"{line}."


def tree() -> str:
    """The package as Markdown: a heading per folder, a line per file."""
    lines: list[str] = []
    for folder in [PACKAGE, *sorted(path.parent for path in PACKAGE.rglob("*/__init__.py"))]:
        name = folder.relative_to(PROJECT)
        lines += [f"**{name}/**: {first_sentence(folder / '__init__.py')}", ""]
        modules = sorted(path for path in folder.glob("*.py") if path.name != "__init__.py")
        lines += [f"- `{module.relative_to(PACKAGE)}`: {first_sentence(module)}" for module in modules]
        lines.append("")
    return "\n".join(lines)


def source_of(path: str) -> Path:
    """The file that a page means: from within the package, or from the top of the repository."""
    within = PACKAGE / path
    return within if within.exists() else PROJECT / path


def names_in(source: Path) -> set[str]:
    """Top-level names, and names in classes as `Class.name`."""
    return set(_names(ast.parse(source.read_text()).body, ""))


def _names(body: list[ast.stmt], prefix: str) -> Iterator[str]:
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield prefix + node.name
        elif isinstance(node, ast.ClassDef):
            yield prefix + node.name
            yield from _names(node.body, f"{prefix}{node.name}.")
        elif isinstance(node, ast.Assign):
            targets = (name for target in node.targets for name in ast.walk(target) if isinstance(name, ast.Name))
            yield from (prefix + target.id for target in targets)
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            yield prefix + node.target.id


def anchors(page: Path) -> set[str]:
    """What links to a page's headings have after the #, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), flags=re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_tree_is_current() -> None:
    page = ARCHITECTURE.read_text()
    if os.environ.get("WSML_WRITE_DOCS"):
        page = TREE.sub(lambda _: f"<!-- tree -->\n{tree()}<!-- /tree -->", page)
        ARCHITECTURE.write_text(page)
    found = TREE.search(page)
    assert found, "docs/architecture.md has no tree: expected <!-- tree --> and <!-- /tree -->"
    assert found[1] == tree(), "run WSML_WRITE_DOCS=1 pytest tests/test_architecture_page.py"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_name_that_a_page_refers_to_exists(page: Path) -> None:
    referred = [(path, name) for path, name in NAME.findall(page.read_text())]
    absent = [f"{path}:{name}" for path, name in referred if name not in names_in(source_of(path))]
    assert absent == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_file_that_a_page_refers_to_exists(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    linked = [(page.parent / path if path else page, heading) for path, heading in LINK.findall(text)]
    named = [path for path in FILE.findall(text) if path.split("/")[0] in FOLDERS and not source_of(path).exists()]
    assert [path for path, _ in linked if not path.exists()] == []
    assert [f"{path.name}#{heading}" for path, heading in linked if heading and heading not in anchors(path)] == []
    assert [path for path in named if "skip_likely" not in path] == []  # the example that docs/adding_a_method.md adds


def test_the_page_refers_to_names() -> None:
    assert len(NAME.findall(ARCHITECTURE.read_text())) > 80
