"""Two objectives and constraints: what the sampler is told, after interruptions too."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from optuna.trial import FrozenTrial

from wsml_study.errors import ResultsError
from wsml_study.record.tables import write_tables
from wsml_study.report.figures.figure import Figure
from wsml_study.report.figures.front import front
from wsml_study.results.export import export_configs
from wsml_study.results.ranking import ranked_trials
from wsml_study.results.study_results import read_record
from wsml_study.results.trial_filter import select_trials
from wsml_study.study.reading import read_study
from wsml_study.study.writing import dump_config
from wsml_study.testing.sampler_contract import SimulatedSlot, study_with
from wsml_study.tuning.trial_source import Assignment

BESIDE = {"beside": "train_seconds"}
BOUND = {"constraints": {"of1": {"min": 50}}}


class MeasuredSlot(SimulatedSlot):
    """A slot whose trials take longer and have a worse OF1 at larger learning rates."""

    def epoch(self, assignment: Assignment, number: int, value: float) -> None:
        rate = assignment.config.training.learning_rate
        result = {
            **dict.fromkeys(("val_map", "val_map_true", "val_map_observed", "best_val_map"), value),
            "val_ap_C": [],
            "epoch": number,
            "best_epoch": number,
            "train_loss": 1.0,
            "rejection_rate": None,
            "num_distrusted": 0,
            "train_seconds": 1 + 1000 * rate,
            "validation_seconds": 0.1,
            "measures": {"of1": 60 - 2000 * rate},
        }
        self.log.append("epoch", trial=assignment.trial, attempt=1, result=result, state="running")


def told(slot: MeasuredSlot) -> list[tuple[Any, ...]]:
    def of(trial: FrozenTrial) -> tuple[Any, ...]:
        return trial.params, trial.values, trial.state, trial.constraints

    return [of(trial) for trial in slot.searcher._asked.trials]


@pytest.mark.parametrize("objective", [BESIDE, BOUND, BESIDE | BOUND], ids=["beside", "constraints", "both"])
@pytest.mark.parametrize("sampler", ["tpe", "nsgaii", "random"])
def test_an_interrupted_search_proposes_what_it_would_have_proposed(
    sampler: str, objective: dict[str, Any], tmp_path: Path
) -> None:
    study = study_with(sampler, objective=objective)
    whole = MeasuredSlot(study, tmp_path / "whole")
    whole.run(16)
    for number in (5, 4, 7):
        part = MeasuredSlot(study, tmp_path / "part")
        part.run(number)
        part.log.close()
    assert part.proposals == whole.proposals
    assert told(MeasuredSlot(study, tmp_path / "whole")) == told(whole)


def test_the_sampler_is_told_of_both_objectives_and_of_violations(tmp_path: Path) -> None:
    slot = MeasuredSlot(study_with("tpe", objective=BESIDE | BOUND), tmp_path / "study")
    slot.run(6)
    for trial in slot.searcher._asked.trials:
        rate = trial.params["training.learning_rate"]
        assert trial.values[1] == pytest.approx(1 + 1000 * rate)
        assert trial.constraints["of1"] == pytest.approx(2000 * rate - 10)
    assert [direction.name for direction in slot.searcher._asked._study.directions] == ["MAXIMIZE", "MINIMIZE"]


def test_the_front_of_a_study_is_exported_as_configs_of_their_own(tmp_path: Path) -> None:
    study = study_with("tpe", objective=BESIDE | BOUND)
    slot = MeasuredSlot(study, tmp_path / "study")
    slot.run(8)
    (tmp_path / "study" / "study.yaml").write_text(dump_config(study))
    write_tables(tmp_path / "study", study, slot.log.history)
    trials = ranked_trials(tmp_path / "study")
    kept = [trial for trial in trials.itertuples() if pd.isna(trial.missed)]
    assert 0 < len(kept) < 8
    expected = {
        one.trial for one in kept if not any(other.value > one.value and other.beside < one.beside for other in kept)
    }
    files = export_configs(tmp_path / "study", output=tmp_path / "configs", front=True)
    exported = [read_study(file) for file in files]
    assert {one.provenance.trial for one in exported if one.provenance is not None} == expected
    assert all(one.objective.measures == () for one in exported)
    figure = front(read_record(tmp_path / "study"))
    assert isinstance(figure, Figure)
    assert figure.table is not None
    assert {int(row[0]) for row in figure.table.body} == expected
    assert set(select_trials(tmp_path / "study", where="front")["trial"].to_pylist()) == expected


@pytest.mark.parametrize(("beside", "front_message"), [({}, "a front needs two"), (BESIDE, "No trial meets")])
def test_where_nothing_meets_the_constraints_nothing_is_exported(
    tmp_path: Path, beside: dict[str, str], front_message: str
) -> None:
    study = study_with("tpe", objective=beside | {"constraints": {"of1": {"min": 99}}})
    slot = MeasuredSlot(study, tmp_path / "study")
    slot.run(3)
    (tmp_path / "study" / "study.yaml").write_text(dump_config(study))
    write_tables(tmp_path / "study", study, slot.log.history)
    with pytest.raises(ResultsError, match="No trial meets the constraints"):
        export_configs(tmp_path / "study", output=tmp_path / "configs")
    with pytest.raises(ResultsError, match=front_message):
        export_configs(tmp_path / "study", output=tmp_path / "configs", front=True)
