"""The front of two objectives, and trials that miss a constraint."""

from __future__ import annotations

import pandas as pd
import pyarrow as pa
import pytest

from wsml_study.record.tables import BESIDE_MODE, MODE, TRIALS
from wsml_study.results.ranking import best_per_method, contenders, ranked, the_front, top_trials
from wsml_study.results.tradeoff import front_sentence, missed_by_all
from wsml_study.study.objective_section import Objective

ROWS = [
    # method, value, beside, missed, state
    ("AN", 70.0, 2.0, None, "complete"),
    ("LL-R", 80.0, 3.0, None, "complete"),
    ("LL-R", 79.0, 3.0, None, "complete"),  # as slow as the better one
    ("LL-R", 90.0, 9.0, "train_seconds 9 > 8", "complete"),
    ("full", 95.0, 1.0, None, "complete"),  # sees all labels
    ("LL-Ct", 60.0, 1.5, None, "complete"),
    ("LL-Ct", 60.0, 1.5, None, "complete"),  # equal to the one before
    ("LL-Cp", 99.0, 0.5, None, "running"),
    ("WAN", None, None, None, "failed"),
]


def table_of(rows: list[tuple], **metadata: str) -> pa.Table:
    columns = ("method", "value", "beside", "missed", "state")
    content = [
        dict(zip(columns, row, strict=True)) | {"trial": number, "values": "{}"} for number, row in enumerate(rows)
    ]
    fields = [field.with_nullable(True) for field in TRIALS]
    return pa.Table.from_pylist(content, schema=pa.schema(fields, TRIALS.metadata | metadata))


def test_no_trial_of_the_front_is_better_than_another_in_both() -> None:
    trials = ranked(table_of(ROWS, **{BESIDE_MODE.decode(): "min"}))
    assert the_front(trials)["trial"].tolist() == [1, 0, 5]
    upwards = ranked(table_of(ROWS, **{BESIDE_MODE.decode(): "max"}))
    assert the_front(upwards)["trial"].tolist() == [1]
    both_down = ranked(table_of(ROWS, **{BESIDE_MODE.decode(): "min", MODE.decode(): "min"}))
    assert the_front(both_down)["trial"].tolist() == [5]


def test_a_study_with_one_objective_has_no_front() -> None:
    assert "front" not in ranked(table_of(ROWS))


def test_trials_that_miss_a_constraint_come_last_and_are_no_answer() -> None:
    trials = ranked(table_of(ROWS))
    assert trials["trial"].tolist() == [7, 4, 1, 2, 0, 5, 6, 3, 8]
    assert 3 not in contenders(trials)["trial"].tolist()
    assert 3 not in best_per_method(trials)["trial"].tolist()
    assert 3 not in top_trials(trials, top=9, per_method=True)["trial"].tolist()


def test_the_front_in_words() -> None:
    objective = Objective.model_validate({"beside": "train_seconds"})
    trials = ranked(table_of(ROWS, **{BESIDE_MODE.decode(): "min"}))
    said = front_sentence(trials, objective)
    assert said is not None
    assert said.startswith(
        "3 trials are on the front of validation mAP and training per epoch: from 80.00 % at 3.000 s"
    )
    assert front_sentence(trials, Objective()) is None
    alone = front_sentence(ranked(table_of(ROWS[:1], **{BESIDE_MODE.decode(): "min"})), objective)
    assert alone is not None
    assert alone.startswith("One trial is best in both")


@pytest.mark.parametrize("state", ["complete", "stopped"])
def test_where_every_trial_misses_a_constraint_there_is_no_answer(state: str) -> None:
    trials: pd.DataFrame = ranked(table_of([("AN", 70.0, 9.0, "train_seconds 9 > 8", state), ROWS[-1]]))
    said = missed_by_all(trials)
    assert said is not None
    assert "trial 0, misses train_seconds 9 > 8" in said
    assert missed_by_all(ranked(table_of(ROWS))) is None
    assert missed_by_all(ranked(table_of(ROWS[-1:]))) is None, "nothing has a value yet"
