"""LVIS: about 1,200 classes with federated labels, from its own layout: `lvis_v1_<part>.json` and COCO's images.

Nobody searched an image for all classes. Those of which it has an annotated object are present, those that
`neg_category_ids` lists were looked for in vain and are absent, and all others are unknown. A class in
`not_exhaustive_category_ids` has more objects than are annotated: it is present where one of them is annotated, and
unknown elsewhere. Trained on `train`, tested on `val`; images are in the order of their ids.

Source: Gupta, Dollar, Girshick, "LVIS: A Dataset for Large Vocabulary Instance Segmentation", CVPR 2019; the fields are
those that lvis-dataset/lvis-api reads. Shapes: N images, C classes, in the order of their ids.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from wsml_study.data.coco import Instances, read_instances
from wsml_study.data.dataset import Dataset, ImageFiles, Split
from wsml_study.data.label_states import Labels, num_positives
from wsml_study.data.problem_list import data_error
from wsml_study.data.text_lines import absent, first_existing
from wsml_study.errors import DataError

SOURCE = "https://www.lvisdataset.org/dataset"
IMAGES = "http://images.cocodataset.org/zips"
RELEASES = ("lvis_v1", "lvis_v0.5")
COMMON, FREQUENT = 11, 101
"""Training images that a class needs to be common, or frequent; it is rare with fewer (Gupta et al.)."""


def read_lvis(root: Path) -> Dataset:
    """LVIS v1 (100,170 images to train on and 19,809 to test on, 1,203 classes), or v0.5 where only that is there.

    Args:
        root: the folder with `lvis_v1_train.json` and `lvis_v1_val.json` in it, or in `annotations` below it, and with
            COCO's folders `train2017` and `val2017` in it, or in `images` below it.

    Raises:
        DataError: a file or image is missing, malformed, or contradicts another.
    """
    train, test = (_read_part(root, part) for part in ("train", "val"))
    if train.categories != test.categories:
        raise DataError(f"{test.file}: expected the categories of {train.file.name}; download both from {SOURCE}")
    categories = sorted(train.categories)
    train_split, test_split = (_split(root, read, categories) for read in (train, test))
    return Dataset(
        name="lvis",
        classes=tuple(train.categories[one] for one in categories),
        train=train_split,
        test=test_split,
        image_size=448,
        horizontal_flip=True,
        channels=3,
        class_groups=tuple(frequency_groups(train_split.labels_NC).tolist()),
        # In v0.5 `file_name` is another than that of the image.
        train_boxes=train.file if train.file.name.startswith(RELEASES[0]) else None,
        notices=(_notice(train, len(categories)), _notice(test, len(categories))),
    )


def frequency_groups(labels_NC: Any) -> npt.NDArray[np.int64]:
    """(C,) 1 for rare classes, which at most 10 training images show, 2 for common ones (up to 100), 3 for frequent."""
    return np.digitize(num_positives(labels_NC), [COMMON, FREQUENT]) + 1


def image_name(image: dict[str, Any]) -> str:
    """Folder and name of an image, which its address in COCO ends with: v0.5 has another name as `file_name`.

    >>> image_name({"coco_url": "http://images.cocodataset.org/val2017/000000397133.jpg"})
    'val2017/000000397133.jpg'
    """
    return "/".join(str(image["coco_url"]).split("/")[-2:])


def _read_part(root: Path, part: str) -> Instances:
    candidates = [folder / f"{release}_{part}.json" for release in RELEASES for folder in (root, root / "annotations")]
    file = first_existing(*candidates) or candidates[0]
    read = read_instances(file, remedy=f"download it from {SOURCE} and put it into {root}", name_of=image_name)
    if read.missing is None or not read.images:
        raise DataError(f"{file}: expected images with neg_category_ids, as LVIS has them; download it from {SOURCE}")
    return read


def _split(root: Path, read: Instances, categories: Sequence[int]) -> Split:
    images = sorted(read.images)
    names = tuple(read.images[image] for image in images)
    folder = root if (root / names[0]).parent.is_dir() else root / "images"
    if missing := absent(folder, list(names)):
        folders = " and ".join(sorted({f"{IMAGES}/{name.split('/')[0]}.zip" for name in missing}))
        raise data_error(folder, [f"no image {name}" for name in missing], remedy=f"unpack {folders} in {root}")
    labels_NC: Labels = read.labels(images, categories)
    return Split(names=names, labels_NC=labels_NC, images=ImageFiles(folder=folder, names=names))


def _notice(read: Instances, num_classes: int) -> str:
    """What is known of the labels of a file."""
    num_images = len(read.images)
    num_present, num_missing = len(read.present), len(read.missing or ())
    unknown = 1 - (num_present + num_missing) / (num_images * num_classes)
    return (
        f"{read.file.name}: an image is known to show {num_present / num_images:.1f} classes and not to show "
        f"{num_missing / num_images:.1f} (neg_category_ids); {unknown:.1%} of all labels are unknown"
    )
