"""Folders that an earlier version wrote are shown, resumed and extended, with the numbers that it would have given.

Each study runs with one slot, as it was recorded: with two, what ASHA stops depends on who comes first.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

import wsml_study

RECORDED = Path(__file__).parent
FOLDERS = sorted(path.parent.name for path in RECORDED.glob("*/expected.json"))
STUDIES = [name for name in FOLDERS if name != "trained"]
TOLERANCE, LEARNT_TOLERANCE = 1e-4, 0.01
"""Relative, of what a study proposes, and of what its trials learn: convolutions differ in their last bits between
processors (AMD's, on which they were recorded, and Intel's), and two images that change places are .05 points of mAP.
A trial that begins anew, or from another epoch, is points away."""

Tables = dict[str, list[dict[str, Any]]]


@pytest.fixture
def place(tmp_path: Path) -> Callable[[str], Path]:
    """Copies a folder to where its recorded paths then lead."""

    def copy(name: str) -> Path:
        folder = tmp_path / name
        shutil.copytree(RECORDED / name, folder)
        for log in folder.rglob("events.jsonl"):
            log.write_text(log.read_text().replace("/home/user/", f"{tmp_path}/"))
        return folder

    return copy


def expected_of(name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((RECORDED / name / "expected.json").read_text())
    return content


def wsml(folder: Path, *arguments: str) -> str:
    """The command line on one CPU, which makes one slot."""
    done = subprocess.run(
        [sys.executable, "-m", "wsml_study", *arguments],
        cwd=folder,
        env=os.environ | {"OMP_NUM_THREADS": "1", "COLUMNS": "200"},
        preexec_fn=lambda: os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def results_of(folder: Path) -> Path:
    return next(path.parent for path in (folder / "results").glob("*/study.yaml"))


def assert_tables(folder: Path, expected: Tables) -> None:
    """Every trial and epoch that was recorded, number by number; attempts depend on when a run was cut short."""
    for part, trials in expected.items():
        rows = {row["trial"]: row for row in pq.read_table(results_of(folder) / part / "trials.parquet").to_pylist()}
        epochs = pq.read_table(results_of(folder) / part / "epochs.parquet").to_pylist()
        assert sorted(rows) == sorted(trial["number"] for trial in trials)
        for trial in trials:
            row = rows[trial["number"]]
            values = json.loads(row["values"])
            assert values.keys() == trial["values"].keys()
            for key, value in trial["values"].items():
                assert_equal(values[key], value, f"{part} trial {trial['number']} {key}")
            for key in trial.keys() - {"number", "values", "epochs", "attempts"}:
                assert_equal(row[key], trial[key], f"{part} trial {trial['number']} {key}", LEARNT_TOLERANCE)
            shown = [epoch for epoch in epochs if epoch["trial"] == trial["number"]]
            assert len(shown) == len(trial["epochs"])
            for epoch, recorded in zip(shown, trial["epochs"], strict=True):
                for key in recorded.keys() - {"attempt", "values"}:
                    where = f"{part} trial {trial['number']} epoch {recorded['epoch']} {key}"
                    assert_equal(epoch[key], recorded[key], where, LEARNT_TOLERANCE)


def assert_equal(value: Any, recorded: Any, where: str, tolerance: float = TOLERANCE) -> None:
    if isinstance(recorded, float) and not math.isnan(recorded):
        assert value == pytest.approx(recorded, rel=tolerance, abs=tolerance), where
    elif not isinstance(recorded, float):
        assert value == recorded, where


@pytest.mark.parametrize("name", STUDIES)
def test_a_recorded_study_is_shown(name: str, place: Callable[[str], Path]) -> None:
    folder = place(name)
    results = wsml_study.load(results_of(folder))
    trials = expected_of(name)["recorded"][""]
    assert dict(zip(results.trials["trial"], results.trials["state"], strict=True)) == {
        trial["number"]: trial["state"] for trial in trials
    }
    best = max((trial["value"] for trial in trials if trial["value"] is not None), default=None)
    assert results.ranked["value"].iloc[0] == best if best is not None else results.ranked.empty
    assert results.study == wsml_study.Study.read(folder / "study.yaml").specification.model_copy(
        update={"storage": results.study.storage}
    )
    assert results.figures or name == "levels"  # killed before its first trial at full size
    assert (results.confirmation is not None) == (name == "confirmed")
    assert (results.levels is not None) == (name == "levels")


def test_a_recorded_model_predicts(place: Callable[[str], Path]) -> None:
    folder = place("trained")
    (model_folder,) = (path.parent for path in (folder / "models").rglob("model.safetensors"))
    assert wsml_study.load_model(model_folder, device="cpu").classes[0] == "zero"


def test_a_study_that_was_killed_resumes_from_its_checkpoint_with_the_same_numbers(
    place: Callable[[str], Path],
) -> None:
    folder = place("interrupted")
    wsml(folder, "run", "study.yaml")
    assert_tables(folder, expected_of("interrupted")["resumed"])
    # What a study says of `objective.classes` today is not written into a folder that was begun without it.
    assert "classes" not in (results_of(folder) / "study.yaml").read_text()
    assert '"event": "attempt"' in (results_of(folder) / "events.jsonl").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["levels", "population_interrupted"])
def test_a_study_that_was_killed_resumes_with_the_same_numbers(name: str, place: Callable[[str], Path]) -> None:
    folder = place(name)
    wsml(folder, "run", "study.yaml")
    assert_tables(folder, expected_of(name)["resumed"])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["finished", "confirmed", "population"])
def test_a_study_is_extended_with_the_same_numbers(name: str, place: Callable[[str], Path]) -> None:
    folder, expected = place(name), expected_of(name)
    wsml(folder, *expected["extension"])
    assert_tables(folder, expected["extended"])


@pytest.mark.slow
def test_a_recorded_model_evaluates_with_the_same_numbers(place: Callable[[str], Path]) -> None:
    folder, recorded = place("trained"), expected_of("trained")["evaluated"]
    (model_folder,) = (path.parent for path in (folder / "models").rglob("model.safetensors"))
    found = json.loads(wsml(folder, "evaluate", str(model_folder.relative_to(folder)), "--json"))
    assert found["map"] == pytest.approx(recorded["map"], rel=LEARNT_TOLERANCE)
