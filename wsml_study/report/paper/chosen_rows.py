"""Leaves rows out of a paper's tables: methods, settings or studies that a condition names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pyarrow as pa

from wsml_study.errors import ResultsError
from wsml_study.report.paper.dataset_folder import RESULTS, result_rows
from wsml_study.report.paper.study_columns import Column
from wsml_study.results.trial_filter import matching


def columns_where(columns: Sequence[Column], condition: str) -> tuple[Column, ...]:
    """The columns with the cells that meet a condition; columns without one are left out.

    What is left out is named in the notes of its column, whose tests and corrections stay those of all methods. Where
    the best mean is left out, nothing in the column is marked.

    Args:
        columns: of the table of results.
        condition: in the language of `pandas.DataFrame.query`, on the columns of the table `results` of the paper's
            data, such as `method != 'LL-Cp'`.

    Raises:
        ResultsError: the condition is invalid, or no cell meets it.
    """
    rows = pa.Table.from_pylist([*result_rows(columns)], schema=RESULTS).to_pandas()
    kept = set(matching(rows, condition).index)
    if not kept:
        raise ResultsError(f"--where {condition!r}: no row of the table of results meets it")
    chosen, first = [], 0
    for column in columns:
        names = [method for place, method in enumerate(column.cells, start=first) if place in kept]
        first += len(column.cells)
        if names:
            chosen.append(_with_cells(column, names))
    return tuple(chosen)


def _with_cells(column: Column, names: Sequence[str]) -> Column:
    left_out = [method for method in column.cells if method not in names]
    if not left_out:
        return column
    cells = {method: column.cells[method] for method in names}
    methods = {cell.config.method.name for cell in cells.values()}
    notes = [*column.notes, f"left out here: {', '.join(left_out)}"]
    if column.is_tested:
        notes.append("tests and their corrections are those of all methods")
    if column.is_tested and not any(cell.is_best for cell in cells.values()):
        cells = {method: replace(cell, is_alike=False) for method, cell in cells.items()}
        notes.append("the best mean is among what is left out, so nothing is marked")
    return replace(
        column,
        cells=cells,
        notes=tuple(notes),
        configs=tuple(config for config in column.configs if config.method in methods),
        comparisons=tuple(one for one in column.comparisons if one.config.method in methods),
    )
