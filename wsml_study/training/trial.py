"""One trial: a config and its data become, epoch by epoch, a trained classifier.

Shapes: N training images, B images of this rank's share of a batch, C classes, M images of any split.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import safetensors.torch
import torch
from torch import Tensor

from wsml_study.errors import TrainingError
from wsml_study.methods.catalogue import describe
from wsml_study.methods.contract import ALONE, PADDING, Batch, Method, Peers
from wsml_study.methods.creation import create_method
from wsml_study.methods.schedules import schedule
from wsml_study.study.population_keys import fixed_part
from wsml_study.study.spec import TrialConfig
from wsml_study.training.classifier import Classifier, LinearClassifier, normalization_of
from wsml_study.training.frozen_features import with_frozen_features
from wsml_study.training.inputs import FeatureInputs, Inputs, sent
from wsml_study.training.memorization import Memorization, MemorizationMeter
from wsml_study.training.optimizers import optimizer_of
from wsml_study.training.phases import Everything, HeadAlone, Phase, PhaseName
from wsml_study.training.ranking_metrics import metrics_beside_map
from wsml_study.training.scoring import SMALLEST_BATCH, logits_of, map_and_ap, uses_bf16
from wsml_study.training.trial_data import LabelledImages, TrialData

NO_BEST_WEIGHTS = "the best epoch's weights were not kept: train with keep_best, for one epoch at least"


@dataclass(frozen=True, kw_only=True)
class EpochResult:
    """What one epoch showed; mAP and AP are percentages.

    Attributes:
        epoch: of the trial, from 1; with linear_init those of the head alone come first.
        phase: what learnt, `linear` for the head alone, or `end_to_end`.
        train_loss: the method's own loss, mean over the batches, weighted by their images.
        val_map: mAP on the validation labels that judge the trial; None, as all mAP and AP here, without validation
            images.
        val_map_true: mAP on the true validation labels.
        val_map_observed: mAP on the observed ones, everything unobserved taken as negative.
        val_ap_C: AP per class behind `val_map`; None for a class without annotations.
        rejection_rate: the schedule's fraction, None for methods without one.
        num_distrusted, ..., loss_false_negative: as in `Memorization`.
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
    rejection_rate: float | None
    num_distrusted: int
    distrust_precision: float | None
    distrust_recall: float | None
    loss_true_positive: float | None
    loss_true_negative: float | None
    loss_false_negative: float | None
    train_seconds: float
    validation_seconds: float


@dataclass(frozen=True, kw_only=True)
class TestResult:
    """The best epoch's classifier on the test images; mAP and AP in percent, AP in the order of the classes.

    Attributes:
        best_epoch: the last one where no image is held out.
        test_metrics: as `metrics_beside_map` names them.
        preprocessing: what the classifier takes: `image_size` (pixels of a side), `channels` (1 gray, 3 RGB), and
            `mean` and `std` of pixels in [0, 1]; of given features their number, `features`.
        num_images: of each split.
    """

    classes: tuple[str, ...]
    best_epoch: int
    best_val_map: float | None
    test_map: float | None
    test_ap_C: tuple[float | None, ...]
    test_metrics: dict[str, float | None]
    preprocessing: dict[str, Any]
    num_images: dict[str, int]


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """What the validation images say of a trial's weights: mAP and AP per class, in percent, None where there is none.

    Attributes:
        by_truth: on the true labels.
        by_observed: on the observed ones, everything unobserved taken as negative.
    """

    by_truth: tuple[float | None, tuple[float | None, ...]]
    by_observed: tuple[float | None, tuple[float | None, ...]]


class TrialTraining:
    """One trial in one process group.

    Randomness (initial weights, order of images, mirroring, dropout) is a function of the seed and the epoch, so a
    state loaded into a fresh process goes on exactly as the process that saved it.
    """

    def __init__(
        self,
        config: TrialConfig,
        data: TrialData,
        *,
        device: torch.device | str = "cpu",
        peers: Peers = ALONE,
        keep_best: bool = False,
        like: TrialTraining | None = None,
    ) -> None:
        """Build classifier, optimizer and method.

        Args:
            config: what to train.
            data: the splits; the same on every rank.
            device: where to train.
            peers: the ranks that share the trial. More than one needs an initialized process group.
            keep_best: keep the weights of the epoch with the best validation mAP, for `test()`.
            like: a trial of a head alone on the same features, which it shares; None makes them anew.

        Raises:
            TrainingError: the backbone or its weights cannot be had.
        """
        self.config = config
        self.data: TrialData = data if like is None else _on_features_of(like.data, data)
        self.device = torch.device(device)
        self.peers = peers
        self.keep_best = keep_best
        self.epoch = 0
        self.best_val_map: float | None = None
        self.best_epoch = 0
        self.best_weights: dict[str, Tensor] | None = None
        self._phase: Phase | None = None
        self._like = like
        self.classifier = _classifier(config, self.data, self.device, like)
        self._enter(self._phase_name(1))
        self.truth_NC = torch.from_numpy(data.train.truth_MC).to(self.device)
        trains_on_truth = describe(config.method.name.value).learns_from_truth
        self.labels_NC = self.truth_NC if trains_on_truth else torch.from_numpy(data.train.observed_MC).to(self.device)
        self._bf16 = uses_bf16(config.training.precision, self.device)

    def run_epoch(self) -> EpochResult:
        """Train for one epoch over all training images, then validate.

        Raises:
            TrainingError: the loss is not finite.
        """
        started = time.perf_counter()
        epoch = self.epoch + 1
        self._enter(self._phase_name(epoch))
        train_loss, memorization = self._train(epoch)
        trained = time.perf_counter()
        scores_MC = self._scores(self.data.validation)
        if not torch.isfinite(scores_MC).all():
            raise diverged("the scores are not finite", epoch)
        judgement = Judgement(
            by_truth=map_and_ap(scores_MC, self.data.validation.truth_MC),
            by_observed=map_and_ap(scores_MC, self.data.validation.assumed_MC),
        )
        result = self.end_epoch(train_loss, memorization, judgement, train_seconds=trained - started)
        return replace(result, validation_seconds=time.perf_counter() - trained)

    def end_epoch(
        self, train_loss: float, memorization: Memorization, judgement: Judgement, *, train_seconds: float
    ) -> EpochResult:
        """Count the next epoch, whose weights are in place, and say what it showed.

        Args:
            train_loss, memorization: of its training.
            judgement: of its weights.
            train_seconds: what the training took.
        """
        self.epoch = epoch = self.epoch + 1
        judged_by_truth = self.config.data.validation.labels == "clean"
        val_map, val_ap_C = judgement.by_truth if judged_by_truth else judgement.by_observed
        # Without validation images every epoch is better than the one before.
        if val_map is None or self.best_val_map is None or val_map > self.best_val_map:
            self.best_val_map, self.best_epoch = val_map, epoch
            if self.keep_best:
                self.best_weights = {k: v.detach().clone() for k, v in self.classifier.state_dict().items()}
        return EpochResult(
            epoch=epoch,
            phase=self.phase.name.value,
            train_loss=train_loss,
            val_map=val_map,
            val_map_true=judgement.by_truth[0],
            val_map_observed=judgement.by_observed[0],
            val_ap_C=val_ap_C,
            best_val_map=self.best_val_map,
            best_epoch=self.best_epoch,
            rejection_rate=self.method.rejection_rate(self.config.training.epoch_of_phase(epoch)),
            **vars(memorization),
            train_seconds=train_seconds,
            validation_seconds=0.0,
        )

    def test(self) -> TestResult:
        """Judge the best epoch's weights on the test images; the weights of the last epoch are put back after."""
        if self.best_weights is None:
            raise TrainingError(NO_BEST_WEIGHTS)
        last = {k: v.detach().clone() for k, v in self.classifier.state_dict().items()}
        self.classifier.load_state_dict(self.best_weights)
        scores_MC = self._scores(self.data.test)
        test_map, ap_C = map_and_ap(scores_MC, self.data.test.truth_MC)
        self.classifier.load_state_dict(last)
        return TestResult(
            classes=self.data.classes,
            best_epoch=self.best_epoch,
            best_val_map=self.best_val_map,
            test_map=test_map,
            test_ap_C=ap_C,
            test_metrics=metrics_beside_map(scores_MC.cpu(), torch.from_numpy(self.data.test.truth_MC)),
            preprocessing=self._preprocessing(),
            num_images={name: len(getattr(self.data, name)) for name in ("train", "validation", "test")},
        )

    def _preprocessing(self) -> dict[str, Any]:
        if self.data.features_are_given:
            assert isinstance(self.classifier, LinearClassifier)
            return {"features": self.classifier.head.in_features}
        mean, std = normalization_of(self.config.model.weights)
        return {
            "image_size": self.data.image_size,
            "channels": self.data.num_channels,
            "mean": list(mean),
            "std": list(std),
        }

    def best_weights_safetensors(self) -> bytes:
        """The best epoch's weights in the safetensors format, those of a frozen backbone included."""
        if self.best_weights is None:
            raise TrainingError(NO_BEST_WEIGHTS)
        weights = self.best_weights
        if self.config.training.mode == "linear":
            weights = _with_backbone(self.config, self.data, weights)
        content: bytes = safetensors.torch.save({name: t.contiguous() for name, t in weights.items()})
        return content

    def state_dict(self) -> dict[str, Any]:
        """Everything that the next epoch depends on; loads with `torch.load(..., weights_only=True)`."""
        return {
            "config": self._identity(),
            "epoch": self.epoch,
            "best_val_map": self.best_val_map,
            "best_epoch": self.best_epoch,
            "best_weights": self.best_weights,
            "classifier": self.classifier.state_dict(),
            "method": self.method.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from where `state_dict()` was taken.

        Raises:
            TrainingError: the state is of another config.
        """
        if state["config"] != self._identity():
            raise TrainingError("the checkpoint belongs to another config than the trial that it was given to")
        self._load(state)
        self.best_val_map = state["best_val_map"]
        self.best_epoch = state["best_epoch"]
        self.best_weights = state["best_weights"]

    def take_over(self, state: dict[str, Any], *, best_val_map: float | None, best_epoch: int) -> None:
        """Go on from where another trial's `state_dict()` was taken, with the numbers of this one's own config.

        Args:
            state: of a trial whose config differs in numbers alone that every epoch reads anew.
            best_val_map, best_epoch: of this trial's own epochs before.

        Raises:
            TrainingError: the configs differ in more than that.
        """
        if fixed_part(state["config"]) != fixed_part(self._identity()):
            raise TrainingError("the checkpoint belongs to a config that differs in more than numbers of an epoch")
        self._enter(self._phase_name(max(1, state["epoch"])))
        own = [{key: value for key, value in group.items() if key != "params"} for group in self.optimizer.param_groups]
        self._load(state)
        for group, numbers in zip(self.optimizer.param_groups, own, strict=True):
            group.update(numbers)
        self.best_val_map, self.best_epoch = best_val_map, best_epoch

    def _load(self, state: dict[str, Any]) -> None:
        self._enter(self._phase_name(max(1, state["epoch"])))
        self.classifier.load_state_dict(state["classifier"])
        self.method.load_state_dict(state["method"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.epoch = state["epoch"]

    def _identity(self) -> str:
        """The config without where its data lies."""
        return self.config.model_dump_json(exclude={"data": {"root"}})

    @property
    def phase(self) -> Phase:
        """What learns in the epochs at hand, and from what."""
        assert self._phase is not None
        return self._phase

    def _phase_name(self, epoch: int) -> PhaseName:
        training = self.config.training
        head_alone = training.mode == "linear" or self.data.features_are_given or epoch <= training.num_linear_epochs
        return PhaseName.LINEAR if head_alone else PhaseName.END_TO_END

    def _enter(self, name: PhaseName) -> None:
        """Begin a phase, if it is not the one at hand: with a method that has learnt nothing and a fresh optimizer."""
        if self._phase is not None:
            if self._phase.name is name:
                return
            torch.manual_seed(seed_of(self.config.training.seed, 0, 1))
        self._inputs_by_rows: dict[int, Inputs] = {} if self._like is None else self._like._inputs_by_rows
        if name is PhaseName.LINEAR:
            self._phase = HeadAlone(self.config, self.classifier, self.device, self.peers)
        else:
            assert isinstance(self.classifier, Classifier)
            self._phase = Everything(self.config, self.classifier, self.data, self.device, self.peers)
        self.method = _method(self.config, self.data).to(self.device)
        groups = self.phase.parameter_groups() + self.method.parameter_groups(self.config.training.learning_rate)
        self.optimizer = optimizer_of(self.config.training, groups)
        for split in (self.data.train, self.data.validation):
            self._inputs(split)  # features are computed here, not within the first epoch

    def _inputs(self, split: LabelledImages) -> Inputs:
        """The inputs of one of the trial's splits, made once per phase."""
        rows = id(split.rows_M)
        if rows not in self._inputs_by_rows:
            self._inputs_by_rows[rows] = self.phase.inputs(split, trained_on=split is self.data.train)
        return self._inputs_by_rows[rows]

    def features_of(self, split: LabelledImages) -> FeatureInputs:
        """The features of a split, of a trial whose head learns alone."""
        inputs = self._inputs(split)
        assert isinstance(inputs, FeatureInputs)
        return inputs

    def _train(self, epoch: int) -> tuple[float, Memorization]:
        """Train an epoch. The method counts the epochs of the phase alone."""
        training = self.config.training
        num_epochs = training.num_linear_epochs if epoch <= training.num_linear_epochs else training.epochs
        epoch_of_phase = training.epoch_of_phase(epoch)
        self.phase.forward.train()
        self.method.start_epoch(epoch_of_phase, num_epochs)
        meter = MemorizationMeter(self.device, self.peers)
        loss_sum = torch.zeros((), device=self.device)
        num_images = 0
        for inputs, indices_B, labels_BC, truth_BC, num_images_of_batch in self._batches(epoch):
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self._bf16):
                logits_BC = self.phase.forward(inputs)
            outcome = self.method(
                Batch(
                    logits_BC=logits_BC,
                    labels_BC=labels_BC,
                    indices_B=indices_B,
                    epoch=epoch_of_phase,
                    epochs=num_epochs,
                    num_images=num_images_of_batch,
                    peers=self.peers,
                )
            )
            outcome.loss.backward()
            self.phase.average_gradients()
            self.peers.average_gradients(self.method)
            self.optimizer.step()
            self.optimizer.zero_grad(set_to_none=True)
            loss_sum += outcome.loss.detach() * num_images_of_batch
            num_images += num_images_of_batch
            meter.update(
                logits_BC=logits_BC.detach(),
                labels_BC=labels_BC,
                truth_BC=truth_BC,
                distrusted_BC=outcome.distrusted_BC,
            )
        self.method.finish_epoch(epoch_of_phase, num_epochs, lambda: self._scores(self.data.train))
        train_loss = self.peers.sum(loss_sum / self.peers.size).item() / num_images
        if not np.isfinite(train_loss):
            raise diverged(f"the training loss is {train_loss}", epoch)
        return train_loss, meter.result()

    def _batches(self, epoch: int) -> Iterator[tuple[Tensor, Tensor, Tensor, Tensor, int]]:
        """This rank's share of each global batch: inputs, indices, observed and true states, size of the global batch.

        The order of images and the mirrored ones are the same for any number of ranks.
        """
        training, train = self.config.training, self.data.train
        order_N, mirrored_N = order_of_epoch(len(train), seed=training.seed, epoch=epoch)
        torch.manual_seed(seed_of(training.seed, epoch, 1 + self.peers.rank))
        batches = torch.split(order_N, training.batch_size)
        shares = [self._share(batch) for batch in batches]
        indices = [indices_B for indices_B, _ in shares]
        inputs = self._inputs(train).batches(indices, mirrored_N)
        for batch, (indices_B, num_own), inputs_B in zip(batches, shares, inputs, strict=True):
            indices_B = sent(indices_B, self.device)
            labels_BC, truth_BC = self.labels_NC[indices_B], self.truth_NC[indices_B]
            if num_own < len(indices_B):
                labels_BC[num_own:] = PADDING
                truth_BC[num_own:] = PADDING
            yield inputs_B, indices_B, labels_BC, truth_BC, len(batch)

    def _share(self, batch: Tensor) -> tuple[Tensor, int]:
        """This rank's part of a global batch, filled up to the size of every rank's, and how many are its own."""
        share = batch[self.peers.rank :: self.peers.size]
        num_padding = -(-len(batch) // self.peers.size) - len(share)
        return torch.cat([share, batch[:num_padding]]), len(share)

    @torch.inference_mode()
    def _scores(self, split: LabelledImages) -> Tensor:
        """Logits (M, C) in float32 of all images of a split, on every rank."""
        if len(split) == 0:
            return torch.zeros(0, len(self.data.classes), device=self.device)
        size = self.peers.size
        share = torch.arange(self.peers.rank, self.peers.rank + size * -(-len(split) // size), size) % len(split)
        batch_size = max(SMALLEST_BATCH, self.config.training.batch_size)
        inputs = self._inputs(split).batches(torch.split(share, batch_size))
        scores_mC = logits_of(self.phase.evaluated, inputs, bf16=self._bf16)
        by_rank_RmC = self.peers.gather(scores_mC).view(size, len(share), -1)
        return by_rank_RmC.transpose(0, 1).flatten(0, 1)[: len(split)]


def diverged(what: str, epoch: int) -> TrainingError:
    """The error of a trial in which something is not finite."""
    return TrainingError(f"{what} in epoch {epoch}: the trial diverged; lower the learning rate")


def _on_features_of(one: TrialData, other: TrialData) -> TrialData:
    """The first one's data with the labels that the other one lets a method see."""
    return replace(
        one,
        train=replace(one.train, observed_MC=other.train.observed_MC),
        validation=replace(one.validation, observed_MC=other.validation.observed_MC),
    )


def _classifier(
    config: TrialConfig, data: TrialData, device: torch.device, like: TrialTraining | None
) -> Classifier | LinearClassifier:
    """What learns, in its initial state: without its backbone where that stays frozen throughout."""
    num_classes = len(data.classes)
    if like is not None:
        torch.manual_seed(config.training.seed)
        return LinearClassifier(like.classifier.head.in_features, num_classes, scaling=data.scaling).to(device)
    if data.features_are_given:
        torch.manual_seed(config.training.seed)
        given_ND = data.train.features_ND
        assert given_ND is not None
        return LinearClassifier(given_ND.shape[1], num_classes, scaling=data.scaling).to(device)
    if config.training.mode == "linear":
        frozen_ND = with_frozen_features(data.train, config.model, device).features_ND
        assert frozen_ND is not None
        torch.manual_seed(config.training.seed)
        return LinearClassifier(frozen_ND.shape[1], num_classes).to(device)
    torch.manual_seed(config.training.seed)
    return _whole_classifier(config, data).to(device)


def _whole_classifier(config: TrialConfig, data: TrialData) -> Classifier:
    return Classifier(
        config.model.backbone,
        num_classes=len(data.classes),
        num_channels=data.num_channels,
        weights=config.model.weights,
        head=config.model.head,
    )


def _with_backbone(config: TrialConfig, data: TrialData, weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """The weights of the whole classifier whose head has learnt alone."""
    classifier = _whole_classifier(config, data)
    classifier.head.load_state_dict({name: weights[f"head.{name}"] for name in ("weight", "bias")})
    return {name: tensor.detach().clone() for name, tensor in classifier.state_dict().items()}


def _method(config: TrialConfig, data: TrialData) -> Method:
    method = config.method
    rates = None
    if method.schedule is not None:
        parameters = method.schedule.model_dump(exclude={"shape"}, exclude_none=True)
        rates = schedule(method.schedule.shape.value, **parameters)
    try:
        return create_method(
            method.name.value,
            labels_NC=torch.from_numpy(data.train.observed_MC),
            schedule=rates,
            dataset=config.data.dataset.value,
            **method.model_dump(exclude={"name", "schedule"}),
        )
    except ValueError as error:
        raise TrainingError(f"method: {error}") from error


def order_of_epoch(num_images: int, *, seed: int, epoch: int) -> tuple[Tensor, Tensor]:
    """The order (N,) in which an epoch takes its images, and which of them (N,) it mirrors."""
    generator = torch.Generator().manual_seed(seed_of(seed, epoch))
    return torch.randperm(num_images, generator=generator), torch.rand(num_images, generator=generator) < 0.5


def seed_of(*parts: int) -> int:
    """A seed that depends on all of these."""
    return int(np.random.SeedSequence(parts).generate_state(1, np.uint64)[0] >> 1)
