"""Predictions over many images: every readable one has a row, every other one is listed, nothing is overwritten."""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from PIL import Image

from wsml_study.data.digit_scenes import CLASSES, render_scenes
from wsml_study.errors import DataError, ResultsError
from wsml_study.inference import prediction
from wsml_study.inference.model import TrainedModel
from wsml_study.inference.prediction import Predictions, predict_images, predict_one


def predict(model_folder: Path, images: Path, output: Path, **options: object) -> Predictions:
    return predict_images(model_folder, images, output, device="cpu", progress=lambda done, total: None, **options)


def break_five(folder: Path) -> set[str]:
    """Five files that are no pictures."""
    whole = (folder / "00s" / "003.png").read_bytes()
    contents = {
        "empty.png": b"",
        "text.jpg": b"no picture",
        "20s/cut.png": whole[: len(whole) // 2],
        "zeros.bmp": bytes(300),
        "torn.jpeg": b"\xff\xd8\xff\xe0 no photo",
    }
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return set(contents)


def test_readable_images_have_rows_and_the_others_are_listed(
    model_folder: Path, model: TrainedModel, scenes: Path, tmp_path: Path
) -> None:
    broken = break_five(scenes)
    (scenes / "notes.txt").write_text("no image by its suffix")
    steps: list[tuple[int, int]] = []
    found = predict_images(
        model_folder,
        scenes,
        tmp_path / "p.parquet",
        device="cpu",
        progress=lambda done, total: steps.append((done, total)),
    )
    assert (found.num_images, len(found.unreadable), found.num_others) == (70, 5, 1)
    assert steps[-1] == (75, 75)
    table = pd.read_parquet(tmp_path / "p.parquet")
    assert list(table.columns) == ["image", *CLASSES]
    names = [f"{number // 10}0s/{number:03d}.png" for number in range(70)]
    assert table["image"].tolist() == names
    files = [scenes / name for name in names]
    assert np.array_equal(table[list(CLASSES)].to_numpy(), model.predict(files))
    listed = pd.read_csv(tmp_path / "p.unreadable.csv")
    assert set(listed["image"]) == broken
    assert listed["reason"].str.len().min() > 5
    assert listed.set_index("image")["reason"]["text.jpg"] == "not an image of a known format"
    assert any(line.startswith("5 images could not be read; they are listed in") for line in found.lines())


def test_a_csv_file_holds_the_same_to_the_last_digit(model_folder: Path, scenes: Path, tmp_path: Path) -> None:
    predict(model_folder, scenes, tmp_path / "p.parquet")
    predict(model_folder, scenes, tmp_path / "p.csv")
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "p.csv"), pd.read_parquet(tmp_path / "p.parquet"))
    assert not (tmp_path / "p.unreadable.csv").exists()


def test_a_long_table_is_written_in_parts(
    model_folder: Path, scenes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    predict(model_folder, scenes, tmp_path / "one.parquet", batch_size=16)
    monkeypatch.setattr(prediction, "ENTRIES_PER_GROUP", 200)
    predict(model_folder, scenes, tmp_path / "parts.parquet", batch_size=16)
    assert pq.read_metadata(tmp_path / "parts.parquet").num_row_groups == 3
    assert pq.read_table(tmp_path / "parts.parquet") == pq.read_table(tmp_path / "one.parquet")


def test_nothing_is_overwritten_unasked(model_folder: Path, scenes: Path, tmp_path: Path) -> None:
    output = tmp_path / "p.parquet"
    output.write_text("mine")
    with pytest.raises(ResultsError, match=r"p.parquet exists; name another file, or replace it with --overwrite"):
        predict(model_folder, scenes, output)
    assert output.read_text() == "mine"
    (tmp_path / "p.unreadable.csv").write_text("of another folder")
    predict(model_folder, scenes, output, overwrite=True)
    assert len(pd.read_parquet(output)) == 70
    assert not (tmp_path / "p.unreadable.csv").exists(), "the earlier run's list would speak of this one"
    with pytest.raises(ResultsError, match=r"expected a file that ends in .parquet, .csv or .json"):
        predict(model_folder, scenes, tmp_path / "p.txt")


def test_lists_keep_their_order_and_ignore_class_numbers(model_folder: Path, scenes: Path, tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("10s/012.png\n\n00s/001.png, 3 5\n00s/002.png,\ngone.png\n")
    found = predict(model_folder, tmp_path / "list.txt", tmp_path / "p.csv", root=scenes)
    assert found.unreadable == (("gone.png", "No such file or directory"),)
    assert pd.read_csv(tmp_path / "p.csv")["image"].tolist() == ["10s/012.png", "00s/001.png", "00s/002.png"]


def test_a_table_names_images_in_its_first_column(model_folder: Path, scenes: Path, tmp_path: Path) -> None:
    (scenes / "labels.csv").write_text("photo,zero\n00s/004.png,1\n60s/061.png,\n")
    predict(model_folder, scenes / "labels.csv", tmp_path / "p.csv")
    assert pd.read_csv(tmp_path / "p.csv")["image"].tolist() == ["00s/004.png", "60s/061.png"]


def test_where_nothing_can_be_read_nothing_is_written(model_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    with pytest.raises(DataError, match="expected images, found none"):
        predict(model_folder, folder, tmp_path / "p.parquet")
    (folder / "notes.txt").write_text("none")
    with pytest.raises(DataError, match="found none; 1 files have other suffixes"):
        predict(model_folder, folder, tmp_path / "p.parquet")
    (folder / "one.jpg").write_text("none")
    with pytest.raises(DataError, match=r"none of 1 images can be read; the first is one.jpg: not an image"):
        predict(model_folder, folder, tmp_path / "p.parquet")
    with pytest.raises(DataError, match="there is no such image, folder or list of images"):
        predict(model_folder, tmp_path / "gone", tmp_path / "p.parquet")
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_one_image_is_predicted_alone(model_folder: Path, model: TrainedModel, scenes: Path, tmp_path: Path) -> None:
    image = scenes / "00s" / "003.png"
    (expected,) = model.predict([image])
    predict(model_folder, image, tmp_path / "p.csv")
    table = pd.read_csv(tmp_path / "p.csv")
    assert table["image"].tolist() == ["003.png"]
    assert table[list(CLASSES)].to_numpy()[0].tolist() == expected.tolist()
    bare = scenes / "photo"
    bare.write_bytes(image.read_bytes())
    lines = predict_one(model_folder, bare, device="cpu")
    assert lines[1].split() == [CLASSES[expected.argmax()], f"{expected.max():.4f}"]
    assert len(lines) == 1 + len(CLASSES)


def test_many_images_need_a_table(model_folder: Path, scenes: Path) -> None:
    (scenes / "list.txt").write_text("00s/003.png\n")
    for many in (scenes, scenes / "list.txt"):
        with pytest.raises(DataError, match="several images need an output file: give -o"):
            predict_one(model_folder, many)


@pytest.mark.timeout(60)
def test_a_fifo_or_a_device_is_refused(model_folder: Path, scenes: Path, tmp_path: Path) -> None:
    os.mkfifo(scenes / "pipe.png")
    for path, kind in ((scenes / "pipe.png", "a FIFO"), (Path("/dev/zero"), "a device")):
        with pytest.raises(DataError, match=f"expected an image, a folder or a list of images, got {kind}"):
            predict(model_folder, path, tmp_path / "p.csv")
    (scenes / "list.txt").write_text("00s/003.png\npipe.png\n")
    found = predict(model_folder, scenes / "list.txt", tmp_path / "p.csv")
    assert found.unreadable == (("pipe.png", "a FIFO, not an image file"),)


def test_a_photo_stored_sideways_is_predicted_as_the_upright_one(model: TrainedModel, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    with Image.open(io.BytesIO(_scene_png())) as upright:
        upright.save(tmp_path / "upright.png")
        upright.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "phone.png", exif=exif)
    first, second = model.predict([tmp_path / "upright.png", tmp_path / "phone.png"])
    np.testing.assert_allclose(first, second, rtol=1e-5)  # rows of a batch may differ in their last digits
    with Image.open(tmp_path / "phone.png") as opened:
        np.testing.assert_allclose(model.predict([opened])[0], first, rtol=1e-5)


def _scene_png() -> bytes:
    content = io.BytesIO()
    Image.fromarray(render_scenes("test", 1)[0, 0]).save(content, "png")
    return content.getvalue()
