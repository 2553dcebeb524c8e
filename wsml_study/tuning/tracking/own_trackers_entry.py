"""Built-in trackers; each one's client library is imported only when a study uses it."""

from __future__ import annotations

from wsml_study.options import FLAG, TEXT
from wsml_study.registry import Requirement
from wsml_study.study.tracker_record import TrackerRecord

RECORDS = (
    TrackerRecord(
        name="optuna_journal",
        position=10,
        meaning="Keep journal.log in the study's folder, which optuna-dashboard opens.",
        limits=FLAG,
        default=True,
        open="wsml_study.tuning.tracking.optuna_journal:OptunaJournal",
    ),
    TrackerRecord(
        name="tensorboard",
        position=20,
        meaning="Keep a TensorBoard run per trial in the folder tensorboard.",
        limits=FLAG,
        default=True,
        open="wsml_study.tuning.tracking.tensorboard:TensorBoardRuns",
    ),
    TrackerRecord(
        name="mlflow",
        position=30,
        meaning="Tracking URI of an MLflow server or database, such as sqlite:///mlflow.db.",
        limits=TEXT,
        open="wsml_study.tuning.tracking.mlflow_runs:MlflowRuns",
        requires=(Requirement(module="mlflow", install="pip install 'wsml-study[mlflow]'"),),
    ),
    TrackerRecord(
        name="wandb",
        position=40,
        meaning="Project of Weights & Biases, or team/project.",
        limits=TEXT,
        open="wsml_study.tuning.tracking.wandb_runs:WandbRuns",
        requires=(Requirement(module="wandb", install="pip install 'wsml-study[wandb]'"),),
    ),
)
