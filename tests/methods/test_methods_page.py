"""docs/methods.md tells every method apart, and its generated part is that of the records."""

from __future__ import annotations

import os
import re
from pathlib import Path

from wsml_study.methods.catalogue import METHODS
from wsml_study.methods.methods_page import published_table

PAGE = Path(__file__).parents[2] / "docs" / "methods.md"
GENERATED = re.compile(r"(?<=<!-- generated from the records -->\n\n).*(?=\n<!-- end -->)", re.DOTALL)


def test_the_generated_part_is_that_of_the_records() -> None:
    text = PAGE.read_text()
    if os.environ.get("WSML_WRITE_DOCS"):
        text = GENERATED.sub(lambda _: published_table(), text)
        PAGE.write_text(text)
    (found,) = GENERATED.findall(text)
    assert found == published_table()


def test_every_method_is_told_apart_once() -> None:
    written = GENERATED.sub("", PAGE.read_text())
    first_cells = [cell for line in written.split("\n") if line.startswith("| ") for cell in [line.split("|")[1]]]
    named = [name for cell in first_cells for name in re.findall(r"`([^`]+)`", cell)]
    assert sorted(named) == sorted(METHODS)


def test_the_table_has_figures_of_both_modes() -> None:
    rows = published_table().split("\n")
    assert "| LL-R | 89.2 / 89.4 | 71.0 / 71.9 | 47.4 / 49.1 | 19.5 / 21.5 | 1 |" in rows
    assert "| GPR | 90.46 | 73.54 | 50.70 | 24.89 | 6 |" in rows
