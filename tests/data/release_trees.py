"""Small made-up datasets in the layouts of releases with partial labels, with an oddity each."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from tests.data.trees import photos


def lvis(root: Path) -> Path:
    """Test images from both of COCO's folders; ids out of order; a class without objects; outlines and boxes."""
    root.mkdir(parents=True)
    parts: dict[str, tuple[dict[int, str], list[tuple[int, int]], dict[int, list[int]], dict[int, list[int]]]] = {
        "train": (
            {30: "train2017/000000000030.jpg", 4: "train2017/000000000004.jpg", 25: "train2017/000000000025.jpg"},
            [(30, 1), (30, 3), (30, 1), (4, 2)],
            {30: [2], 4: [1], 25: [1, 2]},
            {30: [3]},
        ),
        "val": (
            {9: "val2017/000000000009.jpg", 36: "train2017/000000000036.jpg"},
            [(9, 3), (36, 1)],
            {9: [1], 36: [3]},
            {36: [2]},
        ),
    }
    for part, (names, present, negative, not_exhaustive) in parts.items():
        content = _lvis_content(names, present, negative, not_exhaustive)
        (root / f"lvis_v1_{part}.json").write_text(json.dumps(content))
        photos(root, names.values())
    return root


def _lvis_content(
    names: dict[int, str],
    present: list[tuple[int, int]],
    negative: dict[int, list[int]],
    not_exhaustive: dict[int, list[int]],
) -> dict[str, Any]:
    categories = {3: "zucchini", 1: "acorn", 2: "bath_mat"}
    return {
        "info": {"version": "1.0"},
        "licenses": [],
        "images": [
            {
                "id": image,
                "coco_url": f"http://images.cocodataset.org/{name}",
                "width": 30,
                "height": 20,
                "neg_category_ids": negative.get(image, []),
                "not_exhaustive_category_ids": not_exhaustive.get(image, []),
            }
            for image, name in names.items()
        ],
        "categories": [
            {"id": one, "name": name, "synset": f"{name}.n.01", "frequency": "r"} for one, name in categories.items()
        ],
        "annotations": [
            {
                "id": place,
                "image_id": image,
                "category_id": category,
                "bbox": [1.0, 2.0, 3.0, 4.0],
                "area": 12.0,
                "segmentation": [[1, 2, 4, 2, 4, 6]],
            }
            for place, (image, category) in enumerate(present)
        ],
    }


CHEXPERT_HEADING = (
    "Path,Sex,Age,Frontal/Lateral,AP/PA,No Finding,Enlarged Cardiomediastinum,Cardiomegaly,Lung Opacity,Lung Lesion,"
    "Edema,Consolidation,Pneumonia,Atelectasis,Pneumothorax,Pleural Effusion,Pleural Other,Fracture,Support Devices"
)


def chexpert(root: Path) -> Path:
    """Paths as in the small release; uncertain and blank cells; a view from the side; an image that is gone."""
    home = root / "CheXpert-v1.0-small"
    home.mkdir(parents=True)
    rows = {
        "train": [
            "patient00001/study1/view1_frontal.jpg,Female,68,Frontal,AP,1.0,,,,,,,,,0.0,,,,1.0",
            "patient00002/study2/view1_frontal.jpg,Female,87,Frontal,AP,,,-1.0,1.0,,-1.0,-1.0,,-1.0,,-1.0,,1.0,",
            "patient00002/study1/view2_lateral.jpg,Female,83,Lateral,,,,,1.0,,,-1.0,,,,,,1.0,",
            "patient00003/study1/view1_frontal.jpg,Male,41,Frontal,AP,,,,,,1.0,,,,0.0,,,,",
            "patient00004/study1/gone.jpg,Male,20,Frontal,PA,,,,,,1.0,,,,0.0,,,,",
        ],
        "valid": [
            "patient64541/study1/view1_frontal.jpg,Male,73,Frontal,AP,0.0,1.0,1.0,1.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0",
            "patient64542/study1/view1_frontal.jpg,Male,70,Frontal,PA,1.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,1.0",
        ],
    }
    for part, lines in rows.items():
        text = "\n".join([CHEXPERT_HEADING, *(f"CheXpert-v1.0-small/{part}/{line}" for line in lines)])
        (home / f"{part}.csv").write_text(text + "\n")
        names = [f"{part}/{line.split(',')[0]}" for line in lines]
        photos(home, [name for name in names if "gone" not in name])
    return root


NIH_HEADING = (
    "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,OriginalImage[Width,"
    "Height],OriginalImagePixelSpacing[x,y],"
)


def nih(root: Path) -> Path:
    """The heading of 2017 with its comma at the end; images in two folders; one that is gone, one in no list."""
    root.mkdir(parents=True)
    rows = {
        "00000001_000.png": ("Cardiomegaly", 1),
        "00000001_001.png": ("Cardiomegaly|Emphysema", 1),
        "00000002_000.png": ("No Finding", 2),
        "00000003_000.png": ("Hernia", 3),
        "00000003_001.png": ("Hernia|Mass", 3),
        "00000004_000.png": ("Pleural_Thickening", 4),
        "00000005_000.png": ("Edema", 5),
    }
    lines = [f"{name},{found},0,{patient},058Y,M,PA,2682,2749,0.143,0.143," for name, (found, patient) in rows.items()]
    (root / "Data_Entry_2017.csv").write_text("\n".join([NIH_HEADING, *lines]) + "\n")
    names = list(rows)
    (root / "train_val_list.txt").write_text("\n".join([*names[:3], names[5]]))
    (root / "test_list.txt").write_text("\n".join(names[3:5]))
    photos(root, [f"images_00{1 + (place > 1)}/images/{name}" for place, name in enumerate(names[:5])])
    return root


L48_SPECIES = ("amecro", "amegfi", "amerob")


def l48(root: Path) -> Path:
    """A clip of each kind: target present, target absent, nothing known, unknown birds; validation ids twice."""
    root.mkdir(parents=True)
    (root / "taxa.csv").write_text(
        "id,species_code,common_name\n" + "".join(f"{n},{c},x\n" for n, c in enumerate(L48_SPECIES))
    )
    one, two, three = L48_SPECIES
    assets = [
        {"id": 3, "split": "train", "target_species_code": one, "possible": [one, two], "observed": [one]},
        {"id": 5, "split": "train", "target_species_code": two, "possible": [one, two, three], "observed": [two, one]},
        {"id": 8000, "split": "test", "target_species_code": three, "possible": [three, one], "observed": [three]},
    ]
    clips = [
        (3, [one], [], [two, three]),
        (3, [], [], [one, two, three]),
        (3, [], [one, two], [three]),
        (5, [two, one], [], [three]),
        (5, [two], [one], [three]),
        (8000, [three], [], [one, two]),
        (8000, [], [three], [one, two]),
    ]
    records = [
        {
            "id": asset["id"],
            "split": asset["split"],
            "target_species_code": asset["target_species_code"],
            "possible_species_codes": asset["possible"],
            "observed_species_codes": asset["observed"],
            "present_species_codes": [],
            "unknown_species_codes": [],
            "absent_species_codes": [],
        }
        for asset in assets
    ]
    (root / "assets.json").write_text(json.dumps(records))
    paths = [f"images/{asset}/{number}.jpg" for number, (asset, *_) in enumerate(clips)]
    written = [
        {
            "id": number,
            "asset_id": asset,
            "clip_order": number,
            "file_path": path,
            "width": 750,
            "height": 236,
            "present_species_codes": present,
            "unknown_species_codes": unknown,
            "absent_species_codes": absent,
            "boxes": [{"id": 0, "species_code": code, "status": "active", "bbox": [0, 0, 0.5, 1]} for code in present],
        }
        for number, (path, (asset, present, unknown, absent)) in enumerate(zip(paths, clips, strict=True))
    ]
    (root / "clips.json").write_text(json.dumps(written))
    np.save(root / "val_split.npy", np.array([5, 5]))
    photos(root, paths)
    return root


WNIDS = ("n01440764", "n02012849", "n03126707", "n03710721")


def imagenet(root: Path) -> Path:
    """Two classes called crane; test images beside and below folders; one without any class, one problematic."""
    root.mkdir(parents=True)
    words = ("tench, Tinca tinca", "crane", "crane", "maillot")
    (root / "LOC_synset_mapping.txt").write_text(
        "".join(f"{one} {name}\n" for one, name in zip(WNIDS, words, strict=True))
    )
    photos(root, [f"train/{one}/{one}_{number}.JPEG" for one in WNIDS[:3] for number in (10, 9)])
    validation = {1: [0], 2: [], 3: [2, 1], 4: [3], 5: [0, 3], 6: [1]}
    (root / "real.json").write_text(json.dumps(list(validation.values())))
    names = {number: f"ILSVRC2012_val_{number:08d}.JPEG" for number in validation}
    photos(root / "val", [name if number % 2 else f"{WNIDS[0]}/{name}" for number, name in names.items()])
    annotated = {
        names[1]: {"correct": [WNIDS[0]], "wrong": [WNIDS[1]], "unclear": [WNIDS[2]]},
        names[3]: {"correct": [WNIDS[2], WNIDS[1]]},
        names[4]: {"wrong": [WNIDS[0]]},
        names[5]: {"correct": [WNIDS[3]]},
        "a1b2c3": {"correct": [WNIDS[0]]},
    }
    problematic = {names[5]: {"reason": "marked as problematic in the review server"}}
    content = {"initial_annots": annotated, "problematic_images": problematic, "imagenet_m": [names[1]]}
    (root / "human_accuracy_v3.0.0.json").write_text(json.dumps(content))
    return root


def visual_genome(root: Path) -> Path:
    """SSGRL's lists for three classes; images in both folders."""
    root.mkdir(parents=True)
    (root / "train_list_3.txt").write_text("2360596.jpg\n2385068.jpg\n")
    (root / "test_list_3.txt").write_text("2410017.jpg\n1.jpg\n")
    index = {"2360596.jpg": [0, 2], "2385068.jpg": [], "2410017.jpg": [1], "1.jpg": [2], "7.jpg": [0]}
    (root / "vg_category_3_labels_index.json").write_text(json.dumps(index))
    photos(root, ["VG_100K/2360596.jpg", "VG_100K_2/2385068.jpg", "VG_100K/2410017.jpg", "VG_100K_2/1.jpg"])
    return root


def visual_genome_objects(root: Path) -> tuple[Path, dict[str, str]]:
    """The release's objects with a list of classes: a plural as an alias, a synset; another case; and a test list."""
    root.mkdir(parents=True)

    def record(image: int, *objects: tuple[list[str], list[str]]) -> dict[str, object]:
        found = [
            {
                "synsets": synsets,
                "h": 5,
                "object_id": n,
                "merged_object_ids": [],
                "names": names,
                "w": 7,
                "y": 0,
                "x": 0,
            }
            for n, (names, synsets) in enumerate(objects)
        ]
        return {
            "image_id": image,
            "objects": found,
            "image_url": f"https://cs.stanford.edu/people/rak248/VG_100K_2/{image}.jpg",
        }

    records = [
        record(1, (["trees"], ["tree.n.01"]), (["Sidewalk "], [])),
        record(2, (["dog"], []), (["street lamp"], ["lamp.n.01"])),
        record(3),
        record(4, (["tree", "oak"], [])),
    ]
    (root / "objects.json").write_text(json.dumps(records))
    (root / "classes.txt").write_text("tree,trees\nsidewalk\nlight,lamp.n.01\n")
    (root / "test.txt").write_text("4.jpg\n3.jpg\n")
    photos(root, [f"VG_100K_2/{number}.jpg" for number in (1, 2, 3, 4)])
    return root, {"class_list": str(root / "classes.txt"), "test_list": str(root / "test.txt")}
