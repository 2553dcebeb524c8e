"""Class activation maps of models in one picture: a row per image and class, a column per model.

Shapes: C classes, h x w places of a feature map.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from wsml_study.data.dataset import Dataset, PixelRange, Split
from wsml_study.data.decoded_rows import Images, OpenPicture, resized_to
from wsml_study.data.hub_files import is_hub_address
from wsml_study.data.image_store import picture_opener
from wsml_study.data.label_states import POSITIVE, dense_rows
from wsml_study.data.picture_sheet import FAINT, LINE, MARGIN, TILE, TITLE_SIZE, Page, photo_of
from wsml_study.data.pixels import open_decoded
from wsml_study.data.problem_list import data_error
from wsml_study.errors import DataError, ResultsError
from wsml_study.inference.datasets import dataset_of, images_of
from wsml_study.inference.map_picture import overlaid
from wsml_study.inference.map_resolution import map_resolution, place_text
from wsml_study.inference.model import TrainedModel, load_model
from wsml_study.inference.pictures import read_pixels
from wsml_study.record.files import write_whole
from wsml_study.training.activation_maps import ActivationMaps

MOST_CLASSES = 3
"""Classes of an image that are shown unless others are asked for."""

LEGEND = (
    "Each map goes from its own least activation (clear) to its",
    "own largest (red): it shows where, not how much.",
)


@dataclass(frozen=True, kw_only=True)
class Subject:
    """An image to draw maps of.

    Attributes:
        name: for the caption.
        open_picture: opens the image, given its row.
        row: argument of `open_picture`; ignored for files.
        true_classes: None if unknown.
    """

    name: str
    open_picture: OpenPicture
    row: int
    true_classes: tuple[str, ...] | None


@dataclass(frozen=True, kw_only=True, eq=False)
class ModelOutput:
    """Output of a model for an image.

    Attributes:
        probabilities_C: of the model's classes.
        maps_Chw: activations.
        places: what a place of the maps is in the image.
    """

    probabilities_C: npt.NDArray[np.float64]
    maps_Chw: npt.NDArray[np.float32]
    places: str


@dataclass(frozen=True, kw_only=True)
class DrawnMaps:
    """A picture of maps.

    Attributes:
        path: the file.
        resolutions: name of each model, pixels of a side that it was trained with, those that its maps were computed
            at, and what a place of them is in the first image.
    """

    path: Path
    resolutions: tuple[tuple[str, int, int, str], ...]

    def lines(self) -> list[str]:
        """The result as lines of text."""
        lines = [f"wrote {self.path}"]
        for name, trained, resolution, places in self.resolutions:
            trained_at = "" if resolution == trained else f", trained at {trained}"
            lines.append(f"{name}: {places} of the first image, from images of {resolution} pixels a side{trained_at}")
        lines.append("Where in a place a class is, a map does not say.")
        return lines


class Viewer:
    """A model together with its activation maps.

    Attributes:
        resolution: pixels of a side of the images that the maps are computed from. Probabilities are those of the
            model's own size.
    """

    def __init__(self, model: TrainedModel, resolution: int | None) -> None:
        """Find the model's feature map.

        Raises:
            TrainingError: its backbone has none, or does not take images of this resolution.
        """
        self.model = model
        self.activations = ActivationMaps(model.classifier)
        self.resolution = map_resolution(model, self.activations, resolution)

    def output(self, subject: Subject) -> ModelOutput:
        """Probabilities and maps of a picture that can be read."""
        image_1cHW, enlarged_1cHW = (self._pixels(subject, size) for size in (self.model.image_size, self.resolution))
        maps_1Chw = self.activations(torch.from_numpy(enlarged_1cHW).to(self.model.device))
        with subject.open_picture(subject.row) as photo:
            places = place_text(tuple(maps_1Chw.shape[-2:]), photo.size)
        return ModelOutput(
            probabilities_C=self.model.probabilities(image_1cHW)[0],
            maps_Chw=maps_1Chw[0].float().cpu().numpy(),
            places=places,
        )

    def _pixels(self, subject: Subject, size: int) -> Images:
        opened = resized_to(size, subject.open_picture, self.model.interpolation)
        pixels = read_pixels(opened, subject.row, size=size, channels=self.model.channels)
        assert not isinstance(pixels, str), "unreadable pictures are refused before"
        return np.stack([pixels])


def draw_maps(
    models_and_images: Sequence[str],
    output: Path,
    *,
    classes: Sequence[str] | None = None,
    resolution: int | None = None,
    data_root: str | None = None,
    overwrite: bool = False,
    device: str = "auto",
) -> DrawnMaps:
    """Draw class activation maps into a .png file.

    Args:
        models_and_images: folders of models, and images: files, or names of images of the first model's own data.
        output: the file.
        classes: shown of every image; by default its true classes, or the most likely ones if these are unknown.
        resolution: pixels of a side of the images that the maps are computed from; by default as `map_resolution`.
        data_root: folder of the first model's data; None for that of its config.
        overwrite: replace an earlier file.
        device: as `load_model`.

    Raises:
        ResultsError: there is no model, or the file is of another kind, exists, or cannot be written.
        DataError: an image is not there or cannot be read, or no model knows a class.
        TrainingError: a model's backbone pools no feature map, or does not take images of this resolution.
    """
    if output.suffix != ".png":
        raise ResultsError(f"{output}: expected a file that ends in .png")
    if output.exists() and not overwrite:
        raise ResultsError(f"{output} exists; name another file, or replace it with --overwrite")
    folders = [name for name in models_and_images if Path(name).is_dir() or is_hub_address(name)]
    images = [name for name in models_and_images if name not in folders]
    if not folders or not images:
        raise DataError(
            f"expected folders of models and then images, got {len(folders)} folders and {len(images)} other names"
        )
    viewers = [Viewer(load_model(folder, device=device), resolution) for folder in folders]
    known = {name for viewer in viewers for name in viewer.model.classes}
    if unknown := [name for name in classes or () if name not in known]:
        raise DataError(f"no model knows the class {', '.join(unknown)}; they know {', '.join(sorted(known)[:30])}")
    subjects = _subjects(images, viewers[0].model, data_root)
    seen = [[viewer.output(subject) for viewer in viewers] for subject in subjects]
    sheet = _sheet(viewers, subjects, seen, classes)
    content = io.BytesIO()
    sheet.save(content, format="png")
    write_whole(output, content.getvalue())
    return DrawnMaps(
        path=output,
        resolutions=tuple(
            (viewer.model.name, viewer.model.image_size, viewer.resolution, first.places)
            for viewer, first in zip(viewers, seen[0], strict=True)
        ),
    )


def _subjects(images: Sequence[str], model: TrainedModel, data_root: str | None) -> list[Subject]:
    """Images by file or by name, all of them readable."""
    own = _OwnData(model, data_root)
    subjects = [
        Subject(
            name=Path(image).name,
            open_picture=partial(_open, Path(image), model.pixel_range),
            row=0,
            true_classes=None,
        )
        if Path(image).is_file()
        else own.subject(image)
        for image in images
    ]
    unreadable = [
        f"{subject.name}: {pixels}"
        for subject in subjects
        if isinstance(pixels := read_pixels(subject.open_picture, subject.row, size=1, channels=3), str)
    ]
    if unreadable:
        raise data_error("images", unreadable, remedy="leave these images out")
    return subjects


def _open(file: Path, pixel_range: PixelRange, row: int) -> Image.Image:
    del row  # a file is one picture
    return open_decoded(file, pixel_range)


class _OwnData:
    """The dataset of a model's config, read when the first image that is no file is looked up."""

    def __init__(self, model: TrainedModel, data_root: str | None) -> None:
        self._data, self._root = model.study.data, data_root

    @cached_property
    def dataset(self) -> Dataset:
        """As its reader gives it."""
        return dataset_of(self._data, self._root)

    def subject(self, name: str) -> Subject:
        """A test or training image by its name.

        Raises:
            DataError: there is neither a file nor such an image.
        """
        for split in (self.dataset.test, self.dataset.train):
            if name in split.names:
                return self._subject(split, split.names.index(name))
        raise DataError(
            f"{name}: there is no such file, and no such image in {self.dataset.name}, whose images are called "
            f"{', '.join(self.dataset.test.names[:3])}, ..."
        )

    def _subject(self, split: Split, row: int) -> Subject:
        labels_C = dense_rows(split.labels_NC, np.array([row]))[0]
        return Subject(
            name=split.names[row],
            open_picture=picture_opener(images_of(split)),
            row=row,
            true_classes=tuple(self.dataset.classes[column] for column in np.flatnonzero(labels_C == POSITIVE)),
        )


def _sheet(
    viewers: Sequence[Viewer],
    subjects: Sequence[Subject],
    outputs: Sequence[Sequence[ModelOutput]],
    classes: Sequence[str] | None,
) -> Image.Image:
    rows = [
        (subject, seen, name, number == 0)
        for subject, seen in zip(subjects, outputs, strict=True)
        for number, name in enumerate(classes or _classes_of(subject, viewers[0], seen[0]))
    ]
    head, height = MARGIN + 2 * LINE + MARGIN, TILE + 2 * LINE + MARGIN
    width = MARGIN + (1 + len(viewers)) * (TILE + MARGIN)
    sheet = Image.new("RGB", (width, head + len(rows) * height + len(LEGEND) * LINE + MARGIN), "white")
    page = Page(sheet)
    for column, viewer in enumerate(viewers, start=1):
        study = viewer.model.study
        page.write(_left(column), MARGIN, study.method.name.value, size=TITLE_SIZE)
        page.write(_left(column), MARGIN + LINE + 2, viewer.model.name, color=FAINT)
    for place, (subject, seen, name, first) in enumerate(rows):
        top = head + place * height
        photo = photo_of(subject.open_picture(subject.row))
        if first:
            page.paste(photo, _left(0), top)
            page.write(_left(0), top + TILE + 2, subject.name)
            page.write(_left(0), top + TILE + 2 + LINE, _truth(subject), color=FAINT)
        for column, (viewer, one) in enumerate(zip(viewers, seen, strict=True), start=1):
            _draw_cell(page, photo, viewer, one, name, _left(column), top)
    for number, line in enumerate(reversed(LEGEND), start=1):
        page.write(MARGIN, sheet.height - number * LINE - MARGIN // 2, line, color=FAINT, width=width - 2 * MARGIN)
    return sheet


def _draw_cell(
    page: Page, photo: Image.Image, viewer: Viewer, seen: ModelOutput, name: str, left: int, top: int
) -> None:
    if name not in viewer.model.classes:
        page.write(left, top + TILE + 2, f"{name}: not one of its classes", color=FAINT)
        return
    column = viewer.model.classes.index(name)
    page.paste(overlaid(photo, seen.maps_Chw[column]), left, top)
    page.write(left, top + TILE + 2, f"{name}: p {seen.probabilities_C[column]:.3f}")
    page.write(left, top + TILE + 2 + LINE, seen.places, color=FAINT)


def _left(column: int) -> int:
    return MARGIN + column * (TILE + MARGIN)


def _classes_of(subject: Subject, viewer: Viewer, seen: ModelOutput) -> list[str]:
    """The true classes if known; otherwise the first model's classes with p > 0.5, or the most likely one."""
    if subject.true_classes:
        return list(subject.true_classes[:MOST_CLASSES])
    likeliest = np.argsort(-seen.probabilities_C, kind="stable")[:MOST_CLASSES]
    chosen = [column for column in likeliest if seen.probabilities_C[column] > 0.5] or likeliest[:1]
    return [viewer.model.classes[column] for column in chosen]


def _truth(subject: Subject) -> str:
    if subject.true_classes is None:
        return "true classes unknown"
    return f"shows {', '.join(subject.true_classes) or 'none of the classes'}"
