"""Trials that a worker trains before their turn, beside the one that it was given: its memory answers for them later.

A trial is recognised by its config. Whatever is not in memory, because it was trained elsewhere or died with a worker,
is trained as ever, so that resuming, retrying and stopping need to know nothing of this.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from wsml_study.errors import TrainingError
from wsml_study.study.spec import TrialConfig

if TYPE_CHECKING:
    import torch

    from wsml_study.training.stacked_heads import FusedTraining
    from wsml_study.training.trial import TrialTraining
    from wsml_study.training.trial_results import EpochResult, TestResult

MOST_BYTES = 2**30
"""What trials that are trained as one may take beside their features, by an estimate."""

MOST_BATCHES = 3
"""Batches in memory at once. Where several workers share a study, some of a batch's trials are another's turn."""


class FusedTrial:
    """A trial of a batch, which goes through its epochs at a pace of its own; the batch trains those of all at once."""

    def __init__(self, training: TrialTraining, batch: _Batch) -> None:
        self._training, self._batch = training, batch
        self._ahead: deque[EpochResult] = deque()
        self._failure: TrainingError | None = None

    def run_epochs(self) -> list[EpochResult]:
        """What the next epochs showed: all that have been trained and not been told, one at least.

        Raises:
            TrainingError: the trial diverged in the next epoch.
        """
        if not self._ahead and self._failure is None:
            self._batch.run_epoch()
        if not self._ahead and self._failure is not None:
            raise self._failure
        told = list(self._ahead)
        self._ahead.clear()
        return told

    def test(self) -> TestResult:
        """Judge the best epoch on the test images, once all epochs are told."""
        return self._training.test()

    def best_weights_safetensors(self) -> bytes:
        """The best epoch's weights."""
        return self._training.best_weights_safetensors()

    def state_after(self, epoch: int) -> dict[str, Any]:
        """All that the next epoch depends on. Where the batch is ahead of it, the trial is trained again."""
        from wsml_study.training.stacked_heads import state_of
        from wsml_study.training.trial import TrialTraining

        one = self._training
        if one.epoch == epoch:
            return state_of(one)
        again = TrialTraining(
            one.config, one.data, device=one.device, keep_best=one.keep_best, shares_features_with=one
        )
        for _ in range(epoch):
            again.run_epoch()
        return again.state_dict()

    def leave(self) -> None:
        """Its turn is over, for whatever reason: the batch goes on without it."""
        self._batch.leave(self._training)

    def take_result(self, result: EpochResult | TrainingError) -> None:
        """The batch has trained an epoch of this trial."""
        if isinstance(result, TrainingError):
            self._failure = result
        else:
            self._ahead.append(result)


class _Batch:
    """Trials that are trained as one."""

    def __init__(self, trainings: Sequence[TrialTraining]) -> None:
        from wsml_study.training.stacked_heads import FusedTraining

        self.trials = [FusedTrial(training, self) for training in trainings]
        self._by_training = dict(zip(map(id, trainings), self.trials, strict=True))
        self._fused: FusedTraining = FusedTraining(trainings)

    def run_epoch(self) -> None:
        """Train an epoch of all trials that are left."""
        for training, result in self._fused.run_epoch():
            self._by_training[id(training)].take_result(result)

    def leave(self, training: TrialTraining) -> None:
        """Go on without a trial."""
        self._fused.leave(training)


class FusedTrials:
    """What a worker has trained, or is to train, before its turn."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._batches: deque[dict[str, FusedTrial]] = deque(maxlen=MOST_BATCHES)

    def take(self, config: TrialConfig, companions: Sequence[TrialConfig], *, keep_best: bool) -> FusedTrial | None:
        """The trial of a config: out of memory, or as the first of a batch with those that come next, if any do.

        Args:
            config: whose turn it is.
            companions: configs that can be trained as one with it.
            keep_best: as in `TrialTraining`.

        Raises:
            TrainingError: the trial's method cannot learn from its labels.
        """
        key = config.model_dump_json()
        for batch in self._batches:
            if key in batch:
                return batch.pop(key)
        if not companions:
            return None
        known = {key}.union(*self._batches)
        new = [one for one in companions if one.model_dump_json() not in known]
        trainings = _open_trainings(config, new, self._device, keep_best=keep_best)
        trials = _Batch(trainings).trials
        waiting = zip(trainings[1:], trials[1:], strict=True)
        self._batches.append({training.config.model_dump_json(): trial for training, trial in waiting})
        return trials[0]


def _open_trainings(
    first: TrialConfig, others: Sequence[TrialConfig], device: torch.device, *, keep_best: bool
) -> list[TrialTraining]:
    """The first trial, and as many others as fit beside it; one that cannot be made is left to its own turn."""
    from wsml_study.training.trial import TrialTraining
    from wsml_study.training.trial_data import open_trial_data

    leader = TrialTraining(first, open_trial_data(first.data), device=device, keep_best=keep_best)
    trainings = [leader]
    labels_differ = any(config.data != first.data for config in others)
    for config in others[: _room(leader, labels_differ)]:
        data = leader.data if config.data == first.data else open_trial_data(config.data)
        try:
            trainings.append(
                TrialTraining(config, data, device=device, keep_best=keep_best, shares_features_with=leader)
            )
        except TrainingError:
            continue
    return trainings


def _room(leader: TrialTraining, labels_differ: bool) -> int:
    """How many more trials fit into MOST_BYTES: heads, gradients, moments, states of methods, scores, and labels."""
    num_classes, num_features = len(leader.data.classes), leader.classifier.head.in_features
    num_train, num_validation = len(leader.data.train), len(leader.data.validation)
    of_labels = 26 * num_train * num_classes
    of_a_trial = 16 * num_classes * (num_features + num_train + num_validation) + labels_differ * of_labels
    return max(0, MOST_BYTES - of_labels) // of_a_trial
