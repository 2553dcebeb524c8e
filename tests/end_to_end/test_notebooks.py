"""The notebooks of the documentation run from top to bottom, one after the other in one folder.

WSML_WRITE_DOCS=1 pytest -m slow tests/end_to_end/test_notebooks.py   # writes what they show into docs/notebooks
"""

from __future__ import annotations

import os
from pathlib import Path

import nbformat
import pytest

from tests.notebooks import executed, shown, without_details

NOTEBOOKS = Path(__file__).parents[2] / "docs" / "notebooks"


@pytest.mark.slow
def test_the_notebooks_run_and_show_tables_and_figures(tmp_path: Path) -> None:
    first = executed(NOTEBOOKS / "first_study.ipynb", tmp_path)
    paper = executed(NOTEBOOKS / "paper_figures.ipynb", tmp_path)
    kinds = [set(data) for data in shown(first)]
    assert sum("application/vnd.vegalite.v6+json" in kind for kind in kinds) == 2
    assert all("text/html" in kind for kind in kinds)
    table = next(data["text/html"] for data in shown(paper) if "95 % interval" in data.get("text/html", ""))
    assert "<b>" in table
    assert (tmp_path / "paper" / "paper.tex").exists()
    assert (tmp_path / "figures" / "confirmed.pdf").read_bytes().startswith(b"%PDF-")
    if os.environ.get("WSML_WRITE_DOCS"):
        for name, content in (("first_study", first), ("paper_figures", paper)):
            nbformat.write(without_details(content, tmp_path), NOTEBOOKS / f"{name}.ipynb")
