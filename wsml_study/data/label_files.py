"""Where labels and features of the user's own are, and how they are written: sections of the study file."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from wsml_study.description import Description, PositiveInt, Seed

HUB = "hf://"
"""Begins addresses of files of the Hugging Face hub, which may stand for paths of data, weights and models."""


class LabelFiles(Description):
    """Files with labels of the user's own images."""

    file: str = Field(
        description="Labels of all images, or of those to train on; here, as for weights and other data, hf://... "
        "names a file of the Hugging Face hub."
    )
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
    group_column: str | None = Field(
        default=None,
        description="table: a column that says which images belong together, such as those of a patient; no group is "
        "on both sides of a split.",
    )
    test_list: str | None = Field(
        default=None, description="table: a file with the names of the images to test on, one a line."
    )
    absent: Literal[-1] | None = Field(
        default=None, description="table: -1 in the column of a class stands for absent, as CelebA has it."
    )
    uncertain: Literal["unobserved", "positive", "negative"] | None = Field(
        default=None,
        description="table: what -1 in the column of a class is, as CheXpert has it; beside `absent: -1`, what 0 is.",
    )
    encoding: str | None = Field(
        default=None, description="table and list: how text is encoded that is not in UTF-8 or UTF-16, such as cp1252."
    )
    separator: Annotated[str, Field(min_length=1)] = Field(
        default=";", description="table: between the classes of such a column."
    )
    unlisted: Literal["negative", "unobserved"] | None = Field(
        default=None, description="table: what a class is that no column lists for an image."
    )
    no_class: Annotated[str, Field(min_length=1)] | None = Field(
        default=None,
        description="table: how `positives_column` says that an image shows none of the classes, such as `No Finding`; "
        "all are negative there.",
    )
    test_fraction: Annotated[float, Field(gt=0, lt=1)] = Field(
        default=0.2, description="Share of the images to test on, where neither a file nor a column says which."
    )
    seed: Seed = Field(default=1200, description="Seed of their draw.")

    @model_validator(mode="after")
    def _columns_go_together(self) -> Self:
        needing = [key for key in ("negatives_column", "unlisted", "no_class") if getattr(self, key) is not None]
        if self.positives_column is None and needing:
            raise ValueError(f"`{needing[0]}` needs `positives_column`")
        if self.positives_column is not None and self.negatives_column is None and self.unlisted is None:
            raise ValueError(
                "`positives_column` needs `unlisted`: is a class that is not listed `negative`, or `unobserved`?"
            )
        if self.positives_column is not None and (self.absent is not None or self.uncertain is not None):
            raise ValueError("`absent` and `uncertain` are of a column per class, and go without `positives_column`")
        ways = [key for key in ("test_file", "split_column", "test_list") if getattr(self, key) is not None]
        if "test_list" in ways and len(ways) > 1:
            raise ValueError(f"`test_list` goes without `{ways[0]}`")
        return self


class FeatureFiles(Description):
    """Files with features of the user's own, in place of images, and their labels."""

    file: str = Field(
        description="Features of all rows, or of those to train on: an .npy matrix, .parquet or .arff, relative to "
        "data.root."
    )
    test_file: str | None = Field(default=None, description="Features of the rows to test on.")
    labels_file: str | None = Field(
        default=None,
        description="Labels of the rows, where `file` holds only features: an .npy matrix of 1, 0 and NaN, or a table "
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
