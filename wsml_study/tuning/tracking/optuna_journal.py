"""The study as an Optuna journal, which `optuna-dashboard results/<study>/journal.log` opens, also while it runs.

This is not the sampler's storage: that is rebuilt from the event log for every run, so proposals wait for no file.
"""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path

from optuna import logging
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial
from optuna.trial import TrialState as OptunaState

from wsml_study.options import Value
from wsml_study.record.history import StudyHistory
from wsml_study.record.trial_history import ENDED, TrialHistory
from wsml_study.study.search_space import SearchSpace
from wsml_study.study.spec import Study
from wsml_study.tuning.optuna_study import optuna_outcome

JOURNAL = "journal.log"
DIRECTIONS = {"max": StudyDirection.MAXIMIZE, "min": StudyDirection.MINIMIZE}


class OptunaJournal:
    """Writes the study to an Optuna journal file."""

    called = "Optuna's journal"

    def __init__(self, study: Study, folder: Path, asked: Value = True) -> None:
        self._study, self._path = study, folder / JOURNAL
        self._space = SearchSpace.from_study(study)

    def begin(self, history: StudyHistory) -> None:
        """Open the journal, after removing a last line that a crash has truncated."""
        logging.set_verbosity(logging.ERROR)  # it would print among the progress of the run
        _cut_torn_line(self._path)
        self._storage = JournalStorage(JournalFileBackend(str(self._path)))
        known = {one.study_name: one._study_id for one in self._storage.get_all_studies()}
        if self._study.name in known:
            self._id = known[self._study.name]
        else:
            self._id = self._storage.create_new_study([DIRECTIONS[self._study.objective.mode]], self._study.name)
        self._ids = [trial._trial_id for trial in self._storage.get_all_trials(self._id, deepcopy=False)]

    def show(self, trial: TrialHistory) -> None:
        """Add the trial, or the epochs and the end that the journal does not have yet."""
        if trial.number >= len(self._ids):
            self._ids.append(self._storage.create_new_trial(self._id, template_trial=self._frozen(trial)))
            return
        number = self._ids[trial.number]
        shown = self._storage.get_trial(number)
        if shown.state.is_finished():
            return
        for epoch, value in trial.values_by_epoch(self._study.objective).items():
            if shown.intermediate_values.get(epoch) != value:
                self._storage.set_trial_intermediate_value(number, epoch, value)
        if trial.state in ENDED:
            for key, text in _user_attributes(trial).items():
                self._storage.set_trial_user_attr(number, key, text)
            state, reached = self._outcome(trial)
            self._storage.set_trial_state_values(number, state, None if reached is None else [reached])

    def close(self) -> None:
        """No-op: every line is on disk already."""

    def _frozen(self, trial: TrialHistory) -> FrozenTrial:
        distributions = self._space.distributions(trial.values)
        state, value = self._outcome(trial)
        ended = datetime.fromtimestamp(trial.ended or trial.started or 0) if trial.state in ENDED else None
        return FrozenTrial(
            number=trial.number,
            state=state,
            value=value,
            datetime_start=datetime.now() if trial.started is None else datetime.fromtimestamp(trial.started),
            datetime_complete=ended,
            params={key: trial.values[key] for key in distributions},
            distributions=distributions,
            user_attrs={"method": trial.config["method"]["name"]} | _user_attributes(trial),
            system_attrs=trial.sampler_state,
            intermediate_values=trial.values_by_epoch(self._study.objective),
            trial_id=trial.number,
        )

    def _outcome(self, trial: TrialHistory) -> tuple[OptunaState, float | None]:
        return optuna_outcome(trial.state, trial.value(self._study.objective))


def _user_attributes(trial: TrialHistory) -> dict[str, str]:
    return {} if trial.error is None else {"error": trial.error}


def _cut_torn_line(path: Path) -> None:
    if path.exists():
        content = path.read_bytes()
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            os.truncate(path, whole)
