"""The checkpoint of a trial: everything that its next epoch depends on, saved and restored."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from wsml_study.errors import TrainingError
from wsml_study.study.population_keys import fixed_part
from wsml_study.study.spec import TrialConfig
from wsml_study.training.correction_log import Corrections
from wsml_study.training.distrust_counts import DistrustCounts
from wsml_study.training.optimization import Optimization


@dataclass(frozen=True, kw_only=True)
class BestHead:
    """The head of the best epoch of a linear probe so far, to begin end-to-end training with.

    Attributes:
        epoch: that epoch, from 1.
        weights: the head's state.
    """

    epoch: int
    weights: dict[str, Tensor]


@dataclass(kw_only=True)
class Progress:
    """How far a trial has come.

    Attributes:
        epoch: the last one trained; 0 before the first.
        best_objective: best value of the objective's metric; None before the first epoch and without validation images.
        best_val_map: validation mAP of that epoch, in percent.
        best_epoch: that epoch; without validation images the last one.
        best_weights: the classifier's of that epoch, if they are kept.
        best_scores_MC: float16 logits of the validation images in that epoch; None where their labels are complete, and
            where that epoch came before another trial's state was taken over.
        corrections: labels that the method has corrected for good.
        distrust: in how many epochs the method has distrusted each label.
        best_head: in the first phase of linear_init with `hand_over: best`; None elsewhere.
    """

    epoch: int = 0
    best_objective: float | None = None
    best_val_map: float | None = None
    best_epoch: int = 0
    best_weights: dict[str, Tensor] | None = None
    best_scores_MC: Tensor | None = None
    corrections: Corrections = field(default_factory=Corrections)
    distrust: DistrustCounts = field(default_factory=DistrustCounts)
    best_head: BestHead | None = None


class Checkpoint:
    """A trial's state as one dictionary that loads with `torch.load(..., weights_only=True)`."""

    def __init__(self, config: TrialConfig, optimization: Optimization, progress: Progress) -> None:
        self._config, self._optimization, self._progress = config, optimization, progress

    def state_dict(self) -> dict[str, Any]:
        """Everything that the next epoch depends on.

        Checkpoints of earlier versions lack `best_objective`, `best_head`, `corrections`, `distrust` and `best_scores`.
        """
        progress = self._progress
        return {
            "config": self._identity(),
            "epoch": progress.epoch,
            "best_objective": progress.best_objective,
            "best_val_map": progress.best_val_map,
            "best_epoch": progress.best_epoch,
            "best_weights": progress.best_weights,
            "best_scores": progress.best_scores_MC,
            "corrections": progress.corrections.state_dict(),
            "distrust": progress.distrust.state_dict(),
            "best_head": None if progress.best_head is None else vars(progress.best_head),
            **self._optimization.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """As `TrialTraining.load_state_dict`."""
        if _given(json.loads(state["config"])) != _given(json.loads(self._identity())):
            raise TrainingError("the checkpoint belongs to another config than the trial that it was given to")
        self._load(state)
        self._progress.best_objective = state.get("best_objective", state["best_val_map"])
        self._progress.best_val_map = state["best_val_map"]
        self._progress.best_epoch = state["best_epoch"]
        self._progress.best_weights = state["best_weights"]
        scores_MC = state.get("best_scores")
        self._progress.best_scores_MC = None if scores_MC is None else scores_MC.cpu()

    def take_over(
        self, state: dict[str, Any], *, best_objective: float | None, best_val_map: float | None, best_epoch: int
    ) -> None:
        """As `TrialTraining.take_over`."""
        if _given(fixed_part(state["config"])) != _given(fixed_part(self._identity())):
            raise TrainingError("the checkpoint belongs to a config that differs in more than numbers of an epoch")
        optimization = self._optimization
        optimization.enter_phase_of(max(1, state["epoch"]))
        # An optimizer's state holds its learning rate and weight decay too: loading it would bring the other trial's.
        own = [{k: v for k, v in group.items() if k != "params"} for group in optimization.optimizer.param_groups]
        self._load(state)
        for group, numbers in zip(optimization.optimizer.param_groups, own, strict=True):
            group.update(numbers)
        self._progress.best_objective, self._progress.best_val_map = best_objective, best_val_map
        self._progress.best_epoch, self._progress.best_scores_MC = best_epoch, None

    def _load(self, state: dict[str, Any]) -> None:
        self._optimization.enter_phase_of(max(1, state["epoch"]))
        self._optimization.load_state_dict(state)
        self._progress.epoch = state["epoch"]
        self._progress.corrections.load_state_dict(
            state.get("corrections"), self._optimization.method.corrected_labels()
        )
        labels_NC = self._optimization.labels.labels_NC
        self._progress.distrust.load_state_dict(state.get("distrust"), labels_NC.shape, labels_NC.device)
        # With the network: where another trial's is taken over, its best head is too.
        best_head = state.get("best_head")
        self._progress.best_head = None if best_head is None else BestHead(**best_head)

    def _identity(self) -> str:
        """The config as JSON without what may change between saving and loading.

        That is the folder of its data, and whether training is compiled, which the weights do not tell.
        """
        return self._config.model_dump_json(exclude={"data": {"root"}, "training": {"compile"}})


def _given(content: Any) -> Any:
    """A config's content without absent values: earlier versions order keys otherwise and lack newer optional ones."""
    if not isinstance(content, dict):
        return content
    return {key: _given(value) for key, value in content.items() if value is not None}
