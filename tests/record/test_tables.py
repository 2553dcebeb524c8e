"""Tables: their schemas, their rows, and that they are there whole or not at all."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.sample_studies.stories import small_study, told_history
from wsml_study.errors import ResultsError
from wsml_study.record.files import write_whole
from wsml_study.record.history import StudyHistory
from wsml_study.record.tables import (
    BLOCK,
    CLASSES,
    EPOCHS,
    SCHEMAS,
    TRIALS,
    TableWriter,
    read_table,
    write_table,
    write_tables,
)
from wsml_study.record.trial_history import TrialHistory, TrialState


def test_schemas_of_version_1_are_as_they_were_published():
    names = {
        "trials": "study trial state method value best_epoch last_epoch test_map attempts error started ended values "
        "config",
        "epochs": "study trial epoch attempt train_loss val_map val_map_true val_map_observed best_val_map "
        "rejection_rate "
        "num_distrusted distrust_precision distrust_recall loss_true_positive loss_true_negative loss_false_negative "
        "train_seconds validation_seconds time",
        "classes": "study trial split epoch class average_precision",
    }
    for table, schema in (("trials", TRIALS), ("epochs", EPOCHS), ("classes", CLASSES)):
        assert schema.names[: len(names[table].split())] == names[table].split()
        assert schema.metadata == {b"wsml_study.table": table.encode(), b"wsml_study.version": b"1"}
        later = schema.names[len(names[table].split()) :]
        assert all(schema.field(name).nullable for name in later), "tables grow by nullable columns only"


def test_units_are_in_the_metadata(folder):
    schema = read_table(folder, "epochs").schema
    assert schema.field("val_map").metadata[b"unit"] == b"percent, mean over classes"
    assert schema.field("train_seconds").metadata[b"unit"] == b"s"


def test_rows_say_what_happened(folder):
    trials = read_table(folder, "trials").to_pylist()
    assert [row["state"] for row in trials] == ["complete", "stopped", "failed", "running"]
    assert [row["value"] for row in trials] == [60.0, 70.0, None, 52.0]
    assert [row["best_epoch"] for row in trials] == [1, 2, None, 1]
    assert [row["last_epoch"] for row in trials] == [2, 2, 0, 1]
    assert [row["method.schedule.rate_per_epoch"] for row in trials] == [None, 0.01, 0.02, None]
    assert trials[2]["error"] == "the worker group stopped"
    assert json.loads(trials[1]["config"])["method"]["schedule"]["rate_per_epoch"] == 0.01
    epochs = read_table(folder, "epochs").to_pylist()
    assert [(row["trial"], row["epoch"]) for row in epochs] == [(0, 1), (0, 2), (1, 1), (1, 2), (3, 1)]
    assert epochs[3]["rejection_rate"] == 0.01
    classes = read_table(folder, "classes").to_pylist()
    assert [(row["trial"], row["class"], row["average_precision"]) for row in classes[:4]] == [
        (0, "cat", 55.0),
        (0, "dog", None),
        (1, "cat", 65.0),
        (1, "dog", None),
    ]


def test_the_share_of_the_training_images_is_in_the_table(tmp_path):
    study = small_study()
    history = told_history(study)
    config = history.trials[1].config
    config["data"] = config["data"] | {"train_share": 0.5}
    write_tables(tmp_path, study, history)
    assert read_table(tmp_path, "trials")["train_share"].to_pylist() == [None, 0.5, None, None]


def test_an_empty_study_has_empty_tables_of_the_same_schema(tmp_path):
    study = small_study()
    history = told_history(study)
    history.trials.clear()
    write_tables(tmp_path, study, history)
    assert read_table(tmp_path, "epochs").schema.equals(EPOCHS, check_metadata=True)
    assert len(read_table(tmp_path, "trials")) == 0


def test_a_missing_a_torn_and_a_newer_table_are_told_apart(folder):
    path = folder / "epochs.parquet"
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(ResultsError, match="not a complete Parquet file"):
        read_table(folder, "epochs")
    newer = EPOCHS.with_metadata({"wsml_study.table": "epochs", "wsml_study.version": "2"})
    write_table(path, [], newer)
    with pytest.raises(ResultsError, match="expected version 1 of the table, got 2"):
        read_table(folder, "epochs")
    path.unlink()
    with pytest.raises(ResultsError, match="no such table"):
        read_table(folder, "epochs")


def test_a_write_that_fails_leaves_the_old_file(folder, monkeypatch):
    """The rename is the last step: a failure before it leaves the old content and no litter."""
    path = folder / "trials.parquet"
    before = path.read_bytes()
    with pytest.raises(pa.ArrowInvalid, match="null"):
        write_table(path, [{"study": "told"}], TRIALS)
    assert path.read_bytes() == before
    blocked = folder / "file" / "table.parquet"
    (folder / "file").write_text("in the way")
    with pytest.raises(ResultsError, match="free some space or set another folder"):
        write_whole(blocked, b"content")
    assert pq.read_table(path).num_rows == 4
    assert not list(folder.glob(".*.tmp"))


def test_tables_written_as_a_study_grows_equal_those_written_at_once(tmp_path):
    study = small_study()
    grown, writer = StudyHistory(), TableWriter(tmp_path / "grown", study)
    told = told_history(study)
    grown.classes = told.classes
    order = [number ^ 1 for number in range(2 * BLOCK + 10)]  # neighbours end in turned order
    for number in sorted(order):
        values = told.trials[number % 4].values
        grown.trials[number] = TrialHistory(number=number, values=values, config=told.trials[number % 4].config)
    first_epochs = {number: {1: source.epochs[1]} for number, source in told.trials.items() if source.epochs}
    for step, number in enumerate(order):
        grown.trials[number].epochs = first_epochs.get(number % 4, {})
        grown.trials[number].state = TrialState.PAUSED
        if step % 50 == 0:
            writer.write(grown)
    for step, number in enumerate(order):
        source = told.trials[number % 4]
        if number % 5 == 0:  # goes on and is seen at work; the others end at once
            grown.trials[number].state, grown.trials[number].attempt = TrialState.RUNNING, 2
            writer.write(grown)
        grown.trials[number].epochs = source.epochs
        grown.trials[number].state, grown.trials[number].closed = source.state, source.closed
        if step % 50 == 0:
            writer.write(grown)
    writer.write(grown)
    write_tables(tmp_path / "at_once", study, grown)
    for table in SCHEMAS:
        assert read_table(tmp_path / "grown", table).equals(read_table(tmp_path / "at_once", table))
    assert read_table(tmp_path / "grown", "trials")["trial"].to_pylist() == sorted(order)
