"""Images decoded once into a memory-mapped file."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from wsml_study.data import image_store
from wsml_study.data.dataset import ImageFiles, RenderedImages
from wsml_study.data.decoded_rows import decode_into, resized_to
from wsml_study.data.image_store import (
    ImageRows,
    Kind,
    estimated_bytes,
    identity_of,
    open_images,
    picture_opener,
)
from wsml_study.data.stored_file import default_cache_dir
from wsml_study.errors import DataError

NAMES = tuple(f"{number:03d}.jpg" for number in range(70))

OPEN_AND_TELL = """
import os, sys
from pathlib import Path
import numpy as np
from wsml_study.data import stored_file
from wsml_study.data.dataset import ImageFiles
from wsml_study.data.image_store import open_images

folder, store, fate, limit, kind = Path(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4]), sys.argv[5]
source = ImageFiles(folder=folder, names=tuple(sorted(os.listdir(folder))))
did_the_work = []
if fate == "die late":
    stored_file.NOTE_INTERVAL_S = 0.0

def progress(done, of):
    did_the_work.append(done)
    if fate == "die" or (fate == "die late" and len(did_the_work) == 2):
        os.kill(os.getpid(), 9)

if limit:
    import resource
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
if fate == "start together":
    print("ready", flush=True)
    sys.stdin.readline()
images = open_images(source, size=24, channels=3, kind=kind, cache_dir=store, progress=progress)
print(bool(did_the_work), int(images[np.arange(len(images))].sum()))
"""


@pytest.fixture
def folder(tmp_path: Path, make_photo: Callable[..., None]) -> Path:
    photos = tmp_path / "photos"
    photos.mkdir()
    for number, name in enumerate(NAMES):
        make_photo(photos / name, seed=number)
    return photos


@pytest.fixture
def source(folder: Path) -> ImageFiles:
    return ImageFiles(folder=folder, names=NAMES)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "store"


def stored_files(store: Path) -> list[str]:
    return sorted(path.name for path in store.iterdir() if path.suffix != ".lock")


def elsewhere(
    folder: Path, store: Path, fate: str = "live", limit: int = 0, kind: str = "raw"
) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", OPEN_AND_TELL, str(folder), str(store), fate, str(limit), kind],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def everything(images: ImageRows) -> np.ndarray:
    return np.array(images[np.arange(len(images))])


def gradient(count: int = 3) -> RenderedImages:
    return RenderedImages(identity="gradient 1", count=count, render=lambda: gradients(count))


def gradients(count: int) -> np.ndarray:
    rows = np.arange(8, dtype=np.uint8)[:, None] * 10 + np.arange(8, dtype=np.uint8)
    return np.stack([rows + number for number in range(count)])[:, None].astype(np.uint8)


def test_each_row_is_its_own_photo_resized_as_pillow_resizes_it(source: ImageFiles, store: Path) -> None:
    images = open_images(source, size=24, channels=3, cache_dir=store)
    assert images.shape == (70, 3, 24, 24)
    for row in (0, 31, 32, 69):
        with Image.open(source.folder / source.names[row]) as photo:
            expected = photo.convert("RGB").resize((24, 24), Image.Resampling.BILINEAR)
        np.testing.assert_array_equal(images[row], np.asarray(expected).transpose(2, 0, 1))


def test_the_aspect_is_not_kept_and_shrinking_is_antialiased(tmp_path: Path, store: Path) -> None:
    stripes = np.zeros((40, 80), dtype=np.uint8)
    stripes[:, ::2] = 200
    Image.fromarray(stripes).save(tmp_path / "stripes.png")
    images = open_images(ImageFiles(folder=tmp_path, names=("stripes.png",)), size=20, channels=1, cache_dir=store)
    inner = images[0, 0, :, 1:-1].astype(int)
    assert abs(inner - 100).max() <= 2


@pytest.mark.parametrize(
    ("mode", "suffix"), [("L", "jpg"), ("P", "png"), ("RGBA", "png"), ("CMYK", "jpg"), ("1", "png")]
)
@pytest.mark.parametrize("channels", [1, 3])
def test_every_mode_becomes_gray_or_rgb(tmp_path: Path, store: Path, mode: str, suffix: str, channels: int) -> None:
    Image.new("RGB", (10, 10), (255, 255, 255)).convert(mode).save(tmp_path / f"white.{suffix}")
    images = open_images(
        ImageFiles(folder=tmp_path, names=(f"white.{suffix}",)), size=4, channels=channels, cache_dir=store
    )
    assert images.shape == (1, channels, 4, 4)
    assert images.min() >= 254


def test_images_are_memory_mapped_and_read_only(source: ImageFiles, store: Path) -> None:
    images = open_images(source, size=24, channels=3, cache_dir=store)
    assert isinstance(images, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        images[0] = 0


def test_the_second_time_nothing_is_decoded(source: ImageFiles, store: Path) -> None:
    calls: list[tuple[int, int]] = []
    first = open_images(source, size=24, channels=3, cache_dir=store, progress=lambda *call: calls.append(call))
    assert [done for done, _ in calls] == sorted(done for done, _ in calls)
    assert calls[-1] == (70, 70)
    calls.clear()
    second = open_images(source, size=24, channels=3, cache_dir=store, progress=lambda *call: calls.append(call))
    assert calls == []
    np.testing.assert_array_equal(first, second)
    assert len(stored_files(store)) == 1


def test_a_store_that_cannot_be_written_serves_what_it_has(source: ImageFiles, store: Path) -> None:
    before = np.array(open_images(source, size=24, channels=3, cache_dir=store))
    for lock in store.glob("*.lock"):
        lock.unlink()
        lock.mkdir()  # not even root can lock this
    np.testing.assert_array_equal(open_images(source, size=24, channels=3, cache_dir=store), before)


def test_size_and_channels_have_a_file_each(source: ImageFiles, store: Path) -> None:
    for size, channels in ((24, 3), (16, 3), (24, 1)):
        assert open_images(source, size=size, channels=channels, cache_dir=store).shape == (70, channels, size, size)
    assert len(stored_files(store)) == 3


def test_order_matters(source: ImageFiles, store: Path) -> None:
    backwards = ImageFiles(folder=source.folder, names=source.names[::-1])
    images = open_images(source, size=24, channels=3, cache_dir=store)
    np.testing.assert_array_equal(open_images(backwards, size=24, channels=3, cache_dir=store), images[::-1])


def test_a_changed_photo_is_noticed(source: ImageFiles, store: Path, make_photo: Callable[..., None]) -> None:
    before = np.array(open_images(source, size=24, channels=3, cache_dir=store))
    make_photo(source.folder / "005.jpg", seed=999)
    after = open_images(source, size=24, channels=3, cache_dir=store)
    assert [row for row in range(70) if (before[row] != after[row]).any()] == [5]


def test_a_photo_of_the_same_size_that_is_changed_later_is_noticed(source: ImageFiles, store: Path) -> None:
    open_images(source, size=24, channels=3, cache_dir=store)
    status = (source.folder / "005.jpg").stat()
    os.utime(source.folder / "005.jpg", ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    open_images(source, size=24, channels=3, cache_dir=store)
    assert len(stored_files(store)) == 2


def test_a_photo_that_changes_while_others_are_decoded_is_noticed(
    source: ImageFiles, store: Path, make_photo: Callable[..., None]
) -> None:
    with pytest.raises(DataError, match="changed while they were decoded"):
        open_images(
            source,
            size=24,
            channels=3,
            cache_dir=store,
            progress=lambda done, total: make_photo(source.folder / "005.jpg", seed=999),
        )
    assert stored_files(store) == []


def test_unreadable_photos_are_counted_and_named_and_nothing_is_kept(source: ImageFiles, store: Path) -> None:
    whole = (source.folder / "003.jpg").read_bytes()
    (source.folder / "003.jpg").write_bytes(whole[: len(whole) // 2])
    (source.folder / "041.jpg").write_text("<html>404 Not Found</html>")
    (source.folder / "069.jpg").write_bytes(b"")
    with pytest.raises(
        DataError,
        match=r"(?s)photos: 3 problems\n  003.jpg: .*[Tt]runcated.*\n  041.jpg: not an.*\n  069.jpg: not an image",
    ):
        open_images(source, size=24, channels=3, cache_dir=store)
    assert stored_files(store) == []


def test_a_mended_photo_is_all_it_takes(source: ImageFiles, store: Path, make_photo: Callable[..., None]) -> None:
    (source.folder / "003.jpg").write_text("no photo")
    with pytest.raises(DataError, match=r"003\.jpg"):
        open_images(source, size=24, channels=3, cache_dir=store)
    make_photo(source.folder / "003.jpg", seed=3)
    assert len(open_images(source, size=24, channels=3, cache_dir=store)) == 70


def test_missing_photos_are_counted_and_named(source: ImageFiles, store: Path) -> None:
    for name in ("010.jpg", "020.jpg"):
        (source.folder / name).unlink()
    with pytest.raises(DataError, match=r"(?s)2 problems.*010.jpg: No such file.*020.jpg: No such file"):
        open_images(source, size=24, channels=3, cache_dir=store)


@pytest.mark.parametrize("kind", ["raw", "jpeg"])
def test_a_process_killed_in_the_middle_leaves_nothing_in_use(source: ImageFiles, store: Path, kind: Kind) -> None:
    killed = elsewhere(source.folder, store, fate="die", kind=kind)
    killed.communicate(timeout=60)
    assert killed.returncode == -signal.SIGKILL
    assert [Path(name).suffix for name in stored_files(store)] == [".unfinished"]
    images = everything(open_images(source, size=24, channels=3, kind=kind, cache_dir=store))
    assert ".unfinished" not in {Path(name).suffix for name in stored_files(store)}
    fresh = open_images(source, size=24, channels=3, kind=kind, cache_dir=store.with_name("fresh"))
    np.testing.assert_array_equal(images, everything(fresh))


@pytest.mark.parametrize("kind", ["raw", "jpeg"])
def test_what_a_killed_process_got_done_stays_done(
    source: ImageFiles, store: Path, kind: Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seventy images are blocks of 32, 32 and 6 rows; two of them are noted when the process dies."""
    killed = elsewhere(source.folder, store, fate="die late", kind=kind)
    killed.communicate(timeout=60)
    assert killed.returncode == -signal.SIGKILL
    (notes,) = store.glob("*.notes")
    assert len(notes.read_text().splitlines()) == 2
    with notes.open("a") as file:
        file.write('{"block": ')  # a note that was cut short
    decoded: list[int] = []
    monkeypatch.setattr(image_store, "decode_into", lambda *which: decoded.append(which[-1]) or decode_into(*which))
    calls: list[tuple[int, int]] = []
    images = everything(
        open_images(source, size=24, channels=3, kind=kind, cache_dir=store, progress=lambda *call: calls.append(call))
    )
    monkeypatch.undo()
    assert calls == [(70, 70)]
    assert 0 < len(decoded) <= 32
    assert not list(store.glob("*.notes")) + list(store.glob("*.unfinished"))
    fresh = open_images(source, size=24, channels=3, kind=kind, cache_dir=store.with_name("fresh"))
    np.testing.assert_array_equal(images, everything(fresh))


def test_an_interrupt_leaves_what_is_done_to_the_next_call(source: ImageFiles, store: Path) -> None:
    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        open_images(source, size=24, channels=3, cache_dir=store, progress=interrupt)
    assert not list(store.glob("*.npy"))
    calls: list[tuple[int, int]] = []
    open_images(source, size=24, channels=3, cache_dir=store, progress=lambda *call: calls.append(call))
    assert len(calls) == 2
    assert len(stored_files(store)) == 1


def test_a_photo_that_changed_after_a_kill_is_not_taken_from_what_was_done(
    source: ImageFiles, store: Path, make_photo: Callable[..., None]
) -> None:
    elsewhere(source.folder, store, fate="die late").communicate(timeout=60)
    make_photo(source.folder / "005.jpg", seed=999)
    images = open_images(source, size=24, channels=3, cache_dir=store)
    with Image.open(source.folder / "005.jpg") as photo:
        expected = photo.convert("RGB").resize((24, 24), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(images[5], np.asarray(expected).transpose(2, 0, 1))


def test_jpegs_show_nearly_the_same_and_take_less_room(tmp_path: Path, store: Path) -> None:
    """A smooth picture, as photos are for the most part; noise is the worst case of any JPEG."""
    y, x = np.mgrid[0:80, 0:80]
    for number in range(3):
        shades = [128 + 100 * np.sin((x + number * y) / 20 + shift) for shift in (0, 1, 2)]
        Image.fromarray(np.stack(shades, axis=-1).astype(np.uint8)).save(tmp_path / f"{number}.png")
    source = ImageFiles(folder=tmp_path, names=("0.png", "1.png", "2.png"))
    raw = open_images(source, size=64, channels=3, kind="raw", cache_dir=store)
    jpeg = open_images(source, size=64, channels=3, kind="jpeg", cache_dir=store)
    assert jpeg.shape == raw.shape == (3, 3, 64, 64)
    difference = np.abs(everything(jpeg).astype(int) - raw.astype(int))
    assert 0 < difference.max() <= 8
    (file,) = store.glob("*.jpegs")
    assert file.stat().st_size < raw.nbytes / 3
    assert estimated_bytes(source, size=64, channels=3, kind="jpeg") == file.stat().st_size
    assert estimated_bytes(source, size=64, channels=3, kind="raw") == raw.nbytes


def test_jpegs_are_made_once_and_asked_for_by_row(source: ImageFiles, store: Path) -> None:
    calls: list[tuple[int, int]] = []
    for _ in range(2):
        images = open_images(
            source, size=24, channels=3, kind="jpeg", cache_dir=store, progress=lambda *call: calls.append(call)
        )
    assert [done for done, _ in calls] == sorted({done for done, _ in calls})
    assert calls[-1] == (70, 70)
    np.testing.assert_array_equal(images[np.array([69, 3, 3])], everything(images)[[69, 3, 3]])


def test_gray_images_can_be_jpegs(store: Path) -> None:
    images = open_images(gradient(), size=8, channels=1, kind="jpeg", cache_dir=store)
    assert np.abs(everything(images).astype(int) - gradients(3)).max() <= 4


def test_without_a_store_the_files_are_decoded_to_the_same_pixels(source: ImageFiles, store: Path) -> None:
    raw = open_images(source, size=24, channels=3, cache_dir=store)
    calls: list[tuple[int, int]] = []
    unstored = open_images(
        source, size=24, channels=3, kind="none", cache_dir=store, progress=lambda *call: calls.append(call)
    )
    np.testing.assert_array_equal(everything(unstored), raw)
    assert identity_of(unstored) == identity_of(raw)
    assert calls == []
    assert len(stored_files(store)) == 1


def test_without_a_store_an_unreadable_photo_is_told_when_it_is_needed(source: ImageFiles, store: Path) -> None:
    (source.folder / "003.jpg").write_text("no photo")
    images = open_images(source, size=24, channels=3, kind="none", cache_dir=store)
    assert len(images[np.array([2, 4])]) == 2
    with pytest.raises(DataError, match=r"003.jpg cannot be decoded: not an image of a known format; `wsml-study data"):
        images[np.array([2, 3])]


def test_unreadable_photos_leave_no_jpegs(source: ImageFiles, store: Path) -> None:
    (source.folder / "003.jpg").write_text("no photo")
    with pytest.raises(DataError, match=r"1 problem\n  003.jpg: not an image"):
        open_images(source, size=24, channels=3, kind="jpeg", cache_dir=store)
    assert stored_files(store) == []


@pytest.mark.parametrize("length", [0, 1_000])
def test_damaged_jpegs_are_an_error_that_names_the_file(source: ImageFiles, store: Path, length: int) -> None:
    open_images(source, size=24, channels=3, kind="jpeg", cache_dir=store)
    (file,) = store.glob("*.jpegs")
    file.write_bytes(file.read_bytes()[:length])
    with pytest.raises(DataError, match=rf"{file.name}: .* delete"):
        open_images(source, size=24, channels=3, kind="jpeg", cache_dir=store)


def test_sets_too_large_to_keep_raw_are_kept_as_jpegs(
    source: ImageFiles, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(image_store, "MOST_RAW_BYTES", 70 * 3 * 24 * 24 - 1)
    assert open_images(source, size=24, channels=3, cache_dir=store).shape == (70, 3, 24, 24)
    assert list(store.glob("*.jpegs"))
    assert isinstance(open_images(source, size=23, channels=3, cache_dir=store), np.memmap)


def test_of_processes_that_start_together_one_does_the_work_and_all_see_the_same(
    source: ImageFiles, store: Path
) -> None:
    processes = [elsewhere(source.folder, store, fate="start together") for _ in range(4)]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    answers = [process.communicate(timeout=60)[0].split() for process in processes]
    assert sorted(did_the_work for did_the_work, _ in answers) == ["False", "False", "False", "True"]
    assert len({checksum for _, checksum in answers}) == 1
    assert len(stored_files(store)) == 1


def test_too_little_room_is_an_error_that_says_how_much_is_needed(source: ImageFiles, store: Path) -> None:
    process = elsewhere(source.folder, store, limit=50_000)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "DataError" in errors
    assert "of 120,960 bytes there: File too large; set WSML_CACHE" in errors
    assert stored_files(store) == []


def test_a_store_that_cannot_be_made_is_an_error(source: ImageFiles, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match=r"cannot keep decoded images.*Not a directory; set WSML_CACHE"):
        open_images(source, size=24, channels=3, cache_dir=tmp_path / "file" / "store")


@pytest.mark.parametrize("length", [0, 100, 1_000])
def test_a_damaged_store_is_an_error_that_names_the_file(source: ImageFiles, store: Path, length: int) -> None:
    open_images(source, size=24, channels=3, cache_dir=store)
    (stored,) = store.glob("*.npy")
    stored.write_bytes(stored.read_bytes()[:length])
    with pytest.raises(DataError, match=rf"{stored.name}: cannot be read as decoded images .*delete it"):
        open_images(source, size=24, channels=3, cache_dir=store)


def test_a_store_file_of_another_shape_is_an_error(source: ImageFiles, store: Path) -> None:
    open_images(source, size=24, channels=3, cache_dir=store)
    (stored,) = store.glob("*.npy")
    np.save(stored, np.zeros((2, 2)))
    with pytest.raises(DataError, match=r"expected uint8 decoded images \(70, 3, 24, 24\), got float64 \(2, 2\)"):
        open_images(source, size=24, channels=3, cache_dir=store)


def test_rendered_images_keep_their_pixels_at_their_own_size(store: Path) -> None:
    images = open_images(gradient(), size=8, channels=1, cache_dir=store)
    np.testing.assert_array_equal(images, gradients(3))


def test_rendered_images_can_be_enlarged_and_become_rgb(store: Path) -> None:
    images = open_images(gradient(), size=16, channels=3, cache_dir=store)
    assert images.shape == (3, 3, 16, 16)
    np.testing.assert_array_equal(images[:, 0], images[:, 2])


def test_rendered_images_are_rendered_once(store: Path) -> None:
    calls = []

    def render() -> np.ndarray:
        calls.append("render")
        return gradients(3)

    for _ in range(2):
        open_images(RenderedImages(identity="counted", count=3, render=render), size=8, channels=1, cache_dir=store)
    assert calls == ["render"]


def test_another_identity_is_another_file(store: Path) -> None:
    for identity in ("one", "two"):
        open_images(
            RenderedImages(identity=identity, count=3, render=lambda: gradients(3)), size=8, channels=1, cache_dir=store
        )
    assert len(stored_files(store)) == 2


@pytest.mark.parametrize(("count", "size", "channels"), [(0, 8, 1), (3, 0, 1), (3, 8, 2), (3, 8, 4)])
def test_impossible_settings_are_an_error(store: Path, count: int, size: int, channels: int) -> None:
    with pytest.raises(ValueError, match="expected images, a size of at least 1 and 1 or 3 channels"):
        open_images(gradient(count), size=size, channels=channels, cache_dir=store)


def test_the_store_is_where_wsml_cache_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("WSML_CACHE", str(tmp_path / "here"))
    assert default_cache_dir() == tmp_path / "here"
    monkeypatch.delenv("WSML_CACHE")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_cache_dir() == tmp_path / ".cache" / "wsml-study"
    open_images(gradient(), size=8, channels=1)
    assert len(stored_files(tmp_path / ".cache" / "wsml-study")) == 1


def test_real_photos(shared_data: Path, store: Path) -> None:
    folder = shared_data / "VOCdevkit" / "VOC2007" / "JPEGImages"
    if not folder.is_dir():
        pytest.skip(f"no photos at {folder}")
    names = tuple(sorted(path.name for path in folder.iterdir())[:100])
    images = open_images(ImageFiles(folder=folder, names=names), size=64, channels=3, cache_dir=store)
    assert images.shape == (100, 3, 64, 64)
    assert 90 < images.mean() < 140


@pytest.mark.parametrize("kind", ["raw", "none"])
def test_bicubic_pixels_are_pillow_s_and_kept_apart(folder: Path, tmp_path: Path, kind: Kind) -> None:
    plain = ImageFiles(folder=folder, names=NAMES[:3])
    cubic = ImageFiles(folder=folder, names=NAMES[:3], interpolation="bicubic")
    opened = [open_images(one, size=24, channels=3, kind=kind, cache_dir=tmp_path / "store") for one in (plain, cubic)]
    assert identity_of(opened[0]) != identity_of(opened[1])
    opener = resized_to(24, picture_opener(plain), "bicubic")
    for row, image_cHW in enumerate(opened[1][np.arange(3)]):
        with Image.open(folder / NAMES[row]) as picture:
            expected = np.asarray(picture.convert("RGB").resize((24, 24), Image.Resampling.BICUBIC))
        assert np.array_equal(image_cHW.transpose(1, 2, 0), expected)
        received = np.empty((3, 24, 24), dtype=np.uint8)
        assert decode_into(received, opener, row) is None
        assert np.array_equal(received, image_cHW)
