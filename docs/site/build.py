"""Builds the documentation site: `python -m docs.site.build`, or `make docs`.

The pages of docs/, README.md and others are gathered in build/docs, with the links between them adapted; notebooks
become pages; the reference is generated.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from docs.site.docstrings import python_page
from docs.site.notebook_pages import notebook_page
from docs.site.reference import commands_page, methods_page, study_keys_page

PROJECT = Path(__file__).resolve().parents[2]
PAGES = PROJECT / "build" / "docs"
SITE = PROJECT / "build" / "site"

STYLE = "site.css"

ELSEWHERE = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "benchmarks/README.md": "benchmarks.md",
}
"""Pages that lie outside docs/, and where they are in the site."""

LINK = re.compile(r"(?<!!)\[([^\]]*)\]\(([^)#:\s]*)(#[\w-]+)?\)")
FENCE = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)


def main() -> int:
    """Gather the pages and build the site; the exit status of the builder, which fails for a broken link."""
    gather()
    done = subprocess.run([sys.executable, "-m", "zensical", "build", "--clean", "--strict"], cwd=PROJECT)
    if done.returncode == 0:
        print(f"built {SITE}; look at it with: python -m http.server --bind 127.0.0.1 --directory {SITE}")
    return done.returncode


def gather() -> None:
    """Write all pages to build/docs, anew."""
    shutil.rmtree(PAGES, ignore_errors=True)
    for path, text in pages().items():
        target = PAGES / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
    shutil.copy(Path(__file__).with_name(STYLE), PAGES / STYLE)


def pages() -> dict[str, str]:
    """Path in the site -> its Markdown."""
    docs = PROJECT / "docs"
    sources = {path.relative_to(PROJECT).as_posix(): path for path in sorted(docs.rglob("*.md"))}
    sources |= {name: PROJECT / name for name in ELSEWHERE}
    notebooks = {f"docs/notebooks/{path.name}": path for path in sorted((docs / "notebooks").glob("*.ipynb"))}
    places = {name: place_of(name) for name in (*sources, *notebooks)}
    found = {places[name]: with_links(path.read_text(encoding="utf-8"), name, places) for name, path in sources.items()}
    for name, path in notebooks.items():
        found[places[name]] = with_links(notebook_page(json.loads(path.read_text(encoding="utf-8"))), name, places)
    return found | {
        "reference/commands.md": commands_page(),
        "reference/study_keys.md": study_keys_page(),
        "reference/methods.md": methods_page(),
        "reference/python_api.md": python_page(),
    }


def place_of(name: str) -> str:
    """Where a page of the repository is in the site."""
    return ELSEWHERE.get(name) or name.removeprefix("docs/").replace(".ipynb", ".md")


def with_links(text: str, name: str, places: Mapping[str, str]) -> str:
    """A page with links to other pages as the site has them; a link to a file that is no page becomes its text."""

    def replaced(found: re.Match[str]) -> str:
        words, path, anchor = found[1], found[2], found[3] or ""
        if not path:
            return found[0]
        target = places.get(os.path.normpath(Path(name).parent / path))
        if target is None:
            return words
        return f"[{words}]({os.path.relpath(target, Path(place_of(name)).parent)}{anchor})"

    kept = FENCE.findall(text)
    parts = FENCE.split(text)
    written = [LINK.sub(replaced, part) for part in parts]
    return "".join(part + (kept[place] if place < len(kept) else "") for place, part in enumerate(written))


if __name__ == "__main__":
    sys.exit(main())
