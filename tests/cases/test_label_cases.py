"""The inputs from the field that are about labels; conftest.py says where they lie.

tests/data/test_label_forms.py makes an input of each of these kinds anew.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from wsml_study.errors import DataError
from wsml_study.report.study_preview import preview
from wsml_study.study.reading import read_study

REFUSED = {
    "celeba_txt": r"(?s)CelebA's form.*`absent: -1`",
    "coco_roboflow_placeholder": r"(?s)none of 2 classes can be evaluated.*left out as a class: 'RBC-WBC'",
    "coco_same_category_name_twice": r"category name 'cat' is there 2 times",
    "coco_same_image_id_twice": r"image id 0 is there 2 times: entry 0 \('a0.png'\) and entry 5 \('b0.png'\)",
    "excel_german": r"(?s)Gr\u00f6\u00dfe \(MB\).*separated by ';'.*decimal comma.*`classes`",
    "headerless_csv": r"expected a heading",
    "hf_image_bytes": r"image: expected names of image files, got the images' own bytes",
    "lvis_negative_ids": r"neg_category_ids",
    "meka_count_in_filtered_relation": r"Weka's filters.*give `num_labels`.*`classes`",
    "names_that_differ_in_form": r"(?s)5 problems.*NFC.*\\ between folders.*upper and lower case.*suffix",
    "no_label_at_all": r"no label is annotated",
    "positives_only_map_100": r"(?s)AP would be 100.*validation: \{labels: observed\}",
    "separator_left_at_default": r"no cell holds ';', 4 of 10 hold '\|': `separator: \"\|\"`",
}
CLASSES = {
    "arff_escaped_apostrophe": ("Swainson's Thrush",),
    "label_studio_choices_cell": ("Cat", "Dog"),
    "parquet_list_of_labels": ("cat", "dog"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_it_is_refused_with_the_remedy(case: str, cases: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(cases / case)
    with pytest.raises(DataError, match=REFUSED[case]) as error:
        preview(read_study(Path("study.yaml")))
    assert len(str(error.value).splitlines()) <= 20


@pytest.mark.parametrize("case", CLASSES)
def test_its_classes_are_right(case: str, cases: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(cases / case)
    assert preview(read_study(Path("study.yaml"))).classes == CLASSES[case]
