"""Small made-up datasets in the true layouts, with an oddity each: line ends, marks, spaces, absent images."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tests.data.noise_photos import write_photo
from wsml_study.data.label_files import FeatureFiles, LabelFiles
from wsml_study.data.nuswide import RECRAWLED_CLASSES

OPENIMAGES_CLASSES = ("/m/01", "/m/02", "/m/03", "/m/04", "/m/05")


def photos(folder: Path, names: Iterable[str]) -> None:
    for number, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        write_photo(folder / name, seed=number + len(str(folder)))


def instances(names_by_id: dict[int, str], present: Iterable[tuple[int, int]]) -> str:
    """Categories 1 cat, 3 dog and 7 `traffic light`, which no object has; ids out of order."""
    categories = [{"id": 7, "name": "traffic light"}, {"id": 1, "name": "cat"}, {"id": 3, "name": "dog"}]
    return json.dumps(
        {
            "images": [{"id": number, "file_name": name} for number, name in names_by_id.items()],
            "categories": categories,
            "annotations": [{"image_id": image, "category_id": category} for image, category in present],
        }
    )


def coco(root: Path, year: str) -> Path:
    """Ids 9, 10 and 100 sort as text; image 11 has no annotation."""
    (root / "annotations").mkdir(parents=True)
    train = {9: "a nine.jpg", 10: "ten.jpg", 100: "hundred.jpg", 11: "eleven.jpg"}
    val = {5: "five.jpg", 40: "forty.jpg"}
    (root / f"annotations/instances_train{year}.json").write_text(
        instances(train, [(9, 1), (9, 3), (9, 1), (10, 1), (100, 3)])
    )
    (root / f"annotations/instances_val{year}.json").write_text(instances(val, [(5, 3), (40, 1)]))
    photos(root / f"train{year}", train.values())
    photos(root / f"val{year}", val.values())
    return root


def nuswide(root: Path) -> Path:
    """Official lists with CRLF, backslashes and a byte order mark; a photo is gone; nothing shows a `waterfall`."""
    classes = ["sky", "sun set", "waterfall"]
    (root / "ImageList").mkdir(parents=True)
    (root / "TrainTestLabels").mkdir()
    (root / "Concepts81.txt").write_bytes(b"\xef\xbb\xbf" + "\r\n".join(classes).encode() + b"\r\n")
    lists = {"Train": ["sky\\1.jpg", "sun\\2 a.jpg", "sun\\gone.jpg"], "Test": ["sky\\4.jpg", "sun\\5.jpg"]}
    columns = {
        "Train": {"sky": "101", "sun set": "010", "waterfall": "000"},
        "Test": {"sky": "10", "sun set": "11", "waterfall": "00"},
    }
    for part, names in lists.items():
        (root / f"ImageList/{part}Imagelist.txt").write_bytes("\r\n".join(names).encode())
        for name, column in columns[part].items():
            (root / f"TrainTestLabels/Labels_{name}_{part}.txt").write_text("\n".join(column) + "\n")
        photos(root / "Flickr", [name.replace("\\", "/") for name in names if "gone" not in name])
    return root


def nuswide_recrawled(root: Path) -> Path:
    root.mkdir(parents=True, exist_ok=True)
    for part, names in {"train": ["a.jpg", "b.jpg"], "val": ["c.jpg"]}.items():
        ones = np.zeros((len(names), len(RECRAWLED_CLASSES.split())))
        ones[:, 3] = 1
        np.save(root / f"formatted_{part}_images.npy", np.array(names))
        np.save(root / f"formatted_{part}_labels.npy", ones)
        photos(root / "images", names)
    return root


def cub(root: Path) -> Path:
    """As the archive unpacks; CRLF, a name with spaces, a line with a column too many, an attribute that none shows."""
    home = root / "CUB_200_2011"
    (home / "attributes").mkdir(parents=True)
    names = ["001.Albatross/one.jpg", "001.Albatross/two words.jpg", "002.Gull/three.jpg", "002.Gull/four.jpg"]
    (home / "images.txt").write_text("".join(f"{n} {name}\r\n" for n, name in enumerate(names, 1)))
    (home / "train_test_split.txt").write_text("1 1\n2 1\n3 0\n4 0\n")
    (root / "attributes.txt").write_text(
        "1 has_bill_shape::curved (up or down)\n2 has_wing_color::blue\n3 has_tail::none\n"
    )
    states = {(1, 1): 1, (2, 2): 1, (3, 1): 1, (3, 2): 1, (4, 2): 1}
    lines = [f"{i} {a} {states.get((i, a), 0)} 3 2.5" for i in range(1, 5) for a in range(1, 4)]
    lines[4] += " 0"
    (home / "attributes/image_attribute_labels.txt").write_text("\n".join(lines) + "\n")
    photos(home / "images", names)
    return root


def openimages(root: Path) -> Path:
    """A byte order mark, a comma in a name, an image that is gone, a class not trainable, one without a label."""
    root.mkdir(parents=True)
    (root / "classes-trainable.txt").write_text("\n".join(OPENIMAGES_CLASSES) + "\n")
    (root / "class-descriptions.csv").write_text('/m/01,"Plate, dinner"\r\n/m/02,Cat\r\n/m/03,Cat\r\n/m/99,Other\r\n')
    rows = {
        "train": [
            "00000000000000aa,verification,/m/01,1",
            "000000000000000b,verification,/m/02,0",
            "00000000000000aa,verification,/m/02,0",
            "00000000000000aa,crowdsource-verification,/m/02,1",
            "000000000000000b,verification,/m/99,1",
            "000000000000000c,verification,/m/04,1",
            "00000000000000ff,verification,/m/01,1",
        ],
        "validation": ["000000000000000b,verification,/m/05,1", "0000000000000001,verification,/m/04,0"],
        "test": ["000000000000000d,verification,/m/01,0", "000000000000000e,verification,/m/02,1"],
    }
    for subset, lines in rows.items():
        (root / subset).mkdir()
        text = "\r\n".join(["ImageID,Source,LabelName,Confidence", *lines]) + "\r\n"
        (root / subset / "annotations-human.csv").write_bytes(b"\xef\xbb\xbf" + text.encode())
        ids = {line.split(",")[0] for line in lines} - {"00000000000000ff"}
        photos(root / subset, [f"{one}.jpg" for one in sorted(ids)])
    return root


def table(root: Path) -> tuple[Path, LabelFiles]:
    """Quoted names, CRLF, a mark, blanks, and a column that says which split."""
    photos(root, ["a, b.jpg", "c.jpg", "d.jpg", "e.jpg"])
    text = 'image,split,cat,dog\r\n"a, b.jpg",train,1,\r\nc.jpg,train,0,1\r\nd.jpg,val,,1\r\ne.jpg,test,1,0\r\n'
    (root / "labels.csv").write_bytes(b"\xef\xbb\xbf" + text.encode())
    return root, LabelFiles(file=str(root / "labels.csv"), split_column="split")


def listed_table(root: Path) -> tuple[Path, LabelFiles]:
    """Parquet with columns that list classes."""
    photos(root, ["a.jpg", "b.jpg", "c.jpg"])
    content = {"image": ["a.jpg", "b.jpg", "c.jpg"], "tags": ["cat; dog", None, "dog"], "not": [None, "cat", ""]}
    pq.write_table(pa.table(content), root / "labels.parquet")
    files = LabelFiles(
        file=str(root / "labels.parquet"), positives_column="tags", negatives_column="not", test_fraction=0.34
    )
    return root, files


def lists(root: Path) -> tuple[Path, LabelFiles]:
    """Spaces after the comma, an image without any class, a comma in a name."""
    photos(root, ["a.jpg", "b,c.jpg", "d.jpg", "e.jpg"])
    (root / "train.txt").write_text("a.jpg, 0 2\nb,c.jpg,1\nd.jpg,\n")
    (root / "test.txt").write_text("e.jpg,2\n")
    (root / "classes.txt").write_text("cat\ndog\nwhite horse\n")
    files = {name: str(root / f"{name}.txt") for name in ("train", "test", "classes")}
    return root, LabelFiles(file=files["train"], test_file=files["test"], classes=files["classes"])


def own_coco(root: Path) -> tuple[Path, LabelFiles]:
    """An image without objects stays: it shows none."""
    names = {1: "a.jpg", 2: "b.jpg", 3: "c.jpg", 4: "d.jpg", 5: "e.jpg"}
    photos(root, names.values())
    (root / "labels.json").write_text(instances(names, [(1, 1), (2, 3), (4, 1), (5, 3)]))
    return root, LabelFiles(file=str(root / "labels.json"), test_fraction=0.4)


def arff(relation: str, attributes: Iterable[str], rows: Iterable[str]) -> str:
    declared = "".join(f"@attribute {attribute}\n" for attribute in attributes)
    return f"% made up\n@relation {relation}\n\n{declared}\n@data\n" + "".join(f"{row}\n" for row in rows)


def mulan(root: Path) -> tuple[Path, FeatureFiles]:
    """Labels among the features, in another order than the XML's; a quoted name, CRLF, a mark, an unknown label."""
    root.mkdir(parents=True)
    attributes = ["x numeric", "'fall foliage' {0,1}", '"y, z" REAL', "beach {0, 1}"]
    rows = {"train": ["0.5,1,-2,0", "1e-3,0,7,1", "3,1,2.5,?", "4,0,0,1"], "test": ["1,1,1,0", "2,0,-1,1"]}
    for part, lines in rows.items():
        text = arff(f"scene_{part}", attributes, lines).replace("\n", "\r\n")
        (root / f"{part}.arff").write_bytes(b"\xef\xbb\xbf" + text.encode())
    (root / "scene.xml").write_text(
        '<?xml version="1.0" encoding="utf-8"?><labels xmlns="http://mulan.sourceforge.net/labels">'
        '<label name="beach"></label><label name="fall foliage"></label></labels>'
    )
    return root, FeatureFiles(file="train.arff", test_file="test.arff", classes="scene.xml")


def voc_xml(root: Path) -> tuple[Path, LabelFiles]:
    """Five photos; one shows nothing, another a cat twice, and a third a dog that is difficult to see."""
    objects = {"a.jpg": ["cat", "cat"], "b b.jpg": ["dog", "cat"], "c.jpg": [], "d.jpg": ["dog"], "e.jpg": ["cat"]}
    photos(root, objects)
    (root / "Annotations").mkdir()
    for name, labels in objects.items():
        difficult = int(name == "d.jpg")
        things = "".join(
            f"<object><name>{label}</name><difficult>{difficult}</difficult><bndbox/></object>" for label in labels
        )
        text = f"<annotation><filename>{name}</filename>{things}</annotation>"
        (root / "Annotations" / name.replace(".jpg", ".xml")).write_text(text)
    return root, LabelFiles(file=str(root / "Annotations"))
