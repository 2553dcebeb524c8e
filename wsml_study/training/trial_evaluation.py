"""The evaluation of a trial: scores of its validation and test images, and the metrics that these give.

Shapes: M images of a split, m of them that this rank scores, R ranks, C classes.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from wsml_study.methods.contract import Peers
from wsml_study.study.spec import TrialConfig
from wsml_study.training.epoch_metrics import objective_of
from wsml_study.training.optimization import Optimization, diverged
from wsml_study.training.scoring import SMALLEST_BATCH, logits_of, map_and_ap, uses_bf16
from wsml_study.training.trial_data import LabelledImages, SplitName, TrialData


@dataclass(frozen=True, kw_only=True)
class ValidationScores:
    """mAP and AP per class of a trial's weights on the validation images, in percent, None where there is none.

    Each mAP is the mean of the AP beside it: classes that `objective.classes` leaves out have None.

    Attributes:
        by_truth: on the true labels.
        by_observed: on the observed ones, everything unobserved taken as negative.
        chosen: on the labels that the study chose (`data.validation.labels`).
        objective: the metric that the study compares trials by, on the labels that it chose.
        measures: the metrics besides that the objective names, on the same labels; None if it names none.
        scores_MC: the logits; None where the validation labels that the study chose are complete.
    """

    by_truth: tuple[float | None, tuple[float | None, ...]]
    by_observed: tuple[float | None, tuple[float | None, ...]]
    chosen: tuple[float | None, tuple[float | None, ...]]
    objective: float | None
    measures: dict[str, float | None] | None = None
    scores_MC: Tensor | None = None


class Evaluation:
    """Scores images with the weights that the optimization has reached; all ranks share the work."""

    def __init__(
        self, config: TrialConfig, data: TrialData, optimization: Optimization, *, device: torch.device, peers: Peers
    ) -> None:
        self._config, self._data, self._optimization = config, data, optimization
        self._device, self._peers = device, peers
        self._batch_size = max(SMALLEST_BATCH, config.training.batch_size)
        self._bf16 = uses_bf16(config.training.precision, device)

    @torch.inference_mode()
    def scores(self, split: SplitName, mirrored_M: Tensor | None = None) -> Tensor:
        """Logits (M, C) in float32 of all images of a split, on every rank; of training images some may be mirrored."""
        num_images = len(self._data.split(split))
        if num_images == 0:
            return torch.zeros(0, len(self._data.classes), device=self._device)
        rank, size = self._peers.rank, self._peers.size
        # Every size-th image, wrapping around at the end: gathering needs as many of each rank.
        share = torch.arange(rank, rank + size * -(-num_images // size), size) % num_images
        inputs = self._optimization.inputs.of(split).batches(torch.split(share, self._batch_size), mirrored_M)
        scores_mC = logits_of(self._optimization.phase.evaluated, inputs, bf16=self._bf16)
        if self._config.training.temperature is not None:
            scores_mC = scores_mC / self._config.training.temperature
        by_rank_RmC = self._peers.gather(scores_mC).view(size, len(share), -1)
        return by_rank_RmC.transpose(0, 1).flatten(0, 1)[:num_images]

    def validate(self, epoch: int) -> ValidationScores:
        """Score the validation images after an epoch.

        Raises:
            TrainingError: a score is not finite.
        """
        scores_MC = self.scores("validation")
        if not torch.isfinite(scores_MC).all():
            raise diverged("the scores are not finite", epoch)
        validation = self._data.validation
        least = self._config.objective.least_positives
        by_truth = map_and_ap(scores_MC, validation.truth_MC, least_positives=least)
        by_observed = map_and_ap(scores_MC, validation.assumed_MC, least_positives=least)
        match validation.epoch_choice(self._config.data.validation.labels):
            case "clean":
                chosen = by_truth
            case "observed":
                chosen = by_observed
            case "known":
                chosen = map_and_ap(scores_MC, validation.observed_MC, least_positives=least)
        return ValidationScores(
            by_truth=by_truth,
            by_observed=by_observed,
            chosen=chosen,
            objective=objective_value(self._config, validation, scores_MC, chosen[0]),
            measures=measures_of(self._config, validation, scores_MC, chosen[0]),
            scores_MC=scores_MC if validation.is_partial(self._config.data.validation.labels) else None,
        )


def objective_value(
    config: TrialConfig, validation: LabelledImages, scores_MC: Tensor, val_map: float | None
) -> float | None:
    """The objective's metric on the validation labels that the study chose; None where nothing is annotated.

    Args:
        config: of the trial.
        validation: the validation images.
        scores_MC: their logits.
        val_map: mAP of these on the chosen labels, which is the objective of most studies.
    """
    if config.objective.is_plain_map:
        return val_map
    if len(validation) == 0:
        return None
    labels_MC = validation.judged_by(config.data.validation.labels)
    return objective_of(config.objective, scores_MC, torch.tensor(labels_MC, device=scores_MC.device))


def measures_of(
    config: TrialConfig, validation: LabelledImages, scores_MC: Tensor, val_map: float | None
) -> dict[str, float | None] | None:
    """The metrics that a second objective or constraints name; None if none are. Arguments as in `objective_value`."""
    return {
        name: objective_value(config.model_copy(update={"objective": metric}), validation, scores_MC, val_map)
        for name, metric in config.objective.other_metrics.items()
    } or None
