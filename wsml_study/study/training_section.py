"""Section `training`: optimization of one trial."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationInfo, field_validator

from wsml_study.description import Description, PositiveInt, Seed

LINEAR_EPOCHS = 25
"""Default number of epochs of the linear probe in `linear_init`, as published for LinearInit."""

RECIPE_KEYS = (
    "weight_decay_on",
    "learning_rate_schedule",
    "learning_rate_by",
    "learning_rate_warmup",
    "learning_rate_final",
    "one_cycle_peak",
    "epochs_per_decay",
    "decay_factor",
    "gradient_clipping",
    "layer_decay",
    "accumulate",
    "ema_decay",
    "dropout",
    "random_crop",
    "cutout",
    "rand_augment",
    "rand_augment_magnitude",
    "mixup",
    "mixup_alpha",
    "mixup_share",
    "mixup_images",
    "sampling",
    "temperature",
    "class_wise_epochs",
    "class_wise_learning_rate",
    "class_wise_unobserved",
)
"""Keys of recipes: all are absent in the published protocol, and off by default."""

OFF: Mapping[str, float | str] = MappingProxyType(
    {
        "learning_rate_warmup": 0,
        "gradient_clipping": 0,
        "layer_decay": 1,
        "ema_decay": 0,
        "dropout": 0,
        "random_crop": 1,
        "cutout": 0,
        "rand_augment": 0,
        "mixup": "none",
        "sampling": "each_once",
        "class_wise_epochs": 0,
    }
)
"""Values that mean the same as leaving the key out, so that a search can compare with it."""


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
    optimizer: Literal["adam", "adamw", "sgd"] = Field(default="adam", description="Optimizer.")
    learning_rate: Annotated[float, Field(gt=0)] = Field(default=1e-5, description="Learning rate of the backbone.")
    head_learning_rate_multiplier: Annotated[float, Field(gt=0)] = Field(
        default=10.0, description="The head's learning rate is this multiple of `learning_rate`."
    )
    momentum: Annotated[float, Field(ge=0, lt=1)] | None = Field(default=None, description="SGD only; 0.9 by default.")
    weight_decay: Annotated[float, Field(ge=0)] = Field(
        default=0.0, description="L2 penalty of the weights; with adamw a decay of its own, as published for it."
    )
    weight_decay_on: Literal["all", "weights"] | None = Field(
        default=None,
        description="What decays: `all` parameters (default with adam and sgd), or `weights`, without normalizations "
        "and biases (default with adamw).",
    )
    learning_rate_schedule: Literal["constant", "cosine", "one_cycle", "step"] | None = Field(
        default=None,
        description="All learning rates over a phase: `constant` (default); `cosine`, down to `learning_rate_final`; "
        "`one_cycle`, up to the configured rates and down, as torch's OneCycleLR, momentum included; `step`, times "
        "`decay_factor` every `epochs_per_decay`.",
    )
    learning_rate_by: Literal["step", "epoch"] | None = Field(
        default=None, description="The schedule moves at every optimizer `step` (default), or only between epochs."
    )
    learning_rate_warmup: Annotated[float, Field(ge=0)] | None = Field(
        default=None,
        description="Epochs, also a fraction of one, over which rates grow linearly at the start; 0: none.",
    )
    learning_rate_final: Annotated[float, Field(ge=0, le=1)] | None = Field(
        default=None, description="cosine: where it ends, as a fraction of the configured rates; 0 by default."
    )
    one_cycle_peak: Annotated[float, Field(gt=0, lt=1)] | None = Field(
        default=None, description="one_cycle: fraction of the steps at which rates are highest; 0.3 by default."
    )
    epochs_per_decay: PositiveInt | None = Field(default=None, description="step: epochs between two decays.")
    decay_factor: Annotated[float, Field(gt=0, lt=1)] | None = Field(
        default=None, description="step: factor of a decay; 0.1 by default."
    )
    gradient_clipping: Annotated[float, Field(ge=0)] | None = Field(
        default=None, description="The gradient of the network is scaled to this length where it is longer; 0: never."
    )
    layer_decay: Annotated[float, Field(gt=0, le=1)] | None = Field(
        default=None,
        description="End to end: each stage of the backbone learns at this share of the rate of the stage behind it, "
        "the last at this share of `learning_rate`; 1: all at the same.",
    )
    accumulate: PositiveInt | None = Field(
        default=None,
        description="Batches per optimizer step, whose gradients are averaged; the method sees each batch on its own. "
        "1 by default.",
    )
    ema_decay: Annotated[float, Field(ge=0, lt=1)] | None = Field(
        default=None,
        description="Keep an exponential moving average of the weights, at this decay per step, and evaluate it beside "
        "them; the better of both by the objective counts as the epoch's network. 0: none.",
    )
    dropout: Annotated[float, Field(ge=0, lt=1)] | None = Field(
        default=None, description="Share of the features in front of the head that are dropped in training; 0: none."
    )
    random_crop: Annotated[float, Field(gt=0, le=1)] | None = Field(
        default=None,
        description="End to end: train on random crops of this share of an image's area or more (sides 3:4 to 4:3), "
        "resized to the whole; 1: on whole images.",
    )
    cutout: Annotated[float, Field(ge=0, lt=1)] | None = Field(
        default=None,
        description="End to end: paint a square of a random color over training images; its side as a share of theirs. "
        "0: none.",
    )
    rand_augment: Annotated[int, Field(ge=0, le=10)] | None = Field(
        default=None,
        description="End to end: change training images by so many random operations of RandAugment; 0: none.",
    )
    rand_augment_magnitude: Annotated[int, Field(ge=0, le=30)] | None = Field(
        default=None, description="Strength of RandAugment's operations, of 30; 9 by default."
    )
    mixup: Literal["none", "mixup", "logicmix"] | None = Field(
        default=None,
        description="End to end: train on mixtures of images. `mixup` blends two, with a loss for the labels of each; "
        "`logicmix` averages several, whose label is positive if one is, negative if all are, else unobserved; `none` "
        "(default) mixes none.",
    )
    mixup_alpha: Annotated[float, Field(gt=0)] | None = Field(
        default=None, description="mixup: shares of a batch are drawn from Beta(alpha, alpha); 0.2 by default."
    )
    mixup_share: Annotated[float, Field(gt=0, le=1)] | None = Field(
        default=None, description="logicmix: share of the images that are mixed with others; 0.5 by default."
    )
    mixup_images: Annotated[int, Field(ge=2, le=8)] | None = Field(
        default=None, description="logicmix: from two up to so many images are mixed; 3 by default."
    )
    sampling: Literal["each_once", "class_balanced"] | None = Field(
        default=None,
        description="`class_balanced`: an epoch draws as many images as there are, with replacement, each class as "
        "often by its observed positives. `each_once` (default): each image once.",
    )
    temperature: Annotated[float, Field(gt=0)] | None = Field(
        default=None, description="Logits are divided by this, in training and after it; 1 by default."
    )
    class_wise_epochs: Annotated[int, Field(ge=0)] | None = Field(
        default=None,
        description="Category-wise fine-tuning: so many epochs at the end, each one step for all images at once, in "
        "which each class's row of the head is fitted to the labels of its class alone, on features of the network at "
        "its best epoch; of each class the row of best validation AP is kept. 0: none.",
    )
    class_wise_learning_rate: Annotated[float, Field(gt=0)] | None = Field(
        default=None, description="class_wise_epochs: learning rate of Adam; 1e-4 by default, as published."
    )
    class_wise_unobserved: Literal["left_out", "negative"] | None = Field(
        default=None,
        description="class_wise_epochs: unobserved labels are `left_out` (default, as published), which needs observed "
        "negatives, or taken as `negative`.",
    )
    precision: Literal["auto", "fp32", "bf16"] = Field(
        default="auto", description="auto: bf16 autocast on a GPU, fp32 on a CPU."
    )
    compile: bool | None = Field(
        default=None,
        description="End to end, one worker per trial: train by code that torch.compile makes of the network, and of "
        "the loss of LL-R, LL-Ct and LL-Cp; false by default. Results differ in the last digits.",
    )
    seed: Seed = Field(default=0, description="Seed of initial weights, order of images and mirroring.")

    @field_validator(*OFF)
    @classmethod
    def _off_is_absent(cls, given: Any, info: ValidationInfo) -> Any:
        return None if info.field_name is not None and given == OFF[info.field_name] else given

    @field_validator("compile")
    @classmethod
    def _false_is_absent(cls, given: bool | None) -> bool | None:
        return given or None

    @property
    def decays_weights_only(self) -> bool:
        """Whether weight decay leaves out normalizations and biases."""
        return self.weight_decay_on == "weights" or (self.weight_decay_on is None and self.optimizer == "adamw")

    @property
    def schedules_rates(self) -> bool:
        """Whether learning rates change within a phase."""
        return self.learning_rate_schedule not in (None, "constant") or self.learning_rate_warmup is not None

    @property
    def augments(self) -> bool:
        """Whether training images are changed by more than mirroring."""
        return any(one is not None for one in (self.random_crop, self.cutout, self.rand_augment))

    @property
    def recipe(self) -> dict[str, Any]:
        """What is given beyond the published protocol's kind of optimization: key -> value.

        >>> Training(optimizer="adamw", accumulate=2).recipe
        {'optimizer': 'adamw', 'accumulate': 2}
        """
        given = {"optimizer": "adamw"} if self.optimizer == "adamw" else {}
        return given | {key: value for key in RECIPE_KEYS if (value := getattr(self, key)) is not None}

    @property
    def num_linear_epochs(self) -> int:
        """Epochs of the linear probe at the start of `linear_init`; 0 in other modes."""
        return (self.linear_epochs or LINEAR_EPOCHS) if self.mode == "linear_init" else 0

    @property
    def total_epochs(self) -> int:
        """All epochs of the trial: those of the linear probe in `linear_init` and class-wise ones included.

        >>> Training(mode="linear_init", epochs=10).total_epochs
        35
        """
        return self.num_linear_epochs + self.epochs + (self.class_wise_epochs or 0)

    @property
    def last_epoch(self) -> int:
        """The number of a trial's last epoch."""
        return min(self.total_epochs, self.stop_after_epoch or self.total_epochs)

    def is_class_wise(self, epoch: int) -> bool:
        """Whether an epoch is one of category-wise fine-tuning."""
        return self.class_wise_epochs is not None and epoch > self.num_linear_epochs + self.epochs

    def epochs_of_phase(self, epoch: int) -> int:
        """How many epochs the phase of an epoch has."""
        if self.is_class_wise(epoch):
            return self.class_wise_epochs or 0
        return self.num_linear_epochs if epoch <= self.num_linear_epochs else self.epochs

    def epoch_of_phase(self, epoch: int) -> int:
        """The number of an epoch within its phase, as methods count: each phase begins at 1.

        >>> [Training(mode="linear_init", linear_epochs=2).epoch_of_phase(epoch) for epoch in (1, 2, 3, 4)]
        [1, 2, 1, 2]
        """
        if self.is_class_wise(epoch):
            return epoch - self.num_linear_epochs - self.epochs
        return epoch if epoch <= self.num_linear_epochs else epoch - self.num_linear_epochs
