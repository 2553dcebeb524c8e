"""Corrected labels of a study: their table, counts, figure and picture, and the command that shows them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image
from pyarrow import fs
from typer.testing import CliRunner

import wsml_study
from tests.sample_studies.stories import epoch_result, small_study, told_events
from tests.sample_studies.synthetic import write_folder
from tests.training.small_backbone import striped_photos
from wsml_study.cli.entry import app
from wsml_study.data.picture_sheet import MARGIN, TILE
from wsml_study.errors import DataError, ResultsError
from wsml_study.record.label_tables import CORRECTIONS
from wsml_study.report.figures.corrected import corrections
from wsml_study.report.figures.figure import Figure, LeftOut
from wsml_study.results.corrections import read_corrections
from wsml_study.results.queries import query_study
from wsml_study.results.study_results import read_record
from wsml_study.study.method_section import Method, Schedule
from wsml_study.study.search_section import Parameter
from wsml_study.study.spec import Study, TrialConfig

COLUMNS = {
    "image": ["00.png", "00.png", "05.png", "07.png", "07.png"],
    "class": ["left", "right", "left", "right", "middle"],
    "epoch": [2, 2, 2, 3, 3],
    "right": [True, False, True, None, True],
}


@pytest.fixture
def told(tmp_path: Path) -> Path:
    """A study with two trials of LL-Cp, the second one better."""
    (tmp_path / "photos").mkdir()
    study = Study(
        name="told",
        data=striped_photos(tmp_path / "photos"),
        method=Method(name="LL-Cp", schedule=Schedule(rate_per_epoch=0.01)),
        search={"training.seed": Parameter(choice=(0, 1))},
        trials=2,
    )
    config = TrialConfig(**{name: getattr(study, name) for name in TrialConfig.model_fields}).model_dump(mode="json")
    events: list[dict[str, Any]] = [{"event": "run", "time": 1.0, "classes": ["cat", "dog"], "num_trials": 2}]
    for number, val_map in enumerate((60.0, 70.0)):
        events += [
            {
                "event": "created", "trial": number, "values": {"training.seed": number}, "config": config,
                "sampler_state": {}, "time": 2.0,
            },
            {"event": "attempt", "trial": number, "attempt": 1, "slot": "0", "time": 3.0},
            {
                "event": "epoch", "trial": number, "attempt": 1, "time": 20.0, "state": "complete",
                "result": epoch_result(1, val_map, (1, val_map), 0.01),
            },
            {
                "event": "ended", "trial": number, "state": "complete", "error": None, "sampler_state": {},
                "time": 30.0,
            },
        ]  # fmt: skip
    write_folder(tmp_path / "told", study, events)
    return tmp_path / "told"


def keep(folder: Path, trial: int, columns: dict[str, list[Any]]) -> None:
    CORRECTIONS.write(fs.LocalFileSystem(), str(folder / "corrections"), trial, columns)


def printed(*arguments: object) -> str:
    done = CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def test_the_best_trial_that_has_any_is_taken_and_counted(told: Path) -> None:
    keep(told, 0, COLUMNS)
    assert read_corrections(told).trial == 0
    keep(told, 1, {name: values[:2] for name, values in COLUMNS.items()})
    assert (read_corrections(told).trial, len(read_corrections(told).frame)) == (1, 2)
    found = read_corrections(told, 0)
    assert found.by_epoch.fillna(-1).to_dict("list") == {
        "epoch": [2, 3],
        "corrected": [3, 2],
        "right": [2, 1],
        "wrong": [1, 0],
        "precision": [2 / 3, 1.0],
        "precision_so_far": [2 / 3, 3 / 4],
    }
    assert found.by_class[["class", "corrected", "right", "wrong"]].to_numpy().tolist() == [
        ["left", 2, 2, 0],
        ["right", 2, 0, 1],
        ["middle", 1, 1, 0],
    ]


def test_epochs_and_truth_may_be_unknown(told: Path) -> None:
    keep(told, 1, COLUMNS | {"epoch": [None] * 5, "right": [None] * 5})
    found = read_corrections(told)
    assert found.by_epoch["corrected"].tolist() == [5]
    assert found.by_epoch["precision"].isna().all()
    assert found.lines()[0] == ("trial 1 (LL-Cp) corrected 5 labels of 3 images: whether they are right is not known")
    assert isinstance(corrections(read_record(told)), Figure)


def test_the_command_prints_counts_and_writes_rows(told: Path, tmp_path: Path) -> None:
    keep(told, 1, COLUMNS)
    lines = printed("corrections", told).splitlines()
    assert lines[0] == "trial 1 (LL-Cp) corrected 5 labels of 3 images: 3 right, 1 wrong"
    assert lines[2].split() == ["epoch", "corrected", "right", "wrong", "precision", "precision", "so", "far"]
    assert lines[3].split() == ["2", "3", "2", "1", "66.7%", "66.7%"]
    assert lines[6].split()[0] == "class"
    file = tmp_path / "rows.parquet"
    assert printed("corrections", told, "-o", file).strip() == str(file)
    assert pq.read_table(file).to_pydict() == {"trial": [1] * 5, **COLUMNS}
    assert json.loads(printed("corrections", told, "--format", "json"))[4]["class"] == "middle"


def test_without_corrections_the_reason_is_told(told: Path) -> None:
    with pytest.raises(ResultsError, match="no trial's corrections are kept; trials of methods that correct"):
        printed("corrections", told)
    keep(told, 0, COLUMNS)
    with pytest.raises(ResultsError, match="no corrections of trial 1 are kept, only those of 0"):
        printed("corrections", told, "--trial", 1)
    (told / "corrections" / "trial_00000.parquet").write_bytes(b"torn")
    with pytest.raises(ResultsError, match="not a complete table of corrections"):
        read_corrections(told)


def test_a_query_sees_all_of_them(told: Path) -> None:
    pytest.importorskip("duckdb")
    for trial in (0, 1):
        keep(told, trial, COLUMNS)
    sql = 'SELECT trial, count(*) AS n FROM corrections WHERE "right" GROUP BY trial ORDER BY trial'
    assert query_study(told, sql).to_pydict() == {"trial": [0, 1], "n": [3, 3]}


def test_python_gives_the_same(told: Path, tmp_path: Path) -> None:
    keep(told, 1, COLUMNS)
    results = wsml_study.load(told)
    assert results.corrections().table.num_rows == 5
    assert results.draw_corrections(tmp_path / "drawn.png", photos=1).exists()
    assert "corrections" in results.figures


def test_the_figure_draws_right_and_wrong_ones_by_epoch_and_class(told: Path) -> None:
    keep(told, 1, COLUMNS)
    figure = corrections(read_record(told))
    assert isinstance(figure, Figure)
    assert [key.label for key in figure.keys] == ["right", "wrong", "not known"]
    chart = figure.panels[0].chart.to_dict()
    (rows,) = chart["datasets"].values() if "datasets" in chart else [chart["data"]["values"]]
    assert {(row["epoch"], row["kind"]): row["number"] for row in rows} == {
        ("2", "right"): 2, ("2", "wrong"): 1, ("2", "not known"): 0,
        ("3", "right"): 1, ("3", "wrong"): 0, ("3", "not known"): 1,
    }  # fmt: skip
    assert figure.table is not None
    assert figure.table.body[0] == ("left", "2", "2", "0", "100.0%")
    assert "75.0% of those with known truth are right" in figure.caption


def test_the_figure_is_left_out_where_nothing_is_kept(told: Path, tmp_path: Path) -> None:
    assert isinstance(corrections(read_record(told)), LeftOut)
    keep(told, 1, {name: [] for name in COLUMNS})
    left_out = corrections(read_record(told))
    assert isinstance(left_out, LeftOut)
    assert left_out.why == "Trial 1 (LL-Cp) corrected no label."
    study = small_study()
    write_folder(tmp_path / "other", study, told_events(study))
    assert corrections(read_record(tmp_path / "other")) is None


def test_the_picture_shows_the_photos_with_most_corrections(told: Path, tmp_path: Path) -> None:
    keep(told, 1, COLUMNS)
    file = tmp_path / "photos.png"
    assert str(file) in printed("corrections", told, "--picture", file, "--photos", 2)
    with Image.open(file) as picture:
        sheet = np.asarray(picture).astype(int)
    photo = np.asarray(Image.open(tmp_path / "photos" / "00.png").resize((TILE, TILE), Image.Resampling.NEAREST))
    top = 2 * MARGIN + 2 * 18
    assert np.array_equal(sheet[top : top + TILE, MARGIN : MARGIN + TILE], photo)
    beside = sheet[top : top + TILE, 2 * MARGIN + TILE :]
    assert (beside[..., 1] - beside[..., 0] > 60).any(), "something right, in green"
    assert (beside[..., 0] - beside[..., 1] > 60).any(), "something wrong, in red"
    with pytest.raises(ResultsError, match="--overwrite"):
        printed("corrections", told, "--picture", file)
    printed("corrections", told, "--picture", file, "--overwrite", "--photos", 9)
    with Image.open(file) as picture:
        assert picture.height == top + 3 * (TILE + 18 + MARGIN)


def test_the_picture_needs_the_images_that_were_trained_on(told: Path, tmp_path: Path) -> None:
    keep(told, 1, COLUMNS | {"image": ["gone.png"] * 5})
    with pytest.raises(DataError, match=r"no training image is called gone.png.*--data-root"):
        printed("corrections", told, "--picture", tmp_path / "photos.png")
    with pytest.raises(ResultsError, match=r"ends in \.png"):
        printed("corrections", told, "--picture", tmp_path / "photos.jpg")


def test_a_study_folder_that_was_moved_is_not_made_anew(tmp_path: Path) -> None:
    columns: dict[str, list[object]] = {"image": [], "class": [], "epoch": [], "right": []}
    with pytest.raises(ResultsError, match="the study's folder was deleted or moved"):
        CORRECTIONS.write(fs.LocalFileSystem(), str(tmp_path / "moved" / "corrections"), 0, columns)
    assert not (tmp_path / "moved").exists()
