"""Section `data`: images, labels, and which labels are hidden from the method."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from wsml_study.data.label_files import FeatureFiles, LabelFiles
from wsml_study.data.reader_record import READERS, ReaderRecord
from wsml_study.description import Description, PositiveInt, Seed
from wsml_study.options import Value
from wsml_study.study.option_fields import option_values, with_options


class DatasetName(StrEnum):
    """Kinds of dataset, one member per reader."""

    vars().update({name.upper(): name for name in READERS})


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
        description="Positives are drawn with weights (class frequency ** bias): above 0 prefers frequent classes, "
        "below 0 rare ones; uniform by default.",
    )
    salient: Literal["area", "centre"] | None = Field(
        default=None,
        description="Positives are drawn by the boxes around their objects: in proportion to their `area`, or the "
        "likelier the nearer they are to the `centre` of the image. For VOC, COCO, LVIS, voc_xml and coco_json.",
    )
    semantic: str | None = Field(
        default=None,
        description="Positives are drawn in proportion to weights of their classes: a .csv file with the columns class "
        "and weight, such as how often people name what they see, relative to where the command runs.",
    )
    share: Annotated[float, Field(gt=0, le=1)] | None = Field(
        default=None, description="Instead of counts per image: the fraction of all labels that is kept."
    )
    share_per_class: Annotated[float, Field(gt=0, le=1)] | None = Field(
        default=None, description="Instead of counts per image: the fraction of each class's labels that is kept."
    )
    seed: Seed = Field(default=1200, description="Seed of the draw.")

    @property
    def hides_labels(self) -> bool:
        """Whether any label may be hidden."""
        counted = self.share is None and self.share_per_class is None
        return not counted or (self.positives, self.negatives) != ("all", "all")

    @model_validator(mode="after")
    def _counts_or_share(self) -> Self:
        shares = [key for key in ("share", "share_per_class") if getattr(self, key) is not None]
        if len(shares) > 1:
            raise ValueError("expected `share` or `share_per_class`, got both")
        if shares and (self.positives, self.negatives, self.bias) != (1, 0, None):
            raise ValueError(f"`{shares[0]}` replaces `positives`, `negatives` and `bias`; remove either")
        ways = [key for key in ("salient", "semantic", "bias") if getattr(self, key) is not None]
        if ways and ways[0] != "bias" and (shares or len(ways) > 1 or self.positives == "all"):
            others = "`bias`, `semantic` and shares" if ways[0] == "salient" else "`bias` and shares"
            raise ValueError(
                f"`{ways[0]}` says which of the positives are kept, a number of them, and goes without {others}"
            )
        return self


KEPT = Observe(positives="all", negatives="all")
"""All labels are observed."""


class Validation(Description):
    """The training images that are held out for validation, and the labels to validate against."""

    fraction: Annotated[float, Field(gt=0, lt=1)] = Field(
        default=0.2, description="Fraction of the training images that is held out."
    )
    seed: Seed = Field(default=1200, description="Seed of the split.")
    labels: Literal["clean", "known", "observed", "estimated"] = Field(
        default="clean",
        description="`clean`: evaluate on the true labels, which have to be complete; `known`: on the observed ones, "
        "leaving out what is unobserved; `observed`: on the observed ones, unobserved as negative; `estimated`: rank "
        "trials by mAP over what unobserved labels probably are, by the scores of all trials, and judge the epochs of "
        "a trial as `known` where known negatives are at least as many as positives, else as `observed`. By default "
        "`known` for your own datasets and those with partial labels, unless `observe` hides some, and `clean` "
        "otherwise.",
    )

    @property
    def by_truth(self) -> bool:
        """Whether trials are evaluated on the true labels, which do not depend on what `observe` hides."""
        return self.labels == "clean"

    @property
    def by_estimate(self) -> bool:
        """Whether trials are ranked by an estimate also where nobody has answered a question."""
        return self.labels == "estimated"


@with_options(READERS)
class Data(Description):
    """Images, labels, and which labels are hidden from the method."""

    dataset: DatasetName = Field(strict=False, description="Which reader reads the images and labels.")
    root: str | None = Field(
        default=None,
        description="Folder of the dataset's own download, or of your images, relative to where the command runs; not "
        "for digit_scenes, nor for a table that holds the images.",
    )
    labels: LabelFiles | None = Field(
        default=None, description="table, list, coco_json and voc_xml: the files with the labels of your own images."
    )
    features: FeatureFiles | None = Field(
        default=None, description="features: the files with your own features and labels."
    )
    feature_scaling: Literal["standardize", "none"] | None = Field(
        default=None,
        description="features: `standardize` (default) gives each feature mean 0 and deviation 1 over the training "
        "rows; `none` leaves it as it is.",
    )
    image_size: Annotated[int, Field(ge=16, le=2048)] | None = Field(
        default=None,
        description="Images are resized to this many pixels squared; by default the size of the dataset's protocol.",
    )
    horizontal_flip: bool | None = Field(
        default=None, description="Mirror half of the training images; by default as in the dataset's protocol."
    )
    store: Literal["raw", "jpeg", "none"] | None = Field(
        default=None,
        description="How decoded images are kept: `raw` pixels, `jpeg` (quality 95, decoded anew for each batch), or "
        "`none` (the files are decoded for each batch); by default raw up to 100 GiB and jpeg above.",
    )
    pixel_range: Literal["full", "used"] | None = Field(
        default=None,
        description="Images of more than 8 bits: scale the `full` range of their type to 0..255 (default), or only the "
        "range of values in each image (`used`), as floating point images always are.",
    )
    interpolation: Literal["bilinear", "bicubic"] | None = Field(
        default=None,
        description="By which images are resized, with antialiasing; `bilinear` by default. `wsml-study check` says "
        "which one the weights of a backbone of timm or open_clip were trained with.",
    )
    observe: Observe = Field(
        default=Observe(),
        description="Which true labels the method gets to see. By default all labels of your own datasets and of "
        "those with partial labels, and one positive per image of other datasets.",
    )
    pseudo_labels: str | None = Field(
        default=None,
        description="VLPL and GPR: a .csv or .parquet file of scores from 0 to 1, with a training image in the "
        "first column and a class in each of the others, relative to where the command runs.",
    )
    validation: Validation = Field(
        default=Validation(), description="The training images that are held out for validation."
    )
    train_share: Annotated[float, Field(gt=0, le=1)] | None = Field(
        default=None,
        description="Train on this fraction of the images that are not held out, drawn with `validation.seed` "
        "without regard to labels; a smaller fraction is a part of a larger one. All of them by default, and with 1.",
    )
    train_on: Literal["train", "train+validation"] | None = Field(
        default=None,
        description="Final training: `train+validation` holds out no image, so that the last epoch is the result; "
        "`train` by default.",
    )

    @property
    def record(self) -> ReaderRecord:
        """The reader's record."""
        return READERS[self.dataset]

    @property
    def reader_options(self) -> dict[str, Value | None]:
        """Every option of the reader, defaults filled in."""
        return option_values(self, self.record)

    @property
    def holds_out(self) -> bool:
        """Whether validation images are held out of training."""
        return self.train_on != "train+validation"

    @field_validator("train_share")
    @classmethod
    def _whole_is_absent(cls, share: float | None) -> float | None:
        # Equal studies have equal fingerprints, and those of studies from before this key have no such key.
        return None if share == 1 else share

    @model_validator(mode="before")
    @classmethod
    def _defaults_of_partial_labels(cls, content: Any) -> Any:
        record = READERS.get(str(content.get("dataset"))) if isinstance(content, dict) else None
        if record is None or not record.keeps_labels:
            return content
        content = {"observe": KEPT.model_dump(), "validation": {}, **content}
        validation = content["validation"]
        if isinstance(validation, dict) and "labels" not in validation and not _hides(content["observe"]):
            content |= {"validation": {**validation, "labels": "known"}}
        return content


def _hides(observe: Any) -> bool:
    """Whether a section `observe`, read or not, hides labels; True for what is not such a section."""
    if isinstance(observe, Observe):
        return observe.hides_labels
    if not isinstance(observe, dict):
        return True
    shares = observe.get("share"), observe.get("share_per_class")
    return shares != (None, None) or (observe.get("positives"), observe.get("negatives")) != ("all", "all")
