"""Environment of a run: versions, machine, git revision and command, and a fingerprint of the data."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

from wsml_study.registry import plugin_distributions
from wsml_study.study.credentials import masked_command
from wsml_study.training.trial_data import LabelledImages, TrialData

PACKAGES = (
    "wsml-study",
    "numpy",
    "open_clip_torch",
    "optuna",
    "pandas",
    "pillow",
    "pyarrow",
    "ray",
    "scikit-learn",
    "scipy",
    "timm",
    "torch",
    "torchvision",
)
"""Packages that compute or store results."""

COMMAND_TIMEOUT_S = 10.0


def environment() -> dict[str, Any]:
    """The driver's machine and software, as plain data for the event log.

    Returns:
        python (version), packages (name -> version, plug-ins among them), platform, cpu (model), num_cpus (that this
        process may use), gpus (model of each), git_revision (of the folder where the command runs, with `-dirty` if a
        tracked file is changed; None outside of git), command (secrets masked).
    """
    return {
        "python": platform.python_version(),
        "packages": {name: version for name in PACKAGES if (version := _version(name)) is not None}
        | plugin_distributions(),
        "platform": platform.platform(),
        "cpu": _cpu(),
        "num_cpus": len(os.sched_getaffinity(0)),
        "gpus": (_output("nvidia-smi", "--query-gpu=name", "--format=csv,noheader") or "").splitlines(),
        "git_revision": _output("git", "describe", "--always", "--abbrev=40", "--dirty", "--exclude=*"),
        "command": masked_command([Path(sys.argv[0]).name, *sys.argv[1:]]),
    }


def data_fingerprint(data: TrialData) -> str:
    """Sixteen hexadecimal digits of the SHA-256 of classes, image names and sizes, all labels, scores.

    Equal for equal data in different folders. Pixels are left out: reading them all costs as much as an epoch.
    """
    digest = hashlib.sha256(_json(data.classes))
    for split in (data.train, data.validation, data.test):
        digest.update(_json(_described(split)))
        for states_MC in (split.truth_MC, split.observed_MC):
            digest.update(states_MC.tobytes())
    if data.scores_MC is not None:
        digest.update(data.scores_MC.tobytes())
    return digest.hexdigest()[:16]


def _described(split: LabelledImages) -> dict[str, Any]:
    rows = split.images_NcHW if split.features_ND is None else split.features_ND
    assert rows is not None
    return {"names": [split.names_N[row] for row in split.rows_M], "size": rows.shape[1:]}


def _json(content: Any) -> bytes:
    return json.dumps(content).encode()


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _cpu() -> str:
    """The processor's model, or its architecture if the system does not report the model."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.machine()


def _output(*command: str) -> str | None:
    """The output of a command; None if it does not exist or fails."""
    if shutil.which(command[0]) is None:
        return None
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=COMMAND_TIMEOUT_S, check=True)
    except (subprocess.SubprocessError, OSError):
        return None
    return done.stdout.strip() or None
