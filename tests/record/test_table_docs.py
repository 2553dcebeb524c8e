"""docs/tables.md and the tables themselves."""

from pathlib import Path

import pytest

from wsml_study.record.table_docs import tables_page
from wsml_study.record.tables import SCHEMAS

PAGE = Path(__file__).parents[2] / "docs" / "tables.md"


def test_the_page_is_current() -> None:
    """If this fails: python -c "from wsml_study.record.table_docs import *; print(tables_page(), end='')"."""
    assert PAGE.read_text() == tables_page()


@pytest.mark.parametrize("table", SCHEMAS)
def test_every_column_says_what_it_means(table: str) -> None:
    assert [field.name for field in SCHEMAS[table] if not field.metadata.get(b"meaning")] == []


@pytest.mark.parametrize("table", SCHEMAS)
def test_every_measured_column_has_a_unit(table: str) -> None:
    measured = [field for field in SCHEMAS[table] if str(field.type) == "double"]
    assert [field.name for field in measured if not field.metadata.get(b"unit")] == []
