"""What a trial reports: after each epoch, and once on the test images. The field names are those of the event log."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, kw_only=True)
class EpochResult:
    """Metrics of one epoch; mAP and AP are percentages.

    Attributes:
        epoch: of the trial, from 1; with linear_init the epochs of the linear probe come first.
        phase: `linear` for the linear probe, or `end_to_end`.
        train_loss: the method's own loss, mean over the batches, weighted by their images.
        val_map: mAP on the validation labels that the study chose (`data.validation.labels`); None, like every mAP and
            AP here, without validation images.
        val_map_true: mAP on the true validation labels.
        val_map_observed: mAP on the observed ones, everything unobserved taken as negative.
        val_ap_C: AP per class behind `val_map`; None for a class without a known negative.
        best_epoch: the epoch with the best value of the objective's metric so far.
        best_val_map: `val_map` of that epoch.
        objective: the metric that the study compares trials by, after this epoch; `val_map` by default.
        best_objective: the same of the best epoch so far.
        rejection_rate: the schedule's fraction, None for methods without one.
        num_distrusted, ..., loss_false_negative: as in `Memorization`.
        head_epoch: in the first end-to-end epoch of linear_init, the epoch whose head it began with.
        ends_trial: no epoch is to follow, since the objective has fallen too far (`training.stop_below_best`).
        measures: the metrics besides that the study's objective names: name -> value, None where nothing is annotated;
            None for a study that names none.
        val_map_raw, val_map_averaged: with `training.ema_decay` the mAP of the weights and of their average, of which
            all other figures of the epoch are of the better one; None without.
        trained_together: number of trials whose epochs were trained in one batch with this one, itself included; the
            seconds are each one's share.
    """

    epoch: int
    phase: str
    train_loss: float
    val_map: float | None
    val_map_true: float | None
    val_map_observed: float | None
    val_ap_C: tuple[float | None, ...]
    best_val_map: float | None
    best_epoch: int
    objective: float | None
    best_objective: float | None
    rejection_rate: float | None
    num_distrusted: int
    distrust_precision: float | None
    distrust_recall: float | None
    loss_true_positive: float | None
    loss_true_negative: float | None
    loss_false_negative: float | None
    train_seconds: float
    validation_seconds: float
    head_epoch: int | None = None
    ends_trial: bool = False
    measures: dict[str, float | None] | None = None
    val_map_raw: float | None = None
    val_map_averaged: float | None = None
    trained_together: int = 1


@dataclass(frozen=True, kw_only=True)
class TestResult:
    """The best epoch's classifier on the test images; mAP and AP in percent, AP in the order of the classes.

    A class that is not in the mean (`objective.classes`) has no AP.

    Attributes:
        best_epoch: the last epoch if no image is held out.
        test_metrics: as `metrics_beside_map` names them.
        preprocessing: what the classifier takes: `image_size` (pixels of a side), `channels` (1 gray, 3 RGB), and
            `mean` and `std` of pixels in [0, 1]; for given features their number, `features`.
        num_images: of each split.
        num_val_classes: classes that `best_val_map` is the mean of; None in logs of earlier versions.
        num_labels: of validation and test, the labels that somebody gave and images times classes; None in logs of
            earlier versions.
        positives_likelier: as the function of that name has it, where the validation labels are known ones.
    """

    classes: tuple[str, ...]
    best_epoch: int
    best_val_map: float | None
    test_map: float | None
    test_ap_C: tuple[float | None, ...]
    test_metrics: dict[str, float | None]
    preprocessing: dict[str, Any]
    num_images: dict[str, int]
    num_val_classes: int | None = None
    num_labels: dict[str, tuple[int, int]] | None = None
    positives_likelier: float | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class BestScores:
    """Scores of the M validation images in the best epoch of a trial that is judged by partial labels.

    Attributes:
        epoch: that epoch.
        logits_MC: float16; probabilities near 1 would be rounded to equal ones.
        images: which images and classes these are, as `TrialData.validation_images`.
    """

    epoch: int
    logits_MC: npt.NDArray[np.float16]
    images: str
