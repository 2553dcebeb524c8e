"""Images of the user's own with a file of objects each, in the XML of Pascal VOC, as LabelImg, CVAT and Roboflow write.

A class is present where at least one of its objects is annotated, and absent elsewhere; a class whose objects are all
marked difficult is unobserved. `file` names the folder of these files, which may have folders in it.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from wsml_study.data.cell_lists import alike_names
from wsml_study.data.dataset import Dataset
from wsml_study.data.foreign_exports import CVAT
from wsml_study.data.label_files import LabelFiles
from wsml_study.data.label_states import NEGATIVE, POSITIVE, UNOBSERVED
from wsml_study.data.lists import read_class_names
from wsml_study.data.name_hints import IMAGE_SUFFIXES
from wsml_study.data.own_labels import Labelled, own_dataset
from wsml_study.data.problem_list import Problems, shown
from wsml_study.errors import DataError

REMEDY = "give the folder of the .xml files as `file` under data.labels"


def read_voc_xml(root: Path, files: LabelFiles) -> Dataset:
    """Images of the user's own with an XML file each.

    Raises:
        DataError: a file or image is missing or malformed.
    """
    classes = None if files.classes is None else read_class_names(Path(files.classes))
    folders = [Path(file) for file in (files.file, files.test_file) if file is not None]
    objects = [_read_folder(folder) for folder in folders]
    found = {name for images in objects for _, states in images.values() for name in states}
    if classes is None:
        _check_spellings(folders[0], found)
    known = classes or tuple(sorted(found))
    first, *others = (_labelled(folder, images, known, root) for folder, images in zip(folders, objects, strict=True))
    read = own_dataset("voc_xml", root, files, first, others[0] if others else None)
    return replace(read, train_boxes=folders[0])


def _check_spellings(folder: Path, found: set[str]) -> None:
    problems = Problems()
    for alike in alike_names(found):
        told = " and ".join(map(shown, alike))
        problems.add(
            "spellings", f"classes differ in upper and lower case, or in Unicode form, and in nothing else: {told}"
        )
    if problems:
        raise problems.error(folder, remedy="name the classes, one a line in a file, as `classes` under data.labels")


def _read_folder(folder: Path) -> dict[Path, tuple[str, dict[str, int]]]:
    """The image and the states of the classes that each file names."""
    if not folder.is_dir():
        raise DataError(f"{folder}: expected a folder of .xml files, an image each; {REMEDY}")
    problems = Problems()
    images = {}
    for file in sorted(file for file in folder.rglob("*") if file.suffix.lower() == ".xml"):
        try:
            annotation = ElementTree.parse(file).getroot()
        except (OSError, ElementTree.ParseError, ValueError, LookupError) as error:
            problems.add("unreadable", f"{file.relative_to(folder)}: cannot be read as XML: {error}")
            continue
        if annotation.tag != "annotation":
            advice = CVAT if annotation.tag == "annotations" else f"got <{annotation.tag}>"
            problems.add(
                "other XML", f"{file.relative_to(folder)}: expected <annotation> as Pascal VOC has it; {advice}"
            )
            continue
        name = (annotation.findtext("filename") or "").strip()
        states: dict[str, int] = {}
        for thing in annotation.iter("object"):
            label = (thing.findtext("name") or "").strip()
            difficult = (thing.findtext("difficult") or "0").strip().lower() in ("1", "true", "yes")
            if not label:
                problems.add("objects without a name", f"{file.relative_to(folder)}: an <object> has no <name>")
            states[label] = POSITIVE if not difficult or states.get(label) == POSITIVE else UNOBSERVED
        images[file] = name, states
    if problems:
        raise problems.error(folder, remedy="mend these files; nothing was read")
    if not images:
        raise DataError(f"{folder}: expected .xml files, found none; {REMEDY}")
    return images


def _labelled(
    folder: Path, images: dict[Path, tuple[str, dict[str, int]]], classes: tuple[str, ...], root: Path
) -> Labelled:
    if not classes:
        raise DataError(f"{folder}: no file has an object")
    problems = Problems()
    columns = {name: column for column, name in enumerate(classes)}
    labels_NC = np.full((len(images), len(classes)), NEGATIVE, dtype=np.int8)
    for row, (file, (_, states)) in enumerate(images.items()):
        for name, state in states.items():
            if name in columns:
                labels_NC[row, columns[name]] = state
            else:
                problems.add("names that `classes` lacks", f"{file.name}: {shown(name)} is no class of the list")
    if problems:
        raise problems.error(folder, remedy="name these classes as well, or take out their objects")
    return Labelled(
        file=folder,
        classes=classes,
        names=tuple(_image(file, name, folder, root) for file, (name, _) in images.items()),
        labels_NC=labels_NC,
        places_N=tuple(str(file.relative_to(folder)) for file in images),
    )


def _image(file: Path, name: str, folder: Path, root: Path) -> str:
    """The image of a file: what it names, beside it or in the folder of the images, or else what is called as it is."""
    inside = file.relative_to(folder).parent
    beside = file.parent.resolve()
    places = [Path(name), inside / name]
    if beside.is_relative_to(root.resolve()):
        places.append(beside.relative_to(root.resolve()) / name)
    for place in places if name else ():
        if (root / place).is_file():
            return place.as_posix()
    if not name:
        called = [one for one in _called(file.stem, root / inside, beside) if one.is_relative_to(root.resolve())]
        if len(called) == 1:
            return called[0].relative_to(root.resolve()).as_posix()
    return (inside / (name or file.stem)).as_posix()


def _called(stem: str, *folders: Path) -> set[Path]:
    """Images of a name, whatever their suffix."""
    return {
        path
        for folder in {folder.resolve() for folder in folders}
        for suffix in IMAGE_SUFFIXES
        if (path := folder / f"{stem}{suffix}").is_file()
    }
