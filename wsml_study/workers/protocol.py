"""The messages between Tune, the Tune actor of a slot, and the slot's workers.

    driver -- Assignment, in Tune's config of a trial --> Tune actor -- Command --> every worker
    driver <-- StepReport, in Tune's result of a step -- Tune actor <-- Reply ---- worker of rank 0

Imports neither torch nor ray: driver and Tune actors run without torch, and unit tests without Ray. What an epoch or a
test showed travels as plain data (`vars(EpochResult)`), because unpickling its class would import torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

if TYPE_CHECKING:
    from wsml_study.study.spec import TrialConfig

ASSIGNMENT, REPORT = "assignment", "report"
"""The only key of ours in a Tune config, and in a Tune result."""

Answer = TypeVar("Answer")


@dataclass(frozen=True, kw_only=True)
class BestSoFar:
    """The best epoch of a trial so far: its value of the objective's metric, and its validation mAP in percent."""

    objective: float | None
    val_map: float | None
    epoch: int


@dataclass(frozen=True, kw_only=True)
class Assignment:
    """The trial that a slot is to run, from its start or from a checkpoint.

    Attributes:
        trial: its number.
        config: what it trains; `data.root` is where the data is now.
        companions: configs that may be trained in one batch with it, of trials that are likely to come to this slot.
        checkpoint: the folder of the state to go on from; None to start anew.
        best_before: the trial's own best epoch where the state is another trial's (population based training);
            None where the state is the trial's own.
        known_until: the trial's epochs up to this one have been reported before it was paused. Where there is no
            checkpoint they are run again, and not reported again.
    """

    trial: int
    config: TrialConfig
    companions: tuple[TrialConfig, ...] = ()
    checkpoint: str | None = None
    best_before: BestSoFar | None = None
    known_until: int = 0

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> Self:
        """The assignment in Tune's config of a trial."""
        assignment: Self = config[ASSIGNMENT]
        return assignment

    def as_tune_config(self) -> dict[str, Any]:
        """Tune's config of the trial."""
        return {ASSIGNMENT: self}

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        # Tune deep-copies a config four times per trial, which takes 3 ms each with 64 companions; all of it is frozen.
        return self

    def __str__(self) -> str:
        # Tune formats every value of a config into the trial's tag.
        return f"trial {self.trial}"


@dataclass(frozen=True, kw_only=True)
class StepReport:
    """What one step of a slot showed: an epoch, or why the trial ends without one.

    Attributes:
        result: of the epoch, the fields of `EpochResult` as plain data; None where it did not end.
        value: the objective after the epoch; None without validation images.
        complete: it was the trial's last epoch.
        test: metrics of the best epoch on the test images, with the last epoch of trials that are tested.
        error: why the trial failed.
        out_of_memory: why the trial is to be tried again with no other trial beside it.
        notice: what the user should be told about the trial.
        host: name of the machine of rank 0.
    """

    result: dict[str, Any] | None = None
    value: float | None = None
    complete: bool = False
    test: dict[str, Any] | None = None
    error: str | None = None
    out_of_memory: str | None = None
    notice: str | None = None
    host: str | None = None

    @classmethod
    def of(cls, result: Mapping[str, Any]) -> Self:
        """The report in Tune's result of a step."""
        report: Self = result[REPORT]
        return report

    @classmethod
    def of_last(cls, result: Mapping[str, Any] | None) -> Self | None:
        """The report in Tune's last result of a trial; None if no step of it has ended."""
        return None if result is None else result.get(REPORT)

    @property
    def done(self) -> bool:
        """Whether no step of the trial is to follow."""
        return self.complete or self.error is not None or self.out_of_memory is not None

    @property
    def epoch(self) -> int:
        """Number of the epoch, from 1; there is a `result`."""
        assert self.result is not None
        number: int = self.result["epoch"]
        return number


class Command(Generic[Answer]):
    """What every rank of a worker group is told to do; rank 0 answers with an `Answer` in `Done`, or with a failure."""


@dataclass(frozen=True, kw_only=True)
class Start(Command[str]):
    """Open a trial; the one before it is dropped. Answered by the name of the machine.

    Attributes:
        config: what it trains.
        companions: configs that may be trained in one batch with it; None to open it without a batch, because it goes
            on from a state that is at another epoch than the batch.
        keep_best: keep the best epoch's weights, for `RunTest`.
    """

    config: TrialConfig
    companions: tuple[TrialConfig, ...] | None
    keep_best: bool


@dataclass(frozen=True, kw_only=True)
class RunEpochs(Command[list[dict[str, Any]]]):
    """Train the next epoch; answered by its result, and those of all later epochs that are trained already."""


@dataclass(frozen=True, kw_only=True)
class BestEpochScores:
    """The answer to `RunTest`: the fields of `TestResult` as plain data, and the best epoch's weights (safetensors)."""

    metrics: dict[str, Any]
    weights: bytes


@dataclass(frozen=True, kw_only=True)
class RunTest(Command[BestEpochScores]):
    """Evaluate the best epoch on the test images."""


@dataclass(frozen=True, kw_only=True)
class ListCorrections(Command[dict[str, list[Any]]]):
    """Answered by the labels that the trial has corrected for good, as columns: image, class, epoch, right."""


@dataclass(frozen=True, kw_only=True)
class ListDistrusted(Command[dict[str, list[Any]] | None]):
    """Answered by how often the trial distrusted labels, as columns: image, class, epochs, of; None if not counted."""


@dataclass(frozen=True, kw_only=True)
class ResampleTest(Command[Any]):
    """Answered by AP (R, C) in resamples of the test images, after `RunTest`; None if there are too many images."""


@dataclass(frozen=True, kw_only=True)
class ScoreValidation(Command[dict[str, Any] | None]):
    """Answered by the fields of `BestScores`, the validation images' scores in the best epoch up to the one reported.

    None where the trial is not judged by partial labels.

    Attributes:
        epoch: that best epoch; a batch may be ahead of it.
    """

    epoch: int


@dataclass(frozen=True, kw_only=True)
class Save(Command[bytes]):
    """Answered by the trial's state after an epoch, as `torch.save` writes it.

    Attributes:
        epoch: the last one that Tune knows of; a batch may be ahead of it.
    """

    epoch: int


@dataclass(frozen=True, kw_only=True)
class Load(Command[None]):
    """Go on from a state of the trial's own."""

    state: bytes


@dataclass(frozen=True, kw_only=True)
class TakeOver(Command[None]):
    """Go on from another trial's state with this trial's config."""

    state: bytes
    best_before: BestSoFar


@dataclass(frozen=True, kw_only=True)
class Stop(Command[None]):
    """Leave the command loop, which ends the worker group; not answered."""


@dataclass(frozen=True, kw_only=True)
class Done:
    """The command was carried out."""

    answer: Any


@dataclass(frozen=True, kw_only=True)
class TrialFailed:
    """The trial cannot go on (a `TrainingError`); the worker group can, with the next trial."""

    error: str


@dataclass(frozen=True, kw_only=True)
class OutOfMemory:
    """A worker ran out of memory; its group is lost."""

    error: str


@dataclass(frozen=True, kw_only=True)
class GroupCrashed:
    """The worker group ended with an error."""

    error: str


Reply = Done | TrialFailed | OutOfMemory | GroupCrashed
