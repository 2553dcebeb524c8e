"""Validation scores of trials that partial labels judge, and these labels: NumPy archives in the study's folder.

Shapes: M validation images, C classes.
"""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pyarrow import fs

from wsml_study.errors import ResultsError
from wsml_study.record.files import write_in_study
from wsml_study.record.storage import SCORES_FOLDER, StudyStorage

LABELS_FILE = "labels.npz"


@dataclass(frozen=True, kw_only=True, eq=False)
class TrialScores:
    """What a trial's best epoch gave for the validation images.

    Attributes:
        epoch: that epoch.
        logits_MC: float16.
        images: which images and classes these are: equal to that of the labels that fit.
    """

    epoch: int
    logits_MC: npt.NDArray[np.float16]
    images: str


@dataclass(frozen=True, kw_only=True, eq=False)
class PartialLabels:
    """The labels of the validation images as the study was given them, before any answer.

    Attributes:
        names: of the M images, as the labels file has them.
        classes: C names.
        states_MC: +1 positive, -1 negative, 0 unobserved.
        images: which images and classes these are.
    """

    names: tuple[str, ...]
    classes: tuple[str, ...]
    states_MC: npt.NDArray[np.int8]
    images: str


def write_scores(
    filesystem: fs.FileSystem,
    folder: str,
    trial: int,
    *,
    epoch: int,
    logits_MC: npt.NDArray[np.float16],
    images: str,
) -> None:
    """Write a trial's scores, replacing those of an earlier epoch; they are durable when this returns.

    Args:
        filesystem: that holds the study.
        folder: of all such files of the study.
        trial: its number.
        epoch, logits_MC, images: as of `TrialScores`.

    Raises:
        ResultsError: the folder cannot be written, or the study's folder around it is gone.
    """
    file = io.BytesIO()
    np.savez(file, epoch=epoch, logits=logits_MC, images=images)  # compressed it would take a tenth less, and long
    write_in_study(filesystem, folder, _name(trial), file.getvalue())


def read_scores(folder: Path, trial: int) -> TrialScores | None:
    """Scores of a trial; None if it has none, as trials of earlier versions.

    Args:
        folder: of the study.
        trial: its number.

    Raises:
        ResultsError: the file is damaged.
    """
    path = folder / SCORES_FOLDER / _name(trial)
    if not path.exists():
        return None
    found = _read(path, ("epoch", "logits", "images"))
    return TrialScores(epoch=int(found["epoch"]), logits_MC=found["logits"], images=str(found["images"]))


def write_partial_labels(storage: StudyStorage, labels: PartialLabels) -> None:
    """Write the labels that the validation images have, replacing those of an earlier run.

    Raises:
        ResultsError: the storage cannot be written.
    """
    file = io.BytesIO()
    np.savez_compressed(
        file,
        names=np.array(labels.names, dtype=np.str_),
        classes=np.array(labels.classes, dtype=np.str_),
        states=labels.states_MC,
        images=labels.images,
    )
    storage.write(f"{SCORES_FOLDER}/{LABELS_FILE}", file.getvalue())


def read_partial_labels(folder: Path) -> PartialLabels | None:
    """Labels of a study's validation images; None where they are complete, or an earlier version ran the study.

    Raises:
        ResultsError: the file is damaged.
    """
    path = folder / SCORES_FOLDER / LABELS_FILE
    if not path.exists():
        return None
    found = _read(path, ("names", "classes", "states", "images"))
    return PartialLabels(
        names=tuple(found["names"].tolist()),
        classes=tuple(found["classes"].tolist()),
        states_MC=found["states"],
        images=str(found["images"]),
    )


def _read(path: Path, names: tuple[str, ...]) -> dict[str, Any]:
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in names}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise ResultsError(
            f"{path}: not a complete file of validation scores ({error}); restore it from a copy, or delete it: the "
            f"estimate from answers then leaves the trial out"
        ) from error


def _name(trial: int) -> str:
    return f"trial_{trial:05d}.npz"
