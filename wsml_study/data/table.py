"""A table of the user's own: CSV, TSV or Parquet, an image a row.

Either each class has a column with 1, 0 or nothing (present, absent, not annotated), or one column lists the classes
that are present and perhaps another one those that are absent. What looks like something else than it is taken for is
refused with the likely cause.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from wsml_study.data.cell_lists import (
    BRACKETS,
    NOTHING,
    PRINTED,
    STRONG,
    alike_names,
    likely_separator,
    listed,
    looks_like_states,
)
from wsml_study.data.dataset import Dataset
from wsml_study.data.embedded_images import unpacked_images
from wsml_study.data.label_files import LabelFiles
from wsml_study.data.label_states import NEGATIVE, POSITIVE, UNOBSERVED, Labels
from wsml_study.data.label_words import ABSENT, NOT_ANNOTATED, PRESENT
from wsml_study.data.lists import read_class_names
from wsml_study.data.name_hints import explained, is_image_name
from wsml_study.data.own_labels import PARTS, TEST, TRAIN, Labelled, own_dataset
from wsml_study.data.problem_list import LONGEST_NAME, Problems, shown
from wsml_study.data.table_file import BINARY, Table, open_table
from wsml_study.data.text_lines import own_lines
from wsml_study.errors import DataError

UNCERTAIN = {"unobserved": UNOBSERVED, "positive": POSITIVE, "negative": NEGATIVE}
SAYS_NONE = ("no ", "no_", "none", "nothing", "kein", "nichts", "aucun")
"""How names begin that may say that an image shows no class."""

OPEN_IMAGES = ("ImageID", "LabelName", "Confidence")
MEND = "mend this; nothing was read"
FEW = 3


def read_table_dataset(root: Path | None, files: LabelFiles) -> Dataset:
    """Images of the user's own with labels in a table.

    Raises:
        DataError: a file or image is missing or malformed.
    """
    classes = None if files.classes is None else read_class_names(Path(files.classes), encoding=files.encoding)
    first = read_table(Path(files.file), files, classes, root=root)
    second = None
    if files.test_file is not None:
        second = read_table(Path(files.test_file), files, classes or first.classes, root=root)
    return own_dataset("table", root, files, first, second)


def read_table(file: Path, files: LabelFiles, classes: tuple[str, ...] | None, *, root: Path | None = None) -> Labelled:
    """Labels of a table.

    Args:
        file: .csv, .tsv, .txt (tabs) or .parquet.
        files: which column is what.
        classes: C names in the order wanted; None for those of the table, in its order, or sorted if listed.
        root: folder of the images, which helps to tell a heading from an image.

    Raises:
        DataError: all cells that cannot be understood, or the lack of a column.
    """
    table = open_table(file, encoding=files.encoding)
    if not table.columns:
        raise DataError(f"{file}: expected a row per image below a heading, got an empty file")
    if set(OPEN_IMAGES) <= set(table.columns) and files.positives_column is None:
        return _open_images(file, table, classes)
    image_column = files.image_column or _default_image_column(table)
    named = [
        image_column,
        *filter(None, (files.split_column, files.group_column, files.positives_column, files.negatives_column)),
    ]
    _check_heading(file, table, root)
    if lacking := [column for column in named if column not in table.columns]:
        known = ", ".join(table.columns[:20]) or "none"
        raise DataError(f"{file}: no column {', '.join(lacking)}; it has {known}")
    if not table.rows and not table.problems:
        raise DataError(f"{file}: expected a row per image below the heading, got none")
    problems = table.problems
    if not table.rows:
        raise problems.error(file, notices=table.notices, remedy=MEND)
    folder, names = _images(table, image_column, files, problems)
    notices = [*table.notices]
    if folder is not None:
        notices.append(f"images of {shown(image_column)} are unpacked into {folder}")
    if files.positives_column is None:
        wanted = classes or tuple(column for column in table.columns if column not in named)
        if lacking := [name for name in wanted if name not in table.columns]:
            known = ", ".join(table.columns[:20])
            raise DataError(f"{file}: no column for the classes {', '.join(lacking[:10])}; it has {known}")
        if not wanted:
            raise DataError(
                f"{file}: expected a column per class beside {image_column}, or `positives_column`; found none"
                + ("; separate cells by commas, not by blanks" if len(image_column.split()) > 1 else "")
            )
        if classes is None:
            _check_unnamed(table, wanted, problems)
        labels_NC = _labels_by_column(table, wanted, files, problems, notices)
    else:
        wanted, labels_NC = _listed_labels(table, files, classes, problems, notices)
    parts = _parts(table, names, files, problems)
    notices += _ungrouped(table, wanted, files)
    groups = None if files.group_column is None else _groups(table, files.group_column, problems)
    if problems:
        if slashed := [name for name in names if "\\" in name]:
            notices.append(f"{len(slashed):,} names of images have \\ in them, as {shown(slashed[0])}; write / instead")
        raise problems.error(file, notices=notices, remedy=MEND)
    if not wanted:
        raise DataError(f"{file}: no cell of {files.positives_column} lists a class")
    return Labelled(
        file=file,
        folder=folder,
        classes=wanted,
        names=names,
        labels_NC=labels_NC,
        parts_N=parts,
        groups_N=groups,
        places_N=tuple(row.where for row in table.rows),
        notices=tuple(notices),
    )


def listed_images(file: Path) -> tuple[Path | None, list[str]]:
    """The image files that a table names, or holds, and the folder of those that it holds.

    Raises:
        DataError: the table cannot be read.
    """
    table = open_table(file, encoding=None)
    _check_heading(file, table, None)
    problems = table.problems
    column = _default_image_column(table)
    if column in table.embedded:
        folder, names = _images(table, column, LabelFiles(file=""), problems)
    else:
        folder, names = None, tuple(row.text(column) for row in table.rows)
    if problems:
        raise problems.error(file, notices=table.notices, remedy=MEND)
    return folder, list(names)


def _default_image_column(table: Table) -> str:
    """The only column that holds images, or the first."""
    if table.columns[0] not in table.embedded and len(table.embedded) == 1:
        return table.embedded[0]
    return table.columns[0]


def _images(table: Table, column: str, files: LabelFiles, problems: Problems) -> tuple[Path | None, tuple[str, ...]]:
    """The folder of unpacked images where the table holds them, None otherwise; and a name for each row."""
    if column not in table.embedded:
        return None, _image_names(table, column, files, problems)
    unpacked = unpacked_images(table.parts, column)
    return unpacked.folder, unpacked.names


def _check_heading(file: Path, table: Table, root: Path | None) -> None:
    """Refuse a table whose first line is an image already."""
    first = table.columns[0] if table.columns else ""
    is_file = root is not None and first not in ("", ".") and "\0" not in first and (root / first).is_file()
    if is_image_name(first) or is_file or any(map(is_image_name, table.columns[1:])):
        raise DataError(
            f"{file}:1: expected a heading with the names of the columns, got the labels of an image: "
            f"{', '.join(map(shown, table.columns[:6]))}; write a line such as image,cat,dog above it"
        )
    if table.repeated:
        without = all(_state(column, LabelFiles(file="")) is not None for column in table.repeated)
        raise DataError(
            f"{file}:1: expected each column once, got {', '.join(map(shown, table.repeated[:10]))} more than once"
            + ("; if these are labels, write a heading such as image,cat,dog above them" if without else "")
        )


def _image_names(table: Table, column: str, files: LabelFiles, problems: Problems) -> tuple[str, ...]:
    if column in table.binary:
        problems.add(
            "bytes",
            f"{column}: expected names of image files, or records of {{bytes, path}}, got other bytes",
            remedy="write these images into files, and their names into the table (`image_column`)",
        )
        return tuple(row.where for row in table.rows)
    names = tuple(row.text(column) for row in table.rows)
    if records := [row for row in table.rows if not isinstance(row.cells[column], str)]:
        problems.add(
            "records",
            f"{records[0].where}: {column}: expected names of image files, got {_kind(records[0].cells[column])}",
            remedy="write a column with the names alone, and say which it is as `image_column`",
        )
        return names
    if encoded := [row for row, name in zip(table.rows, names, strict=True) if len(name) > LONGEST_NAME * 16]:
        problems.add(
            "encoded images",
            f"{encoded[0].where}: {column}: expected names of image files, got text of "
            f"{len(encoded[0].text(column)):,} characters, perhaps an encoded image",
            remedy="write these images into files, and their names into the table (`image_column`)",
        )
        return names
    for row, name in zip(table.rows, names, strict=True):
        if not name:
            problems.add("no image", f"{row.where}: {column}: expected an image file")
    if files.image_column is None and not any(map(is_image_name, names)):
        others = [other for other in table.columns[1:] if all(is_image_name(row.text(other)) for row in table.rows)]
        if others:
            counted = ", which counts the rows as pandas' index does" if _counts(table, column) else ""
            problems.add(
                "image column",
                f"the first column, {shown(column)}{counted}, holds no image files, and {shown(others[0])} does",
                remedy=f"say `image_column: {others[0]}` under data.labels",
            )
    return names


def _kind(cell: object) -> str:
    """What a cell of Parquet that is no text is."""
    if isinstance(cell, dict):
        return f"records of {', '.join(map(str, cell))}"
    return "lists" if isinstance(cell, list) else type(cell).__name__


def _check_unnamed(table: Table, classes: tuple[str, ...], problems: Problems) -> None:
    """Columns without a name of their own are no classes."""
    for column in classes:
        if column == "" or column.startswith(("Unnamed: ", "__index_level_")):
            counts = "; it counts the rows, as pandas' index does: write the table with index=False"
            problems.add(
                "unnamed columns",
                f"column {table.columns.index(column) + 1} has no name{counts if _counts(table, column) else ''}",
                remedy="name this column or take it out, or name the columns that are labels in a file, as `classes`",
            )


def _counts(table: Table, column: str) -> bool:
    texts = [row.text(column) for row in table.rows]
    return texts in ([str(number + start) for number in range(len(texts))] for start in (0, 1))


def _labels_by_column(
    table: Table, classes: tuple[str, ...], files: LabelFiles, problems: Problems, notices: list[str]
) -> Labels:
    labels_NC = np.zeros((len(table.rows), len(classes)), dtype=np.int8)
    with_comma: set[str] = set()
    for column, name in enumerate(classes):
        if name in table.binary:
            problems.add("not labels", f"{name}: expected 1, 0 or nothing, got bytes", remedy=_metadata_remedy(files))
            continue
        states: dict[str, int | None] = {}
        wrong: dict[str, list[int]] = defaultdict(list)
        has_lists = False
        for number, row in enumerate(table.rows):
            has_lists = has_lists or not isinstance(row.cells[name], str)
            text = row.text(name)
            if text not in states:
                states[text] = _state(text, files)
            state = states[text]
            if state is None:
                wrong[text].append(number)
            else:
                labels_NC[number, column] = state
        if has_lists:
            problems.add(
                "lists",
                f"{name}: expected 1, 0 or nothing, got lists",
                remedy=f"say `positives_column: {name}` and `unlisted` under data.labels",
            )
        elif wrong:
            _tell_wrong(table, name, wrong, files, problems)
        with_comma |= {text for text, state in states.items() if "," in text and state is not None}
    if with_comma:
        notices.append(
            f"labels have a decimal comma: {', '.join(map(shown, sorted(with_comma)))} are taken for numbers"
        )
    return labels_NC


def _tell_wrong(table: Table, column: str, wrong: dict[str, list[int]], files: LabelFiles, problems: Problems) -> None:
    """Say which cells of a column are no labels: each of a few, or in one line how many there are."""
    rows = sorted((number, text) for text, numbers in wrong.items() for number in numbers)
    if {_number(text) for text in wrong} <= {-1.0, 0.0}:
        problems.add(
            "what -1 or 0 means",
            f"{table.rows[rows[0][0]].where}: {column}: {len(rows):,} of {len(table.rows):,} cells are "
            f"{' or '.join(sorted(wrong))}",
            remedy="say under data.labels what -1 is: `absent: -1` (CelebA), or `uncertain: unobserved`, `positive` or "
            "`negative` (CheXpert)"
            if files.absent is None
            else "say under data.labels what 0 is beside `absent: -1`: `uncertain: unobserved` or another state",
        )
    elif len(rows) <= FEW and len(rows) * 2 <= max(len(table.rows), 2 * FEW - 1):
        for number, text in rows:
            where = table.rows[number].where
            problems.add("not labels", f"{where}: {column}: expected 1, 0 or nothing, got {shown(text)}")
    else:
        some = ", ".join(map(shown, list(wrong)[:FEW])) + (", ..." if len(wrong) > FEW else "")
        problems.add(
            "columns that are no labels",
            f"{table.rows[rows[0][0]].where}: {column}: {len(rows):,} of {len(table.rows):,} cells are not 1, 0 or "
            f"nothing: {some}",
            remedy=_listing_remedy(column, wrong) or _metadata_remedy(files),
        )


def _listing_remedy(column: str, texts: Iterable[str]) -> str | None:
    """What to do about a column that seems to list classes; None for another one."""
    words = [text for text in texts if _number(text) is None]
    found = likely_separator(words, "\0")
    if found is None or found[0] not in STRONG:
        return None
    return (
        f"if {shown(column)} lists the classes of an image, say `positives_column: {column}`, "
        f"`separator: {_quoted(found[0])}` and `unlisted` under data.labels"
    )


def _metadata_remedy(files: LabelFiles) -> str:
    if files.classes is not None:
        return "write 1 where an image shows the class, 0 where it does not, and nothing where it is not known"
    return (
        "name the columns that are labels, one a line in a file, as `classes` under data.labels; the others are left "
        "out then (labels are 1 and 0)"
    )


def _state(text: str, files: LabelFiles) -> int | None:
    """The state that a cell says; None if it says none."""
    word = text.casefold()
    if word in NOT_ANNOTATED:
        return UNOBSERVED
    if word in PRESENT:
        return POSITIVE
    if word in ABSENT:
        return NEGATIVE
    third = None if files.uncertain is None else UNCERTAIN[files.uncertain]
    known: dict[float | None, int | None]
    if files.absent is None:
        known = {1.0: POSITIVE, 0.0: NEGATIVE, -1.0: third}
    else:
        known = {1.0: POSITIVE, -1.0: NEGATIVE, 0.0: third}
    return known.get(_number(word))


def _number(text: str) -> float | None:
    try:
        return float(text.replace(",", "."))
    except ValueError:
        return None


def _listed_labels(
    table: Table, files: LabelFiles, classes: tuple[str, ...] | None, problems: Problems, notices: list[str]
) -> tuple[tuple[str, ...], Labels]:
    """Labels of columns that list the names of classes."""
    assert files.positives_column is not None
    positives = _names(table, files.positives_column, files.separator, problems)
    negatives = _names(table, files.negatives_column, files.separator, problems)
    found = set().union(*positives, *negatives) - {files.no_class}
    notices += _none_of_the_classes(files, positives, classes)
    if classes is None:
        _check_listed(table, files, found, problems)
    known = classes or tuple(sorted(found))
    unlisted = NEGATIVE if files.unlisted == "negative" else UNOBSERVED
    columns = {name: column for column, name in enumerate(known)}
    labels_NC = np.full((len(table.rows), len(known)), unlisted, dtype=np.int8)
    for row, labels_C, present, absent in zip(table.rows, labels_NC, positives, negatives, strict=True):
        if files.no_class in present:
            if others := sorted((present | absent) - {files.no_class}):
                told = f"{shown(files.no_class)}, which is no class, and {shown(others[0])}"
                problems.add("classes beside no_class", f"{row.where}: lists {told}")
            labels_C[:] = NEGATIVE
            continue
        for name in sorted((present | absent) - columns.keys()):
            problems.add(
                "names that `classes` lacks",
                f"{row.where}: {shown(name)} is no class of the list",
                remedy="add these names to `classes` or mend the cells; for one that stands for none of the classes, "
                "such as `No Finding`, say `no_class: No Finding` under data.labels",
            )
        for name in sorted(present & absent):
            problems.add("present and absent", f"{row.where}: {name} is listed as present and as absent")
        labels_C[[columns[name] for name in absent if name in columns]] = NEGATIVE
        labels_C[[columns[name] for name in present if name in columns]] = POSITIVE
    return known, labels_NC


def _none_of_the_classes(files: LabelFiles, positives: list[set[str]], classes: tuple[str, ...] | None) -> list[str]:
    """What to say of a name that stands, or seems to stand, for none of the classes."""
    if files.no_class is not None:
        used = any(files.no_class in present for present in positives)
        return [] if used else [f"no cell of {files.positives_column} says {shown(files.no_class)}, as `no_class` does"]
    if classes is not None:
        return []
    alone = {name for present in positives if len(present) == 1 for name in present}
    beside = {name for present in positives if len(present) > 1 for name in present}
    return [
        f"{shown(name)} is a class; if it says that an image shows none of the others, say `no_class: {name}` under "
        "data.labels"
        for name in sorted(alone - beside)
        if name.casefold().startswith(SAYS_NONE)
    ]


def _names(table: Table, column: str | None, separator: str, problems: Problems) -> list[set[str]]:
    """The classes that each cell of a column lists."""
    if column is None:
        return [set() for _ in table.rows]
    lists: list[list[str]] = []
    plain: list[str] = []
    for row in table.rows:
        cell = row.cells[column]
        names = []
        try:
            if cell is BINARY:
                raise ValueError("bytes")
            names = listed(cell, separator)
        except ValueError as error:
            told = shown(cell) if isinstance(cell, str) else "it"
            problems.add(
                "cells that are no lists",
                f"{row.where}: {column}: expected names of classes, got {error}{'' if told == 'it' else f': {told}'}",
                remedy=f"write names of classes with {separator!r} between them, or a list of them as JSON",
            )
        lists.append(names)
        if isinstance(cell, str) and cell.strip()[:1] not in "[{(":
            plain.append(cell)
    if len(lists) > 1 and looks_like_states(lists):
        problems.add(
            "states for names",
            f"{column}: expected names of classes, got lists of {len(lists[0])} numbers that are 0 or 1",
            remedy="write a column of 1 and 0 for each class, with its name for a heading, or the names of the classes",
        )
    elif found := likely_separator(plain, separator):
        mark, holding, number = found
        problems.add(
            "separator",
            f"{column}: no cell holds {separator!r}, {holding:,} of {number:,} hold {mark!r}: "
            f"`separator: {_quoted(mark)}`?",
            remedy="say what separates classes, as `separator` under data.labels; if nothing does, name the classes, "
            "one a line in a file, as `classes`",
        )
    return [set(names) for names in lists]


def _quoted(mark: str) -> str:
    return repr(mark).replace("'", '"')


def _check_listed(table: Table, files: LabelFiles, found: set[str], problems: Problems) -> None:
    """Refuse what cannot be names of classes, if nothing says that it is."""
    remedy = "name the classes, one a line in a file, as `classes` under data.labels, if these are some"
    texts = [row.text(str(files.positives_column)) for row in table.rows]
    plain = {part.strip() for text in texts if text[:1] not in BRACKETS for part in text.split(files.separator)}
    for name in sorted(found):
        if name.casefold() in NOTHING:
            problems.add(
                "empty cells", f"a class is called {shown(name)}, as programs write an empty cell", remedy=remedy
            )
        elif "separator" in problems:
            continue
        elif name in plain and PRINTED.search(name):
            problems.add(
                "printed lists",
                f"a class is called {shown(name)}, as programs print lists; write names with {files.separator!r} "
                f"between them, or JSON",
                remedy=remedy,
            )
        elif held := [mark for mark in STRONG if mark in name and mark != files.separator]:
            problems.add(
                "separators in names", f"a class is called {shown(name)}, with {held[0]!r} in it", remedy=remedy
            )
    numbers = [text for text in texts if text and _number(text) is not None and not text.lstrip("-").isdecimal()]
    if numbers and len(numbers) == sum(map(bool, texts)):
        problems.add(
            "numbers", f"{files.positives_column}: expected names of classes, got {', '.join(map(shown, numbers[:3]))}"
        )
    for names in alike_names(found):
        problems.add(
            "spellings",
            f"classes differ in upper and lower case, or in Unicode form, and in nothing else: "
            f"{' and '.join(map(shown, names))}",
            remedy=remedy,
        )


def _parts(table: Table, names: tuple[str, ...], files: LabelFiles, problems: Problems) -> tuple[str, ...] | None:
    if files.test_list is not None:
        return _parts_by_list(names, Path(files.test_list), files, problems)
    if files.split_column is None:
        return None
    parts = []
    for row in table.rows:
        text = row.text(files.split_column)
        if text.lower() not in PARTS:
            problems.add(
                "splits",
                f"{row.where}: {files.split_column}: expected train, validation or test, got {shown(text)}",
            )
        parts.append(PARTS.get(text.lower(), ""))
    return tuple(parts)


def _parts_by_list(names: tuple[str, ...], file: Path, files: LabelFiles, problems: Problems) -> tuple[str, ...]:
    remedy = "give the file as `test_list` under data.labels"
    known = set(names)
    lines = {line: number for number, line in own_lines(file, encoding=files.encoding, remedy=remedy)}
    unknown = [line for line in lines if line not in known]
    for line, instead, cause in explained(unknown, names):
        place = f"{file.name}:{lines[line]}: {shown(line)}"
        if instead is None:
            problems.add(
                "names of the test list without a row",
                f"{place} has no row",
                remedy=f"take these names off {file.name}, or add their rows",
            )
        else:
            problems.add(
                f"{cause} in the test list",
                f"{place} has no row, and {shown(instead)} has one ({cause})",
                remedy=f"write the names in {file.name} as the table does",
            )
    chosen = set(lines)
    return tuple(TEST if name in chosen else TRAIN for name in names)


def _ungrouped(table: Table, classes: tuple[str, ...], files: LabelFiles) -> list[str]:
    """What to say of a column that seems to tell patients apart, and that no split heeds."""
    if files.group_column is not None:
        return []
    found = [
        column
        for column in table.columns
        if column not in classes
        and re.search(r"patient|subject", column, re.IGNORECASE)
        and re.search(r"(id|number|no|nr)\.?$|^(patient|subject)$", column, re.IGNORECASE)
        and len({row.text(column) for row in table.rows}) < len(table.rows)
    ]
    return [
        f"images of one {shown(column)} may be in training and in test; `group_column: {column}` under data.labels "
        "keeps them together"
        for column in found[:1]
    ]


def _groups(table: Table, column: str, problems: Problems) -> tuple[str, ...]:
    for row in table.rows:
        if not row.text(column):
            problems.add("no group", f"{row.where}: {column}: expected what the image belongs to, got nothing")
    return tuple(row.text(column) for row in table.rows)


def _open_images(file: Path, table: Table, classes: tuple[str, ...] | None) -> Labelled:
    """A row per image and class, as Open Images has it: ImageID, LabelName, Confidence 1 (present) or 0 (absent)."""
    problems = table.problems
    known = classes or tuple(sorted({row.text("LabelName") for row in table.rows}))
    columns = {name: column for column, name in enumerate(known)}
    rows: dict[str, int] = {}
    places: list[str] = []
    for row in table.rows:
        if row.text("ImageID") not in rows:
            rows[row.text("ImageID")] = len(rows)
            places.append(row.where)
    labels_NC = np.full((len(rows), len(known)), UNOBSERVED, dtype=np.int8)
    for row in table.rows:
        confidence = _number(row.text("Confidence"))
        if confidence not in (0.0, 1.0):
            problems.add(
                "confidences",
                f"{row.where}: Confidence: expected 1 or 0, got {shown(row.text('Confidence'))}",
                remedy="take the labels that people have verified; machine-generated ones have other confidences",
            )
            continue
        column = columns.get(row.text("LabelName"))
        if column is not None:
            entry = rows[row.text("ImageID")], column
            # As `openimages_v3`: one who has seen the class outweighs one who has not.
            labels_NC[entry] = max(labels_NC[entry] or NEGATIVE, POSITIVE if confidence else NEGATIVE)
    if problems:
        raise problems.error(file, notices=table.notices, remedy=MEND)
    return Labelled(
        file=file,
        classes=known,
        names=tuple(name if is_image_name(name) else f"{name}.jpg" for name in rows),
        labels_NC=labels_NC,
        places_N=tuple(places),
        notices=(*table.notices, f"{file.name} has a row per image and class, as Open Images has it"),
    )
