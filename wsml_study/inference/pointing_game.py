"""The pointing game: whether a model's class activation maps are largest on objects of their classes.

Source: Zhang, Lin, Brandt, Shen, Sclaroff, "Top-down Neural Attention by Excitation Backprop", ECCV 2016: a map of a
class that an image shows is a hit if its largest value is on an object of the class, or at most 15 pixels beside it;
the accuracy of a class is hits / (hits + misses), and the result is its mean over the classes. Unlike there, objects
are boxes on COCO too, not masks; objects marked difficult count as objects.

Shapes: N images, M of a split, B of a batch, C classes, h x w places of a map.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from wsml_study.data.boxes import AnnotatedBoxes, distance_to_box, on_upright_image, read_boxes
from wsml_study.data.dataset import ImageFiles, decoded_as
from wsml_study.data.hub_files import local_path
from wsml_study.data.image_store import open_images
from wsml_study.data.label_states import POSITIVE
from wsml_study.data.pixels import upright_size
from wsml_study.data.problem_list import Problems
from wsml_study.data.stored_file import Progress
from wsml_study.errors import DataError, ResultsError
from wsml_study.inference.annotated_images import STUDIES, AnnotatedImages, SplitName, annotated_images
from wsml_study.inference.map_resolution import check_resolution
from wsml_study.inference.model import TrainedModel, load_model
from wsml_study.record.files import write_whole
from wsml_study.record.formats import Format, aligned, format_of, percent, rendered
from wsml_study.study.data_section import Data
from wsml_study.study.reading import read_study
from wsml_study.training.activation_maps import ActivationMaps

if TYPE_CHECKING:
    import pyarrow as pa

TOLERANCE = 15.0
"""Pixels beside a box that still count as a hit, in the protocol of Zhang et al."""

MOST_NAMED = 3


@dataclass(frozen=True, kw_only=True)
class Point:
    """Where a map of a class that an image shows is largest.

    Attributes:
        image: its name.
        class_name: of the class.
        x, y: of the point, in pixels of the image as it was annotated, upright.
        distance: to the nearest box of the class, in such pixels; 0 inside.
        hit: whether that is at most the tolerance.
    """

    image: str
    class_name: str
    x: float
    y: float
    distance: float
    hit: bool


@dataclass(frozen=True, kw_only=True)
class ClassHits:
    """Hits and misses of a class."""

    name: str
    hits: int
    misses: int

    @property
    def accuracy(self) -> float:
        """Percent; NaN where nothing was pointed at."""
        number = self.hits + self.misses
        return 100 * self.hits / number if number else float("nan")


@dataclass(frozen=True, kw_only=True)
class PointingGame:
    """Result of a pointing game.

    Attributes:
        model: its name.
        data: description of the images.
        boxes: where the boxes are from.
        tolerance: in pixels of an image as it was annotated.
        points: one for each image and class that the image shows and has a box of.
        classes: hits and misses of each class of the model.
        without_boxes: image and class, shown by the image's label, without a box: they count nowhere.
        num_scaled: images that are stored at another size than annotated.
        resolution: pixels of a side of the images that the maps were computed from.
    """

    model: str
    data: str
    boxes: str
    tolerance: float
    points: tuple[Point, ...]
    classes: tuple[ClassHits, ...]
    without_boxes: tuple[tuple[str, str], ...]
    num_scaled: int
    resolution: int

    @property
    def mean_accuracy(self) -> float:
        """Percent, mean over the classes with a point."""
        return float(np.nanmean([one.accuracy for one in self.classes]))

    @property
    def overall_accuracy(self) -> float:
        """Percent of all points."""
        return 100 * sum(one.hits for one in self.classes) / len(self.points)

    def class_table(self) -> pa.Table:
        """A row per class: hits, misses and accuracy in percent, null where nothing was pointed at."""
        import pyarrow as pa

        rows = [
            {
                "class": one.name,
                "hits": one.hits,
                "misses": one.misses,
                "accuracy": None if np.isnan(one.accuracy) else one.accuracy,
            }
            for one in self.classes
        ]
        fields = {"class": pa.string(), "hits": pa.int64(), "misses": pa.int64(), "accuracy": pa.float64()}
        return pa.Table.from_pylist(rows, schema=pa.schema(list(fields.items())))

    def point_table(self) -> pa.Table:
        """A row per point; the columns are those of `Point`."""
        import pyarrow as pa

        numbers = dict.fromkeys(("x", "y", "distance"), pa.float64())
        fields = {"image": pa.string(), "class": pa.string(), **numbers, "hit": pa.bool_()}
        rows = [vars(point) | {"class": point.class_name} for point in self.points]
        return pa.Table.from_pylist(rows, schema=pa.schema(list(fields.items())))

    def as_json(self) -> dict[str, Any]:
        """The result as plain data for JSON, without the single points."""
        return {
            "model": self.model,
            "data": self.data,
            "boxes": self.boxes,
            "tolerance": self.tolerance,
            "resolution": self.resolution,
            "mean_accuracy": self.mean_accuracy,
            "overall_accuracy": self.overall_accuracy,
            "classes": self.class_table().to_pylist(),
            "without_boxes": [list(pair) for pair in self.without_boxes],
            "num_scaled": self.num_scaled,
        }

    def lines(self) -> list[str]:
        """The result as lines of text; classes without a point are left out."""
        shown = [one for one in self.classes if one.hits + one.misses]
        table = aligned(
            {
                "class": [one.name for one in shown],
                "hits": [f"{one.hits:,}" for one in shown],
                "misses": [f"{one.misses:,}" for one in shown],
                "accuracy": [percent(one.accuracy) for one in shown],
            }
        )
        return [
            f"{self.model} on {self.data}, boxes of {self.boxes}",
            "",
            *table,
            "",
            f"mean accuracy {percent(self.mean_accuracy)} % over {len(shown)} classes, "
            f"{percent(self.overall_accuracy)} % of all {len(self.points):,} points; "
            f"tolerance {self.tolerance:g} pixels of the annotated images, maps at {self.resolution} pixels",
            *self._notes(),
        ]

    def _notes(self) -> Iterator[str]:
        if self.num_scaled:
            yield f"{self.num_scaled:,} images have another size than when they were annotated; their boxes were scaled"
        if self.without_boxes:
            named = ", ".join(f"{name} in {image}" for image, name in self.without_boxes[:MOST_NAMED])
            more = ", ..." if len(self.without_boxes) > MOST_NAMED else ""
            number = len(self.without_boxes)
            yield f"left out: {number:,} labels without a box ({named}{more})"


def play_pointing_game(
    model_folder: str | Path,
    source: str | Path | None = None,
    *,
    boxes: str | Path | None = None,
    split: SplitName = "test",
    data_root: str | Path | None = None,
    tolerance: float = TOLERANCE,
    resolution: int | None = None,
    output: Path | None = None,
    points: Path | None = None,
    overwrite: bool = False,
    device: str = "auto",
    progress: Progress | None = None,
) -> PointingGame:
    """Compare where a model sees the classes of labelled images with boxes around their objects.

    Args:
        model_folder: of the model.
        source, split, data_root: the images, as `annotated_images` takes them.
        boxes: a folder of .xml files as Pascal VOC has them, or a .json file as COCO has it; None for those of the
            dataset: voc2007, voc2012, coco2014, coco2017, voc_xml and coco_json have some.
        tolerance: distance to a box up to which a point is a hit, in pixels of the annotated image.
        resolution: pixels of a side of the images that the maps are computed from; by default as in training.
        output: a .parquet, .csv or .json file for the classes.
        points: such a file for the single points.
        overwrite: replace earlier files.
        device: as `load_model`.
        progress: called with the images decoded and their total.

    Raises:
        ResultsError: there is no model, or a file is of another kind, exists, or cannot be written.
        DataError: labels, images or boxes are missing or malformed, or no image has a box of a class that it shows.
        TrainingError: the model's backbone pools no feature map, or does not take images of this resolution.
        ValueError: the tolerance is negative.
    """
    if not 0 <= tolerance < float("inf"):
        raise ValueError(f"expected a tolerance of at least 0 pixels, got {tolerance}")
    for path in (output, points):
        if path is not None:
            _check_output(path, overwrite=overwrite)
    model = load_model(model_folder, device=device)
    activations = ActivationMaps(model.classifier)
    if resolution is not None:
        check_resolution(model, activations, resolution)
    given = None if source is None else Path(source)
    images = annotated_images(model, given, split=split, data_root=None if data_root is None else Path(data_root))
    place = _place_of_boxes(model, given, images, split) if boxes is None else Path(boxes)
    targets = _targets(model, images, place)
    game = _play(model, activations, images, targets, tolerance, resolution or model.image_size, progress)
    for path, table in ((output, game.class_table), (points, game.point_table)):
        if path is not None:
            write_whole(path, rendered(table(), format_of(path)))
    return game


@dataclass(frozen=True, kw_only=True)
class _Targets:
    """Boxes of the images of a split, on upright images at the annotated size, and these sizes; by row of the split."""

    place: Path
    by_row: dict[int, tuple[AnnotatedBoxes, tuple[int, int]]]
    without_boxes: tuple[tuple[str, str], ...]
    num_scaled: int


def _place_of_boxes(model: TrainedModel, source: Path | None, images: AnnotatedImages, split: SplitName) -> Path:
    """Where the dataset of these images has its boxes."""
    data: Data | None = model.study.data
    if source is not None:
        data = read_study(source).data if source.suffix in STUDIES else None
    name = None if data is None else data.dataset.value
    if name in ("voc2007", "voc2012"):
        return _folder_of(images).parent / "Annotations"
    if name in ("coco2014", "coco2017"):
        folder = _folder_of(images)
        return folder.parent / "annotations" / f"instances_{folder.name}.json"
    if data is not None and data.labels is not None and name in ("voc_xml", "coco_json"):
        return local_path((split == "test" and data.labels.test_file) or data.labels.file)
    raise DataError(
        f"{images.described}: nothing says where their boxes are; give a folder of .xml files as Pascal VOC has them, "
        f"or a .json file as COCO has it, with --boxes"
    )


def _folder_of(images: AnnotatedImages) -> Path:
    if not isinstance(images.source, ImageFiles):
        raise DataError(f"{images.described}: these images are computed and not read from files, so they have no boxes")
    return images.source.folder


def _targets(model: TrainedModel, images: AnnotatedImages, place: Path) -> _Targets:
    folder = _folder_of(images)
    assert isinstance(images.source, ImageFiles)
    names = [images.source.names[row] for row in images.rows_M]
    problems = Problems()
    by_row, without, num_scaled = {}, [], 0
    for row, (name, annotated) in enumerate(zip(names, read_boxes(place, names), strict=True)):
        shown = [model.classes[column] for column in np.flatnonzero(images.labels_MC[row] == POSITIVE)]
        lacking = [one for one in shown if annotated is None or one not in annotated.boxes]
        without += [(name, one) for one in lacking]
        if annotated is None or len(lacking) == len(shown):
            continue
        try:
            size, turn = upright_size(folder / name)
        except OSError as error:
            problems.add("unreadable images", f"{name}: {error.strerror or 'not an image of a known format'}")
            continue
        fitted = on_upright_image(annotated, size, turn)
        if fitted is None:
            problems.add(
                "other sizes", f"{name}: annotated at {_by(annotated.size)} pixels, and the image has {_by(size)}"
            )
            continue
        by_row[row] = fitted
        num_scaled += fitted[1] != size
    if problems:
        raise problems.error(place, remedy=f"give the boxes of readable images in {folder} with --boxes")
    if not by_row:
        first = f"; for example, {without[0][0]} shows {without[0][1]}" if without else ""
        raise DataError(
            f"{place}: expected boxes of {images.described}, found none of a class that an image shows{first}; give "
            f"another folder or file with --boxes"
        )
    return _Targets(place=place, by_row=by_row, without_boxes=tuple(without), num_scaled=num_scaled)


def _by(size: tuple[int, int] | None) -> str:
    return "unknown" if size is None else f"{size[0]} x {size[1]}"


def _play(
    model: TrainedModel,
    activations: ActivationMaps,
    images: AnnotatedImages,
    targets: _Targets,
    tolerance: float,
    resolution: int,
    progress: Progress | None,
) -> PointingGame:
    rows = sorted(targets.by_row)
    assert isinstance(images.source, ImageFiles)
    images_NcHW = open_images(
        decoded_as(images.source, model.pixel_range, model.interpolation),
        size=resolution,
        channels=model.channels,
        kind=images.store,
        progress=progress,
    )
    points: list[Point] = []
    for start in range(0, len(rows), model.batch_size):
        of_batch = rows[start : start + model.batch_size]
        images_BcHW = torch.from_numpy(images_NcHW[images.rows_M[of_batch]]).to(model.device)
        places_BC2 = largest_places(activations(images_BcHW).float()).cpu()
        for row, places_C2 in zip(of_batch, places_BC2.tolist(), strict=True):
            annotated, size = targets.by_row[row]
            name = images.source.names[images.rows_M[row]]
            for column in np.flatnonzero(images.labels_MC[row] == POSITIVE):
                if of_class := annotated.boxes.get(model.classes[column]):
                    x, y = (place * side for place, side in zip(places_C2[column], size, strict=True))
                    distance = min(distance_to_box(x, y, box) for box in of_class)
                    points.append(
                        Point(
                            image=name,
                            class_name=model.classes[column],
                            x=x,
                            y=y,
                            distance=distance,
                            hit=distance <= tolerance,
                        )
                    )
    return PointingGame(
        model=model.name,
        data=images.described,
        boxes=str(targets.place),
        tolerance=tolerance,
        points=tuple(points),
        classes=tuple(_hits_of(name, points) for name in model.classes),
        without_boxes=targets.without_boxes,
        num_scaled=targets.num_scaled,
        resolution=resolution,
    )


def largest_places(maps_BChw: Tensor) -> Tensor:
    """Where each map is largest, (B, C, 2) float64: x and y as fractions of the image's width and height.

    The center of the largest place, where a map that is enlarged to the image bilinearly is largest. Code that takes
    the first of the largest pixels of such a map is up to half a place further out at the border. Of equal places the
    first one, row by row.

    >>> largest_places(torch.tensor([[[[0.0, 0.0], [0.0, 0.0], [0.0, 1.0]]]])).tolist()
    [[[0.75, 0.8333333333333334]]]
    """
    height, width = maps_BChw.shape[-2:]
    place_BC = maps_BChw.flatten(-2).argmax(-1)
    x_BC, y_BC = place_BC % width, place_BC // width
    return torch.stack([(x_BC.double() + 0.5) / width, (y_BC.double() + 0.5) / height], dim=-1)


def _hits_of(name: str, points: list[Point]) -> ClassHits:
    of_class = [point.hit for point in points if point.class_name == name]
    return ClassHits(name=name, hits=sum(of_class), misses=len(of_class) - sum(of_class))


def _check_output(path: Path, *, overwrite: bool) -> None:
    if format_of(path) is Format.TABLE:
        raise ResultsError(f"{path}: expected a file that ends in .parquet, .csv or .json")
    if path.exists() and not overwrite:
        raise ResultsError(f"{path} exists; name another file, or replace it with --overwrite")
