"""The pointing game: against maps enlarged to the image, pixel by pixel, and by hand."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from tests.inference.models import config_of, train_model
from wsml_study.data.pixels import open_decoded
from wsml_study.errors import DataError, ResultsError
from wsml_study.inference.model import load_model
from wsml_study.inference.pictures import read_pixels
from wsml_study.inference.pointing_game import largest_places, play_pointing_game
from wsml_study.training.activation_maps import ActivationMaps

COLORS = {"blue": (0, 0, 255), "red": (255, 0, 0)}
WIDTH, HEIGHT, SIDE = 96, 64, 20


@pytest.fixture(scope="module")
def squares(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photos of noise with a red or a blue square, or both, and a COCO file of their boxes."""
    folder = tmp_path_factory.mktemp("squares")
    random = np.random.RandomState(0)
    for part, number in (("train", 48), ("test", 16)):
        content: dict = {"images": [], "annotations": [], "categories": []}
        content["categories"] = [{"id": place, "name": name} for place, name in enumerate(COLORS)]
        for image in range(number):
            pixels = random.randint(90, 150, (HEIGHT, WIDTH, 3)).astype(np.uint8)
            name = f"{part}{image:02}.png"
            for place in {image % 2, image % 3 % 2}:
                left, top = random.randint(0, WIDTH // 2 - SIDE) + place * WIDTH // 2, random.randint(0, HEIGHT - SIDE)
                pixels[top : top + SIDE, left : left + SIDE] = list(COLORS.values())[place]
                box = [int(left), int(top), SIDE, SIDE]
                content["annotations"].append({"image_id": image, "category_id": place, "bbox": box})
            Image.fromarray(pixels).save(folder / name)
            content["images"].append({"id": image, "file_name": name, "width": WIDTH, "height": HEIGHT})
        (folder / f"{part}.json").write_text(json.dumps(content))
    return folder


@pytest.fixture(scope="module")
def model_folder(squares: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    labels = {"file": str(squares / "train.json"), "test_file": str(squares / "test.json")}
    data = {"dataset": "coco_json", "root": str(squares), "labels": labels, "image_size": 32, "store": "none"}
    training = {"epochs": 3, "batch_size": 16, "learning_rate": 5e-3, "head_learning_rate_multiplier": 1.0}
    config = config_of({"data": data, "method": {"name": "AN"}, "training": training})
    return train_model(tmp_path_factory.mktemp("models"), config)


def distance_by_pixels(map_hw: np.ndarray, boxes: list[list[int]]) -> float:
    """A pixel has the value of the place that it lies in; the center of the largest ones is compared with the boxes."""
    height, width = map_hw.shape
    large = np.kron(map_hw, np.ones((HEIGHT // height, WIDTH // width)))
    y, x = (0.5 + pixels.mean() for pixels in np.nonzero(large == large.max()))
    nearest = [(np.clip(x, left, left + w), np.clip(y, top, top + h)) for left, top, w, h in boxes]
    return min(math.dist((x, y), point) for point in nearest)


def test_distances_are_those_of_enlarged_maps(squares: Path, model_folder: Path) -> None:
    game = play_pointing_game(model_folder, tolerance=3, device="cpu")
    content = json.loads((squares / "test.json").read_text())
    model = load_model(model_folder, device="cpu")
    maps = ActivationMaps(model.classifier)
    for point in game.points:
        image = next(one["id"] for one in content["images"] if one["file_name"] == point.image)
        pair = image, list(COLORS).index(point.class_name)
        boxes = [one["bbox"] for one in content["annotations"] if (one["image_id"], one["category_id"]) == pair]
        pixels = read_pixels(lambda _, file=squares / point.image: open_decoded(file), 0, size=32, channels=3)
        map_hw = maps(torch.from_numpy(pixels)[None])[0, model.classes.index(point.class_name)]
        assert point.distance == pytest.approx(distance_by_pixels(map_hw.numpy(), boxes))
        assert point.hit == (point.distance <= 3)
    assert len(game.points) == len(content["annotations"])
    assert game.mean_accuracy > 80, "squares are easy to find"


def test_two_maps_by_hand() -> None:
    """Three columns and two rows: the largest places are the upper right one, and the first of two equal ones."""
    maps_BChw = torch.tensor([[[[0.0, 1.0, 5.0], [2.0, 3.0, 4.0]], [[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]]]])
    assert largest_places(maps_BChw).tolist() == [[[2.5 / 3, 0.25], [0.5, 0.25]]]


def test_tables_and_text_say_the_same(model_folder: Path, tmp_path: Path) -> None:
    files = {"output": tmp_path / "classes.parquet", "points": tmp_path / "points.csv"}
    game = play_pointing_game(model_folder, device="cpu", **files)
    classes = pq.read_table(files["output"]).to_pylist()
    assert [row["class"] for row in classes] == ["blue", "red"]
    assert sum(row["hits"] + row["misses"] for row in classes) == len(game.points)
    assert np.mean([row["accuracy"] for row in classes]) == pytest.approx(game.mean_accuracy)
    assert len(files["points"].read_text().splitlines()) == 1 + len(game.points)
    assert game.as_json()["classes"] == classes
    assert f"mean accuracy {game.mean_accuracy:.2f} % over 2 classes" in game.lines()[-1]
    with pytest.raises(ResultsError, match="exists; name another file"):
        play_pointing_game(model_folder, output=files["output"], device="cpu")
    with pytest.raises(ResultsError, match=r"ends in .parquet, .csv or .json"):
        play_pointing_game(model_folder, output=tmp_path / "x.txt", device="cpu")


def test_scaled_images_and_labels_without_boxes_are_told(squares: Path, model_folder: Path, tmp_path: Path) -> None:
    """Annotated at twice the size: points and boxes are, too, and the hits without a tolerance are the same."""
    content = json.loads((squares / "test.json").read_text())
    for image in content["images"]:
        image |= {"width": 2 * WIDTH, "height": 2 * HEIGHT}
    for one in content["annotations"]:
        one["bbox"] = [2 * side for side in one["bbox"]]
    left_out = content["annotations"].pop(0)
    (tmp_path / "large.json").write_text(json.dumps(content))
    small = play_pointing_game(model_folder, tolerance=0, device="cpu")
    large = play_pointing_game(model_folder, boxes=tmp_path / "large.json", tolerance=0, device="cpu")
    left_out_pair = ("test00.png", list(COLORS)[left_out["category_id"]])
    assert large.without_boxes == (left_out_pair,)
    kept = [point for point in small.points if (point.image, point.class_name) != left_out_pair]
    assert [(one.x, one.y, one.hit) for one in large.points] == [(2 * one.x, 2 * one.y, one.hit) for one in kept]
    assert large.num_scaled == len({point.image for point in kept})
    assert large.lines()[-1] == f"left out: 1 labels without a box ({left_out_pair[1]} in test00.png)"


def test_boxes_that_do_not_fit_are_refused(squares: Path, model_folder: Path, tmp_path: Path) -> None:
    content = json.loads((squares / "test.json").read_text())
    (tmp_path / "others.json").write_text(json.dumps(content | {"images": []}))
    with pytest.raises(DataError, match=r"others.json: expected boxes of the test images of coco_json, found none"):
        play_pointing_game(model_folder, boxes=tmp_path / "others.json", device="cpu")
    content["images"][0]["width"] = 5 * WIDTH
    (tmp_path / "wide.json").write_text(json.dumps(content))
    with pytest.raises(DataError, match=r"test00.png: annotated at 480 x 64 pixels, and the image has 96 x 64"):
        play_pointing_game(model_folder, boxes=tmp_path / "wide.json", device="cpu")
    (tmp_path / "test00.png").write_text("none")
    (tmp_path / "labels.csv").write_text("image,blue,red\ntest00.png,1,1\n")
    with pytest.raises(DataError, match=r"test00.png: not an image of a known format"):
        play_pointing_game(model_folder, tmp_path / "labels.csv", boxes=squares / "test.json", device="cpu")
    (tmp_path / "list.txt").write_text("test00.png,0\n")
    with pytest.raises(DataError, match="nothing says where their boxes are"):
        play_pointing_game(model_folder, tmp_path / "list.txt", data_root=squares, device="cpu")
