"""Scores of training images by heads and networks that were trained without them, for several configs of a study.

Training images are divided into folds; each config is trained anew without each fold, on observed labels alone, for as
many epochs as its trial's best epoch, and scores the fold. Configs of linear probes, and of networks on weights that
were learned elsewhere, train heads on frozen features, which takes seconds; others train whole networks.

Shapes: K configs, N training images, M images of a fold, R images of the other folds, B images of a batch, C classes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch

from wsml_study.inference.calibration import image_folds
from wsml_study.study.batching import is_stackable
from wsml_study.study.spec import TrialConfig
from wsml_study.study.training_section import Training
from wsml_study.training.stacked_heads import LinearProbeTraining
from wsml_study.training.trial import TrialTraining
from wsml_study.training.trial_data import LabelledImages, TrialData

Scores = npt.NDArray[np.float64]

STAND_IN = Training(mode="linear", epochs=10, batch_size=32, learning_rate=3e-4)
"""How a head is trained in place of a network that is trained end to end, whose own rates do not suit a head."""

SEED = 0


DISTRUSTING = ("LL-R", "LL-Ct")
"""Methods that choose anew in each epoch which unobserved labels to distrust; LL-Cp distrusts a label once."""


@dataclass(frozen=True, kw_only=True, eq=False)
class OutOfFold:
    """What configs that are trained in folds say of the training images.

    Attributes:
        logits_KNC: by classifiers that were trained without the image's fold.
        distrusted_NC: of the epochs in which configs of `DISTRUSTING` methods trained on an image, the share in which
            they distrusted its label; 0 for observed labels. None where there is no such config.
    """

    logits_KNC: Scores
    distrusted_NC: Scores | None


@dataclass(frozen=True, kw_only=True)
class Member:
    """A config of the ensemble.

    Attributes:
        trial: its number.
        config: as it is trained.
        epochs: after which it scores.
        is_head: whether only a head is trained.
        stands_in: whether the head stands in for a network that the trial trained end to end.
    """

    trial: int
    config: TrialConfig
    epochs: int
    is_head: bool
    stands_in: bool

    @property
    def method(self) -> str:
        """Name of its method."""
        return self.config.method.name.value


def member_of(trial: int, config: TrialConfig, best_epoch: int) -> Member:
    """How the config of a trial is trained in each fold.

    Args:
        trial: its number.
        config: of the trial.
        best_epoch: by its objective.
    """
    # Folds are scored and never judged: these labels only need to be there.
    validation = config.data.validation.model_copy(update={"labels": "observed"})
    config = config.model_copy(update={"data": config.data.model_copy(update={"validation": validation})})
    is_head = config.data.features is not None or config.training.mode == "linear"
    if is_head or config.model.weights is None:
        return Member(trial=trial, config=config, epochs=best_epoch, is_head=is_head, stands_in=False)
    training = STAND_IN.model_copy(update={"seed": config.training.seed, "precision": config.training.precision})
    return Member(
        trial=trial,
        config=config.model_copy(update={"training": training}),
        epochs=STAND_IN.epochs,
        is_head=True,
        stands_in=True,
    )


def out_of_fold_scores(
    members: Sequence[Member],
    data: TrialData,
    *,
    num_folds: int,
    device: torch.device,
    progress: Callable[[int, int], None] | None = None,
) -> OutOfFold:
    """Logits of the training images, and how often their labels were distrusted.

    Args:
        members: the configs; all of the same data.
        data: of them; of its training images only the observed labels are used.
        num_folds: at least 2.
        device: where to train.
        progress: called after each training with how many are done, and of how many.

    Raises:
        TrainingError: a training diverged, or a method cannot learn from these labels.
    """
    scores_KNC = np.empty((len(members), *data.train.observed_MC.shape))
    distrusted_NC, num_epochs = np.zeros(data.train.observed_MC.shape), 0
    for fold, held_out_N in enumerate(image_folds(len(data.train), num_folds, SEED)):
        part = _without(data, held_out_N)
        first: TrialTraining | None = None
        for k, member in enumerate(members):
            if member.is_head:
                kind = LinearProbeTraining if is_stackable(member.config) else TrialTraining
                trial = kind(member.config, part, device=device, shares_features_with=first)
                first = first or trial
            else:
                trial = TrialTraining(member.config, part, device=device)
            for _ in range(member.epochs):
                trial.run_epoch()
            scores_KNC[k, held_out_N] = trial.evaluation.scores("validation").double().cpu().numpy()
            distrust = trial.progress.distrust
            if member.method in DISTRUSTING and distrust.counts_NC is not None:
                distrusted_NC[~held_out_N] += distrust.counts_NC.cpu().numpy()
                num_epochs += distrust.num_epochs
            if progress is not None:
                progress(fold * len(members) + k + 1, num_folds * len(members))
    # Each image is in all folds but one, so that it was trained on in this share of all epochs.
    num_epochs = num_epochs * (num_folds - 1) // num_folds
    return OutOfFold(logits_KNC=scores_KNC, distrusted_NC=distrusted_NC / num_epochs if num_epochs else None)


def _without(data: TrialData, held_out_N: npt.NDArray[np.bool_]) -> TrialData:
    """The data with a fold as validation images, and with nothing true beside the observed labels."""
    return replace(
        data,
        train=_part(data.train, ~held_out_N),
        validation=_part(data.train, held_out_N),
        scores_MC=None if data.scores_MC is None else data.scores_MC[~held_out_N],
    )


def _part(images: LabelledImages, mask_N: npt.NDArray[np.bool_]) -> LabelledImages:
    observed_MC = images.observed_MC[mask_N]
    return replace(images, rows_M=images.rows_M[mask_N], truth_MC=observed_MC, observed_MC=observed_MC)
