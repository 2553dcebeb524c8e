"""Readers of the user's own labels on files made from a known truth: what they read is right, or they refuse.

The spelling, order, encoding and form are drawn at random, and so are mistakes: repeated rows and ids, odd cells.
Shapes: N images, C classes.
"""

from __future__ import annotations

import csv
import io
import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from wsml_study.data.dataset import Dataset
from wsml_study.data.label_files import FeatureFiles, LabelFiles
from wsml_study.data.readers import read_dataset
from wsml_study.errors import DataError

SIZES = [300, pytest.param(10_000, marks=[pytest.mark.slow, pytest.mark.timeout(3600)])]
SPELLINGS = {
    1: ("1", "1.0", "1,0", "true", "True", "YES", "wahr", " 1 "),
    -1: ("0", "0.0", "0,0", "false", "FALSE", "no", "falsch", "0 "),
    0: ("", " ", "NaN", "?", "NA"),
}
CLASS_NAMES = (
    "cat",
    "dog",
    "Größe",
    "traffic light",
    "Swainson's Thrush",
    "a\\b",
    'the "big" one',
    "'quoted'",
    'so "called"',
    "100%",
    "0",
    "x,y",
)
QUOTES = ("'", '"')
FEW = st.integers(0, 3).map(lambda number: number == 0)
IMAGE_NAMES = ("a.png", "b c.jpg", "Größe.png", "sub/d.jpeg", "sub/e;f.png", "g,h.JPG", "i'j.png", "0001.png")


@dataclass(frozen=True)
class Truth:
    """What a file is made from."""

    classes: tuple[str, ...]
    names: tuple[str, ...]
    states_NC: tuple[tuple[int, ...], ...]

    def by_name(self) -> dict[str, dict[str, int]]:
        return {
            name: dict(zip(self.classes, states_C, strict=True))
            for name, states_C in zip(self.names, self.states_NC, strict=True)
        }


@st.composite
def truths(draw: st.DrawFn, *, names: tuple[str, ...] = IMAGE_NAMES, values: tuple[int, ...] = (-1, 0, 1)) -> Truth:
    classes = draw(st.lists(st.sampled_from(CLASS_NAMES), min_size=1, max_size=4, unique=True))
    images = draw(st.lists(st.sampled_from(names), min_size=5, max_size=len(names), unique=True))
    row = st.tuples(*(st.sampled_from(values) for _ in classes))
    return Truth(tuple(classes), tuple(images), tuple(draw(row) for _ in images))


def found(dataset: Dataset) -> dict[str, dict[str, int]]:
    return {
        name: dict(zip(dataset.classes, map(int, labels_C), strict=True))
        for split in (dataset.train, dataset.test)
        for name, labels_C in zip(split.names, np.asarray(split.labels_NC), strict=True)
    }


def check(
    read: Callable[[Path], Dataset], expected: dict[str, dict[str, int]], *, may_refuse: bool, must_refuse: bool = False
) -> None:
    """What is read is the truth; a refusal is short, and there only where something may be wrong."""
    with tempfile.TemporaryDirectory() as folder:
        images = Path(folder) / "images"
        for name in IMAGE_NAMES:
            (images / name).parent.mkdir(parents=True, exist_ok=True)
            (images / name).touch()
        refusal, seen = None, {}
        try:
            seen = found(read(Path(folder)))
        except DataError as error:
            refusal = str(error)
    if refusal is None:
        assert not must_refuse
        assert seen == expected
    else:
        assert may_refuse or must_refuse, refusal
        assert len(refusal.splitlines()) <= 20


def quick_and_thorough(test: Callable[[Any], None]) -> Callable[[int], None]:
    """The test with 300 drawn files, and slow with 10,000."""

    @pytest.mark.parametrize("num_files", SIZES)
    def run(num_files: int) -> None:
        drawn = given(st.data())(test)
        settings(max_examples=num_files, deadline=None, suppress_health_check=list(HealthCheck))(drawn)()

    return run


def table_text(rows: list[list[str]], delimiter: str, line_end: str) -> str:
    written = io.StringIO(newline="")
    csv.writer(written, delimiter=delimiter, lineterminator=line_end).writerows(rows)
    return written.getvalue()


def encoded(draw: Callable[..., Any], text: str) -> tuple[bytes, str | None, bool]:
    """Bytes, the key `encoding`, and whether the reader cannot be certain."""
    encoding = draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "cp1252", "cp1252 unsaid"]))
    content = text.encode(encoding.removesuffix(" unsaid"))
    if encoding == "cp1252":
        return content, "cp1252", False
    return content, None, encoding == "cp1252 unsaid" and not text.isascii()


@quick_and_thorough
def test_tables_with_a_column_per_class(data: Any) -> None:
    truth = data.draw(truths())
    order = data.draw(st.permutations(range(len(truth.names))))
    columns = data.draw(st.permutations(range(len(truth.classes))))
    rows = [["image", *(truth.classes[column] for column in columns)]]
    for row in order:
        cells = [data.draw(st.sampled_from(SPELLINGS[truth.states_NC[row][column]])) for column in columns]
        rows.append([truth.names[row], *cells])
    mistake = data.draw(st.sampled_from([None, None, None, "repeated", "other name", "odd cell", "short row"]))
    if mistake == "repeated":
        spelled = data.draw(st.sampled_from(["{}", "./{}", "sub/../{}"]))
        rows.append([spelled.format(truth.names[order[0]]), *rows[1][1:]])
    elif mistake == "other name":
        rows[1][0] = data.draw(st.sampled_from([rows[1][0].swapcase(), "nowhere.png", "sub\\d.jpeg", "Gr"]))
        assume(rows[1][0] not in IMAGE_NAMES)
    elif mistake == "odd cell":
        rows[1][1] = data.draw(st.sampled_from(["2", "perhaps", "-1", "0.5", "[]", "1;0"]))
    elif mistake == "short row":
        rows[1].pop()
    delimiter = data.draw(st.sampled_from([",", ";", "\t"]))
    text = table_text(rows, delimiter, data.draw(st.sampled_from(["\n", "\r\n"])))
    if said := data.draw(st.booleans()):
        text = f"sep={delimiter}\n{text}"
    content, encoding, uncertain = encoded(data.draw, text)

    def read(folder: Path) -> Dataset:
        (folder / "labels.csv").write_bytes(content)
        labels = LabelFiles(file=str(folder / "labels.csv"), encoding=encoding)
        return read_dataset("table", root=folder / "images", labels=labels)

    # A comma in a name and a heading of one cell can look like another delimiter.
    doubtful = not said and (delimiter != "," or any("," in cell or ";" in cell for row in rows for cell in row))
    check(read, truth.by_name(), may_refuse=doubtful, must_refuse=mistake is not None or uncertain)


@quick_and_thorough
def test_tables_with_a_column_of_lists(data: Any) -> None:
    truth = data.draw(truths(values=(-1, 1)))
    shown = [[name for name, state in zip(truth.classes, row, strict=True) if state == 1] for row in truth.states_NC]
    used = {name for names in shown for name in names}
    form = data.draw(st.sampled_from(["separated", "json", "python", "numpy", "choices", "parquet"]))
    write: dict[str, Callable[[list[str]], str]] = {
        "separated": "|".join,
        "json": lambda names: json.dumps(names, ensure_ascii=data.draw(st.booleans())),
        "python": repr,
        "numpy": lambda names: str(np.array(names)) if names else "[]",
        "choices": lambda names: json.dumps({"choices": names}),
    }
    expected = {
        name: {one: state for one, state in states.items() if one in used} for name, states in truth.by_name().items()
    }
    separator = "|" if form == "separated" and data.draw(st.booleans()) else None

    def read(folder: Path) -> Dataset:
        file = folder / ("labels.parquet" if form == "parquet" else "labels.csv")
        if form == "parquet":
            pq.write_table(pa.table({"image": truth.names, "tags": pa.array(shown, pa.list_(pa.string()))}), file)
        else:
            rows = [[name, write[form](names)] for name, names in zip(truth.names, shown, strict=True)]
            file.write_text(table_text([["image", "tags"], *rows], ",", "\n"), encoding="utf-8")
        keys = {} if separator is None else {"separator": separator}
        labels = LabelFiles(file=str(file), positives_column="tags", unlisted="negative", **keys)  # type: ignore[arg-type]
        return read_dataset("table", root=folder / "images", labels=labels)

    left_at_default = form == "separated" and separator is None
    must_refuse = not used or (left_at_default and any(len(names) > 1 for names in shown))
    check(read, expected, may_refuse=form in ("separated", "numpy"), must_refuse=must_refuse)


@quick_and_thorough
def test_coco_files(data: Any) -> None:
    truth = data.draw(truths(values=(-1, 1)))
    ids = data.draw(st.lists(st.integers(0, 50), min_size=8, max_size=8, unique=True))
    kinds = data.draw(st.lists(st.integers(0, 90), min_size=4, max_size=4, unique=True))
    images = [{"id": ids[row], "file_name": name} for row, name in enumerate(truth.names)]
    categories = [
        {"id": kinds[column], "name": name, "supercategory": "thing"} for column, name in enumerate(truth.classes)
    ]
    pairs = [
        {"image_id": ids[row], "category_id": kinds[column], "bbox": [0, 0, 1, 1]}
        for row, states in enumerate(truth.states_NC)
        for column, state in enumerate(states)
        if state == 1
        for _ in range(data.draw(st.integers(1, 2)))
    ]
    mistake = data.draw(
        st.sampled_from([None, None, None, "image id", "name", "category id", "category name", "case", "unknown"])
    )
    if mistake == "image id":
        images[1]["id"] = images[0]["id"]
    elif mistake == "name":
        images[1]["file_name"] = data.draw(st.sampled_from(["{}", "./{}"])).format(images[0]["file_name"])
    elif mistake in ("category id", "category name"):
        extra = {"id": 99, "name": "new"} | {mistake.split()[1]: categories[0][mistake.split()[1]]}
        categories.append(extra)
    elif mistake == "case":
        other = categories[0]["name"].swapcase()
        assume(other != categories[0]["name"])
        categories.append({"id": 99, "name": other})
    elif mistake == "unknown":
        pairs.append({"image_id": data.draw(st.sampled_from([77, str(ids[0])])), "category_id": kinds[0], "bbox": []})
    placeholder = mistake is None and data.draw(st.booleans())
    if placeholder:
        categories.append({"id": 91, "name": "thing", "supercategory": "none"})
    content = {
        "images": data.draw(st.permutations(images)),
        "categories": data.draw(st.permutations(categories)),
        "annotations": data.draw(st.permutations(pairs)),
    }
    encoding, ascii_only = data.draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16"])), data.draw(st.booleans())

    def read(folder: Path) -> Dataset:
        (folder / "labels.json").write_bytes(json.dumps(content, ensure_ascii=ascii_only).encode(encoding))
        labels = LabelFiles(file=str(folder / "labels.json"))
        return read_dataset("coco_json", root=folder / "images", labels=labels)

    check(read, truth.by_name(), may_refuse=False, must_refuse=mistake is not None)


def quoted(name: str, mark: str) -> str:
    return mark + name.replace("\\", "\\\\").replace(mark, f"\\{mark}") + mark


def sparse_row(draw: Callable[..., Any], cells: list[str], first: list[str | None]) -> str:
    """A row without some of the cells that have the first value of their attribute, in any order."""
    kept = [
        f"{n} {cell}"
        for n, (cell, implied) in enumerate(zip(cells, first, strict=True))
        if cell != implied or draw(FEW)
    ]
    return "{" + ", ".join(draw(st.permutations(kept))) + "}"


@quick_and_thorough
def test_arff_files(data: Any) -> None:
    truth = data.draw(truths())
    pairs = {one: data.draw(st.sampled_from([("1", "0"), ("YES", "NO"), ("true", "false")])) for one in truth.classes}
    sparse = data.draw(st.booleans())
    keyword = data.draw(st.sampled_from(["@attribute ", "@ATTRIBUTE\t", " @Attribute  "]))
    attributes, first = list[str](), list[str | None]()
    for name in truth.classes:
        values = data.draw(st.permutations(pairs[name]))
        first.append(values[0])
        attributes.append(f"{keyword}{quoted(name, data.draw(st.sampled_from(QUOTES)))} {{{','.join(values)}}}")
    in_front = data.draw(st.booleans())
    number = len(truth.classes)
    feature = f"{keyword}feature numeric"
    declared = [*attributes, feature] if in_front else [feature, *attributes]
    first = [*first, None] if in_front else [None, *first]
    mistake = data.draw(
        st.sampled_from([None, None, None, "filtered", "two values", "short row", "odd cell", "two names"])
    )
    relation = f"data: -C {number if in_front else -number}{'-weka.filters.Remove-R1' if mistake == 'filtered' else ''}"
    if mistake == "two names":
        declared[0 if in_front else 1] = declared[-1 if not in_front else -2]
        assume(number > 1)
    lines = ["% made from a known truth", f"@relation '{relation}'", *declared, "", "@data"]
    for row, states in enumerate(truth.states_NC):
        cells = [
            "?" if state == 0 else pairs[one][state == -1] for one, state in zip(truth.classes, states, strict=True)
        ]
        cells = [*cells, f"{row}.5"] if in_front else [f"{row}.5", *cells]
        if row == 2 and mistake == "odd cell":
            cells[0 if in_front else 1] = data.draw(st.sampled_from(["perhaps", "2", "-1", "YESS"]))
        if row == 2 and mistake == "short row":
            cells.pop()
        if row == 2 and mistake == "two values":
            lines.append(f"{{0 {cells[0]}, 1 {cells[1]}, 0 {cells[0]}}}")
        elif mistake == "short row" and row == 2:
            lines.append(",".join(cells))
        else:
            lines.append(sparse_row(data.draw, cells, first) if sparse else ",".join(cells))
    expected = {f"data.arff#{row}": states for row, states in enumerate(truth.by_name().values())}
    encoding = data.draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "cp1252"]))
    text = data.draw(st.sampled_from(["\n", "\r\n"])).join(lines) + "\n"

    def read(folder: Path) -> Dataset:
        (folder / "data.arff").write_bytes(text.encode(encoding))
        return read_dataset("features", root=folder, features=FeatureFiles(file="data.arff"))

    unreadable = encoding == "cp1252" and not text.isascii()
    check(read, expected, may_refuse=False, must_refuse=mistake is not None or unreadable)
