"""Everything that a study's folder says, read once."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from wsml_study.errors import ResultsError
from wsml_study.record.events import read_log
from wsml_study.record.history import Event, StudyHistory, TrialState
from wsml_study.record.storage import EVENTS
from wsml_study.record.tables import SCHEMAS, read_table, refuse_lost_events, tables_of
from wsml_study.record.wording import describe, short_names, spaced
from wsml_study.results.confirmation import BASELINE, Confirmation, read_confirmation
from wsml_study.results.level_results import Levels, read_levels
from wsml_study.results.ranking import best_per_method, contenders, ranked
from wsml_study.study.reading import read_study
from wsml_study.study.spec import Study


@dataclass(frozen=True, kw_only=True)
class StudyRecord:
    """What is known of a study.

    Attributes:
        folder: of its results.
        study: as it was run.
        events: oldest first.
        history: what they add up to.
        trials: best first, as `ranked` has them, with `label`: the suggested values in a few words.
        epochs: the table, with `method` and `label` of the trial and `objective`: what the trial was judged by so far.
        classes: the table, with `method` of the trial.
        confirmation: what is sure, None if nothing was confirmed yet.
        levels: of fidelity, None if the study has none.
    """

    folder: Path
    study: Study
    events: list[Event]
    history: StudyHistory
    trials: pd.DataFrame
    epochs: pd.DataFrame
    classes: pd.DataFrame
    confirmation: Confirmation | None
    levels: Levels | None

    @property
    def best_trials(self) -> pd.DataFrame:
        """The best trial of each method, best first."""
        return best_per_method(self.trials)

    @property
    def contenders(self) -> pd.DataFrame:
        """`best_trials` of the methods that see the observed labels alone; of all if there is no such method."""
        return contenders(self.best_trials).reset_index(drop=True)

    @property
    def baseline(self) -> pd.Series | None:
        """The best trial of AN, None without one."""
        best = self.best_trials
        of_baseline = best[best["method"] == BASELINE]
        return None if of_baseline.empty else of_baseline.iloc[0]

    @property
    def methods(self) -> list[str]:
        """Methods that the study has tried, the best first, those without a value last."""
        return [str(method) for method in self.trials["method"].drop_duplicates()]

    @property
    def environment(self) -> dict[str, Any]:
        """What the newest run worked with; empty where the log does not say."""
        runs = [run["environment"] for run in self.history.runs if "environment" in run]
        return dict(runs[-1]) if runs else {}

    @property
    def key_names(self) -> dict[str, str]:
        """Searched key -> what figures call it."""
        names = short_names(self.study.search)
        return {key: "method" if key == "method.name" else spaced(name) for key, name in names.items()}

    @property
    def counts(self) -> dict[TrialState, int]:
        """How many trials are in each state."""
        return {state: int((self.trials["state"] == state).sum()) for state in TrialState}

    def trial(self, number: int) -> dict[str, Any]:
        """What a figure says of one trial: trial, method, value, state, label."""
        row = self.trials[self.trials["trial"] == number].iloc[0]
        return {column: row[column] for column in ("trial", "method", "value", "state", "label")}


def read_record(folder: Path) -> StudyRecord:
    """Read a study's description and events, or its tables where the events are gone.

    Raises:
        ResultsError: the folder holds no study, or its events or tables are damaged.
        StudyFileError: its description is damaged.
    """
    if not (folder / "study.yaml").exists():
        raise ResultsError(f"{folder}: no study's results; `wsml-study run` makes them, or name the study's folder")
    study = read_study(folder / "study.yaml")
    log = folder / EVENTS
    events: list[Event] = []
    history = StudyHistory()
    if log.exists():
        found, history = read_log(log)
        refuse_lost_events(folder, history)
        events += found
    # While a study runs, its tables are a moment behind its events.
    tables = tables_of(study, history) if events else {name: read_table(folder, name) for name in SCHEMAS}
    trials = ranked(tables["trials"])
    trials["label"] = [spaced(describe(json.loads(values))) for values in trials["values"]]
    of_trial = trials[["trial", "method", "label"]]
    epochs = tables["epochs"].to_pandas().merge(of_trial, on="trial")
    # Tables of earlier versions, which knew no metric but mAP, have nothing in these columns.
    prefix = "best_" if study.objective.of_best_epoch else ""
    so_far = epochs[f"{prefix}objective"].fillna(epochs[f"{prefix}val_map"])
    return StudyRecord(
        folder=folder,
        study=study,
        events=events,
        history=history,
        trials=trials,
        epochs=epochs.assign(objective=so_far),
        classes=tables["classes"].to_pandas().merge(of_trial[["trial", "method"]], on="trial"),
        confirmation=read_confirmation(folder),
        levels=read_levels(folder),
    )
