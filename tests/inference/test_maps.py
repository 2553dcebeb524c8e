"""Pictures of activation maps."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.inference.models import digits_config, train_model
from wsml_study.data.picture_sheet import MARGIN, TILE
from wsml_study.errors import DataError, ResultsError, TrainingError
from wsml_study.inference.map_picture import overlaid
from wsml_study.inference.map_resolution import check_resolution, map_resolution
from wsml_study.inference.maps import draw_maps
from wsml_study.inference.model import TrainedModel
from wsml_study.training.activation_maps import ActivationMaps
from wsml_study.training.classifier import Classifier

GRAY = Image.new("RGB", (40, 20), (100, 100, 100))


def test_color_lies_where_the_activation_is() -> None:
    map_hw = np.zeros((2, 4), np.float32)
    map_hw[0, 3] = 1.0
    red, _, blue = np.asarray(overlaid(GRAY, map_hw)).astype(int).transpose(2, 0, 1)
    assert red[2, 37] > 170 > 60 > blue[2, 37]
    assert (red[15, :20], blue[15, :20]) == (pytest.approx(100), pytest.approx(100)), "the least is clear"


def test_only_the_course_of_a_map_counts() -> None:
    map_hw = np.random.RandomState(0).rand(3, 5).astype(np.float32)
    one, other = (np.asarray(overlaid(GRAY, m)).astype(int) for m in (map_hw, 8 * map_hw - 40))
    assert np.abs(one - other).max() <= 1
    assert np.array_equal(np.asarray(overlaid(GRAY, np.full((3, 5), 7, np.float32))), np.asarray(GRAY))


def test_a_sheet_has_a_row_per_class_and_a_column_per_model(model_folder: Path, scenes: Path, tmp_path: Path) -> None:
    """test-0003 shows two digits; of a file nobody says what it shows."""
    draw_maps([str(model_folder)] * 2 + ["test-0003"], tmp_path / "one.png")
    draw_maps([str(model_folder), str(scenes / "00s" / "003.png")], tmp_path / "two.png")
    one, two = (Image.open(tmp_path / name) for name in ("one.png", "two.png"))
    assert one.width == MARGIN + 3 * (TILE + MARGIN)
    assert two.width == MARGIN + 2 * (TILE + MARGIN)
    assert one.height - two.height >= TILE
    left = np.asarray(one)[:, MARGIN : MARGIN + TILE]
    right = np.asarray(two)[:, MARGIN : MARGIN + TILE]
    assert np.array_equal(left[80:250], right[80:250]), "the same scene, enlarged alike"


def test_classes_can_be_asked_for(model_folder: Path, tmp_path: Path) -> None:
    draw_maps([str(model_folder), "test-0003"], tmp_path / "three.png", classes=["one", "two", "three"])
    draw_maps([str(model_folder), "test-0003"], tmp_path / "one.png", classes=["one"])
    heights = [Image.open(tmp_path / name).height for name in ("three.png", "one.png")]
    assert heights[0] - heights[1] > 2 * TILE
    with pytest.raises(DataError, match="no model knows the class cat; they know eight, five"):
        draw_maps([str(model_folder), "test-0003"], tmp_path / "x.png", classes=["one", "cat"])


def test_what_a_place_of_a_map_is_in_the_photo_is_said(model_folder: Path, tmp_path: Path) -> None:
    """The model takes 32 pixels a side, and its maps have 8 places then."""
    own = draw_maps([str(model_folder), "test-0003"], tmp_path / "own.png")
    enlarged = draw_maps([str(model_folder), "test-0003"], tmp_path / "enlarged.png", resolution=48)
    assert own.lines()[1] == (
        "small, seed 0: 8 x 8 places of 4 x 4 px of the first image, from images of 32 pixels a side"
    )
    assert enlarged.lines()[1] == (
        "small, seed 0: 12 x 12 places of 3 x 3 px of the first image, from images of 48 pixels a side, trained at 32"
    )
    pictures = [np.asarray(Image.open(drawn.path)) for drawn in (own, enlarged)]
    assert not np.array_equal(*pictures)


@pytest.mark.parametrize(("size", "resolution"), [(32, 32), (28, 28), (16, 48), (12, 48), (4, 16)])
def test_coarse_maps_are_computed_from_larger_images(model: TrainedModel, size: int, resolution: int) -> None:
    """A place is 4 x 4 pixels."""
    model.image_size = size
    assert map_resolution(model, ActivationMaps(model.classifier), None) == resolution


def test_a_size_that_a_network_does_not_take_is_refused(model: TrainedModel) -> None:
    with pytest.raises(TrainingError, match=r"small_cnn does not take images of 1 pixels: .*; leave out --resolution"):
        check_resolution(model, ActivationMaps(model.classifier), 1)


def test_a_transformer_of_one_size_keeps_it(model: TrainedModel) -> None:
    """Its map has 4 x 4 places; a larger image is refused, or not tried where nobody has asked for it."""
    pytest.importorskip("timm", reason="needs pip install 'wsml-study[timm]'")
    model.image_size = 64
    network = Classifier("timm/test_vit", num_classes=4, num_channels=1, image_size=64).to(model.device).eval()
    assert map_resolution(model, ActivationMaps(network), None) == 64
    with pytest.raises(TrainingError, match=r"does not take images of 192 pixels: .*; leave out --resolution"):
        map_resolution(model, ActivationMaps(network), 192)


def test_what_cannot_be_drawn_is_named(model_folder: Path, tmp_path: Path) -> None:
    model = str(model_folder)
    with pytest.raises(DataError, match="got 1 folders and 0 other names"):
        draw_maps([model], tmp_path / "x.png")
    with pytest.raises(DataError, match=r"no such image in digit_scenes, whose images are called test-0000, test-0001"):
        draw_maps([model, "test-9999"], tmp_path / "x.png")
    (tmp_path / "broken.jpg").write_text("none")
    with pytest.raises(DataError, match="not an image of a known format"):
        draw_maps([model, str(tmp_path / "broken.jpg")], tmp_path / "x.png")
    with pytest.raises(ResultsError, match=r"ends in .png"):
        draw_maps([model, "test-0003"], tmp_path / "x.jpg")
    (tmp_path / "x.png").write_text("mine")
    with pytest.raises(ResultsError, match="exists; name another file"):
        draw_maps([model, "test-0003"], tmp_path / "x.png")
    with pytest.raises(ResultsError, match="is not a complete model"):
        draw_maps([str(tmp_path), "test-0003"], tmp_path / "y.png")


def test_a_boosted_head_has_maps_too(tmp_path: Path) -> None:
    config = digits_config(epochs=1, batch_size=300)
    config = config.model_copy(update={"model": config.model.model_copy(update={"head": "boostlu"})})
    folder = train_model(tmp_path, config)
    assert draw_maps([str(folder), "test-0003"], tmp_path / "x.png").path.is_file()
