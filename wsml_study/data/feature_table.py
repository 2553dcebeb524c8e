"""Files of numbers with a row per example: .npy, Parquet, ARFF (dense or sparse, with or without its header).

Shapes: N rows, K columns of numbers.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from wsml_study.data.label_words import ABSENT, PRESENT
from wsml_study.data.problem_list import data_error, shown
from wsml_study.data.text_lines import encoding_of
from wsml_study.errors import DataError

MEKA_LABELS = re.compile(r"-C\s+(-?\d+)")
ESCAPED = re.compile(r"""\\(['"\\%])""")
QUOTED = r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\""""
ATTRIBUTE = re.compile(rf"\s*@attribute\s+({QUOTED}|[^\s'\"]\S*)\s+(\S.*)", re.IGNORECASE)
SPARSE_INDEX = re.compile(r"[{,]\s*(\d+)\s")
MOST_COLUMNS_SHOWN = 20


@dataclass(frozen=True, kw_only=True, eq=False)
class FeatureTable:
    """What one file holds.

    Attributes:
        file: where it was read from.
        columns: K names; their numbers where the file names none.
        named: whether the file names its columns.
        values_NK: float32, NaN where the file says nothing.
        texts: of the columns that were asked for as text, a cell per row.
        label_columns: names of the columns that the file itself calls labels; None if it does not say.
        no_label_columns: why what the file says of its labels cannot be trusted; None if nothing is wrong with it.
        notices: what the user should know of the file.
    """

    file: Path
    columns: tuple[str, ...]
    named: bool
    values_NK: npt.NDArray[np.float32]
    texts: dict[str, tuple[str, ...]] = field(default_factory=dict)
    label_columns: tuple[str, ...] | None = None
    no_label_columns: str | None = None
    notices: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.values_NK)


def read_feature_table(file: Path, text_columns: Collection[str], *, key: str) -> FeatureTable:
    """Read a file of numbers.

    Args:
        file: .npy, .parquet or .arff.
        text_columns: columns that are no numbers.
        key: of the study file that names it, for errors.

    Raises:
        DataError: the file is missing, of another kind or malformed, or lacks a text column.
    """
    readers: dict[str, Callable[[Path, Collection[str]], FeatureTable]] = {
        ".npy": _read_npy,
        ".parquet": _read_parquet,
        ".arff": _read_arff,
    }
    if file.suffix not in readers:
        raise DataError(f"{file}: expected an .npy, .parquet or .arff file as {key}")
    try:
        table = readers[file.suffix](file, text_columns)
    except OSError as error:
        raise DataError(f"{file}: {error.strerror or error}; name the file as {key}, relative to data.root") from error
    if lacking := [name for name in text_columns if name not in table.texts]:
        known = ", ".join(table.columns[:MOST_COLUMNS_SHOWN]) if table.named else "no names of columns"
        raise DataError(f"{file}: no column {', '.join(lacking)}; it has {known}")
    if not len(table) or not table.columns:
        raise DataError(f"{file}: expected rows of numbers, got {len(table)} rows of {len(table.columns)} numbers")
    return table


def read_matrix(file: Path, *, key: str) -> npt.NDArray[Any]:
    """A matrix of numbers from a .npy file, memory-mapped.

    Raises:
        DataError: the file is missing or holds something else.
    """
    try:
        matrix: npt.NDArray[Any] = np.load(file, mmap_mode="r", allow_pickle=False)
    except OSError as error:
        raise DataError(f"{file}: {error.strerror or error}; name the file as {key}, relative to data.root") from error
    except (ValueError, EOFError) as error:
        raise DataError(f"{file}: cannot be read as an .npy file: {error}") from error
    if matrix.ndim != 2 or matrix.dtype.kind not in "fiub":
        raise DataError(f"{file}: expected a matrix of numbers, got {matrix.dtype} {matrix.shape}")
    return matrix


def _read_npy(file: Path, text_columns: Collection[str]) -> FeatureTable:
    del text_columns  # a matrix has none; the caller reports columns that it does not find
    values_NK = read_matrix(file, key="`file`").astype(np.float32, copy=False)
    return FeatureTable(file=file, columns=_numbers(values_NK.shape[1]), named=False, values_NK=values_NK)


def _read_parquet(file: Path, text_columns: Collection[str]) -> FeatureTable:
    """Columns of numbers, and of lists of numbers that are equally long, as embeddings are often kept."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        content = pq.read_table(file)
    except pa.ArrowInvalid as error:
        raise DataError(f"{file}: cannot be read as Parquet: {error}") from error
    names: list[str] = []
    parts: list[npt.NDArray[np.float32]] = []
    problems: list[str] = []
    for name in content.column_names:
        if name in text_columns:
            continue
        try:
            values_NK = _numbers_of(content.column(name))
        except (ValueError, pa.ArrowException) as error:
            problems.append(f"{name}: expected numbers, or lists of numbers of one length: {error}")
            continue
        names += [name] if values_NK.shape[1] == 1 else [f"{name}[{k}]" for k in range(values_NK.shape[1])]
        parts.append(values_NK)
    if problems:
        raise data_error(file, problems, remedy="take these columns out, or say what they are under data.features")
    texts = {
        name: tuple(map(_text, content.column(name).to_pylist()))
        for name in text_columns
        if name in content.column_names
    }
    values_NK = np.concatenate(parts, axis=1) if parts else np.empty((len(content), 0), dtype=np.float32)
    return FeatureTable(file=file, columns=tuple(names), named=True, values_NK=values_NK, texts=texts)


def _numbers_of(column: Any) -> npt.NDArray[np.float32]:
    """Numbers (N, k) of a column of numbers (k = 1) or of lists of k numbers; NaN for nothing."""
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = column.type
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        lengths = pc.unique(pc.list_value_length(column)).to_pylist()
        if len(lengths) != 1 or not lengths[0]:
            raise ValueError(f"lists of {', '.join(map(str, lengths[:5]))} numbers")
        return _numbers_of(pc.list_flatten(column)).reshape(-1, lengths[0])
    if not (pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_boolean(kind)):
        raise ValueError(f"it holds {kind}")
    values_N: npt.NDArray[np.float32] = pc.cast(column, pa.float32(), safe=False).to_numpy(zero_copy_only=False)
    return values_N.reshape(-1, 1)


def _read_arff(file: Path, text_columns: Collection[str]) -> FeatureTable:
    if not _has_header(file):
        return _read_arff_body(file)
    try:
        import arff
    except ImportError as error:
        raise DataError(f"{file}: ARFF needs liac-arff, not installed here: pip install 'wsml-study[arff]'") from error
    attributes: list[str] = []
    with file.open(encoding=encoding_of(file)) as lines:
        try:
            content = arff.load(_with_plain_names(file, lines, attributes), return_type=arff.DENSE_GEN)
        except UnicodeDecodeError as error:
            raise DataError(f"{file}: expected text in UTF-8: {error.reason}; save it so") from error
        except arff.ArffException as error:
            raise DataError(f"{file}: cannot be read as ARFF: {error}") from error
        if repeated := sorted({name for name in attributes if attributes.count(name) > 1}):
            raise DataError(
                f"{file}: expected each attribute once, got {', '.join(map(shown, repeated))} more than once"
            )
        numeric = [not isinstance(kind, list) for _, kind in content["attributes"]]
        words = [_truths(values) for _, values in content["attributes"]]
        of_text = [attributes.index(name) for name in text_columns if name in attributes]
        of_numbers = [column for column in range(len(attributes)) if column not in of_text]
        names = tuple(attributes[column] for column in of_numbers)
        rows: list[npt.NDArray[np.float32]] = []
        texts: dict[str, list[str]] = {attributes[column]: [] for column in of_text}
        problems: list[str] = []
        for number, cells in enumerate(_arff_rows(file, content["data"])):
            rows.append(
                _numbers_in([_by_word(cells[column], words[column]) for column in of_numbers], names, number, problems)
            )
            for column in of_text:
                texts[attributes[column]].append(_text(cells[column]))
    if problems:
        raise data_error(file, problems, remedy="attributes must be numbers, or nominal with numbers for values")
    label_columns, mistrust = _labels_by_relation(str(content["relation"]), attributes, numeric)
    return FeatureTable(
        file=file,
        columns=names,
        named=True,
        values_NK=np.array(rows, dtype=np.float32).reshape(len(rows), len(names)),
        texts={name: tuple(cells) for name, cells in texts.items()},
        label_columns=label_columns,
        no_label_columns=mistrust,
    )


def _with_plain_names(file: Path, lines: Iterable[str], names: list[str]) -> Iterator[str]:
    """The lines of an ARFF file for the library, each attribute called by its number; the names are appended to a list.

    The library strips all quotes from the ends of a name, those that belong to it as well, and takes the last of two
    values that a sparse row has for one attribute.
    """
    in_header = True
    for number, line in enumerate(lines, start=1):
        if not in_header:
            _check_sparse(file, number, line)
            yield line
        elif line.lstrip().lower().startswith("@attribute"):
            found = ATTRIBUTE.match(line)
            if found is None:
                raise DataError(f"{file}:{number}: expected @attribute, a name and a type, got {shown(line.strip())}")
            name = found[1][1:-1] if found[1][0] in "'\"" else found[1]
            names.append(ESCAPED.sub(r"\1", name))
            yield f"@attribute a{len(names)} {found[2]}\n"
        else:
            in_header = not line.lstrip().lower().startswith("@data")
            yield line


def _check_sparse(file: Path, number: int, line: str) -> None:
    if not line.lstrip().startswith("{"):
        return
    indices = SPARSE_INDEX.findall(re.sub(QUOTED, "", line) if "'" in line or '"' in line else line)
    if len(set(indices)) < len(indices):
        repeated = next(index for index in indices if indices.count(index) > 1)
        raise DataError(
            f"{file}:{number}: expected one value for each attribute, got several for attribute {repeated}; mend this "
            f"row"
        )


def _arff_rows(file: Path, rows: Iterator[list[Any]]) -> Iterator[list[Any]]:
    """The rows of the data section; the library counts only lines of the header, so this counts rows."""
    import arff

    number = 0
    try:
        for cells in rows:
            yield cells
            number += 1
    except (arff.ArffException, UnicodeDecodeError) as error:
        raise DataError(f"{file}: row {number} of @data: {str(error).replace(', at line -1', '')}") from error


def _numbers_in(cells: list[Any], names: tuple[str, ...], number: int, problems: list[str]) -> npt.NDArray[np.float32]:
    """A row of numbers; what is none is noted."""
    try:
        return np.array([np.nan if cell is None else cell for cell in cells], dtype=np.float32)
    except ValueError:
        problems += [
            f"row {number}: {name}: expected a number, got {cell!r}"
            for name, cell in zip(names, cells, strict=True)
            if not _is_number(cell)
        ]
        return np.full(len(cells), np.nan, dtype=np.float32)


def _truths(values: object) -> dict[str, str] | None:
    """What the words of a nominal attribute with values such as YES and NO stand for; None for another attribute."""
    if not isinstance(values, list) or len(values) != 2:
        return None
    words = {str(value).casefold(): str(value) for value in values}
    present, missing = words.keys() & PRESENT, words.keys() & ABSENT
    if len(present) != 1 or len(missing) != 1:
        return None
    return {words[present.pop()]: "1", words[missing.pop()]: "0"}


def _by_word(cell: Any, words: dict[str, str] | None) -> Any:
    return cell if words is None else words.get(cell, cell)


def _labels_by_relation(
    relation: str, attributes: list[str], numeric: list[bool]
) -> tuple[tuple[str, ...] | None, str | None]:
    """The labels that a relation name tells as MEKA has it: `-C 6` are the first six attributes, `-C -6` the last.

    Returns:
        Their names, or None; and why what it tells cannot be trusted, or None.
    """
    numbers = {int(number) for number in MEKA_LABELS.findall(relation)}
    if not numbers:
        return None, None
    told = f"its relation name counts labels (-C {', '.join(map(str, sorted(numbers)))})"
    if ".filters." in relation:  # Weka's, or those of MEKA
        return None, f"{told}, but has passed through Weka's filters since, which may have moved or removed them"
    if len(numbers) > 1:
        return None, f"{told} in two ways"
    (number,) = numbers
    if not 0 < abs(number) < len(attributes):
        return None, f"{told}, but it has {len(attributes)} attributes"
    place = slice(number) if number > 0 else slice(number, None)
    if len(set(numeric[place])) > 1:
        odd = [name for name, is_numeric in zip(attributes[place], numeric[place], strict=True) if is_numeric]
        return None, f"{told}, but {shown(odd[0])} among them is numeric, and others have values to choose from"
    return tuple(attributes[place]), None


def _has_header(file: Path) -> bool:
    """Whether the first line that is neither blank nor a comment is a declaration."""
    with file.open(encoding=encoding_of(file), errors="replace") as lines:
        for line in lines:
            if line.strip() and not line.lstrip().startswith("%"):
                return line.lstrip().startswith("@")
    return True  # an empty file is a header that lacks everything


def _read_arff_body(file: Path) -> FeatureTable:
    """A file with only the data section, as some benchmarks are distributed."""
    try:
        values_NK = _loaded_text(file)
    except (ValueError, UnicodeDecodeError) as error:
        message = str(error).partition(";")[0]
        raise DataError(
            f"{file}: it has no header (@relation, @attribute, @data), and its rows are not all numbers: {message}"
        ) from error
    notice = f"{file.name} has no header: its columns are called by their numbers"
    return FeatureTable(
        file=file, columns=_numbers(values_NK.shape[1]), named=False, values_NK=values_NK, notices=(notice,)
    )


def _loaded_text(file: Path) -> npt.NDArray[np.float32]:
    def load(converters: Callable[[str], float] | None) -> npt.NDArray[np.float32]:
        return np.loadtxt(
            file,
            dtype=np.float32,
            delimiter=",",
            comments="%",
            ndmin=2,
            encoding=encoding_of(file),
            converters=converters,
        )

    try:
        return load(None)
    except ValueError:  # perhaps only since a `?` stands for nothing, which takes ten times as long to read
        return load(_arff_number)


def _arff_number(text: str) -> float:
    return float("nan") if text.strip() == "?" else float(text)


def _numbers(count: int) -> tuple[str, ...]:
    return tuple(map(str, range(count)))


def _is_number(cell: Any) -> bool:
    try:
        float("nan" if cell is None else cell)
    except ValueError:
        return False
    return True


def _text(cell: Any) -> str:
    return "" if cell is None else str(cell).strip()
