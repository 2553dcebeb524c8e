"""Labels and names as spreadsheets, programs and people spell them: read right, or refused with the likely cause."""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tests.data.made_labels import NAMES, ROWS, coco, csv, read_arff, read_coco, read_parquet, read_table, refusal
from tests.data.made_labels import shown as shown_classes
from tests.data.made_labels import states as states_of
from tests.data.trees import arff
from wsml_study.data.label_files import FeatureFiles, LabelFiles
from wsml_study.data.readers import read_dataset
from wsml_study.errors import DataError

LISTED = {"positives_column": "tags", "unlisted": "negative"}
ZERO_WIDTH = "\u200b"
NAME_CAUSES = {
    "a b.png": ("a%20b.png", "as in addresses"),
    "c.png": ("https://photos.example/x/c.png?size=3", "as in addresses"),
    "d.png": (f"{ZERO_WIDTH}d.png", "invisible characters"),
    "e.png": ("/data/upload/1/3f2a9b1c-e.png", "prefix of Label Studio's uploads"),
    "0123.png": ("123", "lost their leading zeros"),
    "f.jpg": ("f.jpeg", "differ in their suffix"),
}


@pytest.mark.parametrize("there", NAME_CAUSES)
def test_the_name_that_is_meant_is_told(there: str, tmp_path: Path) -> None:
    said, cause = NAME_CAUSES[there]
    rows = [f"{said},1", *(f"{name},0" for name in NAMES)]
    with pytest.raises(DataError, match=f"the folder has '{there}'; labels.csv:2 says .*{cause}"):
        read_table(tmp_path, csv(*rows, heading="image,cat"), names=[*NAMES, there])


def test_of_several_files_the_image_is_meant(tmp_path: Path) -> None:
    rows = [f"{name.removesuffix('.png')},{n % 2}" for n, name in enumerate(NAMES)]
    there = [*NAMES, *(name.replace(".png", ".json") for name in NAMES)]
    with pytest.raises(DataError, match=r"the folder has '00.png'; labels.csv:2 says '00'"):
        read_table(tmp_path, csv(*rows, heading="image,cat"), names=there)


def test_names_of_a_test_list_are_explained(tmp_path: Path) -> None:
    rows = [f"{name},{n % 2}" for n, name in enumerate(NAMES)]
    (tmp_path / "test.txt").write_text("images/02.png\n03.PNG\n")
    with pytest.raises(DataError) as error:
        read_table(tmp_path, csv(*rows, heading="image,cat"), test_list=str(tmp_path / "test.txt"))
    told = refusal(error)
    assert "test.txt:1: 'images/02.png' has no row, and '02.png' has one (names differ in their folder)" in told
    assert "test.txt:2: '03.PNG' has no row, and '03.png' has one" in told


@pytest.mark.parametrize(
    ("yes", "no"), [("present", "absent"), ("Positive", "Negative"), ("pos", "neg"), ("True", "False"), ("yes", "no")]
)
def test_words_for_labels_are_those_of_arff_too(yes: str, no: str, tmp_path: Path) -> None:
    rows = [f"{name},{(yes, no)[n % 2]}" for n, name in enumerate(NAMES)]
    from_table = states_of(read_table(tmp_path, csv(*rows, heading="image,cat")))
    rows = [f"{(yes, no)[n % 2]},0.{n}" for n in range(10)]
    from_arff = states_of(read_arff(tmp_path, arff("'m: -C 1'", [f"cat {{{no},{yes}}}", "f numeric"], rows)))
    expected = [[1 - 2 * (n % 2)] for n in range(10)]
    assert [from_table[name] for name in NAMES] == expected
    assert [from_arff[f"data.arff#{n}"] for n in range(10)] == expected


def test_marks_in_cells_are_refused_with_what_labels_are(tmp_path: Path) -> None:
    rows = [f"{name},{'x' if n % 2 else ''}" for n, name in enumerate(NAMES)]
    with pytest.raises(DataError, match=r"5 of 10 cells are not 1, 0 or nothing: 'x'(?s:.*)labels are 1 and 0"):
        read_table(tmp_path, csv(*rows, heading="image,cat"))
    (tmp_path / "classes.txt").write_text("cat\n")
    with pytest.raises(DataError, match="write 1 where an image shows the class, 0 where it does not"):
        read_table(tmp_path, csv(*rows, heading="image,cat"), classes=str(tmp_path / "classes.txt"))


@pytest.mark.parametrize("first", ["sep=;", "sep=;;", '"sep=;"', "SEP=;"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_excels_first_line_is_understood(first: str, end: str, tmp_path: Path) -> None:
    rows = [f"{name};{n % 2};0,0" for n, name in enumerate(NAMES)]
    dataset = read_table(tmp_path, end.join([first, "image;cat;dog", *rows]) + end)
    assert states_of(dataset)["01.png"] == [1, -1]


def test_cells_between_blanks_are_refused_with_the_way_out(tmp_path: Path) -> None:
    rows = [f"{name} {n % 2} 1" for n, name in enumerate(NAMES)]
    with pytest.raises(DataError, match="separate cells by commas, not by blanks"):
        read_table(tmp_path, csv(*rows, heading="image cat dog"))


KINDS = {
    b"PK\3\4" + bytes(30): "an Excel file",
    b"\xd0\xcf\x11\xe0" + bytes(30): "an old Excel file",
    b"\x1f\x8b\x08" + bytes(30): "a gzip archive; unpack it",
    b"PAR1" + bytes(30): "Parquet; call it .parquet",
    b"\n<!DOCTYPE HTML>\n<html>": "an HTML page",
    b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n": "git lfs pull",
}


@pytest.mark.parametrize("content", KINDS)
def test_files_of_another_kind_are_named(content: bytes, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=KINDS[content]):
        read_table(tmp_path, content)
    (tmp_path / "labels.json").write_bytes(content)
    with pytest.raises(DataError, match=KINDS[content]):
        read_dataset("coco_json", root=tmp_path, labels=LabelFiles(file=str(tmp_path / "labels.json")))


@pytest.mark.parametrize(
    "cell", ["set()", "frozenset({'cat'})", "array(['cat', 'dog'], dtype=object)", "'cat','dog'", "Index(['cat'])"]
)
def test_lists_that_programs_print_in_other_ways_are_no_classes(cell: str, tmp_path: Path) -> None:
    rows = [f'00.png,"{cell}"', *(f"{name},{('dog', 'cat')[n % 2]}" for n, name in enumerate(NAMES[1:]))]
    with pytest.raises(DataError, match=r"a class is called .*, as programs print lists"):
        read_table(tmp_path, csv(*rows), **LISTED)


def test_names_with_brackets_and_quotes_may_be_classes(tmp_path: Path) -> None:
    names = ("person (adult)", 'the "big" one', "Swainson's Thrush", "cat")
    rows = [f'{name},"{names[n % 4].replace(chr(34), chr(34) * 2)}"' for n, name in enumerate(NAMES)]
    assert read_table(tmp_path, csv(*rows), **LISTED).classes == tuple(sorted(names))
    lists = [[name] for name in ("set()", "'cat'", "['dog']", "cow", "hen")] * 2
    table = pa.table({"image": NAMES, "tags": lists})
    assert read_parquet(tmp_path, table, **LISTED).classes == tuple(sorted(one for (one,) in lists[:5]))


@pytest.mark.parametrize("mark", ["\uff5c", "\uff1b", "\uff0c", "\u3001"])
def test_east_asian_separators_are_found(mark: str, tmp_path: Path) -> None:
    rows = [f"{name},{(f'cat{mark}dog', 'dog')[n % 2]}" for n, name in enumerate(NAMES)]
    with pytest.raises(DataError, match=f'separator: "{mark}"'):
        read_table(tmp_path, csv(*rows), **LISTED)
    assert read_table(tmp_path, csv(*rows), **LISTED, separator=mark).classes == ("cat", "dog")


def test_bytes_in_any_column_of_parquet_are_never_shown(tmp_path: Path) -> None:
    bytes_N = [bytes([137, 80, 78, 71, n]) for n in range(10)]
    for column in (
        pa.array(bytes_N, pa.binary_view()),
        pa.array(bytes_N).dictionary_encode(),
        pa.array([[one] for one in bytes_N]),
    ):
        with pytest.raises(DataError, match="got other bytes"):
            read_parquet(tmp_path, pa.table({"image": column, "tags": [["cat"]] * 10}), **LISTED)


def test_records_and_encoded_images_are_no_names(tmp_path: Path) -> None:
    records = [{"bytes": None, "path": name} for name in NAMES]
    with pytest.raises(DataError, match=r"image: expected names of image files, got records of bytes, path"):
        read_parquet(tmp_path, pa.table({"image": records, "tags": [["cat"]] * 10}), **LISTED)
    with pytest.raises(DataError, match=r"got text of 9,000 characters, perhaps an encoded image") as error:
        read_parquet(tmp_path, pa.table({"image": ["iVBORw0KG" * 1000] * 10, "tags": [["cat"]] * 10}), **LISTED)
    assert len(refusal(error)) < 500


CATEGORIES: dict[str, tuple[list[Any], str]] = {
    "case": (["Cat", "cat"], "differ in upper and lower case"),
    "Unicode form": (["Größe", unicodedata.normalize("NFD", "Größe")], "or in Unicode form"),
    "blank": (["cat", "  "], "a category without a name: '  '"),
    "null": (["cat", None], "a category without a name"),
    "list": (["cat", ["dog"]], "a category without a name"),
}


@pytest.mark.parametrize("kind", CATEGORIES)
def test_names_of_categories_are_told_apart(kind: str, tmp_path: Path) -> None:
    names, message = CATEGORIES[kind]
    categories = [{"id": number, "name": name} for number, name in enumerate(names)]
    with pytest.raises(DataError, match=message):
        read_coco(tmp_path, coco(None, categories, [(0, 0), (1, 1)]))


def test_ids_of_two_types_are_named(tmp_path: Path) -> None:
    content = coco(None, annotations=[("0", 1)])
    with pytest.raises(DataError, match=r"image '0', which `images` lacks \(it has 0: ids are text here and numbers"):
        read_coco(tmp_path, content)


OTHER_JSON = [[{"ID": 1}], {"project": 1}, {"items": [], "categories": {}}, 5, "text", None, [], {"images": 3}]


@pytest.mark.parametrize("content", OTHER_JSON, ids=repr)
def test_json_of_any_other_kind_names_what_is_read(content: object, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"\(dataset: |COCO 1.0"):
        read_coco(tmp_path, content)
    for suffix in ("json", "jsonl", "yaml"):
        with pytest.raises(DataError, match=r"dataset: (coco_json|table)\)"):
            read_table(tmp_path, json.dumps(content), file=f"labels.{suffix}")


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("'say \\\"hi\\\"'", 'say "hi"'),
        ('"say \\"hi\\""', 'say "hi"'),
        ("'\"hi\"'", '"hi"'),
        ('"it\'s"', "it's"),
        ("'it\\'s'", "it's"),
        ("O'Neil", "O'Neil"),
        ("'a b, {c} %'", "a b, {c} %"),
        ("100\\%", "100%"),
    ],
)
def test_names_of_attributes_are_those_that_were_quoted(written: str, name: str, tmp_path: Path) -> None:
    text = arff("'m: -C 2'", [f"{written} {{0,1}}", "b {0,1}", "f numeric"], ROWS)
    dataset = read_arff(tmp_path, text)
    assert dataset.classes == (name, "b")
    assert states_of(dataset)["data.arff#0"] == [-1, 1]
    assert states_of(read_arff(tmp_path, text.replace("@attribute ", "@ATTRIBUTE\t"))) == states_of(dataset)


def test_two_values_for_one_attribute_are_refused(tmp_path: Path) -> None:
    attributes = ["a {0,1}", "b {0,1}", "'f 1, 2' {x,'0 1, 0 2'}", "g numeric"]
    rows = ["{0 1, 2 '0 1, 0 2'}", "{1 1}", "{}", "{0 1,1 1}", "{0 1, 0 0}"]
    with pytest.raises(DataError, match=r"data.arff:14: expected one value for each attribute, got several for .* 0"):
        read_arff(tmp_path, arff("'m: -C 2'", attributes, rows))


def test_an_attribute_that_has_no_type_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"data.arff:5: expected @attribute, a name and a type, got '@attribute b'"):
        read_arff(tmp_path, arff("'m: -C 1'", ["a {0,1}", "b", "f numeric"], ROWS))


def test_arff_may_be_in_utf_16_and_other_encodings_are_named(tmp_path: Path) -> None:
    text = arff("'m: -C 1'", ["Größe {0,1}", "b {0,1}", "f numeric"], ROWS)
    (tmp_path / "wide.arff").write_text(text, encoding="utf-16")
    (tmp_path / "west.arff").write_text(text, encoding="cp1252")
    dataset = read_dataset("features", root=tmp_path, features=FeatureFiles(file="wide.arff"))
    assert dataset.classes == ("Größe",)
    with pytest.raises(DataError, match="expected text in UTF-8"):
        read_dataset("features", root=tmp_path, features=FeatureFiles(file="west.arff"))


def test_minus_one_in_arff_is_named_with_the_way_out(tmp_path: Path) -> None:
    rows = ["-1,1,0.5", "1,-1,0.1", "1,1,0.2", "-1,-1,0.9"]
    with pytest.raises(DataError, match="write 0 for -1 where it stands for absent"):
        read_arff(tmp_path, arff("'m: -C 2'", ["a {-1,1}", "b {-1,1}", "f numeric"], rows))


def test_a_label_that_mulans_xml_names_twice_is_refused(tmp_path: Path) -> None:
    (tmp_path / "l.xml").write_text('<labels><label name="a"/><label name="a"/></labels>')
    with pytest.raises(DataError, match="label 'a' is there more than once"):
        read_arff(tmp_path, arff("m", ["a {0,1}", "b {0,1}", "f numeric"], ROWS), classes="l.xml")


def voc(folder: Path, files: dict[str, bytes], images: list[str]) -> Any:
    (folder / "images").mkdir()
    (folder / "xml").mkdir()
    for name in images:
        (folder / "images" / name).touch()
    for name, content in files.items():
        (folder / "xml" / name).write_bytes(content)
    return read_dataset("voc_xml", root=folder / "images", labels=LabelFiles(file=str(folder / "xml")))


def one_object(image: str, label: str, more: str = "") -> str:
    return f"<annotation>{image}<object><name>{label}</name>{more}</object></annotation>"


def test_xml_without_the_images_name_is_of_the_image_of_its_own_name(tmp_path: Path) -> None:
    files = {f"{n}.XML": one_object("", ("cat", "dog")[n % 2]).encode() for n in range(5)}
    dataset = voc(tmp_path, files, [f"{n}.{('jpg', 'png')[n % 2]}" for n in range(5)])
    assert shown_classes(dataset) == {f"{n}.{('jpg', 'png')[n % 2]}": {("cat", "dog")[n % 2]} for n in range(5)}


def test_difficult_may_be_spelled_out(tmp_path: Path) -> None:
    files = {
        f"{n}.xml": one_object("", "cat", f"<difficult>{word}</difficult>").encode()
        for n, word in enumerate(("1", "True", "0", "False", "yes"))
    }
    dataset = voc(tmp_path, files, [f"{n}.jpg" for n in range(5)])
    assert {name: states[0] for name, states in states_of(dataset).items()} == {
        "0.jpg": 0, "1.jpg": 0, "2.jpg": 1, "3.jpg": 1, "4.jpg": 0
    }  # fmt: skip


def test_xml_that_the_parser_does_not_know_is_named(tmp_path: Path) -> None:
    text = '<?xml version="1.0" encoding="gbk"?>' + one_object("<filename>0.jpg</filename>", "cat")
    with pytest.raises(DataError, match=r"0.xml: cannot be read as XML: multi-byte encodings"):
        voc(tmp_path, {"0.xml": text.encode("gbk")}, ["0.jpg"])


def test_objects_that_differ_in_case_alone_are_refused(tmp_path: Path) -> None:
    files = {f"{n}.xml": one_object("", ("Cat", "cat")[n % 2]).encode() for n in range(5)}
    with pytest.raises(DataError, match="'Cat' and 'cat'"):
        voc(tmp_path, files, [f"{n}.jpg" for n in range(5)])
