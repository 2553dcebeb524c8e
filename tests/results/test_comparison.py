"""Studies side by side, and when they must not be compared."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.sample_studies.stories import small_study, told_history
from wsml_study.errors import ResultsError
from wsml_study.record.tables import write_tables
from wsml_study.results.comparison import compare_studies
from wsml_study.study.reading import parse_study
from wsml_study.study.writing import dump_config


def results_of(tmp_path, name, *fingerprints, **changes):
    """A study's folder whose runs saw data of these fingerprints."""
    content = small_study().model_dump(mode="json", exclude_none=True)
    for key, value in changes.items():
        section, _, inside = key.partition("__")
        content[section] = content[section] | {
            inside: content[section][inside] | value if inside == "validation" else value
        }
    study = parse_study(content, source="test")
    folder = tmp_path / name
    folder.mkdir()
    (folder / "study.yaml").write_text(dump_config(study))
    write_tables(folder, study, told_history(study))
    runs = [
        {"event": "run", "time": 1.0, "classes": ["cat"]} | ({"data_fingerprint": f} if f else {}) for f in fingerprints
    ]
    (folder / "events.jsonl").write_text("".join(json.dumps(run) + "\n" for run in runs))
    return folder


def test_the_best_of_each_method_stands_side_by_side(tmp_path):
    lines = compare_studies([results_of(tmp_path, "a", "f"), results_of(tmp_path, "b", "f")]).lines()
    assert lines[:3] == ["method  a: search  b: search", "LL-R    70.00 (1)  70.00 (1)", "AN      60.00 (0)  60.00 (0)"]
    assert lines[-2:] == ["a -> b: the same study file", "  comparable: same data, split and metric"]


@pytest.mark.parametrize(
    ("changes", "fingerprint", "verdict"),
    [
        ({}, "g", "not comparable: the data differs (fingerprints f, g)"),
        ({"objective__metric": "last_val_map"}, "f", "not comparable: the metric differs (best_val_map, last_val_map)"),
        ({"data__validation": {"seed": 1}}, "g", "not comparable: the validation split differs"),
        ({"data__validation": {"labels": "observed"}}, "f", "not comparable: the validation split differs"),
        ({}, None, "comparable: the log of b has no data fingerprint"),
        ({"training__epochs": 20}, "f", "comparable: same data, split and metric"),
        (
            {"data__observe": {"seed": 7}},
            "g",
            "comparable: their `data` sections differ, so it was not checked whether the images are the same",
        ),
    ],
    ids=str,
)
def test_what_makes_studies_incomparable_is_said(tmp_path, changes, fingerprint, verdict):
    one, other = results_of(tmp_path, "a", "f"), results_of(tmp_path, "b", fingerprint, **changes)
    assert verdict in compare_studies([one, other]).lines()[-1]


def with_ap_of_dog(folder, ap):
    """The folder with another AP of its second class."""
    table = pq.read_table(folder / "classes.parquet")
    rows = [row | {"average_precision": ap} if row["class"] == "dog" else row for row in table.to_pylist()]
    pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), folder / "classes.parquet")
    return folder


@pytest.mark.parametrize(("of_all", "of_present"), [(0.0, None), (40.0, None), (40.0, 40.0)])
def test_means_over_other_classes_are_not_comparable_unless_all_classes_are_there(tmp_path, of_all, of_present):
    one = with_ap_of_dog(results_of(tmp_path, "a", "f", objective__classes="all"), of_all)
    other = with_ap_of_dog(results_of(tmp_path, "b", "f", objective__classes="present"), of_present)
    lines = compare_studies([one, other]).lines()
    if of_present is None:
        assert lines[-1] == "  not comparable: mAP is a mean over other classes (objective.classes)"
        assert "b: mAP is the mean over the classes with a positive: 1 of 2 in validation" in lines
    else:
        assert lines[-1] == "  comparable: same data, split and metric"
    assert ("a: mAP counts 0 for a class without a positive: 1 of 2 in validation" in lines) == (of_all == 0)


def test_differences_of_the_study_files_are_listed(tmp_path):
    other = results_of(tmp_path, "b", "f", training__epochs=20)
    lines = compare_studies([results_of(tmp_path, "a", "f"), other]).lines()
    assert lines[-3:-1] == ["a -> b: what differs", "  training.epochs: 10 -> 20"]


def test_data_that_changed_within_a_study_is_said(tmp_path):
    lines = compare_studies([results_of(tmp_path, "a", "f"), results_of(tmp_path, "b", "e", "f")]).lines()
    assert lines[-1] == "  not comparable: the data of b changed between its runs"


def test_folders_of_one_name_are_told_apart(tmp_path):
    for lab in ("one", "two"):
        (tmp_path / lab).mkdir()
    one, two = (results_of(tmp_path / lab, "same", "f") for lab in ("one", "two"))
    assert f"{one}: search" in compare_studies([one, two]).lines()[0]


def test_one_study_is_nothing_to_compare(tmp_path):
    with pytest.raises(ResultsError, match="expected at least two studies, got 1"):
        compare_studies([results_of(tmp_path, "a", "f")])
