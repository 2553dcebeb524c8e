"""Exports of annotation programs that are not read here: which it is, and what to export instead."""

from __future__ import annotations

import json
from pathlib import Path

LABEL_STUDIO = "this is a Label Studio export; export as CSV (dataset: table) or COCO (dataset: coco_json)"
FIFTYONE = (
    "this is a FiftyOne export; export as fiftyone.types.COCODetectionDataset (dataset: coco_json), or write a table "
    "of names and classes (dataset: table)"
)
CVAT = "this is a CVAT export; export as `COCO 1.0` (dataset: coco_json) or as `PASCAL VOC 1.1` (dataset: voc_xml)"
VOC = "this is Pascal VOC's XML of one image; say `dataset: voc_xml` and give the folder of these files"
CREATE_ML = "this is a list of images as Create ML has it; export as COCO (dataset: coco_json)"


DATUMARO = "this is a Datumaro export, as CVAT writes; export as `COCO 1.0` (dataset: coco_json)"
OTHER = (
    "export labels as COCO's JSON (dataset: coco_json) or Pascal VOC's XML (dataset: voc_xml), or write a table of "
    "names and classes (dataset: table)"
)
SUFFIXES = (".json", ".jsonl", ".ndjson", ".xml", ".yaml", ".yml")
"""Of files that programs export."""


def export_advice(file: Path) -> str | None:
    """What to do about a file that some other program has exported; None if it is none."""
    return _known_advice(file) or (OTHER if file.suffix.lower() in SUFFIXES else None)


def _known_advice(file: Path) -> str | None:
    if file.suffix.lower() == ".xml":
        return _xml_advice(file)
    if file.suffix.lower() != ".json":
        return None
    try:
        content = json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    if isinstance(content, dict) and {"images", "annotations", "categories"} <= content.keys():
        return "this is COCO's JSON; say `dataset: coco_json`"
    return json_advice(content)


def json_advice(content: object) -> str | None:
    """What to do about JSON that some other program has exported; None if it is not known which."""
    if isinstance(content, list) and content and isinstance(content[0], dict):
        first = content[0]
        if "annotations" in first and "image" in first and "data" not in first:
            return CREATE_ML
        return LABEL_STUDIO if "data" in first or "annotations" in first or "id" in first else None
    if not isinstance(content, dict):
        return None
    if "samples" in content or ("labels" in content and "images" not in content):
        return FIFTYONE
    if "items" in content and "categories" in content:
        return DATUMARO
    if "shapes" in content or any(key.startswith("_via_") for key in content):
        return "this is an export of LabelMe or VIA; export as COCO (dataset: coco_json)"
    return None


def _xml_advice(file: Path) -> str | None:
    try:
        with file.open("rb") as stream:
            start = stream.read(4096)
    except OSError:
        return None
    if b"<annotations" in start:
        return CVAT
    return VOC if b"<annotation" in start else None
