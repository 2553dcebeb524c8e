"""Features of the user's own in place of images: benchmarks of multi-label learning, or embeddings of any network.

Features and labels are in one file (.arff, .parquet, .npy), or labels in one of their own. Which columns are labels:
those that `classes` names, or the last `num_labels`, or those that an ARFF's relation name tells. A label is 1, 0 or
nothing. Shapes: N rows, D features, C classes.
"""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import numpy.typing as npt

from wsml_study.data.dataset import Dataset, GivenFeatures
from wsml_study.data.feature_table import FeatureTable, read_feature_table, read_matrix
from wsml_study.data.label_files import FeatureFiles, LabelFiles
from wsml_study.data.label_states import NEGATIVE, POSITIVE, UNOBSERVED, Labels
from wsml_study.data.lists import read_class_names
from wsml_study.data.own_labels import PARTS, Labelled, check_listed_once, split_parts
from wsml_study.data.problem_list import Problems, data_error, shown
from wsml_study.data.table import read_table
from wsml_study.data.table_file import DELIMITERS
from wsml_study.errors import DataError

SECTION = "data.features"
ROWS_PER_BLOCK = 10_000
MOST_WRONG = 10_000


def read_given_features(root: Path, files: FeatureFiles) -> Dataset:
    """Features of the user's own.

    Args:
        root: folder that the files are relative to.
        files: which they are.

    Raises:
        DataError: a file is missing or malformed, files contradict each other, or a feature is not a finite number.
    """
    classes = None if files.classes is None else _read_classes(root / files.classes)
    first, first_ND, columns = _read(root, files, files.file, files.labels_file, classes)
    features = {first.file: first_ND}
    second = None
    if files.test_file is not None:
        second, second_ND, test_columns = _read(root, files, files.test_file, files.test_labels_file, first.classes)
        if columns != test_columns:
            raise DataError(
                f"{second.file}: expected the {len(columns)} features of {first.file}, got {len(test_columns)}"
                + ("" if len(columns) != len(test_columns) else " of other names")
            )
        features[second.file] = second_ND
    check_listed_once([first] if second is None else [first, second])

    def features_of(labelled: Labelled, rows_M: npt.NDArray[np.int64]) -> GivenFeatures:
        values_ND = features[labelled.file]
        return GivenFeatures(values_ND=values_ND if len(rows_M) == len(values_ND) else values_ND[rows_M])

    parts = split_parts(first, second, features_of, test_fraction=files.test_fraction, seed=files.seed, section=SECTION)
    return Dataset(
        name="features",
        classes=first.classes,
        train=parts.train,
        test=parts.test,
        validation_rows=parts.validation_rows,
        image_size=None,
        horizontal_flip=False,
        channels=None,
        notices=(f"{len(columns):,} features per row", *first.notices, *(second.notices if second else ())),
    )


def _read(
    root: Path, files: FeatureFiles, file: str, labels_file: str | None, classes: tuple[str, ...] | None
) -> tuple[Labelled, npt.NDArray[np.float32], tuple[str, ...]]:
    """Labels, features (N, D) and names of the features of one file."""
    beside = labels_file is not None
    text_columns = [name for name in (files.name_column, files.split_column) if name is not None and not beside]
    table = read_feature_table(root / file, text_columns, key=f"`file` under {SECTION}")
    labels = [] if beside else _label_columns(table, files, classes)
    feature_columns = [column for column in range(len(table.columns)) if column not in set(labels)]
    features_ND = table.values_NK if beside else np.ascontiguousarray(table.values_NK[:, feature_columns])
    names = tuple(table.columns[column] for column in feature_columns)
    if not names:
        raise DataError(f"{table.file}: all {len(table.columns)} columns are labels; features are columns beside them")
    _check_finite(table.file, features_ND, names)
    if labels_file is not None:
        labelled = _read_labels(root / labels_file, files, f"{file}#", classes)
        if len(labelled.names) != len(features_ND):
            raise DataError(
                f"{labelled.file}: expected labels of the {len(features_ND):,} rows of {table.file}, got "
                f"{len(labelled.names):,} rows"
            )
        return labelled, features_ND, names
    found = tuple(table.columns[column] for column in labels) if table.named else None
    labelled = Labelled(
        file=table.file,
        classes=classes or found or tuple(map(str, range(len(labels)))),
        names=_row_names(table, files, f"{file}#"),
        labels_NC=_states(table.file, table.values_NK[:, labels], [table.columns[column] for column in labels]),
        parts_N=None if files.split_column is None else _parts(table, files.split_column),
        notices=table.notices,
    )
    return labelled, features_ND, names


def _label_columns(table: FeatureTable, files: FeatureFiles, classes: tuple[str, ...] | None) -> list[int]:
    """Which columns are labels."""
    if classes is not None and files.num_labels not in (None, len(classes)):
        raise DataError(
            f"{table.file}: `classes` under {SECTION} names {len(classes)} classes, and `num_labels` is "
            f"{files.num_labels}; remove one of the two"
        )
    number = files.num_labels or (len(classes) if classes is not None else None)
    if table.named and classes is not None:
        if lacking := [name for name in classes if name not in table.columns]:
            raise data_error(
                table.file, [f"no column {name}" for name in lacking], remedy=f"`classes` under {SECTION} names them"
            )
        return [table.columns.index(name) for name in classes]
    if number is not None:
        if number > len(table.columns):
            raise DataError(f"{table.file}: expected {number} columns of labels, got {len(table.columns)} columns")
        return list(range(len(table.columns) - number, len(table.columns)))
    if table.label_columns is not None:
        return [table.columns.index(name) for name in table.label_columns]
    reason = table.no_label_columns or "it does not say which columns are labels"
    raise DataError(
        f"{table.file}: {reason}; give `num_labels` (the last so many), `classes` (a "
        f"file that names them) or `labels_file` under {SECTION}"
    )


def _read_labels(file: Path, files: FeatureFiles, prefix: str, classes: tuple[str, ...] | None) -> Labelled:
    """Labels in a file of their own: a matrix, or a table whose first or `name_column` says what each row is."""
    if file.suffix in (*DELIMITERS, ".parquet"):
        columns = LabelFiles(file=str(file), image_column=files.name_column, split_column=files.split_column)
        return read_table(file, columns, classes)
    if file.suffix != ".npy":
        raise DataError(f"{file}: expected an .npy, .csv, .tsv, .txt (tabs) or .parquet file of labels")
    if files.name_column is not None or files.split_column is not None:
        raise DataError(f"{file}: an .npy file has no columns by name; keep names and splits in a table of labels")
    states_NC = read_matrix(file, key=f"`labels_file` under {SECTION}")
    classes = classes or tuple(map(str, range(states_NC.shape[1])))
    if len(classes) != states_NC.shape[1]:
        raise DataError(f"{file}: expected a column for each of {len(classes)} classes, got {states_NC.shape[1]}")
    return Labelled(
        file=file,
        classes=classes,
        names=tuple(f"{prefix}{row}" for row in range(len(states_NC))),
        labels_NC=_states(file, states_NC.astype(np.float32), list(classes)),
    )


def _states(file: Path, values_NC: npt.NDArray[np.float32], columns: list[str]) -> Labels:
    """1, 0 and NaN as states."""
    unknown_NC = np.isnan(values_NC)
    wrong = np.argwhere(~(unknown_NC | (values_NC == 0) | (values_NC == 1)))
    if len(wrong):
        problems = Problems()
        for row, column in wrong[:MOST_WRONG]:
            name = columns[column]
            problems.add(
                f"cells of {shown(name)}",
                f"row {row}: {name}: expected 1, 0 or nothing, got {values_NC[row, column]:g}",
            )
        remedy = f"say under {SECTION} which columns are labels: `num_labels` or `classes`; theirs are 1 and 0"
        if {float(values_NC[row, column]) for row, column in wrong} == {-1.0}:
            remedy = "write 0 for -1 where it stands for absent, and nothing (in ARFF: ?) where it does not"
        raise problems.error(file, remedy=remedy)
    return np.where(unknown_NC, UNOBSERVED, np.where(values_NC == 1, POSITIVE, NEGATIVE)).astype(np.int8)


def _check_finite(file: Path, features_ND: npt.NDArray[np.float32], names: tuple[str, ...]) -> None:
    problems = []
    for start in range(0, len(features_ND), ROWS_PER_BLOCK):
        block_BD = features_ND[start : start + ROWS_PER_BLOCK]
        problems += [
            f"row {start + row}: {names[column]}: expected a finite number, got {block_BD[row, column]:g}"
            for row, column in np.argwhere(~np.isfinite(block_BD))
        ]
    if problems:
        raise data_error(file, problems, remedy="fill in these features, or take out the rows")


def _row_names(table: FeatureTable, files: FeatureFiles, prefix: str) -> tuple[str, ...]:
    if files.name_column is not None:
        return table.texts[files.name_column]
    return tuple(f"{prefix}{row}" for row in range(len(table)))


def _parts(table: FeatureTable, column: str) -> tuple[str, ...]:
    texts = table.texts[column]
    if problems := [
        f"row {row}: {column}: expected train, validation or test, got {text!r}"
        for row, text in enumerate(texts)
        if text.lower() not in PARTS
    ]:
        raise data_error(table.file, problems, remedy="mend these cells; nothing was read")
    return tuple(PARTS[text.lower()] for text in texts)


def _read_classes(file: Path) -> tuple[str, ...]:
    """Names of classes, one a line or as Mulan keeps them: `<label name="...">` elements, nested or not."""
    if file.suffix != ".xml":
        return read_class_names(file)
    try:
        root = ElementTree.parse(file).getroot()
    except OSError as error:
        raise DataError(f"{file}: {error.strerror}; name the file as `classes` under {SECTION}") from error
    except (ElementTree.ParseError, ValueError, LookupError) as error:  # ValueError: in an encoding of many bytes
        raise DataError(f"{file}: cannot be read as XML: {error}") from error
    names = [element.get("name") for element in root.iter() if element.tag.rpartition("}")[2] == "label"]
    if not names or None in names:
        raise DataError(f'{file}: expected <label name="..."> elements as Mulan has them, got {len(names)}')
    if repeated := sorted({str(name) for name in names if names.count(name) > 1}):
        raise data_error(file, [f"label {shown(name)} is there more than once" for name in repeated])
    return tuple(map(str, names))
