"""What a study is: frozen descriptions of one trial's config and of the search around it.

Each description judges its own keys. What one key means for another (a schedule only where the method takes one) is a
table, `KEY_RULES`, since a base config may hold keys that only some of the searched trials take.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from wsml_study.methods.catalogue import LIMITS, METHODS, explain_key, takers
from wsml_study.study.clashes import Clash, clashes

Scalar = bool | int | float | str
Fraction = Annotated[float, Field(ge=0, le=1)]
PositiveInt = Annotated[int, Field(ge=1)]
Seed = Annotated[int, Field(ge=0, le=2**32 - 1)]


class Description(BaseModel):
    """Frozen; refuses unknown keys, "1" where a number is meant, and numbers that are not finite."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class DatasetName(StrEnum):
    """Datasets with a reader."""

    DIGIT_SCENES = "digit_scenes"
    VOC2007 = "voc2007"
    VOC2012 = "voc2012"
    COCO2014 = "coco2014"
    COCO2017 = "coco2017"
    NUSWIDE = "nuswide"
    CUB = "cub"
    OPENIMAGES_V3 = "openimages_v3"
    TABLE = "table"
    LIST = "list"
    COCO_JSON = "coco_json"
    FEATURES = "features"


OWN_LABELS = (DatasetName.TABLE, DatasetName.LIST, DatasetName.COCO_JSON)
KEPT_AS_THEY_ARE = (*OWN_LABELS, DatasetName.FEATURES, DatasetName.OPENIMAGES_V3)
"""Datasets whose labels nobody hides unless the study says so: the user's own, and those that are partial already."""


class Observe(Description):
    """Which true labels of a training image the method gets to see."""

    positives: PositiveInt | Literal["all"] = Field(
        default=1, description="Positive labels kept per image, drawn at random, or `all`."
    )
    negatives: Annotated[int, Field(ge=0)] | Literal["all"] = Field(
        default=0, description="Negative labels kept per image, drawn at random, or `all`."
    )
    bias: Annotated[float, Field(ge=-10, le=10)] | None = Field(
        default=None,
        description="A positive is kept with odds of its class's frequency to this power: above 0 prefers frequent "
        "classes, below 0 rare ones; fair by default.",
    )
    share: Annotated[float, Field(gt=0, le=1)] | None = Field(
        default=None, description="Instead of counts per image: the share of all labels that is kept, a fraction."
    )
    share_per_class: Annotated[float, Field(gt=0, le=1)] | None = Field(
        default=None, description="Instead of counts per image: the share of each class's labels that is kept."
    )
    seed: Seed = Field(default=1200, description="Seed of the draw.")

    @model_validator(mode="after")
    def _counts_or_share(self) -> Self:
        shares = [key for key in ("share", "share_per_class") if getattr(self, key) is not None]
        if len(shares) > 1:
            raise ValueError("expected `share` or `share_per_class`, got both")
        if shares and (self.positives, self.negatives, self.bias) != (1, 0, None):
            raise ValueError(f"`{shares[0]}` stands instead of `positives`, `negatives` and `bias`")
        return self


KEPT = Observe(positives="all", negatives="all")
"""Nothing is hidden."""


class LabelsOfYourOwn(Description):
    """Files with labels of the user's own images."""

    file: str = Field(description="Labels of all images, or of those to train on.")
    test_file: str | None = Field(default=None, description="Labels of the images to test on.")
    classes: str | None = Field(default=None, description="A file with the names of the classes, one a line.")
    image_column: str | None = Field(
        default=None, description="table: the column with the image files; by default the first."
    )
    split_column: str | None = Field(default=None, description="table: a column with train, validation or test.")
    positives_column: str | None = Field(
        default=None, description="table: the column that lists the classes of an image, instead of a column per class."
    )
    negatives_column: str | None = Field(
        default=None, description="table: the column that lists the classes that an image does not show."
    )
    separator: Annotated[str, Field(min_length=1)] = Field(
        default=";", description="table: between the classes of such a column."
    )
    unlisted: Literal["negative", "unobserved"] | None = Field(
        default=None, description="table: what a class is that no column lists for an image."
    )
    test_fraction: Annotated[float, Field(gt=0, lt=1)] = Field(
        default=0.2, description="Share of the images to test on, where neither a file nor a column says which."
    )
    seed: Seed = Field(default=1200, description="Seed of their draw.")

    @model_validator(mode="after")
    def _columns_go_together(self) -> Self:
        if self.positives_column is None and (self.negatives_column is not None or self.unlisted is not None):
            raise ValueError("`negatives_column` and `unlisted` need `positives_column`")
        if self.positives_column is not None and self.negatives_column is None and self.unlisted is None:
            raise ValueError(
                "`positives_column` needs `unlisted`: is a class that is not listed `negative`, or `unobserved`?"
            )
        return self


class GivenFeatures(Description):
    """Files with features of the user's own, in place of images, and their labels."""

    file: str = Field(
        description="Features of all rows, or of those to train on: an .npy matrix, .parquet or .arff, relative to "
        "data.root."
    )
    test_file: str | None = Field(default=None, description="Features of the rows to test on.")
    labels_file: str | None = Field(
        default=None,
        description="Labels of the rows, where `file` holds features alone: an .npy matrix of 1, 0 and NaN, or a table "
        "as of `dataset: table`, row by row.",
    )
    test_labels_file: str | None = Field(default=None, description="Labels of the rows to test on.")
    classes: str | None = Field(
        default=None,
        description="A file with the names of the classes, one a line, or Mulan's .xml; the columns of `file` that are "
        "called so are the labels.",
    )
    num_labels: PositiveInt | None = Field(
        default=None, description="The last so many columns of `file` are the labels."
    )
    name_column: str | None = Field(default=None, description="A column with a name for each row.")
    split_column: str | None = Field(default=None, description="A column with train, validation or test.")
    test_fraction: Annotated[float, Field(gt=0, lt=1)] = Field(
        default=0.2, description="Share of the rows to test on, where neither a file nor a column says which."
    )
    seed: Seed = Field(default=1200, description="Seed of their draw.")

    @model_validator(mode="after")
    def _files_go_together(self) -> Self:
        if self.test_labels_file is not None and (self.test_file is None or self.labels_file is None):
            raise ValueError("`test_labels_file` needs `test_file` and `labels_file`")
        if self.test_file is not None and self.labels_file is not None and self.test_labels_file is None:
            raise ValueError("`test_file` beside `labels_file` needs `test_labels_file`")
        if self.num_labels is not None and self.labels_file is not None:
            raise ValueError("`num_labels` counts labels in `file`, and `labels_file` says that they are elsewhere")
        return self


class Validation(Description):
    """The part of the training images that is held out to judge a trial."""

    fraction: Annotated[float, Field(gt=0, lt=1)] = Field(default=0.2, description="Share of the training images.")
    seed: Seed = Field(default=1200, description="Seed of the split.")
    labels: Literal["clean", "observed"] = Field(
        default="clean",
        description="Judge against the true labels, or against the observed ones (unobserved: negative).",
    )


class Data(Description):
    """Images, labels, and what is hidden of them."""

    dataset: DatasetName = Field(strict=False, description="Which reader reads the images and labels.")
    root: str | None = Field(
        default=None,
        description="Folder of the dataset's own download, or of your images, relative to where the command runs; not "
        "for digit_scenes.",
    )
    labels: LabelsOfYourOwn | None = Field(
        default=None, description="table, list and coco_json: the files with the labels of your own images."
    )
    features: GivenFeatures | None = Field(
        default=None, description="features: the files with your own features and labels."
    )
    feature_scaling: Literal["standardize", "none"] | None = Field(
        default=None,
        description="features: `standardize` (default) gives each feature mean 0 and deviation 1 over the training "
        "rows; `none` leaves it as it is.",
    )
    image_size: Annotated[int, Field(ge=16, le=2048)] | None = Field(
        default=None,
        description="Images are resized to this many pixels squared; by default as the dataset's protocol.",
    )
    horizontal_flip: bool | None = Field(
        default=None, description="Mirror half of the training images; by default as the dataset's protocol."
    )
    store: Literal["raw", "jpeg", "none"] | None = Field(
        default=None,
        description="How decoded images are kept: `raw` pixels, `jpeg` (quality 95, decoded anew for each batch), or "
        "`none` (the files are decoded for each batch); by default raw up to 100 GiB and jpeg above.",
    )
    observe: Observe = Field(
        default=Observe(),
        description="Which true labels the method gets to see; all of them by default if they are your own, or "
        "openimages_v3's, and one positive per image else.",
    )
    validation: Validation = Field(default=Validation(), description="The images held out to judge a trial.")
    train_on: Literal["train", "train+validation"] | None = Field(
        default=None,
        description="Final training: `train+validation` holds no image out, so that nothing chooses among the epochs; "
        "`train` by default.",
    )

    @property
    def holds_out(self) -> bool:
        """Whether there are validation images that are not trained on."""
        return self.train_on != "train+validation"

    @model_validator(mode="before")
    @classmethod
    def _labels_are_what_they_are(cls, content: Any) -> Any:
        if isinstance(content, dict) and content.get("dataset") in KEPT_AS_THEY_ARE and "observe" not in content:
            return content | {"observe": KEPT.model_dump()}
        return content


class Model(Description):
    """The classifier: a backbone and one head."""

    backbone: str = Field(
        default="small_cnn",
        description="`small_cnn`, a torchvision classification model such as `resnet50`, or `linear`, which given "
        "features need.",
    )
    weights: str | None = Field(
        default=None, description="Weights of the backbone: torchvision's name (IMAGENET1K_V1) or a .pth file."
    )
    head: Literal["linear", "boostlu"] | None = Field(
        default=None,
        description="`linear` (default) pools the feature map, then one linear layer; `boostlu` multiplies positive "
        "class activations by 5 before it averages them, for backbones that pool a map and end in one linear layer.",
    )


class MethodName(StrEnum):
    """Ways to treat unobserved labels, by their papers' names; a member for every entry of the catalogue."""

    vars().update({name.upper().replace("-", "_").replace("+", "_"): name for name in METHODS})


class ScheduleShape(StrEnum):
    """Course of the rejection rate over the epochs."""

    LINEAR = "linear"
    CONSTANT = "constant"
    CAPPED_LINEAR = "capped_linear"
    COSINE = "cosine"
    STEP = "step"


SCHEDULE_PARAMETERS: dict[ScheduleShape, tuple[str, ...]] = {
    ScheduleShape.LINEAR: ("rate_per_epoch",),
    ScheduleShape.CONSTANT: ("final_rate",),
    ScheduleShape.CAPPED_LINEAR: ("rate_per_epoch", "final_rate"),
    ScheduleShape.COSINE: ("final_rate", "ramp_epochs"),
    ScheduleShape.STEP: ("rate_per_step", "epochs_per_step"),
}
"""What each shape needs beside `warmup_epochs`, which all shapes share."""


class Schedule(Description):
    """Epoch -> rejection rate, a fraction; 0 during the warm-up."""

    shape: ScheduleShape = Field(
        default=ScheduleShape.LINEAR, strict=False, description="Course of the rejection rate after the warm-up."
    )
    warmup_epochs: Annotated[int, Field(ge=0)] = Field(
        default=1, description="Epochs at the start that distrust nothing."
    )
    rate_per_epoch: Fraction | None = Field(
        default=None, description="Growth per epoch, a fraction (0.002 is the authors' delta_rel of 0.2 percent)."
    )
    final_rate: Fraction | None = Field(default=None, description="The rate that the schedule ends at, a fraction.")
    ramp_epochs: PositiveInt | None = Field(
        default=None, description="Epochs from the warm-up's end to the final rate."
    )
    rate_per_step: Fraction | None = Field(default=None, description="Growth per step, a fraction.")
    epochs_per_step: PositiveInt | None = Field(default=None, description="Epochs that a step lasts.")


def _hyperparameter(key: str) -> Any:
    """A key that only some methods take, and that has the default of the paper for the dataset where it is absent."""
    limits = LIMITS[key]
    bounds: dict[str, Any] = (
        {} if limits.choices else {"ge": limits.least, "lt" if limits.without_most else "le": limits.most}
    )
    return Field(default=None, description=explain_key(key), **bounds)


class Method(Description):
    """How unobserved labels are treated. Which method takes which key, and what by default: `wsml-study methods`."""

    name: MethodName = Field(strict=False, description="How unobserved labels are treated.")
    schedule: Schedule | None = Field(
        default=None, description="Large-loss methods: the rejection rate over the epochs."
    )
    variant: Literal["code", "paper", "unobserved", "mlcpl", "per_image", "kept"] | None = _hyperparameter("variant")
    reduction: Literal["sum", "mean"] | None = _hyperparameter("reduction")
    warmup_epochs: int | None = _hyperparameter("warmup_epochs")
    negative_weight: float | None = _hyperparameter("negative_weight")
    smoothing: float | None = _hyperparameter("smoothing")
    expected_positives: float | None = _hyperparameter("expected_positives")
    estimate_learning_rate_multiplier: float | None = _hyperparameter("estimate_learning_rate_multiplier")
    gamma: float | None = _hyperparameter("gamma")
    gamma_positive: float | None = _hyperparameter("gamma_positive")
    gamma_negative: float | None = _hyperparameter("gamma_negative")
    gamma_unobserved: float | None = _hyperparameter("gamma_unobserved")
    probability_margin: float | None = _hyperparameter("probability_margin")
    logit_margin: float | None = _hyperparameter("logit_margin")
    hill_lambda: float | None = _hyperparameter("hill_lambda")
    positive_threshold: float | None = _hyperparameter("positive_threshold")
    entropy_weight: float | None = _hyperparameter("entropy_weight")
    pseudo_label_weight: float | None = _hyperparameter("pseudo_label_weight")
    pseudo_label_share: float | None = _hyperparameter("pseudo_label_share")
    gr_w_first: float | None = _hyperparameter("gr_w_first")
    gr_w_last: float | None = _hyperparameter("gr_w_last")
    gr_b_first: float | None = _hyperparameter("gr_b_first")
    gr_b_last: float | None = _hyperparameter("gr_b_last")
    gr_mu_first: float | None = _hyperparameter("gr_mu_first")
    gr_mu_last: float | None = _hyperparameter("gr_mu_last")
    gr_sigma_first: float | None = _hyperparameter("gr_sigma_first")
    gr_sigma_last: float | None = _hyperparameter("gr_sigma_last")
    gr_q2: float | None = _hyperparameter("gr_q2")
    gr_q3: float | None = _hyperparameter("gr_q3")
    likely_per_image: int | None = _hyperparameter("likely_per_image")
    prior_threshold: float | None = _hyperparameter("prior_threshold")


LINEAR_EPOCHS = 25
"""Epochs of the linear phase where nothing else is said: the published LinearInit."""


class Training(Description):
    """One trial's optimization."""

    mode: Literal["end_to_end", "linear", "linear_init"] | None = Field(
        default=None,
        description="`end_to_end` (default) trains everything; `linear` the head alone, on features of the frozen "
        "backbone; `linear_init` first the head alone, then everything.",
    )
    epochs: PositiveInt = Field(
        default=10, description="Passes over the training images; with linear_init those of everything."
    )
    linear_epochs: PositiveInt | None = Field(
        default=None,
        description=f"linear_init: epochs of the head alone, before the others; {LINEAR_EPOCHS} by default.",
    )
    linear_learning_rate: Annotated[float, Field(gt=0)] | None = Field(
        default=None,
        description="linear_init: step size of the head while it learns alone; by default the one that it has later.",
    )
    mirror_features: bool | None = Field(
        default=None,
        description="linear and linear_init: the head learns from features of mirrored images as well, of half of the "
        "images in each epoch; false by default, as published.",
    )
    stop_after_epoch: PositiveInt | None = Field(
        default=None,
        description="Final training: end after this epoch, while schedules and methods still count on all `epochs`.",
    )
    batch_size: PositiveInt = Field(default=16, description="Images of the global batch, shared by a trial's workers.")
    optimizer: Literal["adam", "sgd"] = Field(default="adam", description="Who turns gradients into steps.")
    learning_rate: Annotated[float, Field(gt=0)] = Field(default=1e-5, description="Step size of the backbone.")
    head_learning_rate_multiplier: Annotated[float, Field(gt=0)] = Field(
        default=10.0, description="The head learns at this multiple of the learning rate."
    )
    momentum: Annotated[float, Field(ge=0, lt=1)] | None = Field(default=None, description="SGD only; 0.9 by default.")
    weight_decay: Annotated[float, Field(ge=0)] = Field(default=0.0, description="L2 penalty of the weights.")
    precision: Literal["auto", "fp32", "bf16"] = Field(
        default="auto", description="auto: bf16 autocast on a GPU, fp32 on a CPU."
    )
    seed: Seed = Field(default=0, description="Seed of initial weights, order of images and mirroring.")

    @property
    def num_linear_epochs(self) -> int:
        """Epochs at the start that train the head alone, before the `epochs` of everything."""
        return (self.linear_epochs or LINEAR_EPOCHS) if self.mode == "linear_init" else 0

    @property
    def total_epochs(self) -> int:
        """Epochs of the whole trial.

        >>> Training(mode="linear_init", epochs=10).total_epochs
        35
        """
        return self.num_linear_epochs + self.epochs

    @property
    def last_epoch(self) -> int:
        """The epoch that a trial ends with."""
        return min(self.total_epochs, self.stop_after_epoch or self.total_epochs)

    def epoch_of_phase(self, epoch: int) -> int:
        """The number of a trial's epoch as its method counts: each phase of linear_init begins at 1.

        >>> [Training(mode="linear_init", linear_epochs=2).epoch_of_phase(epoch) for epoch in (1, 2, 3, 4)]
        [1, 2, 1, 2]
        """
        return epoch if epoch <= self.num_linear_epochs else epoch - self.num_linear_epochs


class Objective(Description):
    """What a trial is judged by."""

    metric: Literal["best_val_map", "last_val_map"] = Field(
        default="best_val_map", description="Validation mAP of the best epoch, or of the last one."
    )
    mode: Literal["max"] = Field(default="max", description="More is better.")


MOST_FUSED = 64
"""Trials that are trained as one, where nothing else is said: more gain little, and wait longer for a first epoch."""


class Resources(Description):
    """What one trial runs on."""

    workers_per_trial: PositiveInt = Field(default=1, description="Processes that share a trial's batches.")
    gpus_per_worker: Annotated[float, Field(ge=0)] | Literal["auto"] = Field(
        default="auto", description="auto: one GPU where the cluster has any, none elsewhere."
    )
    cpus_per_worker: PositiveInt = Field(default=1, description="CPUs, and torch threads, of each worker.")
    fused_trials: PositiveInt | None = Field(
        default=None,
        description=f"Trials of a head alone that a worker trains as one, at most, where it is known which come next "
        f"(samplers random and grid, `sampler.batch`, confirmations, seeds); {MOST_FUSED} by default, 1 trains each by "
        f"itself.",
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


class FloatRange(Description):
    """A range of real numbers, both ends included."""

    low: float = Field(description="The smallest value.")
    high: float = Field(description="The largest value.")
    log: bool = Field(default=False, description="Search the logarithm evenly.")
    step: Annotated[float, Field(gt=0)] | None = Field(default=None, description="Only low, low + step, and so on.")

    @model_validator(mode="after")
    def _makes_a_range(self) -> Self:
        _check_range(self)
        return self


class IntRange(Description):
    """A range of whole numbers, both ends included."""

    low: int = Field(description="The smallest value.")
    high: int = Field(description="The largest value.")
    log: bool = Field(default=False, description="Search the logarithm evenly.")
    step: PositiveInt | None = Field(default=None, description="Only low, low + step, and so on; 1 by default.")

    @model_validator(mode="after")
    def _makes_a_range(self) -> Self:
        _check_range(self)
        return self


def _check_range(search_range: FloatRange | IntRange) -> None:
    low, high, step = search_range.low, search_range.high, search_range.step
    if not low < high:
        raise ValueError(f"expected low < high, got low={low}, high={high}")
    if search_range.log and low <= 0:
        raise ValueError(f"a logarithmic range needs low > 0, got low={low}")
    if search_range.log and step is not None:
        raise ValueError("a logarithmic range takes no `step`")
    if step is not None and Decimal(str(step)) > Decimal(str(high)) - Decimal(str(low)):
        raise ValueError(f"expected a step that fits between low={low} and high={high}, got step={step}")


class Parameter(Description):
    """One searched key: exactly one of choice, float and int, and when it applies."""

    choice: tuple[Scalar, ...] | None = Field(
        default=None, min_length=1, strict=False, description="Search these values."
    )
    float: FloatRange | None = Field(default=None, description="Search a range of real numbers.")
    int: IntRange | None = Field(default=None, description="Search a range of whole numbers.")
    when: dict[str, Annotated[tuple[Scalar, ...], Field(strict=False)]] | None = Field(
        default=None, description="Search this key only where other keys have one of the listed values."
    )

    @model_validator(mode="after")
    def _one_domain(self) -> Self:
        given = [name for name in ("choice", "float", "int") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"expected exactly one of choice, float, int; got {' and '.join(given) or 'none of them'}")
        return self

    @property
    def domain(self) -> tuple[Scalar, ...] | FloatRange | IntRange:
        """The listed values or the range."""
        domain = self.choice or self.float or self.int
        assert domain is not None
        return domain


LEARNING_SAMPLERS = ("tpe", "gp", "cmaes", "nsgaii")
"""Samplers whose proposals depend on the trials before."""


class Sampler(Description):
    """Who proposes the next trial."""

    name: Literal["tpe", "random", "grid", "gp", "cmaes", "nsgaii"] = Field(
        default="tpe", description="Optuna's sampler; grid tries every combination in a fixed order."
    )
    seed: Seed = Field(default=0, description="Seed of the proposals.")
    batch: PositiveInt | None = Field(
        default=None,
        description="tpe, gp, cmaes, nsgaii: so many trials are proposed at once, before any of them has a result, so "
        "that those of a head alone can train as one; 1 by default. Decides what is proposed.",
    )


class EarlyStopping(Description):
    """Who ends a trial before its last epoch."""

    name: Literal["asha", "hyperband", "median", "pbt", "none"] = Field(
        default="none",
        description="asha compares trials after some epochs and ends the worse ones; hyperband does so in several "
        "brackets, each later than the last; median ends trials below the median of the others; pbt ends none, the "
        "worse ones take over the networks of the better ones and go on with other values.",
    )
    grace_epochs: PositiveInt | None = Field(default=None, description="Epochs that every trial gets; 1 by default.")
    reduction_factor: Annotated[int, Field(ge=2)] | None = Field(
        default=None, description="asha, hyperband: one in this many goes on at each rung; 3 by default."
    )
    brackets: PositiveInt | None = Field(
        default=None, description="hyperband: trials take turns in so many brackets; 3 by default."
    )
    min_trials: PositiveInt | None = Field(
        default=None, description="median, pbt: as many other trials must have come as far; 3 by default."
    )
    interval_epochs: PositiveInt | None = Field(
        default=None, description="pbt: trials are compared after every so many epochs; 1 by default."
    )
    quantile: Annotated[float, Field(gt=0, le=0.5)] | None = Field(
        default=None, description="pbt: the worst so many take over one of as many best, a fraction; 0.25 by default."
    )
    resample_probability: Fraction | None = Field(
        default=None,
        description="pbt: chance of a value to be drawn anew instead of being moved by a fifth; 0.25 by default.",
    )

    def rungs(self, epochs: int, *, bracket: int = 0) -> list[int]:
        """Epochs after which trials of a bracket are compared, below the last epoch.

        The grace period times powers of the factor; each bracket leaves out one more of the first ones.

        >>> EarlyStopping(name="asha", grace_epochs=2).rungs(20)
        [2, 6, 18]
        >>> EarlyStopping(name="hyperband", grace_epochs=2).rungs(20, bracket=1)
        [6, 18]
        """
        factor = self.reduction_factor or 3
        rungs = []
        epoch = (self.grace_epochs or 1) * factor**bracket
        while self.name in ("asha", "hyperband") and epoch < epochs:
            rungs.append(epoch)
            epoch *= factor
        return rungs


class Level(Description):
    """A cheaper look at all configs, before the best of them are looked at more closely."""

    set: dict[str, Scalar] = Field(
        min_length=1, description="What is cheaper: dotted key of the base config -> its value at this level."
    )
    survivors: PositiveInt = Field(
        description="How many of the level's best configs go on to the next level, after the last one to full size."
    )


class Confirm(Description):
    """What runs again once the search has ended, so that its best is no stroke of luck."""

    top: PositiveInt = Field(
        default=3,
        description="How many configs beside the baseline: the best of each of the best methods, then the next best.",
    )
    seeds: Annotated[int, Field(ge=2, le=1000)] = Field(
        default=5, description="Each config runs with so many seeds and draws of the hidden labels, the same for all."
    )


class Tracking(Description):
    """Other programs that show the study as it runs. Decides nothing."""

    optuna_journal: bool = Field(
        default=True, description="Keep journal.log in the study's folder, which optuna-dashboard opens."
    )
    tensorboard: bool = Field(default=True, description="Keep a TensorBoard run per trial in the folder tensorboard.")
    mlflow: str | None = Field(
        default=None, description="Tracking URI of an MLflow server or database, such as sqlite:///mlflow.db."
    )
    wandb: str | None = Field(default=None, description="Project of Weights & Biases, or team/project.")


class Provenance(Description):
    """Where an exported config comes from. Decides nothing."""

    study: str = Field(description="Name of the study.")
    trial: Annotated[int, Field(ge=0)] = Field(description="Number of the trial, from 0.")
    value: float = Field(description="The trial's objective.")
    best_epoch: PositiveInt | None = Field(default=None, description="Its epoch of the best validation mAP.")
    fingerprint: str = Field(description="Fingerprint of what decided the study's results.")


@dataclass(frozen=True, kw_only=True)
class KeyRule:
    """A key that means something only with some values of another key, the decider.

    Attributes:
        key: dotted path.
        decider: dotted path of the key that decides.
        called: what a message calls the decider.
        takers: values of the decider with which the key means something.
        needed: with those values the key must be there.
        by_default: what the decider is where it is absent; None if it is never absent.
    """

    key: str
    decider: str
    called: str
    takers: tuple[str, ...]
    needed: bool
    by_default: str | None = None


def _schedule_rules() -> Iterator[KeyRule]:
    for key in sorted({key for keys in SCHEDULE_PARAMETERS.values() for key in keys}):
        yield KeyRule(
            key=f"method.schedule.{key}",
            decider="method.schedule.shape",
            called="shape",
            takers=tuple(shape.value for shape, keys in SCHEDULE_PARAMETERS.items() if key in keys),
            needed=True,
        )


_DOWNLOADED = tuple(name.value for name in DatasetName if name is not DatasetName.DIGIT_SCENES)
_WITH_IMAGES = tuple(name.value for name in DatasetName if name is not DatasetName.FEATURES)

KEY_RULES = (
    KeyRule(key="data.root", decider="data.dataset", called="dataset", takers=_DOWNLOADED, needed=True),
    KeyRule(
        key="data.labels", decider="data.dataset", called="dataset", takers=tuple(map(str, OWN_LABELS)), needed=True
    ),
    *(
        KeyRule(key=f"data.labels.{key}", decider="data.dataset", called="dataset", takers=("table",), needed=False)
        for key in ("image_column", "split_column", "positives_column", "negatives_column", "unlisted")
    ),
    KeyRule(
        key="data.labels.classes", decider="data.dataset", called="dataset", takers=("table", "list"), needed=False
    ),
    KeyRule(key="data.features", decider="data.dataset", called="dataset", takers=("features",), needed=True),
    KeyRule(key="data.feature_scaling", decider="data.dataset", called="dataset", takers=("features",), needed=False),
    *(
        KeyRule(key=f"data.{key}", decider="data.dataset", called="dataset", takers=_WITH_IMAGES, needed=False)
        for key in ("image_size", "horizontal_flip", "store")
    ),
    KeyRule(key="method.schedule", decider="method.name", called="method", takers=takers("schedule"), needed=True),
    *(
        KeyRule(key=f"method.{key}", decider="method.name", called="method", takers=takers(key), needed=False)
        for key in LIMITS
    ),
    *_schedule_rules(),
    KeyRule(key="training.momentum", decider="training.optimizer", called="optimizer", takers=("sgd",), needed=False),
    *(
        KeyRule(
            key=f"training.{key}",
            decider="training.mode",
            called="mode",
            takers=modes,
            needed=False,
            by_default="end_to_end",
        )
        for key, modes in (
            ("linear_epochs", ("linear_init",)),
            ("linear_learning_rate", ("linear_init",)),
            ("mirror_features", ("linear", "linear_init")),
        )
    ),
    KeyRule(key="sampler.batch", decider="sampler.name", called="sampler", takers=LEARNING_SAMPLERS, needed=False),
    *(
        KeyRule(
            key=f"early_stopping.{key}",
            decider="early_stopping.name",
            called="early stopping",
            takers=names,
            needed=False,
        )
        for key, names in (
            ("grace_epochs", ("asha", "hyperband", "median")),
            ("reduction_factor", ("asha", "hyperband")),
            ("brackets", ("hyperband",)),
            ("min_trials", ("median", "pbt")),
            ("interval_epochs", ("pbt",)),
            ("quantile", ("pbt",)),
            ("resample_probability", ("pbt",)),
        )
    ),
)
"""Sections before the keys inside them."""


@dataclass(frozen=True, kw_only=True)
class BrokenRule:
    """A key that is there although its decider takes none, or missing although its decider needs it."""

    rule: KeyRule
    decision: str
    missing: bool

    @property
    def message(self) -> str:
        """What is wrong, without the path."""
        name = self.rule.key.rpartition(".")[2]
        if self.missing:
            return f"{self.rule.called} {self.decision} needs `{name}`"
        return f"{self.rule.called} {self.decision} takes no `{name}` (only {', '.join(self.rule.takers)})"


def broken_rules(content: Mapping[str, Any]) -> list[BrokenRule]:
    """What contradicts the key rules in plain content, defaults included; None counts as absent."""
    broken = []
    for rule in KEY_RULES:
        section = value_at(content, rule.key.rpartition(".")[0])
        decision = value_at(content, rule.decider) or rule.by_default
        if section is None or decision is None:
            continue
        present = value_at(content, rule.key) is not None
        takes = decision in rule.takers
        if present != takes and (present or rule.needed):
            broken.append(BrokenRule(rule=rule, decision=decision, missing=not present))
    return broken


def value_at(content: Mapping[str, Any], key: str) -> Any:
    """The value under a dotted key of nested mappings, or None.

    >>> value_at({"method": {"name": "AN"}}, "method.name")
    'AN'
    """
    value: Any = content
    for name in key.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def clashes_of(content: Mapping[str, Any]) -> list[Clash]:
    """Values of plain content, defaults included, that no trial can have together."""
    return clashes(
        dataset=value_at(content, "data.dataset"),
        backbone=value_at(content, "model.backbone"),
        weights=value_at(content, "model.weights"),
        head=value_at(content, "model.head"),
        mode=value_at(content, "training.mode"),
    )


PERTURBED = (
    "training.learning_rate",
    "training.head_learning_rate_multiplier",
    "training.weight_decay",
    "training.momentum",
    *(
        f"method.schedule.{key}"
        for key in sorted({key for keys in SCHEDULE_PARAMETERS.values() for key in keys if "rate" in key})
    ),
    *(f"method.{key}" for key, limits in LIMITS.items() if not limits.whole and not limits.choices),
)
"""Numbers of a trial config that every epoch reads anew, so that a population can change them in mid-training. All else
decides what a network, its optimizer or its labels are: another trial's state would not fit."""


def fixed_part(config_json: str) -> Any:
    """A trial config without the numbers that may change in mid-training, as plain content."""
    content = json.loads(config_json)
    for key in PERTURBED:
        section, _, name = key.rpartition(".")
        (value_at(content, section) or {}).pop(name, None)
    return content


def _refuse(broken: list[BrokenRule], clashing: list[Clash]) -> None:
    problems = [f"{one.rule.key}: {one.message}" for one in broken] + [f"{one.key}: {one.message}" for one in clashing]
    if problems:
        raise ValueError("; ".join(problems))


class TrialConfig(Description):
    """Everything that decides what one trial computes."""

    data: Data
    model: Model = Model()
    method: Method
    training: Training = Training()
    objective: Objective = Objective()

    @model_validator(mode="after")
    def _keys_go_together(self) -> Self:
        content = self.model_dump(mode="json")
        _refuse(broken_rules(content), clashes_of(content))
        return self


class Draft(Description):
    """A study file's keys, each of them good by itself; whether they go together is `Study`'s business."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")] = Field(
        description="Names the study's folder: letters, digits, `.`, `_` and `-`."
    )
    data: Data = Field(description="Images, labels, and what is hidden of them.")
    model: Model = Field(default=Model(), description="The classifier: a backbone and one linear head.")
    method: Method = Field(description="How unobserved labels are treated.")
    training: Training = Field(default=Training(), description="One trial's optimization.")
    search: dict[str, Parameter] = Field(
        default={}, description="What to search: dotted key of the base config -> its values."
    )
    objective: Objective = Field(default=Objective(), description="What a trial is judged by.")
    sampler: Sampler = Field(default=Sampler(), description="Who proposes the next trial.")
    early_stopping: EarlyStopping = Field(
        default=EarlyStopping(), description="Who ends a trial before its last epoch."
    )
    trials: PositiveInt = Field(
        default=1,
        description="How many trials the study has in the end; with `fidelity`, how many its first level has.",
    )
    fidelity: tuple[Level, ...] | None = Field(
        default=None,
        min_length=1,
        strict=False,
        description="Search on cheaper levels first, the cheapest one first; only survivors run at full size.",
    )
    confirm: Confirm | None = Field(
        default=None,
        description="After the search: the best configs and the best baseline again, over fresh seeds; `wsml-study "
        "confirm` does the same later.",
    )
    retries: Annotated[int, Field(ge=0, le=10)] = Field(
        default=2, description="How often a trial that fails is tried again before it counts as failed."
    )
    tracking: Tracking = Field(default=Tracking(), description="Other programs that show the study as it runs.")
    resources: Resources = Field(default=Resources(), description="What one trial runs on.")
    storage: str = Field(default="results", description="Folder that receives a folder per study.")
    provenance: Provenance | None = Field(
        default=None, description="Where an exported config comes from. Decides nothing."
    )

    @property
    def full_size_trials(self) -> int:
        """How many trials run with nothing made cheaper."""
        return self.trials if self.fidelity is None else self.fidelity[-1].survivors

    def broken_rules(self) -> list[BrokenRule]:
        """What is wrong with the base config whichever values are searched."""
        return [broken for broken in broken_rules(self.model_dump(mode="json")) if not self._left_open(broken)]

    def _left_open(self, broken: BrokenRule) -> bool:
        """Whether the search decides it: every trial's own config is checked when it is made."""
        if broken.rule.decider in self.search:
            return True
        key = broken.rule.key
        return broken.missing and any(searched == key or searched.startswith(f"{key}.") for searched in self.search)


class Study(Draft):
    """A base config and the search around it; without `search`, one config with nothing left to search."""

    @model_validator(mode="after")
    def _keys_go_together(self) -> Self:
        clashing = [clash for clash in clashes_of(self.model_dump(mode="json")) if not clash.about & self.search.keys()]
        _refuse(self.broken_rules(), clashing)
        return self

    @classmethod
    def of_trial(
        cls, config: TrialConfig, *, name: str, provenance: Provenance | None = None, resources: Resources | None = None
    ) -> Study:
        """A study that is this one trial, with nothing left to search."""
        return cls(
            name=name,
            data=config.data,
            model=config.model,
            method=config.method,
            training=config.training,
            objective=config.objective,
            resources=resources or Resources(),
            provenance=provenance,
        )
