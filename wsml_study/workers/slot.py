"""Warm trial workers: one Ray Train worker group per slot, that trial after trial takes commands from a mailbox.

A Tune actor (`WarmTrial`) starts one `TorchTrainer.fit()` in a thread and keeps it for all the trials that it is
given. Each worker of the group loops over commands: start, epoch, test, save, load, stop.
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
import uuid
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
from pyarrow import fs
from ray import train, tune
from ray.tune.result import DONE, SHOULD_CHECKPOINT

from wsml_study.errors import TrainingError
from wsml_study.record.model_folder import ModelCard, write_model_folder
from wsml_study.study.provenance_section import Provenance
from wsml_study.study.spec import TrialConfig
from wsml_study.workers.loop import OpenTrial, serve
from wsml_study.workers.mailbox import Mailbox
from wsml_study.workers.ray_train_group import SlotBackendConfig, WorkerGroup

STATE_FILE = "state.pt"
DIGEST_FILE = "state.sha256"
GROUP_END_S, LOST_GROUP_END_S = 10.0, 120.0
KILLED_FOR_MEMORY = "running low on memory"
"""Ray's words when it ends a worker to save its machine."""


@dataclass(frozen=True, kw_only=True)
class WorkerSettings:
    """What all worker groups of a study have in common.

    Attributes:
        num_workers: ranks of each group.
        cpus_per_worker: CPUs and torch threads of each.
        gpus_per_worker: GPUs of each, 0 for training on the CPU.
        filesystem: where checkpoints and Ray Train's own notes are kept.
        scratch_folder: the folder for them there.
        checkpoint_interval_s: a trial is saved after an epoch when this much time has passed since it was last saved.
        tested: whether a trial's best epoch is judged on the test images in the end.
        checkpoint_interval_epochs: a trial is also saved after every so many epochs; None for no such need.
        alone: no other trial shares a machine's CPUs, or a GPU, with this one; running out of memory is then final.
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
    checkpoint_interval_s: float
    tested: bool
    checkpoint_interval_epochs: int | None
    alone: bool
    model_folder: str | None
    model_card: ModelCard
    provenance: Provenance | None
    open_trial: OpenTrial


class OutOfMemoryError(Exception):
    """A worker had not enough memory for the trial at hand; its whole group is gone."""


class WarmTrial(tune.Trainable):  # type: ignore[misc]
    """Tune's side of a slot: one Tune iteration is one epoch of whichever trial the slot has at hand."""

    def setup(self, config: dict[str, Any], *, settings: WorkerSettings) -> None:
        """Start the slot's worker group; the first `step` gives it the trial.

        Tune tries a trial again when a step fails, not when a setup does: nothing here waits for the workers.
        """
        self._settings = settings
        self._start_group()
        self._take(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Take the next trial into the same worker group."""
        self._take(new_config)
        return True

    def step(self) -> dict[str, Any]:
        """Run one epoch, and after the last one the test if the study asks for it.

        A trial that cannot go on by its own fault (it diverged) ends with an `error`, one that lacks memory with
        `out_of_memory`, to be tried again alone; a crash of the worker group raises, and Tune tries the trial again.
        """
        try:
            if not self._started:
                self._start()
            if not self._told:
                self._told.extend(self._ask("epoch"))
            result = self._told.popleft()
        except TrainingError as error:
            return {"error": str(error), DONE: True}
        except OutOfMemoryError as error:
            self._group_is_lost = True
            return {"error" if self._settings.alone else "out_of_memory": str(error), DONE: True}
        self._epoch = result["epoch"]
        done = result["epoch"] >= self._trial_config.training.last_epoch
        value = result["best_val_map" if self._trial_config.objective.metric == "best_val_map" else "val_map"]
        report = self._notices() | {
            "epoch": result["epoch"],
            "value": value,
            "result": result,
            "complete": done,
            DONE: done,
        }
        if done and self._settings.tested:
            report["test"] = self._test()
        return report | {SHOULD_CHECKPOINT: not done and self._checkpoint_is_due(result["epoch"])}

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Fetch the trial's state from rank 0 through the object store into a file."""
        content = ray.get(self._ask("save", self._epoch)[0])
        folder = Path(checkpoint_dir)
        (folder / STATE_FILE).write_bytes(content)
        (folder / DIGEST_FILE).write_text(hashlib.sha256(content).hexdigest())
        self._saved_at = time.monotonic()

    def load_checkpoint(self, checkpoint_dir: str) -> None:
        """Let the trial go on from a saved state; a damaged one leaves it at its start."""
        self._best_before: tuple[float, int] | None = None  # the state is the trial's own
        self._load(fs.LocalFileSystem(), checkpoint_dir)

    def cleanup(self) -> None:
        """Let the workers return from their loop, so that the run ends in good order."""
        if not self._group_is_lost:
            ray.get(self._mailbox.send.remote("stop"))
            self._group.join(timeout=GROUP_END_S)

    def _start_group(self) -> None:
        self._group_is_lost = False
        self._mailbox = ray.remote(Mailbox).options(num_cpus=0).remote(self._settings.num_workers)
        self._group: threading.Thread = threading.Thread(target=self._run_group, args=(self._mailbox,), daemon=True)
        self._group.start()

    def _take(self, config: dict[str, Any]) -> None:
        self._trial_config = TrialConfig.model_validate_json(json.dumps(config["config"]))
        self._started = False
        self._epoch = 0
        self._told: deque[dict[str, Any]] = deque()  # epochs that the workers had trained already
        self._state_to_load: bytes | None = None
        self._best_before = config["best_before"]
        self._companions: list[str] = config["companions"]
        self._notice: str | None = None
        if config["checkpoint"] is not None:
            self._load(self._settings.filesystem, config["checkpoint"])

    def _load(self, filesystem: fs.FileSystem, folder: str) -> None:
        self._state_to_load = whole_state(filesystem, folder)
        if self._state_to_load is None:
            self._notice = f"its checkpoint {folder} is gone or damaged and is dropped; the trial starts anew"

    def _notices(self) -> dict[str, str]:
        """What the driver should tell the user, once."""
        notice, self._notice = self._notice, None
        return {} if notice is None else {"notice": notice}

    def _start(self) -> None:
        """Open the trial on every rank, with its saved state handed through the object store."""
        if self._group_is_lost:
            self._group.join(timeout=LOST_GROUP_END_S)  # what it holds is what the next one needs
            self._start_group()
        # A trial that goes on from a state is at another epoch than those that come next.
        companions = self._companions if self._state_to_load is None else None
        self._ask("start", self._trial_config.model_dump_json(), self._settings.tested, companions)
        if self._state_to_load is not None:
            state = [ray.put(self._state_to_load)]
            if self._best_before is None:
                self._ask("load", state)
            else:
                self._ask("take over", state, *self._best_before)
            self._state_to_load = None
        self._started = True
        self._saved_at = time.monotonic()

    def _ask(self, *command: Any) -> Any:
        kind, content = ray.get(self._mailbox.ask.remote(*command))
        if kind == "failed":
            raise TrainingError(content)
        if kind == "out of memory":
            alone = ", with nothing beside it" if self._settings.alone else ""
            raise OutOfMemoryError(f"out of memory{alone}: {content}; lower training.batch_size or data.image_size")
        if kind == "crashed":
            raise RuntimeError(f"the worker group stopped: {content}")
        return content

    def _checkpoint_is_due(self, epoch: int) -> bool:
        every = self._settings.checkpoint_interval_epochs
        if every is not None and epoch % every == 0:
            return True
        return time.monotonic() - self._saved_at >= self._settings.checkpoint_interval_s

    def _test(self) -> dict[str, Any]:
        metrics, weights = self._ask("test")
        if self._settings.model_folder is None:
            return dict(metrics)
        model_folder = Path(self._settings.model_folder)
        folder = model_folder / f"seed_{self._trial_config.training.seed}"
        write_model_folder(
            folder,
            name=model_folder.name,
            config=self._trial_config,
            provenance=self._settings.provenance,
            metrics=metrics,
            weights=ray.get(weights),
            card=self._settings.model_card,
        )
        return {**metrics, "model": str(folder)}

    def _run_group(self, mailbox: Any) -> None:
        settings = self._settings
        on_gpu = settings.gpus_per_worker > 0
        resources = {"CPU": float(settings.cpus_per_worker)}
        trainer = WorkerGroup(
            serve,
            train_loop_config={
                "mailbox": mailbox,
                "open_trial": settings.open_trial,
                "threads": settings.cpus_per_worker,
                "backend": "nccl" if on_gpu else "gloo",
            },
            scaling_config=train.ScalingConfig(
                num_workers=settings.num_workers,
                use_gpu=on_gpu,
                resources_per_worker=resources | ({"GPU": settings.gpus_per_worker} if on_gpu else {}),
            ),
            backend_config=SlotBackendConfig(),
            run_config=train.RunConfig(
                name=f"slot-{uuid.uuid4().hex}",
                storage_path=settings.scratch_folder,
                storage_filesystem=settings.filesystem,
            ),
        )
        try:
            trainer.fit()
        except Exception as error:
            if KILLED_FOR_MEMORY in str(error):
                ray.get(mailbox.reply.remote("out of memory", "Ray ended a worker as its machine ran low on memory"))
            else:
                ray.get(mailbox.reply.remote("crashed", f"{type(error).__name__}: {error}"))


def whole_state(filesystem: fs.FileSystem, folder: str) -> bytes | None:
    """The saved state, or None if the folder is gone or was not written to its end."""
    try:
        content, digest = (_read(filesystem, f"{folder}/{name}") for name in (STATE_FILE, DIGEST_FILE))
    except FileNotFoundError:
        return None
    return content if hashlib.sha256(content).hexdigest().encode() == digest else None


def _read(filesystem: fs.FileSystem, path: str) -> bytes:
    with filesystem.open_input_file(path) as file:
        return bytes(file.read())
