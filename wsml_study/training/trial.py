"""One trial: optimization, evaluation and checkpoint of one config in one process group, epoch by epoch.

Shapes: N training images, C classes.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import safetensors.torch
import torch
from torch import Tensor, nn

from wsml_study.data.judged_labels import JudgedLabels, positives_likelier
from wsml_study.errors import TrainingError
from wsml_study.methods.contract import ALONE, Method, Peers
from wsml_study.study.spec import TrialConfig
from wsml_study.training.classifier import Classifier, LinearClassifier
from wsml_study.training.counted_classes import num_evaluated
from wsml_study.training.memorization import Memorization
from wsml_study.training.optimization import Optimization
from wsml_study.training.ranking_metrics import metrics_beside_map
from wsml_study.training.resampled_precision import num_resamples, resampled_precision
from wsml_study.training.scoring import map_and_ap
from wsml_study.training.trial_checkpoint import BestHead, Checkpoint, Progress
from wsml_study.training.trial_classifier import (
    at_temperature,
    initial_classifier,
    preprocessing_of,
    weights_with_backbone,
)
from wsml_study.training.trial_data import SPLITS, TrialData
from wsml_study.training.trial_evaluation import Evaluation, ValidationScores
from wsml_study.training.trial_results import BestScores, EpochResult, TestResult

NO_BEST_WEIGHTS = "the best epoch's weights were not kept: train with keep_best, for one epoch at least"


class TrialTraining:
    """One trial in one process group.

    Randomness (initial weights, order of images, mirroring, dropout) is a function of the seed and the epoch, so a
    trial that is resumed from its state in a fresh process continues exactly as the process that saved it.

    Attributes:
        config, data, device, keep_best: as given.
        optimization: what learns, and how.
        evaluation: scores of the classifier as it is.
        progress: epochs trained, and the best of them.
    """

    classifier: Classifier | LinearClassifier
    optimization: Optimization

    def __init__(
        self,
        config: TrialConfig,
        data: TrialData,
        *,
        device: torch.device | str = "cpu",
        peers: Peers = ALONE,
        keep_best: bool = False,
        shares_features_with: TrialTraining | None = None,
    ) -> None:
        """Build classifier, optimizer and method.

        Args:
            config: what to train.
            data: the splits; the same on every rank.
            device: where to train.
            peers: the ranks that share the trial. More than one needs an initialized process group.
            keep_best: keep the weights of the epoch with the best value of the objective, for `test()`.
            shares_features_with: another linear probe on the same images, whose features, already on the device, this
                one uses too; None computes or reads them.

        Raises:
            TrainingError: the backbone or its weights cannot be had, or the method cannot learn from these labels.
        """
        other = shares_features_with
        self.config = config
        self.data: TrialData = data if other is None else _with_images_of(other.data, data)
        self.device = torch.device(device)
        self.keep_best = keep_best
        self.classifier = initial_classifier(
            config,
            self.data,
            self.device,
            num_features=None if other is None else other.classifier.head.in_features,
        )
        self.optimization = Optimization(
            config,
            self.data,
            self.classifier,
            device=self.device,
            peers=peers,
            inputs=None if other is None else other.optimization.inputs,
        )
        self.evaluation = Evaluation(config, self.data, self.optimization, device=self.device, peers=peers)
        self.progress = Progress()
        self._test_scores_MC: Tensor | None = None
        self._checkpoint = Checkpoint(config, self.optimization, self.progress)

    @property
    def epoch(self) -> int:
        """The last epoch trained; 0 before the first."""
        return self.progress.epoch

    @property
    def method(self) -> Method:
        """The method of the phase at hand."""
        return self.optimization.method

    @property
    def optimizer(self) -> torch.optim.Optimizer:
        """The optimizer of the phase at hand."""
        return self.optimization.optimizer

    def run_epoch(self) -> EpochResult:
        """Train for one epoch over all training images, then validate.

        Raises:
            TrainingError: the loss or a validation score is not finite.
        """
        started = time.perf_counter()
        epoch = self.epoch + 1
        head_epoch = self._hand_over(epoch)
        self.optimization.enter_phase_of(epoch)
        if (rows := self.optimization.rows) is not None and rows.is_unjudged:
            rows.keep(self.evaluation.validate(epoch).chosen[1])
        training_scores = partial(self.evaluation.scores, "train")
        train_loss, memorization = self.optimization.train_epoch(epoch, training_scores)
        trained = time.perf_counter()
        result = self._validated(
            epoch,
            partial(
                self.end_epoch,
                train_loss,
                memorization,
                distrusted_NC=self.optimization.take_distrusted(),
                train_seconds=trained - started,
            ),
        )
        return replace(result, head_epoch=head_epoch, validation_seconds=time.perf_counter() - trained)

    def _validated(self, epoch: int, end_epoch: Callable[[ValidationScores], EpochResult]) -> EpochResult:
        """The result of an epoch, of the weights or of their average, whichever is better by the objective."""
        validation, average = self.evaluation.validate(epoch), self.optimization.average
        if (rows := self.optimization.rows) is not None:
            rows.keep(validation.chosen[1])
            with rows.in_place():
                return end_epoch(self.evaluation.validate(epoch))
        if average is None:
            return end_epoch(validation)
        with average.in_place():
            averaged = self.evaluation.validate(epoch)
        sign, maps = self.config.objective.sign, (validation.chosen[0], averaged.chosen[0])
        raw_is_better = (
            validation.objective is not None
            and averaged.objective is not None
            and sign * validation.objective > sign * averaged.objective
        )
        # Within, the weights that are kept as the best ones are those that were evaluated.
        with nullcontext() if raw_is_better else average.in_place():
            result = end_epoch(validation if raw_is_better else averaged)
        return replace(result, val_map_raw=maps[0], val_map_averaged=maps[1])

    def _hand_over(self, epoch: int) -> int | None:
        """Before the first epoch of a later phase: put the weights in place that it begins with.

        End to end of linear_init that is a head; category-wise fine-tuning begins with the network of the best epoch.

        Returns:
            the epoch of the linear probe whose head that is; None before any other epoch.
        """
        training = self.config.training
        if training.is_class_wise(epoch) and not training.is_class_wise(epoch - 1):
            assert self.progress.best_weights is not None
            self.classifier.load_state_dict(self.progress.best_weights)
        last = training.num_linear_epochs
        if last == 0 or epoch != last + 1:
            return None
        progress = self.progress
        best, progress.best_head = progress.best_head, None
        if best is None:
            return last
        # As published, the epochs from the best head on are a training of their own: the best epoch, and how far the
        # objective has fallen below it, are found among these alone.
        progress.best_objective = progress.best_val_map = None
        self.classifier.head.load_state_dict(best.weights)
        return best.epoch

    def end_epoch(
        self,
        train_loss: float,
        memorization: Memorization,
        validation: ValidationScores,
        *,
        distrusted_NC: Tensor | None,
        train_seconds: float,
    ) -> EpochResult:
        """Count an epoch whose weights are in place, keep them if it is the best, and return its result.

        Args:
            train_loss, memorization: of its training.
            validation: of its weights.
            distrusted_NC: mask of the labels that the method distrusted in it; None where that is not kept.
            train_seconds: what the training took.
        """
        progress, training = self.progress, self.config.training
        progress.epoch = epoch = progress.epoch + 1
        progress.corrections.note(self.method.corrected_labels(), epoch)
        progress.distrust.note(distrusted_NC)
        val_map, val_ap_C = validation.chosen
        value, best, sign = validation.objective, progress.best_objective, self.config.objective.sign
        # Without validation images every epoch counts as better than the one before, so the last weights are kept.
        if value is None or best is None or sign * value > sign * best:
            progress.best_objective, progress.best_val_map, progress.best_epoch = value, val_map, epoch
            progress.best_scores_MC = None if validation.scores_MC is None else _compact(validation.scores_MC)
            if self.keep_best or training.class_wise_epochs is not None:
                progress.best_weights = _copy_of(self.classifier)
            if training.hand_over == "best" and epoch <= training.num_linear_epochs:
                progress.best_head = BestHead(epoch=epoch, weights=_copy_of(self.classifier.head))
        return EpochResult(
            epoch=epoch,
            phase=self.optimization.phase.name.value,
            train_loss=train_loss,
            val_map=val_map,
            val_map_true=validation.by_truth[0],
            val_map_observed=validation.by_observed[0],
            val_ap_C=val_ap_C,
            best_val_map=progress.best_val_map,
            best_epoch=progress.best_epoch,
            objective=value,
            best_objective=progress.best_objective,
            rejection_rate=self.method.rejection_rate(training.epoch_of_phase(epoch)),
            **vars(memorization),
            train_seconds=train_seconds,
            validation_seconds=0.0,
            ends_trial=self._has_fallen(epoch, value),
            measures=validation.measures,
        )

    def _has_fallen(self, epoch: int, value: float | None) -> bool:
        """Whether the objective is too far below its best, in an epoch of the last phase."""
        training, best = self.config.training, self.progress.best_objective
        if training.stop_below_best is None or value is None or best is None or epoch <= training.num_linear_epochs:
            return False
        return self.config.objective.sign * (best - value) > training.stop_below_best

    def test(self) -> TestResult:
        """Evaluate the best epoch's weights on the test images, then put the last epoch's weights back.

        Raises:
            TrainingError: no best weights were kept.
        """
        if self.progress.best_weights is None:
            raise TrainingError(NO_BEST_WEIGHTS)
        last = _copy_of(self.classifier)
        self.classifier.load_state_dict(self.progress.best_weights)
        scores_MC = self._test_scores_MC = self.evaluation.scores("test")
        labels_MC, least = self.data.test.truth_MC, self.config.objective.least_positives
        test_map, ap_C = map_and_ap(scores_MC, labels_MC, least_positives=least)
        self.classifier.load_state_dict(last)
        return TestResult(
            classes=self.data.classes,
            best_epoch=self.progress.best_epoch,
            best_val_map=self.progress.best_val_map,
            test_map=test_map,
            test_ap_C=ap_C,
            test_metrics=metrics_beside_map(scores_MC.cpu(), torch.from_numpy(labels_MC), least_positives=least),
            preprocessing=preprocessing_of(self.config, self.data, self.classifier),
            num_images={name: len(self.data.split(name)) for name in SPLITS},
            num_val_classes=num_evaluated(self._validation_labels(), least),
            **self._partial_labels(),
        )

    def _partial_labels(self) -> dict[str, Any]:
        """`num_labels` and `positives_likelier` of a test result."""
        validation, test = self.data.validation, self.data.test
        choice = validation.epoch_choice(self.config.data.validation.labels)
        known_MC = validation.truth_MC if choice == "clean" else validation.observed_MC
        judged = {"validation": known_MC, "test": test.truth_MC}
        counts = {split: JudgedLabels.count(labels_MC) for split, labels_MC in judged.items()}
        references = [validation.truth_MC, test.truth_MC]
        return {
            "num_labels": {split: (one.known, one.total) for split, one in counts.items()},
            "positives_likelier": positives_likelier(known_MC, references) if choice == "known" else None,
        }

    def test_resamples(self) -> npt.NDArray[np.float32] | None:
        """AP (R, C) in resamples of the test images by the scores of `test()`; None if there are too many images."""
        assert self._test_scores_MC is not None, "test() comes first"
        resamples = num_resamples(*self._test_scores_MC.shape)
        if not resamples:
            return None
        return resampled_precision(self._test_scores_MC.cpu().numpy(), self.data.test.truth_MC, resamples=resamples)

    def best_scores(self) -> BestScores | None:
        """The best epoch's scores of the validation images; None where their labels are complete.

        None too where the best epoch came before another trial's state was taken over.
        """
        progress = self.progress
        if progress.best_scores_MC is None:
            return None
        logits_MC = progress.best_scores_MC.numpy()
        return BestScores(epoch=progress.best_epoch, logits_MC=logits_MC, images=self.data.validation_images)

    def _validation_labels(self) -> Tensor:
        """The labels (M, C) that the validation images are evaluated on."""
        return torch.from_numpy(self.data.validation.judged_by(self.config.data.validation.labels))

    def corrections(self) -> dict[str, list[Any]]:
        """The labels that the method has corrected for good, as `Corrections.columns` gives them."""
        return self.progress.corrections.columns(self.data.train, self.data.classes)

    def distrusted_labels(self) -> dict[str, list[Any]] | None:
        """In how many epochs labels were distrusted, as `DistrustCounts.columns` gives it; None if not counted."""
        return self.progress.distrust.columns(self.data.train, self.data.classes)

    def best_weights_safetensors(self) -> bytes:
        """The best epoch's weights in the safetensors format, those of a frozen backbone included.

        Raises:
            TrainingError: no best weights were kept.
        """
        if self.progress.best_weights is None:
            raise TrainingError(NO_BEST_WEIGHTS)
        weights = dict(self.progress.best_weights)
        if (temperature := self.config.training.temperature) is not None:
            at_temperature(self.classifier, weights, temperature)
        if self.config.training.mode == "linear":
            weights = weights_with_backbone(self.config, self.data, weights)
        elif self.config.model.lora is not None:
            from wsml_study.training.trained_parts import merged_weights  # imports peft

            assert isinstance(self.classifier, Classifier)
            weights = merged_weights(self.classifier, weights)
        content: bytes = safetensors.torch.save({name: t.contiguous() for name, t in weights.items()})
        return content

    def state_dict(self) -> dict[str, Any]:
        """Everything that the next epoch depends on; loads with `torch.load(..., weights_only=True)`."""
        return self._checkpoint.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from where `state_dict()` was taken.

        Raises:
            TrainingError: the state is of another config.
        """
        self._checkpoint.load_state_dict(state)

    def take_over(
        self, state: dict[str, Any], *, best_objective: float | None, best_val_map: float | None, best_epoch: int
    ) -> None:
        """Continue from another trial's `state_dict()`, with this trial's own learning rates and other numbers.

        Args:
            state: of a trial whose config differs only in numbers that every epoch reads anew.
            best_objective, best_val_map, best_epoch: of this trial's own epochs before.

        Raises:
            TrainingError: the configs differ in more than that.
        """
        self._checkpoint.take_over(
            state, best_objective=best_objective, best_val_map=best_val_map, best_epoch=best_epoch
        )


def _compact(scores_MC: Tensor) -> Tensor:
    """Logits as float16 on the CPU; those too large for it become the largest one."""
    most = torch.finfo(torch.float16).max
    return scores_MC.clamp(-most, most).to("cpu", torch.float16, copy=True)


def _copy_of(module: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in module.state_dict().items()}


def _with_images_of(one: TrialData, other: TrialData) -> TrialData:
    """The first one's data with the labels and given scores that the other one lets a method see."""
    return replace(
        one,
        train=replace(one.train, observed_MC=other.train.observed_MC),
        validation=replace(one.validation, observed_MC=other.validation.observed_MC),
        scores_MC=other.scores_MC,
    )
