"""MLflow: an experiment per study, a run per trial, through MLflow's own client."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from wsml_study.record.history import StudyHistory
from wsml_study.record.trial_history import ENDED, TrialHistory, TrialState
from wsml_study.study.spec import Study
from wsml_study.tuning.tracking.tracker import OBJECTIVE, parameters_of, scalars_of

if TYPE_CHECKING:
    from mlflow.entities import Run

TRIAL, STARTED, CONFIRMS = "wsml_study.trial", "wsml_study.started", "wsml_study.confirms"
STATE, ERROR = "wsml_study.state", "wsml_study.error"
"""Tags of a run. The start time distinguishes a search, its confirmation, and a restarted study of the same name."""

RUNNING = "RUNNING"
LONGEST_TAG = 500


class MlflowRuns:
    """Writes a run per trial to an MLflow server or database."""

    called = "MLflow"

    def __init__(self, study: Study, folder: Path, uri: str) -> None:
        """Create the client; the server is not contacted yet.

        Raises:
            StudyFileError: MLflow is not installed.
        """
        from mlflow.tracking import MlflowClient

        self._client = MlflowClient(tracking_uri=uri)
        self._study = study

    def begin(self, history: StudyHistory) -> None:
        """Find the study's experiment and its runs, or create the experiment."""
        found = self._client.get_experiment_by_name(self._study.name)
        self._experiment = self._client.create_experiment(self._study.name) if found is None else found.experiment_id
        self._started = str(history.runs[0]["time"])
        self._runs: dict[int, str] = {}
        self._logged: dict[int, dict[int, int]] = {}
        self._ended: set[int] = set()
        for run in self._search():
            number = int(run.data.tags[TRIAL])
            self._runs[number] = run.info.run_id
            if run.info.status == RUNNING:
                logged = self._client.get_metric_history(run.info.run_id, "map/validation")
                self._logged[number] = {metric.step: metric.timestamp for metric in logged}
            else:
                self._ended.add(number)

    def show(self, trial: TrialHistory) -> None:
        """Log the epochs that the run does not have. An epoch that ran again is kept twice: MLflow only appends."""
        if trial.number in self._ended:
            return
        run = self._runs.get(trial.number) or self._create(trial)
        logged = self._logged.setdefault(trial.number, {})
        for epoch, result in sorted(trial.epochs.items()):
            at = _milliseconds(result["time"])
            if logged.get(epoch) != at:
                self._log(run, scalars_of(result), at, epoch)
                logged[epoch] = at
        if trial.state in ENDED:
            self._end(run, trial)

    def close(self) -> None:
        """No-op: a run stays open until its trial ends."""

    def _search(self) -> list[Run]:
        found: list[Run] = []
        token = None
        while True:
            page = self._client.search_runs(
                [self._experiment], filter_string=f"tags.`{STARTED}` = '{self._started}'", page_token=token
            )
            found += page
            token = page.token
            if not token:
                return found

    def _create(self, trial: TrialHistory) -> str:
        from mlflow.entities import Param

        confirms = {} if trial.confirms is None else {CONFIRMS: str(trial.confirms)}
        run = self._client.create_run(
            self._experiment,
            start_time=None if trial.started is None else _milliseconds(trial.started),
            tags={TRIAL: str(trial.number), STARTED: self._started} | confirms,
            run_name=f"trial {trial.number}",
        )
        parameters = [Param(key, str(value)) for key, value in parameters_of(trial).items()]
        self._client.log_batch(run.info.run_id, params=parameters)
        self._runs[trial.number] = run.info.run_id
        return str(run.info.run_id)

    def _end(self, run: str, trial: TrialHistory) -> None:
        value = trial.value(self._study.objective)
        at = _milliseconds(trial.ended or trial.started or 0.0)
        if value is not None:
            self._log(run, {OBJECTIVE: value}, at, trial.last_epoch)
        self._client.set_tag(run, STATE, trial.state.value)
        if trial.error is not None:
            self._client.set_tag(run, ERROR, trial.error[:LONGEST_TAG])
        status = "FAILED" if trial.state is TrialState.FAILED else "FINISHED"
        self._client.set_terminated(run, status, end_time=at)
        self._ended.add(trial.number)

    def _log(self, run: str, scalars: dict[str, float], at: int, epoch: int) -> None:
        from mlflow.entities import Metric

        self._client.log_batch(run, metrics=[Metric(name, value, at, epoch) for name, value in scalars.items()])


def _milliseconds(seconds: float) -> int:
    return round(1000 * seconds)
