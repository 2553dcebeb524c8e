"""Which trackers a study has."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from wsml_study.study.spec import Study
from wsml_study.tuning.ledger import Listener
from wsml_study.tuning.tracking.tracker import Tracked, Tracker


@contextmanager
def tracked(study: Study, folder: Path, listener: Listener) -> Iterator[Tracked]:
    """A listener that the study's trackers follow as well, for the duration of a block.

    Args:
        study: whose `tracking` says which.
        folder: of the study's results, or the local copy of it.
        listener: is told everything first.

    Raises:
        StudyFileError: a tracker's package is not installed.
    """
    following = Tracked(listener, trackers_of(study, folder))
    try:
        yield following
    finally:
        following.close()


def trackers_of(study: Study, folder: Path) -> list[Tracker]:
    """The trackers that a study asks for; the package of one that it does not ask for is not imported.

    Raises:
        StudyFileError: a tracker's package is not installed.
    """
    asked = study.tracking
    trackers: list[Tracker] = []
    if asked.optuna_journal:
        from wsml_study.tuning.tracking.optuna_journal import OptunaJournal

        trackers.append(OptunaJournal(study, folder))
    if asked.tensorboard:
        from wsml_study.tuning.tracking.tensorboard import TensorBoardRuns

        trackers.append(TensorBoardRuns(study, folder))
    if asked.mlflow is not None:
        from wsml_study.tuning.tracking.mlflow_runs import MlflowRuns

        trackers.append(MlflowRuns(study, asked.mlflow))
    if asked.wandb is not None:
        from wsml_study.tuning.tracking.wandb_runs import WandbRuns

        trackers.append(WandbRuns(study, folder, asked.wandb))
    return trackers
