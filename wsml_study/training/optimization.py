"""The optimization of a trial: its phases, the optimizer and the method of each, and the training of an epoch.

Shapes: N training images, B images of this rank's share of a batch, C classes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from wsml_study.errors import TrainingError
from wsml_study.methods.catalogue import describe
from wsml_study.methods.contract import Batch, Method, Peers
from wsml_study.methods.creation import create_method
from wsml_study.methods.schedules import schedule
from wsml_study.study.population_keys import fixed_part
from wsml_study.study.spec import TrialConfig
from wsml_study.study.training_section import Training
from wsml_study.training.batches import Batches, TrainingBatch, TrainingLabels
from wsml_study.training.class_wise import BestRows, KnownLabels
from wsml_study.training.classifier import Classifier, LinearClassifier
from wsml_study.training.distrust_counts import EpochDistrust, counts_distrust
from wsml_study.training.feature_dropout import FeatureDropout
from wsml_study.training.inputs import TrialInputs
from wsml_study.training.memorization import Memorization, MemorizationMeter
from wsml_study.training.optimizer_steps import OptimizerSteps, shares_of
from wsml_study.training.optimizers import optimizer_of
from wsml_study.training.phases import ClassWise, EndToEnd, LinearProbe, Phase, PhaseName
from wsml_study.training.randomness import mirrored_in_prediction, seed_of, seed_torch
from wsml_study.training.scoring import uses_bf16
from wsml_study.training.trial_data import TrialData
from wsml_study.training.weight_average import WeightAverage


class Optimization:
    """What learns in a trial, and how.

    Attributes:
        classifier: from inputs to logits.
        phase: of the epochs at hand.
        inputs: of the phase, by split.
        method: treats the labels; of the phase.
        optimizer: of the classifier and the method; of the phase.
        average: of the weights that learn, of the phase; None unless the config asks for it.
        rows: the best rows of the head so far, in category-wise fine-tuning; None in other phases.
        labels: of the training images.
        distrust: which labels the method distrusts in the epoch at hand; None where that is not kept.
    """

    phase: Phase
    inputs: TrialInputs
    method: Method
    optimizer: torch.optim.Optimizer
    average: WeightAverage | None
    rows: BestRows | None

    def __init__(
        self,
        config: TrialConfig,
        data: TrialData,
        classifier: Classifier | LinearClassifier,
        *,
        device: torch.device,
        peers: Peers,
        inputs: TrialInputs | None = None,
    ) -> None:
        """Begin the phase of the first epoch.

        Args:
            config: of the trial.
            data: the splits.
            classifier: in its initial state, on the device.
            device: where to train.
            peers: the ranks that share the trial.
            inputs: of a linear probe that shares its features with another trial; None makes them.

        Raises:
            TrainingError: the method cannot learn from these labels, or training is to be compiled and there are
                several ranks.
        """
        if config.training.compile and peers.size > 1:
            raise TrainingError("training.compile needs resources.workers_per_trial: 1; leave one of them out")
        self.classifier = classifier
        self._config, self._data, self._device, self._peers = config, data, device, peers
        self._bf16 = uses_bf16(config.training.precision, device)
        rate = config.training.dropout
        self._dropout = None if rate is None else FeatureDropout(classifier.head, rate, config.training.seed)
        truth_NC = torch.from_numpy(data.train.truth_MC).to(device)
        trains_on_truth = describe(config.method.name.value).learns_from_truth
        labels_NC = truth_NC if trains_on_truth else torch.from_numpy(data.train.observed_MC).to(device)
        self.labels = TrainingLabels(labels_NC=labels_NC, truth_NC=truth_NC)
        num_images, num_classes = data.train.observed_MC.shape
        is_counted = counts_distrust(config, data.train)
        self.distrust = EpochDistrust(num_images, num_classes) if is_counted else None
        self._begin(self._phase_name(1), inputs)

    def enter_phase_of(self, epoch: int) -> None:
        """Begin the phase that an epoch belongs to, unless it has begun."""
        name = self._phase_name(epoch)
        if self.phase.name is not name:
            # Method and optimizer start anew between two epochs. A seed of its own makes that independent of whether
            # the epochs before were trained in this process or loaded from a checkpoint.
            seed_torch(seed_of(self._config.training.seed, 0, 1))
            self._begin(name, None)

    def train_epoch(self, epoch: int, training_scores: Callable[[Tensor | None], Tensor]) -> tuple[float, Memorization]:
        """Train an epoch, whose phase has been entered.

        Args:
            epoch: of the trial, from 1. The method counts the epochs of the phase only.
            training_scores: gives the logits (N, C) of the training images, for methods that look at them afterwards;
                takes a mask (N,) of the images to mirror, None for none.

        Returns:
            the mean loss, and what the classifier memorized.

        Raises:
            TrainingError: the loss is not finite.
        """
        training = self._config.training
        num_epochs, epoch_of_phase = training.epochs_of_phase(epoch), training.epoch_of_phase(epoch)
        self.phase.forward.train()
        self.method.start_epoch(epoch_of_phase, num_epochs)
        meter = MemorizationMeter(self._device, self._peers)
        loss_sum = torch.zeros((), device=self._device)
        num_images = 0
        shares = shares_of(self._batches.sizes(), self._recipe.accumulate or 1)
        steps = OptimizerSteps(
            self._recipe,
            self.optimizer,
            self.phase.forward,
            epoch=epoch_of_phase,
            epochs=num_epochs,
            steps_per_epoch=sum(one.ends_step for one in shares),
            average=self.average,
        )
        for part, batch in zip(shares, self.batches(epoch), strict=True):
            shown = self._shown(batch, epoch_of_phase, num_epochs)
            outcome = self.method(shown)
            loss = outcome.loss
            if batch.second is not None:
                second = self.method(replace(shown, labels_BC=batch.second.labels_BC)).loss
                loss = loss * (1 - batch.second.share) + second * batch.second.share
            (loss if part.share == 1 else loss * part.share).backward()
            if part.ends_step:
                self.phase.average_gradients()
                self._peers.average_gradients(self.method)
                steps.step()
            # Summed on the device and read once per epoch: `.item()` here would wait for the GPU in every batch.
            loss_sum += loss.detach() * batch.num_images
            if self.distrust is not None:
                self.distrust.add(batch.indices_B, outcome.distrusted_BC)
            num_images += batch.num_images
            meter.update(
                logits_BC=shown.logits_BC.detach(),
                labels_BC=batch.labels_BC,
                truth_BC=batch.truth_BC,
                distrusted_BC=outcome.distrusted_BC,
            )
        if self._dropout is not None:
            self._dropout.end()
        self._share_statistics()
        self.method.finish_epoch(
            epoch_of_phase, num_epochs, lambda: training_scores(self.mirrored_in_prediction(epoch))
        )
        train_loss = self._peers.sum(loss_sum / self._peers.size).item() / num_images
        if not np.isfinite(train_loss):
            raise diverged(f"the training loss is {train_loss}", epoch)
        return train_loss, meter.result()

    def take_distrusted(self) -> Tensor | None:
        """Mask (N, C) of the labels that the method distrusted in the epoch at hand, which ends; None if not kept."""
        mask_NC = None if self.distrust is None else self.distrust.take()
        return None if mask_NC is None else self._peers.sum(mask_NC.to(torch.uint8)) > 0

    def _share_statistics(self) -> None:
        """Give all ranks the running statistics of rank 0, whose weights are the trial's.

        On CPUs each rank's batch normalization has seen its own share of the last batch, and each would score its share
        of the images with another network than the one that is kept.
        """
        if self._peers.size == 1 or self.phase.name is not PhaseName.END_TO_END:
            return
        network = self.phase.evaluated
        self._peers.take_from_first(network.buffers())
        if self.average is not None:
            with self.average.in_place():
                self._peers.take_from_first(network.buffers())

    def _shown(self, batch: TrainingBatch, epoch_of_phase: int, num_epochs: int) -> Batch:
        """What the method is shown of a batch: the forward pass, on all views that it takes."""
        views: dict[str, Tensor] = {}
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self._bf16):
            logits_BC = self.phase.forward(batch.inputs)
            if self._batches.views is not None:
                logits_BC, views = self._batches.views.of(logits_BC, batch.inputs, batch.labels_BC)
        if self._recipe.temperature is not None:
            logits_BC = logits_BC / self._recipe.temperature
            views = {name: view_BC / self._recipe.temperature for name, view_BC in views.items()}
        return Batch(
            logits_BC=logits_BC,
            labels_BC=batch.labels_BC,
            indices_B=batch.indices_B,
            epoch=epoch_of_phase,
            epochs=num_epochs,
            num_images=batch.num_images,
            peers=self._peers,
            views=views,
        )

    def mirrored_in_prediction(self, epoch: int) -> Tensor | None:
        """The training images (N,) that are mirrored where the method predicts them after an epoch; None for none."""
        if not self.method.predicts_mirrored:
            return None
        return mirrored_in_prediction(len(self._data.train), seed=self._config.training.seed, epoch=epoch)

    def batches(self, epoch: int) -> Iterator[TrainingBatch]:
        """This rank's share of each global batch of an epoch, whose phase has been entered."""
        return self._batches.of_epoch(epoch, self.inputs.of("train"))

    def state_dict(self) -> dict[str, Any]:
        """Part of a trial's state: of classifier, method and optimizer."""
        state = {
            "classifier": self.classifier.state_dict(),
            "method": self.method.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }
        if self.rows is not None:
            state["rows"] = self.rows.state_dict()
        return state if self.average is None else state | {"average": self.average.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from where `state_dict()` was taken; the phase of the state has been entered."""
        self.classifier.load_state_dict(state["classifier"])
        self.method.load_state_dict(state["method"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.rows is not None:
            self.rows.load_state_dict(state["rows"])
        if self.average is not None:
            self.average.load_state_dict(state["average"])

    def _phase_name(self, epoch: int) -> PhaseName:
        training = self._config.training
        if training.is_class_wise(epoch):
            return PhaseName.CLASS_WISE
        linear = training.mode == "linear" or self._data.features_are_given or epoch <= training.num_linear_epochs
        return PhaseName.LINEAR if linear else PhaseName.END_TO_END

    def _begin(self, name: PhaseName, inputs: TrialInputs | None) -> None:
        """Begin a phase: with a method that has learnt nothing yet and a fresh optimizer."""
        config = self._config
        # Category-wise fine-tuning has its own optimization, without the recipe of the phases before.
        self._recipe = Training() if name is PhaseName.CLASS_WISE else config.training
        self.rows = None
        if name is PhaseName.CLASS_WISE:
            self._begin_class_wise()
            return
        if name is PhaseName.LINEAR:
            self.phase = LinearProbe(config, self.classifier, self._data, self._device, self._peers)
        else:
            assert isinstance(self.classifier, Classifier)
            self.phase = EndToEnd(config, self.classifier, self._data, self._device, self._peers)
        self.method = _method(config, self._data).to(self._device)
        if config.training.compile and name is PhaseName.END_TO_END:
            self._compile()
        if self.method.predicts_mirrored and (remedy := self.phase.why_not_mirrored) is not None:
            what = f"method {config.method.name.value}: it is to predict mirrored images"
            raise TrainingError(f"{what}, and no training image is mirrored here; {remedy}")
        groups = self.phase.parameter_groups() + self.method.parameter_groups(config.training.learning_rate)
        self.optimizer = optimizer_of(config.training, groups)
        decay = config.training.ema_decay
        self._batches = self._batches_of(name)
        self.average = None if decay is None else WeightAverage(self.phase.evaluated, decay)
        self.inputs = inputs or TrialInputs(self.phase.inputs)
        # Features are computed here, so that no epoch's seconds include them.
        self.inputs.of("train")
        self.inputs.of("validation")

    def _compile(self) -> None:
        """Let the compiler compute the phase's passes through the network, and the method's loss if it can.

        Raises:
            TrainingError: torch cannot compile on this version of Python.
        """
        from wsml_study.training.compilation import CompiledNetwork, Compiler

        training, compiler = self._config.training, Compiler(self._identity_of_network())
        # Gradients that are added up over several batches would be overwritten by the next batch's CUDA graph.
        cuda_graphs = self._device.type == "cuda" and training.accumulate is None
        self.phase.forward = CompiledNetwork(self.phase.forward, compiler, cuda_graphs=cuda_graphs)
        self.method.compile_loss(compiler.compiled, training.epochs)

    def _identity_of_network(self) -> str:
        """Equal for trials that differ only in rates, other numbers of an epoch, and the seed of training."""
        content = fixed_part(self._config.model_dump_json(exclude={"training": {"seed"}}))
        return f"{self._device} {self._data.image_size} {len(self._data.classes)} {json.dumps(content)}"

    def _batches_of(self, phase: PhaseName) -> Batches:
        return Batches(
            self._config,
            self._data,
            self.labels,
            self.classifier,
            phase,
            dropout=None if phase is PhaseName.CLASS_WISE else self._dropout,
            device=self._device,
            peers=self._peers,
        )

    def _begin_class_wise(self) -> None:
        """Begin category-wise fine-tuning. Features are computed when asked for: a checkpoint's weights come first."""
        config = self._config
        self.phase = ClassWise(config, self.classifier, self._data, self._device, self._peers)
        negative = config.training.class_wise_unobserved == "negative"
        labels_NC = torch.from_numpy(self._data.train.observed_MC)
        self.method = KnownLabels(labels_NC, unobserved_are_negative=negative).to(self._device)
        self.optimizer = optimizer_of(self._recipe, self.phase.parameter_groups())
        self._batches = self._batches_of(PhaseName.CLASS_WISE)
        self.average = None
        self.rows = BestRows(self.classifier.head)
        self.inputs = TrialInputs(self.phase.inputs)


def diverged(what: str, epoch: int) -> TrainingError:
    """The error of a trial in which something is not finite."""
    return TrainingError(f"{what} in epoch {epoch}: the trial diverged; lower the learning rate")


def _method(config: TrialConfig, data: TrialData) -> Method:
    method, record, rates = config.method, config.method.record, None
    if method.schedule is not None:
        parameters = method.schedule.model_dump(exclude={"shape"}, exclude_none=True)
        rates = schedule(method.schedule.shape.value, **parameters)
    try:
        return create_method(
            method.name.value,
            labels_NC=torch.from_numpy(data.train.observed_MC),
            schedule=rates,
            scores_NC=torch.from_numpy(data.scores_MC) if data.scores_MC is not None and record.takes_scores else None,
            dataset=config.data.dataset.value,
            **method.model_dump(exclude={"name", "schedule"}),
        )
    except ValueError as error:
        raise TrainingError(f"method: {error}") from error
