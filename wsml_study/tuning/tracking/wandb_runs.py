"""Weights & Biases: a run per trial, grouped by study, through its own client.

What was logged is recorded in the study's folder, since an offline run cannot be queried.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wsml_study.record.history import StudyHistory
from wsml_study.record.trial_history import ENDED, TrialHistory, TrialState
from wsml_study.study.spec import Study
from wsml_study.tuning.tracking.tracker import OBJECTIVE, parameters_of, scalars_of

if TYPE_CHECKING:
    from wandb import Run

SHOWN = "wandb_shown.jsonl"
"""A line per epoch, and one per ended trial."""


class WandbRuns:
    """Writes a run per trial to a Weights & Biases project; with `WANDB_MODE=offline`, to the study's folder."""

    called = "Weights & Biases"

    def __init__(self, study: Study, folder: Path, project: str) -> None:
        """Import the client.

        Args:
            study: whose trials these are.
            folder: of its results.
            project: name of the project, or team/project.
        """
        import wandb

        self._wandb: Any = wandb
        self._study, self._folder = study, folder
        team, _, self._project = project.rpartition("/")
        self._team = team or None
        self._open: dict[int, Run] = {}

    def begin(self, history: StudyHistory) -> None:
        """Read which epochs earlier runs have logged."""
        self._started = round(history.runs[0]["time"])
        self._epochs: dict[int, dict[int, float]] = {}
        self._ended: set[int] = set()
        path = self._folder / SHOWN
        for line in path.read_text().splitlines() if path.exists() else ():
            noted = json.loads(line)
            if "epoch" in noted:
                self._epochs.setdefault(noted["trial"], {})[noted["epoch"]] = noted["time"]
            else:
                self._ended.add(noted["trial"])

    def show(self, trial: TrialHistory) -> None:
        """Log new epochs. Weights & Biases drops an epoch that runs again: its steps must increase."""
        if trial.number in self._ended:
            return
        run = self._open.get(trial.number) or self._opened(trial)
        shown = self._epochs.setdefault(trial.number, {})
        for epoch, result in sorted(trial.epochs.items()):
            if shown.get(epoch) != result["time"]:
                run.log(scalars_of(result), step=epoch)
                shown[epoch] = result["time"]
                self._note(trial=trial.number, epoch=epoch, time=result["time"])
        if trial.state in ENDED:
            run.summary.update({OBJECTIVE: trial.value(self._study.objective), "state": trial.state.value})
            run.finish(exit_code=int(trial.state is TrialState.FAILED))
            del self._open[trial.number]
            self._ended.add(trial.number)
            self._note(trial=trial.number)

    def close(self) -> None:
        """Close runs whose trials have not ended; a later run reopens them by their ids."""
        for run in self._open.values():
            run.finish()
        self._open.clear()

    def _opened(self, trial: TrialHistory) -> Run:
        run: Run = self._wandb.init(
            project=self._project,
            entity=self._team,
            group=self._study.name,
            name=f"{self._study.name} trial {trial.number}",
            id=f"{self._study.name}-{self._started}-{trial.number}",
            resume="allow",
            reinit="create_new",
            config=parameters_of(trial),
            dir=str(self._folder),
            settings=self._wandb.Settings(silent=True, console="off"),
        )
        self._open[trial.number] = run
        return run

    def _note(self, **what: float) -> None:
        with (self._folder / SHOWN).open("a") as file:
            file.write(json.dumps(what) + "\n")
