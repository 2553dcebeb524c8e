"""A slot: one worker group that runs trial after trial, one epoch per step.

The logic only. What starts the group and carries the messages is handed in: Ray's side is `ray_train_group.py` and
`warm_trial.py`; unit tests run the same slot and the same workers in one process.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Protocol, TypeVar

from pyarrow import fs

from wsml_study.errors import ResultsError, TrainingError
from wsml_study.methods.catalogue import describe
from wsml_study.record.label_tables import CORRECTIONS, DISTRUSTED, LabelTable
from wsml_study.record.model_folder import ModelCard, write_model_folder
from wsml_study.record.resample_files import write_resamples
from wsml_study.record.score_files import write_scores
from wsml_study.record.trial_history import best_metric_of, metric_of
from wsml_study.study.provenance_section import Provenance
from wsml_study.workers.checkpoint_files import whole_state, write_state
from wsml_study.workers.loop import OpenTrial
from wsml_study.workers.mailbox import MailboxClient
from wsml_study.workers.protocol import (
    Assignment,
    BestSoFar,
    Command,
    Done,
    GroupCrashed,
    ListCorrections,
    ListDistrusted,
    Load,
    OutOfMemory,
    ResampleTest,
    RunEpochs,
    RunTest,
    Save,
    ScoreValidation,
    Start,
    StepReport,
    Stop,
    TakeOver,
    TrialFailed,
)

GROUP_END_S, LOST_GROUP_END_S = 10.0, 120.0

Answer = TypeVar("Answer")


@dataclass(frozen=True, kw_only=True)
class WorkerSettings:
    """What all worker groups of a study have in common.

    Attributes:
        num_workers: ranks of each group.
        cpus_per_worker: CPUs and torch threads of each rank.
        gpus_per_worker: GPUs of each rank, 0 to train on the CPU.
        filesystem: holds checkpoints and Ray Train's own files.
        scratch_folder: the folder for them there.
        corrections_folder: the folder for the labels that trials have corrected for good.
        distrust_folder: the folder for how often trials distrusted labels whose truth is unknown.
        scores_folder: the folder for validation scores of trials that are judged by partial labels; None to keep none.
        resamples_folder: the folder for AP in resamples of the test images (confirmation); None to compute none.
        checkpoint_interval_s: a trial is saved after an epoch when this much time has passed since it was last saved.
        checkpoint_interval_epochs: a trial is also saved after every so many epochs; None to go by time only.
        tested: evaluate each trial's best epoch on the test images after its last epoch.
        exclusive: no other trial runs on the machine's CPUs, or the GPU, of this one; running out of memory is then the
            trial's failure, and no reason to try it again.
        model_folder: where final training writes a folder per seed; None elsewhere.
        model_card: writes the model card in such a folder.
        provenance: where the config of final training comes from.
        open_trial: makes the trial in the worker process.
    """

    num_workers: int
    cpus_per_worker: int
    gpus_per_worker: float
    filesystem: fs.FileSystem
    scratch_folder: str
    corrections_folder: str
    distrust_folder: str
    scores_folder: str | None
    resamples_folder: str | None
    checkpoint_interval_s: float
    checkpoint_interval_epochs: int | None
    tested: bool
    exclusive: bool
    model_folder: str | None
    model_card: ModelCard
    provenance: Provenance | None
    open_trial: OpenTrial


class Group(Protocol):
    """A worker group that is starting or running."""

    @property
    def mailbox(self) -> MailboxClient:
        """Carries commands to the ranks; replies `OutOfMemory` or `GroupCrashed` if the group ends with an error."""

    def join(self, timeout_s: float) -> None:
        """Wait for the group to end, as long as this."""


class OutOfMemoryError(Exception):
    """A worker ran out of memory; its whole group is lost."""


class Slot:
    """Runs the trials that it is given, one after another, in a worker group that outlives them."""

    def __init__(self, settings: WorkerSettings, start_group: Callable[[], Group]) -> None:
        """Start the worker group, without waiting for it.

        Args:
            settings: of the study's slots.
            start_group: starts a group; called again after one ran out of memory.
        """
        self._settings, self._start_group = settings, start_group
        self._group: Group = start_group()
        self._group_is_lost = False

    def take(self, assignment: Assignment) -> None:
        """Run this trial from now on; the workers are told by the next `step`."""
        self._assignment = assignment
        self._started = False
        self._epoch = 0
        self._results: deque[dict[str, Any]] = deque()  # epochs that the workers have trained ahead
        self._state_to_load: bytes | None = None
        self._best_before: BestSoFar | None = assignment.best_before
        self._notice: str | None = None
        self._host: str | None = None
        self._may_have_distrusted = assignment.checkpoint is not None
        self._scores_of = 0  # the epoch whose scores were kept last
        self._saved_at = time.monotonic()
        if assignment.checkpoint is not None:
            filesystem, here = self._settings.filesystem, self._in_this_study(assignment.checkpoint)
            is_here = whole_state(filesystem, here) is not None
            self._read_state(filesystem, here if is_here else assignment.checkpoint)

    def step(self) -> StepReport:
        """Run the next epoch, and after the last one the test if the study asks for it.

        A trial that fails by its own fault (it diverged), or that lacks memory, ends with a report that says so.

        Raises:
            RuntimeError: the worker group crashed; the trial can be tried again in another slot.
        """
        try:
            if not self._started:
                self._start()
            result = self._next_result()
            while result["epoch"] <= self._assignment.known_until:
                result = self._next_result()
        except TrainingError as error:
            return StepReport(error=str(error), notice=self._take_notice())
        except OutOfMemoryError as error:
            self._group_is_lost = True
            if self._settings.exclusive:
                return StepReport(error=str(error), notice=self._take_notice())
            return StepReport(out_of_memory=str(error), notice=self._take_notice())
        self._epoch = result["epoch"]
        self._may_have_distrusted |= bool(result.get("num_distrusted"))
        config = self._assignment.config
        # Before the epoch is reported: from then on it may be the trial's last, by early stopping or by a crash.
        if self._settings.scores_folder is not None and result["best_epoch"] != self._scores_of:
            self._keep_scores(self._settings.scores_folder, result["best_epoch"])
        complete = self._epoch >= config.training.last_epoch or result.get("ends_trial", False)
        if complete and describe(config.method.name.value).corrects_for_good:
            self._keep_corrections()
        elif complete and self._may_have_distrusted:
            self._keep_distrusted()
        return StepReport(
            result=result,
            value=best_metric_of(result) if config.objective.of_best_epoch else metric_of(result),
            complete=complete,
            test=self._test() if complete and self._settings.tested else None,
            notice=self._take_notice(),
            host=self._host,
        )

    @property
    def checkpoint_is_due(self) -> bool:
        """Whether the trial should be saved before its next epoch."""
        every = self._settings.checkpoint_interval_epochs
        if every is not None and self._epoch % every == 0:
            return True
        return time.monotonic() - self._saved_at >= self._settings.checkpoint_interval_s

    def save(self, folder: Path) -> None:
        """Write the trial's state after the epoch of the last `step` into a folder."""
        write_state(folder, self._ask(Save(epoch=self._epoch)))
        self._saved_at = time.monotonic()

    def load(self, folder: str) -> None:
        """Go on from a state that `save` wrote on this machine; a damaged one leaves the trial at its start."""
        self._best_before = None  # the state is the trial's own, whatever it was assigned with
        self._may_have_distrusted = True
        self._notice = None  # the checkpoint that it was assigned may be gone: this one replaces it
        self._read_state(fs.LocalFileSystem(), folder)

    def close(self) -> None:
        """Let the workers return from their loop, so that Ray Train's run ends as a success."""
        if not self._group_is_lost:
            self._group.mailbox.send(Stop())
            self._group.join(GROUP_END_S)

    def _read_state(self, filesystem: fs.FileSystem, folder: str) -> None:
        self._state_to_load = whole_state(filesystem, folder)
        if self._state_to_load is None:
            self._notice = f"its checkpoint {folder} is gone or damaged and is dropped; the trial starts anew"

    def _in_this_study(self, folder: str) -> str:
        """Where a recorded checkpoint, `.../ray/RUN/TRIAL/CHECKPOINT`, is if the study's folder was moved or copied."""
        return str(PurePosixPath(self._settings.scratch_folder, *PurePosixPath(folder).parts[-3:]))

    def _next_result(self) -> dict[str, Any]:
        if not self._results:
            results = self._ask(RunEpochs())
            self._results.extend(results)
        return self._results.popleft()

    def _take_notice(self) -> str | None:
        notice, self._notice = self._notice, None
        return notice

    def _start(self) -> None:
        """Open the trial on every rank, and load its state."""
        if self._group_is_lost:
            self._group.join(LOST_GROUP_END_S)  # the next group needs the resources that the lost one holds
            self._group, self._group_is_lost = self._start_group(), False
        assignment, state = self._assignment, self._state_to_load
        self._host = self._ask(
            Start(
                config=assignment.config,
                companions=assignment.companions if state is None else None,
                keep_best=self._settings.tested,
            )
        )
        if state is not None:
            best = self._best_before
            self._ask(Load(state=state) if best is None else TakeOver(state=state, best_before=best))
            self._state_to_load = None
        self._started = True
        self._saved_at = time.monotonic()

    def _ask(self, command: Command[Answer]) -> Answer:
        match self._group.mailbox.ask(command):
            case Done(answer=answer):
                return answer  # type: ignore[no-any-return]
            case TrialFailed(error=error):
                raise TrainingError(error)
            case OutOfMemory(error=error):
                beside = " with no other trial on the machine" if self._settings.exclusive else ""
                raise OutOfMemoryError(f"out of memory{beside}: {error}; lower training.batch_size or data.image_size")
            case GroupCrashed(error=error):
                raise RuntimeError(f"the worker group stopped: {error}")

    def _keep_corrections(self) -> None:
        columns = self._ask(ListCorrections())
        folder = self._settings.corrections_folder
        self._keep_labels(CORRECTIONS, folder, columns, if_not="the labels that it corrected are not kept")

    def _keep_distrusted(self) -> None:
        columns = self._ask(ListDistrusted())
        if columns is not None:
            if_not = "`audit` will not weigh which labels it distrusted, since these are not kept"
            self._keep_labels(DISTRUSTED, self._settings.distrust_folder, columns, if_not=if_not)

    def _keep_labels(self, table: LabelTable, folder: str, columns: dict[str, list[Any]], *, if_not: str) -> None:
        try:
            table.write(self._settings.filesystem, folder, self._assignment.trial, columns)
        except ResultsError as error:  # the trial's results do not depend on this file
            self._notice = f"{if_not}: {error}"

    def _keep_scores(self, folder: str, epoch: int) -> None:
        if self._assignment.config.data.validation.by_truth:
            return
        scores = self._ask(ScoreValidation(epoch=epoch))
        self._scores_of = epoch
        if scores is None:
            return
        try:
            write_scores(self._settings.filesystem, folder, self._assignment.trial, **scores)
        except ResultsError as error:  # the trial's results do not depend on this file
            self._notice = f"answers of people will not count for it, since its scores are not kept: {error}"

    def _keep_resamples(self, folder: str, classes: tuple[str, ...]) -> None:
        ap_RC = self._ask(ResampleTest())
        if ap_RC is None:
            return
        try:
            write_resamples(self._settings.filesystem, folder, self._assignment.trial, classes, ap_RC)
        except ResultsError as error:  # the trial's results do not depend on this file
            self._notice = f"intervals will not cover the choice of test images: {error}"

    def _test(self) -> dict[str, Any]:
        scores = self._ask(RunTest())
        if self._settings.resamples_folder is not None:
            self._keep_resamples(self._settings.resamples_folder, tuple(scores.metrics["classes"]))
        if self._settings.model_folder is None:
            return scores.metrics
        model_folder = Path(self._settings.model_folder)
        config = self._assignment.config
        folder = model_folder / f"seed_{config.training.seed}"
        write_model_folder(
            folder,
            name=model_folder.name,
            config=config,
            provenance=self._settings.provenance,
            metrics=scores.metrics,
            weights=scores.weights,
            card=self._settings.model_card,
        )
        return {**scores.metrics, "model": str(folder)}
