"""Linear probes on the same features, trained together: a few large operations in place of many small ones.

A linear probe is so small that starting its operations costs more than their arithmetic. Here K trials take each step
at once: one product gives the logits of all heads, one backward pass the gradients of all losses, one kernel call the
optimizer steps of all parameters. The trials may differ in seed, method, rates, optimizer and in which labels are
hidden.

Each trial computes what it would compute on its own, a `LinearProbeTraining`; on CPUs to the last bit. No trial's loss
depends on another's logits, so that the gradient of the sum of all losses holds each trial's own gradient. Products and
sums add in an order that does not depend on the number of trials. Each trial keeps its own random numbers: initial
weights and the order of images are functions of its seed, and a linear probe has no dropout to draw for.

Shapes: K trials, k of them with one kind of method, S orders of images (1 if all seeds are equal, else K), N training
images, M validation images, B images of a batch, C classes, D features; R rows of features to train on, N of them, or
2N with those of mirrored images; L rows of labels, N for each different labelling; G groups of labels as in `Groups`;
E = B * C entries of a batch.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from wsml_study.errors import TrainingError
from wsml_study.methods.contract import Batch, Method, Outcome
from wsml_study.methods.stacking import can_stack, stacked
from wsml_study.training.average_precision import RankedScores
from wsml_study.training.counted_classes import counted_ap
from wsml_study.training.distrust_counts import EpochDistrust
from wsml_study.training.memorization import Groups, Memorization, MemorizationMeters, rows_of
from wsml_study.training.optimization import diverged
from wsml_study.training.randomness import order_of_epoch
from wsml_study.training.scoring import percentages, uses_bf16
from wsml_study.training.stacked_steps import FusedSteps, Stacked
from wsml_study.training.trial import TrialTraining
from wsml_study.training.trial_evaluation import ValidationScores, measures_of, objective_value
from wsml_study.training.trial_results import EpochResult

ROWS_AT_ONCE = 4096
"""Images whose logits are computed together."""

ALIGNED = 32
"""Rows of matrices are filled up to a multiple of so many entries: 64 bytes of bfloat16."""

ALL = slice(None)
"""All trials of a stack."""


class FusedTraining:
    """Linear probes that train their epochs together."""

    def __init__(self, trials: Sequence[TrialTraining]) -> None:
        """Take trials at the same epoch, with equally many epochs and batches of one size.

        Args:
            trials: of one rank each; all but the first share their features with the first.
        """
        self._trials = list(trials)
        self._stack: _Stack | None = None

    def run_epoch(self) -> list[tuple[TrialTraining, EpochResult | TrainingError]]:
        """Train and validate an epoch of every trial; a trial that diverged gets its error as result, and leaves."""
        if self._stack is None:
            self._stack = _Stack(self._trials)
        ended = self._stack.run_epoch()
        for trial, result in ended:
            if isinstance(result, TrainingError):
                self.leave(trial)
        return ended

    def leave(self, trial: TrialTraining) -> None:
        """Continue without a trial, whose tensors become its own again."""
        if trial in self._trials:
            self._trials.remove(trial)
            # The next epoch stacks the remaining trials anew. Their parameters are still parts of the old stack's
            # tensors, which hold the newest values, so nothing is lost.
            self._stack = None
            _own(trial)


class LinearProbeTraining(TrialTraining):
    """A linear probe, which trains among others or on its own: then as a stack of one, with the same numbers."""

    _fused: FusedTraining | None = None

    def run_epoch(self) -> EpochResult:
        """Train for one epoch over all training images, then validate.

        Raises:
            TrainingError: the loss or a validation score is not finite.
        """
        if self._fused is None:
            self._fused = FusedTraining([self])
        [(_, result)] = self._fused.run_epoch()
        if isinstance(result, TrainingError):
            raise result
        return result

    def state_dict(self) -> dict[str, Any]:
        """Everything that the next epoch depends on, in tensors of its own.

        Those of a stack are views: saving a view writes its whole storage, K times too much, and the next step would
        change what was taken.
        """
        state: dict[str, Any] = _copied(super().state_dict())
        return state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """As `TrialTraining` does."""
        super().load_state_dict(state)
        self._fused = None

    def take_over(self, state: dict[str, Any], **best: Any) -> None:
        """As `TrialTraining` does."""
        super().take_over(state, **best)
        self._fused = None


def _own(trial: TrialTraining) -> None:
    for module in (trial.classifier, trial.method):
        for tensor in (*module.parameters(), *module.buffers()):
            tensor.data = tensor.data.clone()
    for state in trial.optimizer.state.values():
        state.update(_copied(state))


def _copied(content: Any) -> Any:
    if isinstance(content, Tensor):
        return content.detach().clone()
    if isinstance(content, dict):
        return {key: _copied(value) for key, value in content.items()}
    return content


@dataclass(frozen=True, kw_only=True)
class _Kind:
    """Neighbouring trials of the stack whose methods are computed together.

    Attributes:
        trials: which of the K.
        method: their methods stacked, or the trial's own where no other can be stacked with it.
        first_image_k1: where each trial's images begin in the state of the stacked method; None for a single trial.
        distrust: which labels the methods distrust in the epoch at hand; None where that is not kept.
        learnt: parameters of the method itself (ROLE's label estimates), each with the tensor for its gradient.
    """

    trials: slice
    method: Method
    first_image_k1: Tensor | None
    distrust: EpochDistrust | None
    learnt: tuple[tuple[nn.Parameter, Tensor], ...]

    def __call__(self, logits_KBC: Tensor, labels_KBC: Tensor, images_KB: Tensor, epoch: int, epochs: int) -> Outcome:
        """The losses (k,) of these trials' batches and their distrusted labels.

        Args:
            logits_KBC: of these trials only, (k, B, C); leaves of the autograd graph.
            labels_KBC, images_KB: of all K trials.
            epoch, epochs: the epoch, from 1, of how many.
        """
        logits_BC, labels_BC, indices_B = logits_KBC, labels_KBC[self.trials], images_KB[self.trials]
        if self.first_image_k1 is None:
            logits_BC, labels_BC, indices_B = logits_BC[0], labels_BC[0], indices_B[0]
        else:
            # The stacked method keeps its state per image in one table, trial after trial: row N * k + image.
            indices_B = indices_B + self.first_image_k1
        batch = Batch(
            logits_BC=logits_BC,
            labels_BC=labels_BC,
            indices_B=indices_B,
            epoch=epoch,
            epochs=epochs,
            num_images=images_KB.shape[1],
        )
        outcome: Outcome = self.method(batch)
        if self.distrust is not None and outcome.distrusted_BC is not None:
            self.distrust.add(indices_B.flatten(), outcome.distrusted_BC.flatten(0, -2))
        return outcome

    def take_distrusted(self) -> Sequence[Tensor | None]:
        """Of each trial, the mask (N, C) of the labels that its method distrusted in the epoch at hand, which ends."""
        mask_RC = None if self.distrust is None else self.distrust.take()
        return [None] * self.num_trials if mask_RC is None else mask_RC.tensor_split(self.num_trials)

    @property
    def num_trials(self) -> int:
        """k."""
        return int(self.trials.stop - self.trials.start)


class _Stack:
    """The tensors of K trials, stacked, and an epoch of all trials on them."""

    def __init__(self, trials: Sequence[TrialTraining]) -> None:
        # Trials with stackable methods become neighbours, so that each kind is a slice, a view without a copy, of K.
        by_kind = [sorted(kind, key=_rates) for kind in _by_kind(trials)]
        self._trials = [trial for of_kind in by_kind for trial in of_kind]
        first = self._trials[0]
        training = first.config.training
        self._data, self._device = first.data, first.device
        self._batch_size, self._num_epochs = training.batch_size, training.epochs
        self._bf16 = uses_bf16(training.precision, self._device)
        self._dtype = torch.bfloat16 if self._bf16 else torch.float32
        self._parameters: list[Stacked] = []
        self._kinds = self._stack_methods(by_kind)
        self._stack_heads()
        self._stack_labels()
        self._take_features(first)
        self._steps = FusedSteps([trial.optimizer for trial in self._trials], self._parameters)

    def _stack_methods(self, by_kind: Iterable[Sequence[TrialTraining]]) -> list[_Kind]:
        kinds: list[_Kind] = []
        for trials in by_kind:
            start = kinds[-1].trials.stop if kinds else 0
            methods = [trial.method for trial in trials]
            method = stacked(methods, device=self._device) if len(methods) > 1 else methods[0]
            learnt = tuple((parameter, torch.zeros_like(parameter)) for parameter in method.parameters())
            for (parameter, gradient), *own in zip(learnt, *(one.parameters() for one in methods), strict=True):
                # The stacked parameter is the trials' parameters one after the other along the first axis.
                shape = (len(methods), *own[0].shape)
                self._parameters.append(
                    Stacked(parameters=own, values=parameter.detach().view(shape), gradient=gradient.view(shape))
                )
            first_image_k1 = torch.arange(len(trials), device=self._device)[:, None] * len(self._data.train)
            kinds.append(
                _Kind(
                    trials=slice(start, start + len(trials)),
                    method=method,
                    first_image_k1=first_image_k1 if len(trials) > 1 else None,
                    distrust=self._distrust_of(trials),
                    learnt=learnt,
                )
            )
        return kinds

    def _distrust_of(self, trials: Sequence[TrialTraining]) -> EpochDistrust | None:
        if all(trial.optimization.distrust is None for trial in trials):
            return None
        return EpochDistrust(len(trials) * len(self._data.train), len(self._data.classes))

    def _stack_heads(self) -> None:
        """Make all heads' weights views of one tensor (K, C, D), all biases of one (K, C), and likewise the gradients.

        Replacing `.data` keeps the Parameter objects that the optimizers and the trials hold: an optimizer step, a
        `state_dict()` and the products over all trials work on the same memory.
        """
        heads = [trial.classifier.head for trial in self._trials]
        self._weight_KCD = torch.stack([head.weight.detach() for head in heads])
        self._bias_KC = torch.stack([head.bias.detach() for head in heads])
        self._weight_gradient_KCD, self._bias_gradient_KC = map(torch.zeros_like, (self._weight_KCD, self._bias_KC))
        for k, head in enumerate(heads):
            head.weight.data, head.bias.data = self._weight_KCD[k], self._bias_KC[k]
        weights, biases = [head.weight for head in heads], [head.bias for head in heads]
        self._parameters += [
            Stacked(parameters=weights, values=self._weight_KCD, gradient=self._weight_gradient_KCD),
            Stacked(parameters=biases, values=self._bias_KC, gradient=self._bias_gradient_KC),
        ]

    def _stack_labels(self) -> None:
        """Put the tables of labels one after the other; trials with equal labels share a table."""
        which, distinct = _distinct([trial.optimization.labels.labels_NC for trial in self._trials])
        truth_NC = self._trials[0].optimization.labels.truth_NC
        self._meters = MemorizationMeters([Groups(labels_NC, truth_NC) for labels_NC in distinct], which)
        self._labels_LC = torch.cat(distinct)
        # Row of image i of trial k in this table and in the meters' ones: first_label_K1[k] + i.
        self._first_label_K1 = torch.tensor(which, device=self._device)[:, None] * len(truth_NC)
        self._one_labelling = len(distinct) == 1

    def _take_features(self, first: TrialTraining) -> None:
        inputs = first.optimization.inputs.features_of("train")
        self._features_RD = _aligned(inputs.features_MD)
        self._mirrored = inputs.mirrored_features_MD is not None
        if inputs.mirrored_features_MD is not None:
            # One table, plain rows first: a mirrored image is then only another row, N further on.
            self._features_RD = _aligned(torch.cat([inputs.features_MD, inputs.mirrored_features_MD]))
        self._fetched_features: Tensor | None = None
        self._validation_MD = _aligned(first.optimization.inputs.features_of("validation").features_MD)

    def run_epoch(self) -> list[tuple[TrialTraining, EpochResult | TrainingError]]:
        """The result of an epoch of each trial, or its error; the seconds are each trial's equal share."""
        started = time.perf_counter()
        epoch, num_together = self._trials[0].epoch + 1, len(self._trials)
        for trial in self._trials:
            trial.method.start_epoch(epoch, self._num_epochs)
        losses, memorizations = self._train(epoch)
        for k, trial in enumerate(self._trials):
            trial.method.finish_epoch(epoch, self._num_epochs, partial(self._predicted, k, epoch))
        distrusted = [one for kind in self._kinds for one in kind.take_distrusted()]
        trained = time.perf_counter()
        validations = self._validate()
        share = (time.perf_counter() - trained) / len(self._trials)
        ended: list[tuple[TrialTraining, EpochResult | TrainingError]] = []
        results = zip(self._trials, losses, memorizations, distrusted, validations, strict=True)
        for trial, loss, memorization, distrusted_NC, validation in results:
            if not math.isfinite(loss):
                ended.append((trial, diverged(f"the training loss is {loss}", epoch)))
            elif validation is None:
                ended.append((trial, diverged("the scores are not finite", epoch)))
            else:
                seconds = (trained - started) / len(self._trials)
                result = trial.end_epoch(
                    loss,
                    memorization,
                    validation,
                    distrusted_NC=None if trial.optimization.distrust is None else distrusted_NC,
                    train_seconds=seconds,
                )
                ended.append((trial, replace(result, validation_seconds=share, trained_together=num_together)))
        return ended

    def _predicted(self, k: int, epoch: int) -> Tensor:
        """Logits (N, C) of trial k's training images after an epoch, of mirrored ones where its method wants that."""
        rows_N = torch.arange(len(self._data.train))
        mirrored_N = self._trials[k].optimization.mirrored_in_prediction(epoch)
        if mirrored_N is not None:
            rows_N += len(rows_N) * mirrored_N
        return self._scores(self._features_RD.index_select(0, rows_N.to(self._device)), slice(k, k + 1))[0]

    def _train(self, epoch: int) -> tuple[list[float], list[Memorization]]:
        """Mean losses and memorization, of each trial."""
        images_SN, rows_SN = self._order(epoch)
        loss_sum_K = torch.zeros(len(self._trials), device=self._device)
        batches = zip(*(torch.split(one, self._batch_size, 1) for one in (images_SN, rows_SN)), strict=True)
        for images_SB, rows_SB in batches:
            loss_sum_K += self._train_batch(epoch, images_SB, self._fetched(rows_SB)) * images_SB.shape[1]
        return (loss_sum_K / images_SN.shape[1]).tolist(), self._meters.results()

    def _fetched(self, rows_SB: Tensor) -> Tensor:
        """Features (S, B, D) of a batch, in memory that the next batch overwrites: new memory costs as much again."""
        if self._fetched_features is None or len(self._fetched_features) < rows_SB.numel():
            self._fetched_features = self._features_RD.new_empty(rows_SB.numel(), self._features_RD.shape[1])
        features = self._fetched_features[: rows_SB.numel()]
        torch.index_select(self._features_RD, 0, rows_SB.flatten(), out=features)
        return features.to(self._dtype).view(*rows_SB.shape, -1)

    def _order(self, epoch: int) -> tuple[Tensor, Tensor]:
        """Images (S, N) in the order of an epoch, and the rows (S, N) of their features.

        Trials of one seed have one order: then S is 1, and a batch's features are gathered once for all of them.
        """
        seeds = [trial.config.training.seed for trial in self._trials]
        orders = {seed: order_of_epoch(len(self._data.train), seed=seed, epoch=epoch) for seed in set(seeds)}
        chosen = [orders[seed] for seed in (seeds if len(orders) > 1 else seeds[:1])]
        images_SN = torch.stack([order_N for order_N, _ in chosen])
        rows_SN = images_SN
        if self._mirrored:
            rows_SN = images_SN + len(self._data.train) * torch.stack([mirrored[order] for order, mirrored in chosen])
        return images_SN.to(self._device), rows_SN.to(self._device)

    def _train_batch(self, epoch: int, images_SB: Tensor, features_SBD: Tensor) -> Tensor:
        """One step of every trial; their losses (K,)."""
        # Logits are computed outside autograd and then made its leaves: autograd differentiates only the losses, and
        # `_step` writes the gradients of all heads, by one product, straight into the tensors that optimizers read.
        logits_KBC = self._logits_of_batch(features_SBD)
        images_KB = images_SB.expand(len(self._trials), -1)
        entries_KB = images_KB + self._first_label_K1
        labels_KBC = rows_of(self._labels_LC, entries_KB)
        leaves = [logits_KBC[kind.trials].requires_grad_() for kind in self._kinds]
        outcomes = [
            kind(leaf, labels_KBC, images_KB, epoch, self._num_epochs)
            for kind, leaf in zip(self._kinds, leaves, strict=True)
        ]
        losses = [outcome.loss.view(-1) for outcome in outcomes]
        self._step(features_SBD, losses, leaves)
        # If all trials have the same labels and the same batch, the meters get one row for all instead of K equal ones.
        shared_KB = entries_KB[:1] if self._one_labelling and len(images_SB) == 1 else entries_KB
        self._meters.update(
            logits_KBC=logits_KBC.detach(),
            entries_KB=shared_KB,
            distrusted=[
                (outcome.distrusted_BC, kind.num_trials) for outcome, kind in zip(outcomes, self._kinds, strict=True)
            ],
        )
        return torch.cat(losses).detach()

    def _logits_of_batch(self, features_SBD: Tensor, trials: slice = ALL) -> Tensor:
        """Logits (K, B, C) of features (S, B, D), by all heads or some."""
        weight_KCD, bias_KC = self._weight_KCD[trials].to(self._dtype), self._bias_KC[trials].to(self._dtype)
        return _products(_aligned(weight_KCD), features_SBD.transpose(1, 2)).transpose(1, 2) + bias_KC[:, None]

    def _step(self, features_SBD: Tensor, losses: list[Tensor], leaves: list[Tensor]) -> None:
        """Gradients of logits and of the methods' parameters by autograd, those of the heads by one product; one step.

        Of logits = W x + b the gradients are dW = dlogits^T x and db = the sum of dlogits over the batch.
        """
        learnt = [pair for kind in self._kinds for pair in kind.learnt]
        sought = [*leaves, *(parameter for parameter, _ in learnt)]
        # Ones as output gradients sum the losses: each leaf gets the gradient of its own trial's loss only, since no
        # loss depends on another trial's leaf.
        found = torch.autograd.grad(losses, sought, [torch.ones_like(loss) for loss in losses])
        for (_, kept), gradient in zip(learnt, found[len(leaves) :], strict=True):
            kept.copy_(gradient)
        gradient_KBC = torch.cat(found[: len(leaves)])
        self._bias_gradient_KC.copy_(gradient_KBC.sum(1))
        _products(gradient_KBC.transpose(1, 2), features_SBD, out=self._weight_gradient_KCD)
        self._steps.step()

    def _validate(self) -> list[ValidationScores | None]:
        """mAP and AP of each trial; None where scores are not finite."""
        scores_KMC = self._scores(self._validation_MD)
        finite = scores_KMC.isfinite().flatten(1).all(1).tolist()
        ranked = RankedScores(scores_KMC)
        truth_MC = torch.from_numpy(self._data.validation.truth_MC).to(self._device)
        least_positives = [trial.config.objective.least_positives for trial in self._trials]
        by_truth = [
            percentages(counted_ap(ap_C, truth_MC, least))
            for ap_C, least in zip(ranked.average_precision_TC(truth_MC), least_positives, strict=True)
        ]
        held_out = [trial.data.validation for trial in self._trials]
        by_observed = self._map_and_ap(ranked, scores_KMC, [images.assumed_MC for images in held_out])
        labels = [trial.config.data.validation.labels for trial in self._trials]
        choices = [images.epoch_choice(choice) for images, choice in zip(held_out, labels, strict=True)]
        by_kind = {"clean": by_truth, "observed": by_observed}
        if "known" in choices:
            by_kind["known"] = self._map_and_ap(ranked, scores_KMC, [images.observed_MC for images in held_out])
        chosen = [by_kind[choice][k] for k, choice in enumerate(choices)]
        return [
            ValidationScores(
                by_truth=by_truth[k],
                by_observed=by_observed[k],
                chosen=chosen[k],
                objective=objective_value(trial.config, trial.data.validation, scores_KMC[k], chosen[k][0]),
                measures=measures_of(trial.config, trial.data.validation, scores_KMC[k], chosen[k][0]),
                scores_MC=scores_KMC[k] if trial.data.validation.is_partial(labels[k]) else None,
            )
            if finite[k]
            else None
            for k, trial in enumerate(self._trials)
        ]

    def _map_and_ap(
        self, ranked: RankedScores, scores_KMC: Tensor, labels: Sequence[npt.NDArray[np.int8]]
    ) -> list[tuple[float | None, tuple[float | None, ...]]]:
        """mAP and AP of each trial on its own labels (M, C); trials with equal labels are judged together."""
        which, distinct = _distinct([torch.from_numpy(labels_MC) for labels_MC in labels])
        found: dict[int, tuple[float | None, tuple[float | None, ...]]] = {}
        for number, labels_MC in enumerate(distinct):
            alike = [k for k, one in enumerate(which) if one == number]
            of_these = ranked if len(distinct) == 1 else RankedScores(scores_KMC[alike])
            for k, ap_C in zip(alike, of_these.average_precision_TC(labels_MC.to(self._device)), strict=True):
                least = self._trials[k].config.objective.least_positives
                found[k] = percentages(counted_ap(ap_C, labels_MC, least))
        return [found[k] for k in range(len(labels))]

    def _scores(self, features_MD: Tensor, trials: slice = ALL) -> Tensor:
        """Logits (K, M, C) of images, float32, by all heads or some; no gradient flows through them."""
        with torch.inference_mode():
            parts = [
                self._logits_of_batch(part_MD.to(self._dtype)[None], trials).float()
                for part_MD in torch.split(features_MD, ROWS_AT_ONCE)
            ]
            return torch.cat(parts, dim=1)


def _by_kind(trials: Sequence[TrialTraining]) -> list[list[TrialTraining]]:
    """The trials, grouped by methods that can be stacked."""
    kinds: list[list[TrialTraining]] = []
    for trial in trials:
        fitting = [kind for kind in kinds if can_stack(kind[0].method, trial.method)]
        if fitting:
            fitting[0].append(trial)
        else:
            kinds.append([trial])
    return kinds


def _rates(trial: TrialTraining) -> tuple[Any, ...]:
    """What neighbours in a stack should have in common, so that they share calls of an optimizer's kernel."""
    training = trial.config.training
    multiplier, momentum = training.head_learning_rate_multiplier, training.momentum
    return (training.optimizer, training.learning_rate, multiplier, training.weight_decay, momentum or 0.0)


def _distinct(tensors: Sequence[Tensor]) -> tuple[list[int], list[Tensor]]:
    """For each tensor the index of its equal among the distinct ones, and the distinct ones."""
    distinct: list[Tensor] = []
    which = []
    for tensor in tensors:
        equal = [i for i, known in enumerate(distinct) if known is tensor or torch.equal(known, tensor)]
        which.append(equal[0] if equal else len(distinct))
        if not equal:
            distinct.append(tensor)
    return which, distinct


def _aligned(matrices: Tensor) -> Tensor:
    """Matrices (..., D) with columns of zeros, so that each row begins where the memory is aligned for products."""
    num_more = -matrices.shape[-1] % ALIGNED
    return F.pad(matrices, (0, num_more)) if num_more else matrices


def _products(left_KCX: Tensor, right_SXY: Tensor, out: Tensor | None = None) -> Tensor:
    """Products (K, C, Y) of K pairs of matrices; each adds in the same order, whatever the other pairs are.

    One product of all K * C rows, of a single matrix in place of a batch, with a single column, or of rows that are not
    aligned may add in another order: then a trial's numbers would depend on those beside it.

    Args:
        left_KCX: the left matrices.
        right_SXY: the right ones; S is K, or 1 if they are all the same.
        out: receives the first columns of the products.
    """
    num_trials, num_columns = len(left_KCX), right_SXY.shape[2]
    right_KXY = right_SXY.expand(num_trials, -1, -1)
    if num_trials > 1 and num_columns > 1:
        if out is not None and out.shape[2] == num_columns and out.dtype == left_KCX.dtype:
            return torch.bmm(left_KCX, right_KXY, out=out)
        products_KCY = torch.bmm(left_KCX, right_KXY)
    else:
        left = left_KCX.expand(2, -1, -1) if num_trials == 1 else left_KCX
        right = right_KXY.expand(2, -1, -1) if num_trials == 1 else right_KXY
        products_KCY = torch.bmm(left, right.expand(-1, -1, 2) if num_columns == 1 else right)
        products_KCY = products_KCY[:num_trials, :, :num_columns]
    return products_KCY if out is None else out.copy_(products_KCY[:, :, : out.shape[2]])
