"""Section `training`: optimization of one trial."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from wsml_study.description import Description, PositiveInt, Seed

LINEAR_EPOCHS = 25
"""Default number of epochs of the linear probe in `linear_init`, as published for LinearInit."""


class Training(Description):
    """Optimization of one trial."""

    mode: Literal["end_to_end", "linear", "linear_init"] | None = Field(
        default=None,
        description="`end_to_end` (default) trains backbone and head; `linear` a linear probe, only the head on "
        "features of the frozen backbone; `linear_init` first a linear probe, then end to end.",
    )
    epochs: PositiveInt = Field(
        default=10, description="Passes over the training images; with linear_init only the end-to-end ones."
    )
    linear_epochs: PositiveInt | None = Field(
        default=None,
        description=f"linear_init: epochs of the linear probe, before those end to end; {LINEAR_EPOCHS} by default.",
    )
    linear_learning_rate: Annotated[float, Field(gt=0)] | None = Field(
        default=None,
        description="linear_init: learning rate of the linear probe; by default that of the head end to end.",
    )
    hand_over: Literal["best", "last"] | None = Field(
        default=None,
        description="linear_init: the head of the linear probe that training end to end begins with: that of its "
        "`best` epoch by the objective (default, as published; without validation images the last), or of its `last`.",
    )
    mirror_features: bool | None = Field(
        default=None,
        description="linear and linear_init: train the linear probe also on features of mirrored images, for half of "
        "the images in each epoch; false by default, as published.",
    )
    stop_after_epoch: PositiveInt | None = Field(
        default=None,
        description="Final training: end after this epoch, with schedules and methods as for all `epochs`.",
    )
    stop_below_best: Annotated[float, Field(gt=0)] | None = Field(
        default=None,
        description="End the trial after an epoch whose objective is worse than the best one so far by more than this: "
        "percentage points of mAP, 3 in the published protocol. With linear_init only end-to-end epochs end it.",
    )
    batch_size: PositiveInt = Field(default=16, description="Images per global batch, which a trial's workers share.")
    optimizer: Literal["adam", "sgd"] = Field(default="adam", description="Optimizer.")
    learning_rate: Annotated[float, Field(gt=0)] = Field(default=1e-5, description="Learning rate of the backbone.")
    head_learning_rate_multiplier: Annotated[float, Field(gt=0)] = Field(
        default=10.0, description="The head's learning rate is this multiple of `learning_rate`."
    )
    momentum: Annotated[float, Field(ge=0, lt=1)] | None = Field(default=None, description="SGD only; 0.9 by default.")
    weight_decay: Annotated[float, Field(ge=0)] = Field(default=0.0, description="L2 penalty of the weights.")
    precision: Literal["auto", "fp32", "bf16"] = Field(
        default="auto", description="auto: bf16 autocast on a GPU, fp32 on a CPU."
    )
    seed: Seed = Field(default=0, description="Seed of initial weights, order of images and mirroring.")

    @property
    def num_linear_epochs(self) -> int:
        """Epochs of the linear probe at the start of `linear_init`; 0 in other modes."""
        return (self.linear_epochs or LINEAR_EPOCHS) if self.mode == "linear_init" else 0

    @property
    def total_epochs(self) -> int:
        """All epochs of the trial, those of the linear probe in `linear_init` included.

        >>> Training(mode="linear_init", epochs=10).total_epochs
        35
        """
        return self.num_linear_epochs + self.epochs

    @property
    def last_epoch(self) -> int:
        """The number of a trial's last epoch."""
        return min(self.total_epochs, self.stop_after_epoch or self.total_epochs)

    def epoch_of_phase(self, epoch: int) -> int:
        """The number of an epoch within its phase, as methods count: each phase of linear_init begins at 1.

        >>> [Training(mode="linear_init", linear_epochs=2).epoch_of_phase(epoch) for epoch in (1, 2, 3, 4)]
        [1, 2, 1, 2]
        """
        return epoch if epoch <= self.num_linear_epochs else epoch - self.num_linear_epochs
