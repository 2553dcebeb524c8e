"""Section `resources`: workers, GPUs and CPUs of one trial."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator

from wsml_study.description import Description, PositiveInt

MOST_FUSED = 64
"""Default number of linear probes in one batch: more gain little speed, and delay the results of their first epochs."""


class Resources(Description):
    """Workers, GPUs and CPUs of one trial."""

    workers_per_trial: PositiveInt = Field(default=1, description="Processes that share each batch of a trial.")
    gpus_per_worker: Annotated[float, Field(ge=0)] | Literal["auto"] = Field(
        default="auto", description="auto: one GPU where the cluster has any, none elsewhere."
    )
    cpus_per_worker: PositiveInt = Field(default=1, description="CPUs, and threads of torch, per worker.")
    fused_trials: PositiveInt | None = Field(
        default=None,
        description="Linear probes that a worker trains together in one batch, at most, where the next trials are "
        f"known in advance (samplers random and grid, `sampler.batch`, confirmations, seeds); {MOST_FUSED} by default, "
        "1 trains each trial separately.",
    )

    @field_validator("gpus_per_worker")
    @classmethod
    def _fractions_for_one_worker(cls, gpus: float | str, info: ValidationInfo) -> float | str:
        if isinstance(gpus, str) or gpus == int(gpus):
            return gpus
        if gpus > 1:
            raise ValueError(f"expected a whole number of GPUs or a fraction of one, got {gpus}")
        num_workers = info.data.get("workers_per_trial", 1)
        if num_workers > 1:
            raise ValueError(
                f"expected whole GPUs for {num_workers} workers per trial, got {gpus}: "
                "two workers of a trial cannot share a GPU"
            )
        return gpus
