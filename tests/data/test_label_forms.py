"""Labels in the forms that programs and people give them: read right, or refused with the way out."""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tests.data.made_labels import (
    NAMES,
    ROWS,
    coco,
    csv,
    read_arff,
    read_coco,
    read_parquet,
    read_table,
    refusal,
    shown,
    states,
    touch,
)
from tests.data.trees import arff, voc_xml
from wsml_study.data.dataset import ImageFiles
from wsml_study.data.image_store import open_images
from wsml_study.data.inspection import look_at_images
from wsml_study.data.label_files import LabelFiles
from wsml_study.data.observation import train_and_validation_rows
from wsml_study.data.readers import read_dataset
from wsml_study.data.table import listed_images
from wsml_study.errors import DataError

LISTS = {
    "['cat', 'dog']": {"cat", "dog"},
    "['cat' 'dog']": {"cat", "dog"},
    '["cat", "Swainson\'s"]': {"cat", "Swainson's"},
    "['cat', \"Swainson's\"]": {"cat", "Swainson's"},
    "('cat',)": {"cat"},
    "{'cat', 'dog'}": {"cat", "dog"},
    '{"choices": ["cat", "dog"]}': {"cat", "dog"},
    "[cat, dog]": {"cat", "dog"},
    "[]": set(),
    "cat; dog": {"cat", "dog"},
}


@pytest.mark.parametrize("cell", LISTS)
def test_a_list_in_a_cell_is_understood(cell: str, tmp_path: Path) -> None:
    quoted = '"' + cell.replace('"', '""') + '"'
    rows = [f"00.png,{quoted}", *(f"{name},{('dog', 'cat')[n % 2]}" for n, name in enumerate(NAMES[1:]))]
    dataset = read_table(tmp_path, csv(*rows), positives_column="tags", unlisted="negative")
    assert shown(dataset)["00.png"] == LISTS[cell]
    assert set(dataset.classes) == {"cat", "dog"} | LISTS[cell]


@pytest.mark.parametrize(
    "cell", ["{'cat': 1, 'dog': 0}", "[['cat'], ['dog']]", '[{"choices": ["cat"]}]', "['cat' 'dog', 'cow']", "[true]"]
)
def test_a_cell_that_holds_something_else_than_a_list_of_classes_is_refused(cell: str, tmp_path: Path) -> None:
    quoted = '"' + cell.replace('"', '""') + '"'
    rows = [f"00.png,{quoted}", *(f"{name},{('dog', 'cat')[n % 2]}" for n, name in enumerate(NAMES[1:]))]
    with pytest.raises(DataError, match=r"labels.csv:2: tags: expected names of classes"):
        read_table(tmp_path, csv(*rows), positives_column="tags", unlisted="negative")


@pytest.mark.parametrize("mark", ["|", ",", " ", "/"])
def test_a_separator_left_at_its_default_is_found_out(mark: str, tmp_path: Path) -> None:
    tags = ["cat", f"cat{mark}dog", f"dog{mark}cow", "cow", "dog"] * 2
    text = csv(*(f'{name},"{tag}"' for name, tag in zip(NAMES, tags, strict=True)))
    with pytest.raises(DataError, match=r"no cell holds ';', 4 of 10 hold '") as error:
        read_table(tmp_path, text, positives_column="tags", unlisted="negative")
    assert f'`separator: "{mark}"`?' in refusal(error)
    dataset = read_table(tmp_path, text, positives_column="tags", unlisted="negative", separator=mark)
    assert dataset.classes == ("cat", "cow", "dog")
    assert shown(dataset)["01.png"] == {"cat", "dog"}


def test_names_with_blanks_are_classes(tmp_path: Path) -> None:
    tags = ["No Finding", "Effusion", "hot dog", "dog", "traffic light"] * 2
    text = csv(*(f"{name},{tag}" for name, tag in zip(NAMES, tags, strict=True)))
    dataset = read_table(tmp_path, text, positives_column="tags", unlisted="negative")
    assert dataset.classes == ("Effusion", "No Finding", "dog", "hot dog", "traffic light")


def test_what_is_no_separator_is_said_by_naming_the_classes(tmp_path: Path) -> None:
    (tmp_path / "classes.txt").write_text("cat|dog\ncow\n")
    rows = [f"{name},{('cat|dog', 'cow')[number % 2]}" for number, name in enumerate(NAMES)]
    keys = {"positives_column": "tags", "unlisted": "negative"}
    with pytest.raises(DataError, match="no cell holds ';'"):
        read_table(tmp_path, csv(*rows), **keys)
    rows[0] = "00.png,cat|dog;cow"
    dataset = read_table(tmp_path, csv(*rows), **keys, classes=str(tmp_path / "classes.txt"))
    assert dataset.classes == ("cat|dog", "cow")


def test_classes_that_differ_in_case_alone_are_refused(tmp_path: Path) -> None:
    rows = [f"{name},{('Cat', 'cat')[number % 2]}" for number, name in enumerate(NAMES)]
    with pytest.raises(DataError, match=r"differ in upper and lower case.*'Cat' and 'cat'"):
        read_table(tmp_path, csv(*rows), positives_column="tags", unlisted="negative")


def test_lists_in_parquet_are_understood(tmp_path: Path) -> None:
    lists = [["cat"], ["cat", "dog"], [], None, ["dog"]] * 2
    table = pa.table({"image": NAMES, "labels": lists})
    dataset = read_parquet(tmp_path, table, positives_column="labels", unlisted="negative")
    assert dataset.classes == ("cat", "dog")
    assert [shown(dataset)[name] for name in NAMES[:5]] == [{"cat"}, {"cat", "dog"}, set(), set(), {"dog"}]


def test_numbers_of_classes_get_the_names_that_hugging_face_keeps(tmp_path: Path) -> None:
    feature = {"feature": {"names": ["cat", "dog", "cow"], "_type": "ClassLabel"}, "_type": "Sequence"}
    metadata = {"huggingface": json.dumps({"info": {"features": {"labels": feature}}})}
    table = pa.table({"image": NAMES, "labels": [[2], [0, 1]] * 5}).replace_schema_metadata(metadata)
    dataset = read_parquet(tmp_path, table, positives_column="labels", unlisted="negative")
    assert shown(dataset)["00.png"] == {"cow"}
    assert shown(dataset)["01.png"] == {"cat", "dog"}


def test_a_state_for_every_class_in_a_list_is_no_list_of_classes(tmp_path: Path) -> None:
    table = pa.table({"image": NAMES, "labels": [[0, 1, 1], [1, 0, 0]] * 5})
    with pytest.raises(DataError, match=r"got lists of 3 numbers that are 0 or 1"):
        read_parquet(tmp_path, table, positives_column="labels", unlisted="negative")


def test_a_column_of_lists_among_classes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"labels: expected 1, 0 or nothing, got lists(?s:.*)positives_column: labels"):
        read_parquet(tmp_path, pa.table({"image": NAMES, "labels": [["cat"]] * 10}))


def test_bytes_are_never_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WSML_CACHE", str(tmp_path / "cache"))
    images = [{"bytes": bytes([137, 80, 78, 71, number]) * 9000, "path": None} for number in range(10)]
    table = pa.table({"image": images, "labels": [["cat"]] * 10})
    dataset = read_parquet(tmp_path, table, positives_column="labels", unlisted="negative")
    assert isinstance(dataset.train.images, ImageFiles)
    with pytest.raises(DataError, match=r"(?s)8 problems.*labels/00000\d.png: not an image of a known format") as error:
        open_images(dataset.train.images, size=16, channels=3)
    assert len(refusal(error)) < 1500


@pytest.mark.parametrize("rows", [["00.png,1,0", "01.png,0,1"], ["00.png,1,1", "01.png,0,1"], ["00.png,cat"]])
def test_a_table_without_a_heading_is_refused(rows: list[str], tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"labels.csv:1: expected a heading(?s:.*)such as image,cat,dog above it"):
        read_table(tmp_path, "\n".join(rows) + "\n")


def test_a_list_of_images_to_predict_needs_a_heading_too(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text("00.png\n01.png\n")
    with pytest.raises(DataError, match="expected a heading"):
        listed_images(tmp_path / "list.csv")
    (tmp_path / "list.csv").write_text("image\n00.png\n01.png\n")
    assert listed_images(tmp_path / "list.csv") == (None, ["00.png", "01.png"])


def test_images_without_a_suffix_are_known_by_the_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="expected a heading"):
        read_table(tmp_path, "one,1\ntwo,0\n", names=("one", "two"))


def test_digits_may_be_classes(tmp_path: Path) -> None:
    text = csv(*(f"{name},{n % 2},{n // 5}" for n, name in enumerate(NAMES)), heading="image,0,1")
    assert read_table(tmp_path, text).classes == ("0", "1")


@pytest.mark.parametrize(
    ("heading", "row", "message"),
    [
        ("image,cat,", "{name},1,{n}", "column 3 has no name; it counts the rows, as pandas' index does"),
        ("image,cat,", "{name},1,0", "column 3 has no name"),
        ("image,Unnamed: 0,cat", "{name},{n},1", "column 2 has no name; it counts the rows"),
        (",image,cat", "{n},{name},1", "first column, '', which counts .* holds no image files, and 'image' does"),
        ("id,cat,image", "x{n},1,{name}", "say `image_column: image`"),
    ],
)
def test_columns_that_are_no_classes_are_refused(heading: str, row: str, message: str, tmp_path: Path) -> None:
    text = csv(*(row.format(name=name, n=n) for n, name in enumerate(NAMES)), heading=heading)
    with pytest.raises(DataError, match=message):
        read_table(tmp_path, text)


def test_empty_columns_and_rows_are_left_out_and_told(tmp_path: Path) -> None:
    rows = [f"{name},{n % 2},," for n, name in enumerate(NAMES)]
    dataset = read_table(tmp_path, csv(*rows, ",,,", ",,,", heading="image,cat,,"))
    assert dataset.classes == ("cat",)
    assert "2 blank rows of labels.csv are left out" in dataset.notices
    assert "left out of labels.csv: 2 columns without a name and without content" in dataset.notices


def test_columns_of_other_things_name_the_way_out(tmp_path: Path) -> None:
    rows = [f"{name},{n % 2},{20 + n}" for n, name in enumerate(NAMES)]
    text = csv(*rows, heading="image,cat,age")
    with pytest.raises(DataError, match=r"csv:2: age: 10 of 10 cells are not 1, 0 or nothing: '20', .*") as error:
        read_table(tmp_path, text)
    assert "as `classes` under data.labels" in refusal(error)
    (tmp_path / "classes.txt").write_text("cat\n")
    assert read_table(tmp_path, text, classes=str(tmp_path / "classes.txt")).classes == ("cat",)


WORDS = {"1": 1, "0": -1, "TRUE": 1, "False": -1, "yes": 1, "no": -1, "WAHR": 1, "1.0": 1, "0,0": -1, "": 0, "NaN": 0}


def test_words_for_states(tmp_path: Path) -> None:
    names = [f"{number}.png" for number in range(len(WORDS))]
    text = csv(*(f'{name},"{word}"' for name, word in zip(names, WORDS, strict=True)), heading="image,cat")
    dataset = read_table(tmp_path, text, names=names)
    assert [states(dataset)[name] for name in names] == [[state] for state in WORDS.values()]


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({"absent": -1}, {"1": 1, "-1": -1, "": 0}),
        ({"absent": -1, "uncertain": "unobserved"}, {"1": 1, "-1": -1, "0": 0}),
        ({"uncertain": "unobserved"}, {"1.0": 1, "0.0": -1, "-1.0": 0}),
        ({"uncertain": "positive"}, {"1": 1, "0": -1, "-1": 1}),
        ({"uncertain": "negative"}, {"1": 1, "0": -1, "-1": -1}),
    ],
)
def test_minus_one_is_what_the_study_says(keys: dict[str, Any], expected: dict[str, int], tmp_path: Path) -> None:
    names = [f"{number}.png" for number in range(len(expected))]
    text = csv(*(f"{name},{word}" for name, word in zip(names, expected, strict=True)), heading="image,cat")
    dataset = read_table(tmp_path, text, names=names, **keys)
    assert [states(dataset)[name] for name in names] == [[state] for state in expected.values()]


def test_minus_one_is_not_guessed(tmp_path: Path) -> None:
    text = csv(*(f"{name},{(-1, 1)[n % 2]}" for n, name in enumerate(NAMES)), heading="image,cat")
    with pytest.raises(
        DataError, match=r"cat: 5 of 10 cells are -1(?s:.*)`absent: -1` \(CelebA\), or `uncertain: unobs"
    ):
        read_table(tmp_path, text)
    with pytest.raises(DataError, match=r"what 0 is beside `absent: -1`"):
        read_table(tmp_path, text.replace("09.png,1", "09.png,0"), absent=-1)


def test_celebas_own_form_is_read(tmp_path: Path) -> None:
    text = "3\nBald Smiling \n00.png -1  1\n01.png  1 -1\n02.png -1 -1\n"
    with pytest.raises(DataError, match=r"(?s)Bald: 2 of 3 cells are -1.*CelebA's form.*`absent: -1`"):
        read_table(tmp_path, text, file="labels.txt")
    dataset = read_table(tmp_path, text, file="labels.txt", absent=-1, test_fraction=0.4)
    assert states(dataset) == {"00.png": [-1, 1], "01.png": [1, -1], "02.png": [-1, -1]}


def german(*, decimals: str) -> str:
    return "\r\n".join(
        ["Datei;Strand;Gr\u00f6\u00dfe", *(f"{name};{n % 2}{decimals};2,{n}" for n, name in enumerate(NAMES))]
    )


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("heading", ["", "sep=;\r\n"])
def test_excels_table_is_read_in_every_encoding_that_is_certain(encoding: str, heading: str, tmp_path: Path) -> None:
    (tmp_path / "classes.txt").write_text("Strand\n")
    keys = {"classes": str(tmp_path / "classes.txt")}
    content = (heading + german(decimals=",0")).encode(encoding)
    if encoding == "cp1252":
        with pytest.raises(DataError, match=r"it is not UTF-8; .*`encoding: cp1252`"):
            read_table(tmp_path, content, **keys)
        with pytest.raises(DataError, match=r"expected text in utf-8, as `encoding` says: .*; leave `encoding` out"):
            read_table(tmp_path, content, **keys, encoding="utf-8")
        keys["encoding"] = "cp1252"
    dataset = read_table(tmp_path, content, **keys)
    assert states(dataset)["00.png"] == [-1]
    assert states(dataset)["01.png"] == [1]
    assert "labels.csv is separated by ';'" in dataset.notices
    assert ("labels.csv is read as cp1252, as `encoding` says" in dataset.notices) == (encoding == "cp1252")


def test_all_that_is_wrong_with_excels_table_is_one_message(tmp_path: Path) -> None:
    text = german(decimals=",0").replace("0", "2019\\0", 1)
    with pytest.raises(DataError) as error:
        read_table(tmp_path, text.encode("cp1252"))
    message = refusal(error)
    for part in ("not UTF-8", "separated by ';'", "decimal comma: '0,0', '1,0'", "have \\ in them", "`classes`"):
        assert part in message


def test_names_are_compared_with_the_folder(tmp_path: Path) -> None:
    composed, decomposed = "Gr\u00f6\u00dfe.png", unicodedata.normalize("NFD", "Gr\u00f6\u00dfe.png")
    there = [decomposed, "sub/2.png", "3.png", "4.png", "deep/er/5.png", "0.png"]
    text = csv(f"{composed},1", "sub\\2.png,0", "3.PNG,1", "4,0", "5.png,1", "0.png,1", "6.png,0", heading="image,cat")
    with pytest.raises(DataError) as error:
        read_table(tmp_path, text, names=there)
    message = refusal(error)
    assert (
        f"the folder has '{decomposed}'; labels.csv:2 says '{composed}' (names are in another Unicode form" in message
    )
    assert "the folder has 'sub/2.png'; labels.csv:3 says 'sub\\\\2.png'" in message
    assert "the folder has '3.png'; labels.csv:4 says '3.PNG' (names differ in upper and lower case)" in message
    assert "the folder has '4.png'; labels.csv:5 says '4' (names differ in their suffix, or have none)" in message
    assert "the folder has 'deep/er/5.png'; labels.csv:6 says '5.png' (names differ in their folder)" in message
    assert "no image 6.png, which labels.csv lists (labels.csv:8)" in message
    assert "6 problems" in message


def test_many_problems_of_many_kinds_fit_into_twenty_lines(tmp_path: Path) -> None:
    there = [f"{number}.png" for number in range(200)]
    rows = [f"{n}.PNG,1" if n % 3 else f"{n},0" for n in range(150)] + [f"gone{n}.png,1" for n in range(90)]
    with pytest.raises(DataError, match=r"images: 240 problems") as error:
        read_table(tmp_path, csv(*rows, heading="image,cat"), names=there)
    message = refusal(error)
    assert "more: names differ in upper and lower case" in message
    assert "more: names differ in their suffix, or have none" in message
    assert "more: no such image" in message


def test_absolute_names_within_the_folder_are_accepted(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    rows = [f"{folder / name},{n % 2}" for n, name in enumerate(NAMES)]
    assert sorted(states(read_table(tmp_path, csv(*rows, heading="image,cat")))) == list(NAMES)
    with pytest.raises(DataError, match=r"the folder has '00.png'; labels.csv:2 says '/elsewhere/00.png'"):
        read_table(tmp_path, csv("/elsewhere/00.png,1", *rows[1:], heading="image,cat"))


def test_one_photo_under_two_spellings_is_refused_with_both_places(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    touch(tmp_path / "images", ["a/0.png"])
    (tmp_path / "images/b").symlink_to(tmp_path / "images/a")
    for other in ("./a/0.png", "a//0.png", "b/0.png", str(tmp_path / "images/a/0.png"), "a/0.png"):
        text = csv("a/0.png,1", "01.png,0", "02.png,1", f"{other},0", heading="image,cat")
        with pytest.raises(DataError, match=r"listed more than once: labels.csv:2 and labels.csv:5"):
            read_table(tmp_path, text)


def test_one_photo_in_training_and_in_test_is_refused(tmp_path: Path) -> None:
    (tmp_path / "test.csv").write_text(csv("03.png,1", "./01.png,0", heading="image,cat"))
    text = csv("00.png,1", "01.png,0", "02.png,1", heading="image,cat")
    with pytest.raises(DataError, match=r"test.csv:3: './01.png' is '01.png', which labels.csv:3 lists"):
        read_table(tmp_path, text, test_file=str(tmp_path / "test.csv"))


PATIENTS = csv(*(f"{name},{n // 2},{n % 2}" for n, name in enumerate(NAMES)), heading="image,patient,cat")


def test_groups_are_on_one_side_of_every_split(tmp_path: Path) -> None:
    dataset = read_table(tmp_path, PATIENTS, group_column="patient", test_fraction=0.4)
    assert dataset.classes == ("cat",)
    train, validation = train_and_validation_rows(dataset, 0.4, seed=3)
    parts = [dataset.test.names, *([dataset.train.names[row] for row in rows] for rows in (train, validation))]
    groups = [{int(Path(name).stem) // 2 for name in part} for part in parts]
    assert all(groups)
    assert sum(map(len, groups)) == len(set().union(*groups)) == 5
    assert sum(map(len, parts)) == 10


def test_a_group_on_both_sides_of_a_given_split_is_refused(tmp_path: Path) -> None:
    (tmp_path / "test.txt").write_text("00.png\n02.png\n03.png\n")
    with pytest.raises(DataError, match=r"csv:3: 01.png: its group '0' is in another split too"):
        read_table(tmp_path, PATIENTS, group_column="patient", test_list=str(tmp_path / "test.txt"))


def test_a_list_may_name_the_images_to_test_on(tmp_path: Path) -> None:
    (tmp_path / "test.txt").write_text("02.png\n03.png\n")
    dataset = read_table(tmp_path, PATIENTS, group_column="patient", test_list=str(tmp_path / "test.txt"))
    assert dataset.test.names == ("02.png", "03.png")
    (tmp_path / "test.txt").write_text("02.png\nnone.png\n")
    with pytest.raises(DataError, match=r"test.txt:2: 'none.png' has no row"):
        read_table(tmp_path, PATIENTS, test_list=str(tmp_path / "test.txt"))


def test_a_name_of_the_test_list_that_differs_from_the_table_is_told_with_the_right_one(tmp_path: Path) -> None:
    (tmp_path / "test.txt").write_text("02\n03.PNG\n")
    with pytest.raises(DataError) as error:
        read_table(tmp_path, PATIENTS, test_list=str(tmp_path / "test.txt"))
    message = refusal(error)
    assert "test.txt:1: '02' has no row, and '02.png' has one" in message
    assert "test.txt:2: '03.PNG' has no row, and '03.png' has one" in message
    assert "write the names in test.txt as the table does" in message


FINDINGS = csv(
    *(f"{name},{cell},{n // 2}" for n, (name, cell) in enumerate(zip(NAMES, ["A|B", "No Finding"] * 5, strict=True))),
    heading="Image Index,Finding Labels,Patient ID",
)
LISTED: dict[str, Any] = {"positives_column": "Finding Labels", "separator": "|"}


def test_a_name_may_stand_for_none_of_the_classes(tmp_path: Path) -> None:
    (tmp_path / "classes.txt").write_text("A\nB\nC\n")
    keys = LISTED | {"unlisted": "unobserved", "group_column": "Patient ID"}
    for classes in (None, str(tmp_path / "classes.txt")):
        dataset = read_table(tmp_path, FINDINGS, **keys, no_class="No Finding", classes=classes)
        assert dataset.classes == ("A", "B", "C")[: 2 if classes is None else 3]
        assert states(dataset)["00.png"] == [1, 1, 0][: len(dataset.classes)]
        assert states(dataset)["01.png"] == [-1, -1, -1][: len(dataset.classes)]
    with pytest.raises(DataError, match=r"csv:2: lists 'No Finding', which is no class, and 'A'"):
        read_table(tmp_path, FINDINGS.replace("A|B", "A|B|No Finding", 1), **keys, no_class="No Finding")
    with pytest.raises(DataError, match=r"'No Finding' is no class of the list(?s:.*)say `no_class: No Finding`"):
        read_table(tmp_path, FINDINGS, **keys, classes=str(tmp_path / "classes.txt"))


def test_what_may_be_meant_otherwise_is_noted(tmp_path: Path) -> None:
    notices = read_table(tmp_path, FINDINGS, **LISTED, unlisted="negative").notices
    assert any("'No Finding' is a class; if" in notice for notice in notices)
    assert any("images of one 'Patient ID' may be in training and in test" in notice for notice in notices)
    keys = LISTED | {"unlisted": "negative", "group_column": "Patient ID"}
    assert read_table(tmp_path, FINDINGS, **keys, no_class="No Finding").notices == ()
    notices = read_table(tmp_path, FINDINGS, **keys, no_class="none").notices
    assert "no cell of Finding Labels says 'none', as `no_class` does" in notices


def test_a_column_that_lists_classes_is_named_as_such(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r'`positives_column: Finding Labels`, `separator: "\|"` and `unlisted`'):
        read_table(tmp_path, FINDINGS)


def test_images_in_another_folder_name_the_root(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"give `root: .*images/deep` under data"):
        read_table(tmp_path, PATIENTS, group_column="patient", names=[f"deep/{name}" for name in NAMES])
    (tmp_path / "images/other").mkdir()
    (tmp_path / "images/deep/00.png").rename(tmp_path / "images/other/00.png")
    with pytest.raises(DataError, match=r"the images are in 2 folders below .*images"):
        read_table(tmp_path, PATIENTS, group_column="patient", names=())


def test_open_images_rows_of_image_and_class_are_read(tmp_path: Path) -> None:
    text = csv(
        "aa,verification,/m/01,1", "aa,verification,/m/02,0", "bb,verification,/m/02,1", "cc,x,/m/01,0",
        heading="ImageID,Source,LabelName,Confidence",
    )  # fmt: skip
    dataset = read_table(tmp_path, text, names=("aa.jpg", "bb.jpg", "cc.jpg"))
    assert dataset.classes == ("/m/01", "/m/02")
    assert states(dataset) == {"aa.jpg": [1, -1], "bb.jpg": [0, 1], "cc.jpg": [-1, 0]}
    with pytest.raises(DataError, match=r"Confidence: expected 1 or 0, got '0.7'"):
        read_table(tmp_path, text.replace("cc,x,/m/01,0", "cc,x,/m/01,0.7"))


def test_rows_without_any_label_are_noted(tmp_path: Path) -> None:
    rows = [f"{name},{n if n < 2 else ''}" for n, name in enumerate(NAMES)]
    notes = look_at_images(read_table(tmp_path, csv(*rows, heading="image,cat")), lambda done, total: None).notes
    told = [note for note in notes if "have no label at all" in note]
    assert sum(int(note.split(": ")[1].split(" ")[0]) for note in told) == 8


def test_coco_ids_and_names_are_there_once(tmp_path: Path) -> None:
    images = [{"id": number % 5, "file_name": name} for number, name in enumerate(NAMES)]
    with pytest.raises(DataError, match=r"image id 0 is there 2 times: entry 0 \('00.png'\) and entry 5 \('05.png'\)"):
        read_coco(tmp_path, coco(images))
    images = [{"id": number, "file_name": NAMES[number % 9]} for number in range(10)]
    with pytest.raises(DataError, match=r"image file_name '00.png' is there 2 times: entry 0 \(0\) and entry 9 \(9\)"):
        read_coco(tmp_path, coco(images))
    with pytest.raises(DataError, match=r"category name 'cat' is there 2 times: entry 0 \(1\) and entry 2 \(3\)"):
        read_coco(
            tmp_path, coco(categories=[{"id": n, "name": name} for n, name in ((1, "cat"), (2, "dog"), (3, "cat"))])
        )
    with pytest.raises(DataError, match=r"category name 'cat' is there 2 times"):
        read_coco(tmp_path, coco(categories=[{"id": 1, "name": "cat "}, {"id": 2, "name": "cat"}]))
    with pytest.raises(DataError, match=r"category id 1 is there 2 times: entry 0 \('cat'\) and entry 1 \('dog'\)"):
        read_coco(tmp_path, coco(categories=[{"id": 1, "name": "cat"}, {"id": 1, "name": "dog"}]))
    with pytest.raises(DataError, match=r"some ids of category entries are text and others are numbers"):
        read_coco(tmp_path, coco(categories=[{"id": 1, "name": "cat"}, {"id": "2", "name": "dog"}]))


def test_a_category_that_only_stands_above_others_is_no_class(tmp_path: Path) -> None:
    categories = [
        {"id": 0, "name": "cells", "supercategory": "none"},
        {"id": 1, "name": "rbc", "supercategory": "cells"},
        {"id": 2, "name": "wbc", "supercategory": "cells"},
    ]
    dataset = read_coco(tmp_path, coco(None, categories, [(0, 1), (1, 2)]))
    assert dataset.classes == ("rbc", "wbc")
    assert any(notice.startswith("left out as a class: 'cells'") for notice in dataset.notices)
    dataset = read_coco(tmp_path, coco(None, categories, [(0, 1), (1, 2), (2, 0)]))
    assert dataset.classes == ("cells", "rbc", "wbc")


def test_lvis_negatives_are_the_only_ones(tmp_path: Path) -> None:
    images = [
        {"id": n, "file_name": name, "neg_category_ids": [2], "not_exhaustive_category_ids": [1]}
        for n, name in enumerate(NAMES)
    ]
    categories = [{"id": n, "name": name} for n, name in ((1, "cat"), (2, "dog"), (3, "cow"))]
    dataset = read_coco(tmp_path, coco(images, categories, [(n, 3) for n in range(5)]))
    assert states(dataset) == {name: [0, -1, 1 if n < 5 else 0] for n, name in enumerate(NAMES)}
    assert "neg_category_ids" in dataset.notices[0]
    with pytest.raises(DataError, match=r"image 0: 2 is annotated and in neg_category_ids"):
        read_coco(tmp_path, coco(images, categories, [(0, 2)]))


def test_roboflows_three_folders_are_read(tmp_path: Path) -> None:
    for part, first in (("train", 0), ("valid", 4), ("test", 6)):
        images = [{"id": n, "file_name": NAMES[first + n]} for n in range(2)]
        touch(tmp_path / part, [image["file_name"] for image in images])
        (tmp_path / part / "_annotations.coco.json").write_text(json.dumps(coco(images, annotations=[(0, 1), (1, 2)])))
    dataset = read_dataset("coco_json", root=tmp_path, labels=LabelFiles(file=str(tmp_path)))
    assert dataset.train.names == ("train/00.png", "train/01.png", "valid/04.png", "valid/05.png")
    assert dataset.validation_rows == (2, 3)
    assert dataset.test.names == ("test/06.png", "test/07.png")
    assert shown(dataset)["valid/05.png"] == {"dog"}


@pytest.mark.parametrize(
    ("content", "program"),
    [
        ([{"id": 1, "data": {"image": "00.png"}, "annotations": []}], "Label Studio"),
        ({"classes": ["cat"], "labels": {"00": ["cat"]}}, "FiftyOne"),
        ({"samples": [{"filepath": "00.png"}]}, "FiftyOne"),
        ([{"image": "00.png", "annotations": [{"label": "cat"}]}], "Create ML"),
    ],
)
def test_exports_of_other_programs_are_named(content: object, program: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=program):
        read_coco(tmp_path, content)
    with pytest.raises(DataError, match=program):
        read_table(tmp_path, json.dumps(content), file="labels.json")


def test_cvats_xml_is_named(tmp_path: Path) -> None:
    text = '<?xml version="1.0"?><annotations><image name="00.png"><tag label="cat"/></image></annotations>'
    with pytest.raises(DataError, match=r"CVAT export; export as `COCO 1.0`"):
        read_table(tmp_path, text, file="labels.xml")


def test_escaped_names_of_attributes_are_read(tmp_path: Path) -> None:
    (tmp_path / "birds.xml").write_text('<labels><label name="Swainson\'s Thrush"/><label name="100%"/></labels>')
    text = arff("birds", ["'Swainson\\'s Thrush' {0,1}", "'100\\%' {0,1}", "f numeric"], ROWS)
    dataset = read_arff(tmp_path, text, classes="birds.xml")
    assert dataset.classes == ("Swainson's Thrush", "100%")
    assert states(dataset)["data.arff#0"] == [-1, 1]


def test_a_count_in_a_relation_that_was_filtered_is_not_trusted(tmp_path: Path) -> None:
    attributes = ["a {0,1}", "b {0,1}", "f numeric"]
    filtered = "'M: -C 2 -weka.filters.unsupervised.attribute.Remove-R1'"
    for relation, reason in (
        (filtered, "has passed through Weka's filters"),
        ("'M: -C 2: -C -1'", "in two ways"),
        ("'M: -C 7'", "but it has 3 attributes"),
        ("'M: -C -2'", "but 'f' among them is numeric"),
    ):
        with pytest.raises(DataError, match=rf"{reason}.*give `num_labels`"):
            read_arff(tmp_path, arff(relation, attributes, ROWS))
    (tmp_path / "classes.txt").write_text("a\nb\n")
    assert read_arff(tmp_path, arff(filtered, attributes, ROWS), classes="classes.txt").classes == ("a", "b")


def test_labels_that_are_not_0_and_1_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"row 0: f: expected 1, 0 or nothing, got 0.5(?s:.*)`num_labels` or `classes`"):
        read_arff(tmp_path, arff("m", ["a {0,1}", "b {0,1}", "f numeric"], ROWS), num_labels=2)


@pytest.mark.parametrize(
    ("yes", "no"), [("YES", "NO"), ("present", "absent"), ("true", "false"), ("t", "f"), ("Y", "N")]
)
@pytest.mark.parametrize("yes_first", [True, False])
def test_nominal_words_are_labels(yes: str, no: str, yes_first: bool, tmp_path: Path) -> None:
    values = f"{{{yes},{no}}}" if yes_first else f"{{{no},{yes}}}"
    rows = [f"{yes},0.5", f"{no},0.1", "?,0.2", f"{yes},0.7", f"{no},0.8"]
    dataset = read_arff(tmp_path, arff("'m: -C 1'", [f"cat {values}", "f numeric"], rows))
    assert [states(dataset)[f"data.arff#{row}"] for row in range(5)] == [[1], [-1], [0], [1], [-1]]
    # In a sparse row an attribute that is left out has its first value.
    sparse = [f"{{0 {yes}, 1 0.5}}", f"{{0 {no}, 1 0.1}}", "{1 0.2}", f"{{0 {yes}}}"]
    dataset = read_arff(tmp_path, arff("'m: -C 1'", [f"cat {values}", "f numeric"], sparse))
    first = 1 if yes_first else -1
    assert [states(dataset)[f"data.arff#{row}"] for row in range(4)] == [[1], [-1], [first], [1]]


def test_xml_of_single_images_is_read(tmp_path: Path) -> None:
    root, files = voc_xml(tmp_path / "photos")
    dataset = read_dataset("voc_xml", root=root, labels=files)
    assert dataset.classes == ("cat", "dog")
    assert states(dataset) == {
        "a.jpg": [1, -1],
        "b b.jpg": [1, 1],
        "c.jpg": [-1, -1],
        "d.jpg": [-1, 0],
        "e.jpg": [1, -1],
    }


def test_xml_that_lies_beside_images_in_folders_is_read(tmp_path: Path) -> None:
    root, files = voc_xml(tmp_path / "photos")
    for file in (root / "Annotations").iterdir():
        folder = root / ("train" if file.stem in "abc" else "test")
        folder.mkdir(exist_ok=True)
        file.rename(folder / file.name)
        (root / f"{file.stem}.jpg").rename(folder / f"{file.stem}.jpg")
    keys = {"file": str(root / "train"), "test_file": str(root / "test")}
    dataset = read_dataset("voc_xml", root=root, labels=files.model_copy(update=keys))
    assert dataset.train.names == ("train/a.jpg", "train/c.jpg")
    assert dataset.test.names == ("test/b b.jpg", "test/d.jpg", "test/e.jpg")


def test_xml_of_something_else_is_named(tmp_path: Path) -> None:
    root, files = voc_xml(tmp_path / "photos")
    (root / "Annotations/a.xml").write_text("<annotations/>")
    (root / "Annotations/c.xml").write_text("<annotation>")
    with pytest.raises(DataError, match=r"(?s)2 problems.*a.xml: expected <annotation>.*CVAT.*c.xml: cannot be read"):
        read_dataset("voc_xml", root=root, labels=files)
