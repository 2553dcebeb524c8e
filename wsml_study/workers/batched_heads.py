"""Trials that a worker trains in one batch: linear probes on the same features, handed out trial by trial.

A worker is given one trial, and with it the configs of others that are likely to come to it. It trains all of them
together (`training/stacked_heads.py`), hands out the epochs of the trial it was given, and keeps those of the others
until their trial is started. A trial that is not found in memory, because it was trained elsewhere or its worker died,
is trained from its start. So resuming, retrying and early stopping need not know about batches.
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
    from wsml_study.training.trial_results import BestScores, EpochResult, TestResult

MAX_BYTES = 2**30
"""Memory that a batch may take beside its features, by an estimate."""

MAX_BATCHES = 3
"""Batches kept in memory. Where several slots share a study, some of a batch's trials are started in another slot, so a
batch may never be used up; the oldest one is dropped."""


class BatchedTrial:
    """A trial of a batch. The batch trains an epoch of all its trials; each trial hands out its own when asked."""

    def __init__(self, training: TrialTraining, batch: _Batch) -> None:
        self._training, self._batch = training, batch
        self._trained_ahead: deque[EpochResult] = deque()
        self._scores: deque[BestScores] = deque()  # of epochs that were the best when they were trained
        self._failure: TrainingError | None = None

    def run_epochs(self) -> list[EpochResult]:
        """Results of all epochs that are trained and not handed out yet; trains one if there is none.

        Raises:
            TrainingError: the trial diverged in the next epoch.
        """
        if not self._trained_ahead and self._failure is None:
            self._batch.run_epoch()
        if not self._trained_ahead and self._failure is not None:
            raise self._failure
        results = list(self._trained_ahead)
        self._trained_ahead.clear()
        return results

    def test(self) -> TestResult:
        """Evaluate the best epoch on the test images, after the last epoch."""
        self.leave()  # a head among others may lie in memory where its products add in another order
        return self._training.test()

    def best_weights_safetensors(self) -> bytes:
        """The best epoch's weights."""
        return self._training.best_weights_safetensors()

    def corrections(self) -> dict[str, list[Any]]:
        """The labels that were corrected for good, after the last epoch."""
        return self._training.corrections()

    def distrusted_labels(self) -> dict[str, list[Any]] | None:
        """How often labels were distrusted, up to the last epoch."""
        return self._training.distrusted_labels()

    def test_resamples(self) -> Any:
        """AP in resamples of the test images, after `test()`."""
        return self._training.test_resamples()

    def scores_in(self, epoch: int) -> BestScores | None:
        """Scores of the validation images in an epoch that is the best up to now; those of earlier ones are dropped."""
        while self._scores and self._scores[0].epoch < epoch:
            self._scores.popleft()
        return self._scores[0] if self._scores and self._scores[0].epoch == epoch else None

    def state_after(self, epoch: int) -> dict[str, Any]:
        """Everything that the next epoch depends on. If the batch is ahead of it, the trial is trained again."""
        from wsml_study.training.stacked_heads import LinearProbeTraining

        one = self._training
        if one.epoch == epoch:
            return one.state_dict()
        again = LinearProbeTraining(
            one.config, one.data, device=one.device, keep_best=one.keep_best, shares_features_with=one
        )
        for _ in range(epoch):
            again.run_epoch()
        return again.state_dict()

    def leave(self) -> None:
        """The trial has ended or was stopped: the batch goes on without it."""
        self._batch.leave(self._training)

    def add(self, result: EpochResult | TrainingError) -> None:
        """Keep what the batch's newest epoch gave for this trial."""
        if isinstance(result, TrainingError):
            self._failure = result
        else:
            self._trained_ahead.append(result)
            scores = self._training.best_scores() if result.best_epoch == result.epoch else None
            if scores is not None:
                self._scores.append(scores)


class _Batch:
    """Trials that are trained together."""

    def __init__(self, trainings: Sequence[TrialTraining]) -> None:
        from wsml_study.training.stacked_heads import FusedTraining

        self.trials = {training: BatchedTrial(training, self) for training in trainings}
        self._fused: FusedTraining = FusedTraining(trainings)

    def run_epoch(self) -> None:
        """Train an epoch of all trials that have not left."""
        for training, result in self._fused.run_epoch():
            self.trials[training].add(result)
            # Its weights are to stay those of its last epoch, and its best epoch is to be none that follows.
            if not isinstance(result, TrainingError) and result.ends_trial:
                self.leave(training)

    def leave(self, training: TrialTraining) -> None:
        """Go on without a trial."""
        self._fused.leave(training)


class TrialBatches:
    """The batches of a worker: trials that it trains, or has trained, before they are started."""

    def __init__(self, device: torch.device) -> None:
        """No batch yet.

        Args:
            device: where trials train.
        """
        self._device = device
        self._waiting: deque[dict[TrialConfig, BatchedTrial]] = deque(maxlen=MAX_BATCHES)

    def take(self, config: TrialConfig, companions: Sequence[TrialConfig], *, keep_best: bool) -> BatchedTrial | None:
        """The trial of a config: from a batch in memory, else the first of a new batch; None without companions.

        Args:
            config: of the trial to be started.
            companions: configs that can be trained in one batch with it.
            keep_best: as in `TrialTraining`.

        Raises:
            TrainingError: the trial's method cannot learn from its labels.
        """
        for batch in self._waiting:
            if config in batch:
                return batch.pop(config)
        if not companions:
            return None
        known = {config}.union(*self._waiting)
        new = [companion for companion in companions if companion not in known]
        trainings = _open_trainings(config, new, self._device, keep_best=keep_best)
        trials = _Batch(trainings).trials
        self._waiting.append({training.config: trials[training] for training in trainings[1:]})
        return trials[trainings[0]]


def _open_trainings(
    first: TrialConfig, others: Sequence[TrialConfig], device: torch.device, *, keep_best: bool
) -> list[TrialTraining]:
    """The first trial, and as many others as fit beside it. One that cannot be opened fails when it is started."""
    from wsml_study.training.stacked_heads import LinearProbeTraining
    from wsml_study.training.trial_data import open_trial_data

    leader = LinearProbeTraining(first, open_trial_data(first.data), device=device, keep_best=keep_best)
    trainings: list[TrialTraining] = [leader]
    labels_differ = any(config.data != first.data for config in others)
    opened = {first.data: leader.data}
    for config in others[: _max_companions(leader, labels_differ)]:
        if config.data not in opened:
            opened[config.data] = open_trial_data(config.data)
        try:
            trainings.append(
                LinearProbeTraining(
                    config, opened[config.data], device=device, keep_best=keep_best, shares_features_with=leader
                )
            )
        except TrainingError:
            continue
    return trainings


def _max_companions(leader: TrialTraining, labels_differ: bool) -> int:
    """How many more trials fit into MAX_BYTES: heads, gradients, moments, states of methods, scores, and labels."""
    num_classes, num_features = len(leader.data.classes), leader.classifier.head.in_features
    num_train, num_validation = len(leader.data.train), len(leader.data.validation)
    # An entry takes 16 bytes with gradient and Adam's two moments, all float32. That of labels is measured.
    of_labels = 26 * num_train * num_classes
    of_a_trial = 16 * num_classes * (num_features + num_train + num_validation) + labels_differ * of_labels
    if leader.data.validation.is_partial(leader.config.data.validation.labels):
        # float16 scores, kept until the trial is handed out, of every epoch at most
        of_a_trial += 2 * num_classes * num_validation * leader.config.training.last_epoch
    return max(0, MAX_BYTES - of_labels) // of_a_trial
