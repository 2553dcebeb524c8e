"""Which reader reads which dataset."""

from __future__ import annotations

from pathlib import Path

from wsml_study.data import (
    coco,
    coco_json,
    cub,
    digit_scenes,
    given_features,
    lists,
    nuswide,
    openimages_v3,
    table,
    voc2012,
)
from wsml_study.data.dataset import Dataset, FeatureFiles, LabelFiles

BENCHMARKS = ("voc2007", "voc2012", "coco2014", "coco2017", "nuswide", "cub", "openimages_v3")
"""Public datasets, read from the folder that their own download gives."""

OWN_LABELS = ("table", "list", "coco_json")
"""Ways to give labels of the user's own."""

DATASETS = ("digit_scenes", *BENCHMARKS, *OWN_LABELS, "features")
"""Names that `read_dataset` takes."""


def read_dataset(
    name: str,
    *,
    root: str | Path | None = None,
    labels: LabelFiles | None = None,
    features: FeatureFiles | None = None,
) -> Dataset:
    """Read classes, labels and image names; images themselves are opened later, by `open_images`.

    Args:
        name: one of `DATASETS`.
        root: folder of the dataset's own download, or of the user's images; none for `digit_scenes`, which is embedded.
        labels: where the labels are, for those of the user's own.
        features: where the features are, for those of the user's own.

    Raises:
        ValueError: the name is unknown, or a root, labels or features are missing or not wanted.
        DataError: a file is missing or malformed.
    """
    if (labels is None) == (name in OWN_LABELS):
        raise ValueError(f"{name} {'needs' if labels is None else 'takes no'} files of labels")
    if (features is None) == (name == "features"):
        raise ValueError(f"{name} {'needs' if features is None else 'takes no'} files of features")
    if name == "digit_scenes":
        if root is not None:
            raise ValueError(f"digit_scenes is embedded and takes no root, got {str(root)!r}")
        return digit_scenes.read_digit_scenes()
    own = {"table": table.read_table_dataset, "list": lists.read_lists, "coco_json": coco_json.read_coco_json}
    readers = {
        "voc2007": voc2012.read_voc2007,
        "voc2012": voc2012.read_voc2012,
        "coco2014": coco.read_coco2014,
        "coco2017": coco.read_coco2017,
        "nuswide": nuswide.read_nuswide,
        "cub": cub.read_cub,
        "openimages_v3": openimages_v3.read_openimages_v3,
    }
    if name not in DATASETS:
        raise ValueError(f"expected a dataset out of {', '.join(DATASETS)}, got {name!r}")
    if root is None:
        raise ValueError(f"{name} needs a root, the folder of its {'files' if features else 'images'}")
    if features is not None:
        return given_features.read_given_features(Path(root), features)
    return readers[name](Path(root)) if labels is None else own[name](Path(root), labels)
