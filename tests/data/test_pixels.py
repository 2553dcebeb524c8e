"""Files of every kind become the pixels that an independent decoder has, everywhere alike."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from tests.data.oracle import cmyk_profile, magick, magick_pixels
from wsml_study.data import pixels
from wsml_study.data.dataset import ImageFiles
from wsml_study.data.decoded_rows import decode_into
from wsml_study.data.image_store import open_images, picture_opener
from wsml_study.data.pixels import decoded, format_of_suffix, open_decoded
from wsml_study.errors import DataError

RANDOM = np.random.RandomState(0)
SMOOTH = np.mgrid[0:24, 0:32]
RGB = np.stack([SMOOTH[0] * 10, SMOOTH[1] * 7, 255 - SMOOTH[0] * 5 - SMOOTH[1] * 4], axis=-1).astype(np.uint8)
GRAY = RGB[..., 0]
GRAY16 = (SMOOTH[0] * 2_000 + SMOOTH[1] * 600 + 77).astype(np.uint16)
FLOAT = (GRAY16.astype(np.float32) - 77) / (GRAY16.max() - 77)
ALPHA = RANDOM.randint(0, 256, size=GRAY.shape).astype(np.uint8)
RGBA = np.dstack([RGB, ALPHA])

Write = Callable[[Path], None]


def picture(values: np.ndarray, mode: str | None = None, **options: object) -> Write:
    return lambda path: (Image.fromarray(values) if mode is None else Image.fromarray(values).convert(mode)).save(
        path, **options
    )


def by_magick(source: np.ndarray, *options: str) -> Write:
    def write(path: Path) -> None:
        Image.fromarray(source).save(path.with_suffix(".source.png"))
        magick(path.with_suffix(".source.png"), *options, path)

    return write


def palette_with_alpha(path: Path) -> None:
    quantized = Image.fromarray(RGB).quantize(16)
    quantized.save(path, transparency=bytes(range(0, 256, 16)))


def cmyk(path: Path) -> None:
    Image.fromarray(np.dstack([RGB, GRAY // 4]), "CMYK").save(path, quality=100)


def heic(path: Path) -> None:
    pytest.importorskip(
        "pillow_heif", reason="no pillow-heif here: pip install 'wsml-study[heic]'"
    ).register_heif_opener()
    Image.fromarray(RGB).save(path, quality=95)


KINDS: dict[str, Write] = {
    "rgb.png": picture(RGB),
    "rgb.jpg": picture(RGB, quality=95, subsampling=0),
    "progressive.jpg": picture(RGB, quality=95, subsampling=0, progressive=True),
    "gray.jpg": picture(GRAY, quality=95),
    "gray.png": picture(GRAY),
    "one_bit.png": picture(GRAY, "1"),
    "one_bit.tif": picture(GRAY, "1", compression="group4"),
    "two_bits.png": by_magick(GRAY, "-colors", "4", "-define", "png:color-type=0", "-define", "png:bit-depth=2"),
    "palette.png": picture(RGB, "P"),
    "palette.gif": picture(RGB, "P"),
    "palette_alpha.png": palette_with_alpha,
    "palette_key.png": lambda path: Image.fromarray(RGB).quantize(16).save(path, transparency=3),
    "key_color.png": picture(RGB, transparency=tuple(map(int, RGB[3, 4]))),
    "key_gray.png": picture(GRAY, transparency=int(GRAY[3, 4])),
    "rgba.png": picture(RGBA),
    "rgba.tif": picture(RGBA),
    "rgba.webp": picture(RGBA, lossless=True, exact=True),
    "gray_alpha.png": picture(RGBA, "LA"),
    "gray16.png": picture(GRAY16),
    "gray16.tif": picture(GRAY16),
    "gray16_key.png": by_magick(GRAY16, "-transparent", "gray(50%)"),
    "gray16_big_endian.tif": by_magick(GRAY16, "-endian", "MSB", "-compress", "None"),
    "gray16_white_is_zero.tif": by_magick(GRAY16, "-define", "quantum:polarity=min-is-white"),
    "gray16.pgm": by_magick(GRAY16),
    "gray16.jp2": by_magick(GRAY16, "-quality", "100"),
    "gray16_alpha.png": by_magick(GRAY16, "-alpha", "set", "-channel", "A", "-evaluate", "set", "40%", "+channel"),
    "rgb16.png": by_magick(RGB, "-depth", "16", "-define", "png:color-type=2", "-define", "png:bit-depth=16"),
    "rgb16.ppm": by_magick(RGB, "-depth", "16", "-evaluate", "Multiply", "0.77"),
    "rgba16.png": by_magick(
        RGB, "-depth", "16", "-alpha", "set", "-channel", "A", "-evaluate", "set", "40%", "+channel"
    ),
    "cmyk16.tif": by_magick(RGB, "-colorspace", "CMYK", "-depth", "16"),
    "gray16_predictor.tif": by_magick(GRAY16, "-compress", "LZW", "-define", "tiff:predictor=2"),
    "gray32.tif": by_magick(GRAY16, "-depth", "32"),
    "rgb16.tif": by_magick(RGB, "-depth", "16", "-evaluate", "Multiply", "0.77"),
    "float.tif": picture(FLOAT),
    "cmyk.jpg": cmyk,
    "cmyk.tif": lambda path: Image.fromarray(np.dstack([RGB, GRAY // 4]), "CMYK").save(path),
    "ycbcr.tif": by_magick(RGB, "-compress", "JPEG", "-quality", "100"),
    "rgb.bmp": picture(RGB),
    "rgb.ppm": picture(RGB),
    "rgb.psd": by_magick(RGB),
    "rgb.tga": picture(RGB),
    "rgb.jp2": picture(RGB),
    "gray.avif": picture(GRAY, quality=100),
    "rgb.heic": heic,
}


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_of_file_has_the_pixels_of_an_independent_decoder(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    KINDS[name](path)
    expected_HW3 = magick_pixels(path)
    found_HW3 = np.asarray(open_decoded(path).convert("RGB"))
    assert found_HW3.shape == expected_HW3.shape == RGB.shape
    assert np.abs(found_HW3.astype(int) - expected_HW3).max() <= 2
    assert found_HW3.std() > 20


ORIENTATIONS = (
    "TopLeft",
    "TopRight",
    "BottomRight",
    "BottomLeft",
    "LeftTop",
    "RightTop",
    "RightBottom",
    "LeftBottom",
)
"""As ImageMagick calls EXIF's 1 to 8."""


def test_colors_of_avif_are_those_that_were_written(tmp_path: Path) -> None:
    """ImageMagick 6 is up to 10 levels off the colors that it has itself written."""
    Image.fromarray(RGB).save(tmp_path / "rgb.avif", quality=100, subsampling="4:4:4")
    assert np.abs(np.asarray(open_decoded(tmp_path / "rgb.avif")).astype(int) - RGB).max() <= 4


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "webp"])
def test_every_orientation_is_applied(orientation: int, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"turned.{suffix}"
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(RGB).save(path, exif=exif, quality=100, lossless=True)
    # ImageMagick reads the orientation of JPEG and TIFF alone.
    expected_HW3 = magick_pixels(path, orient=ORIENTATIONS[orientation - 1])
    found_HW3 = np.asarray(open_decoded(path))
    assert found_HW3.shape == expected_HW3.shape == ((24, 32, 3) if orientation < 5 else (32, 24, 3))
    assert np.abs(found_HW3.astype(int) - expected_HW3).max() <= 2


def test_a_photo_stored_sideways_has_the_pixels_of_the_upright_one(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    upright = Image.fromarray(RGB)
    upright.save(tmp_path / "upright.png")
    upright.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "phone.png", exif=exif)
    images = open_images(
        ImageFiles(folder=tmp_path, names=("phone.png", "upright.png")), size=16, channels=3, cache_dir=tmp_path
    )
    np.testing.assert_array_equal(images[0], images[1])


def test_damaged_exif_counts_as_none(tmp_path: Path) -> None:
    Image.fromarray(RGB).save(tmp_path / "a.jpg", exif=b"Exif\0\0II*\0\xff\xff\xff\xff", quality=95)
    Image.fromarray(RGB).save(tmp_path / "b.jpg", quality=95)
    np.testing.assert_array_equal(open_decoded(tmp_path / "a.jpg"), open_decoded(tmp_path / "b.jpg"))


def test_cmyk_follows_its_profile_and_a_damaged_one_counts_as_none(tmp_path: Path) -> None:
    inks = Image.fromarray(RANDOM.randint(0, 256, size=(20, 20, 4)).astype(np.uint8), "CMYK")
    inks.save(tmp_path / "profile.tif", icc_profile=cmyk_profile())
    inks.save(tmp_path / "damaged.tif", icc_profile=cmyk_profile()[:200])
    inks.save(tmp_path / "none.tif")
    followed, damaged, none = (
        np.asarray(open_decoded(tmp_path / f"{name}.tif")).astype(int) for name in ("profile", "damaged", "none")
    )
    np.testing.assert_array_equal(damaged, none)
    assert np.abs(followed - none).max() > 50
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
    (tmp_path / "srgb.icc").write_bytes(srgb.tobytes())
    assert np.abs(followed - magick_pixels(tmp_path / "profile.tif", profile=tmp_path / "srgb.icc")).max() <= 2


def test_the_range_of_16_bits_is_full_or_used() -> None:
    dim = Image.fromarray(np.array([[100, 200, 500]], dtype=np.uint16))
    assert np.asarray(decoded(dim)).tolist() == [[0, 1, 2]]
    assert np.asarray(decoded(dim, "used")).tolist() == [[0, 64, 255]]


def test_twelve_bits_are_scaled_by_twelve(tmp_path: Path) -> None:
    """Two values of 12 bits in 3 bytes: 0 and 4095, 2048 and 1024."""
    header = b"II*\0\x08\0\0\0" + (9).to_bytes(2, "little")
    entries = {256: 2, 257: 2, 258: 12, 259: 1, 262: 1, 273: 122, 277: 1, 278: 2, 279: 6}
    directory = b"".join(
        tag.to_bytes(2, "little") + b"\x04\0\x01\0\0\0" + value.to_bytes(4, "little") for tag, value in entries.items()
    )
    content = header + directory + bytes(4)
    assert len(content) == 122
    (tmp_path / "twelve.tif").write_bytes(content + bytes([0x00, 0x0F, 0xFF, 0x80, 0x04, 0x00]))
    assert np.asarray(open_decoded(tmp_path / "twelve.tif")).tolist() == [[0, 255], [128, 64]]


def test_floating_point_has_the_range_that_it_uses() -> None:
    values = np.array([[-3.0, np.nan, 0.0, 3.0]], dtype=np.float32)
    for pixel_range in ("full", "used"):
        assert np.asarray(decoded(Image.fromarray(values), pixel_range)).tolist() == [[0, 0, 128, 255]]


def test_signed_16_bits_have_their_full_range(tmp_path: Path) -> None:
    Image.fromarray(np.array([[0, 1000], [2000, 4000]], dtype=np.int32)).save(tmp_path / "32.tif")
    assert np.asarray(open_decoded(tmp_path / "32.tif")).tolist() == [[128, 128], [128, 128]]
    assert np.asarray(open_decoded(tmp_path / "32.tif", "used")).tolist() == [[0, 64], [128, 255]]


def test_integers_without_a_known_range_are_refused_with_the_way_out() -> None:
    values = Image.fromarray(np.array([[0, 10]], dtype=np.int32))
    with pytest.raises(DataError, match=r"32-bit integers have no full range .* set `data.pixel_range: used`"):
        decoded(values)
    assert np.asarray(decoded(values, "used")).tolist() == [[0, 255]]


def test_the_used_range_of_16_bit_color_is_refused(tmp_path: Path) -> None:
    KINDS["rgb16.png"](tmp_path / "rgb16.png")
    with pytest.raises(DataError, match="16-bit color has its full range only; leave out"):
        open_decoded(tmp_path / "rgb16.png", "used")


@pytest.mark.parametrize(("bits", "suffix"), [(10, "jp2"), (16, "jp2"), (12, "j2k")])
def test_deep_colors_of_jpeg_2000_are_refused(bits: int, suffix: str, tmp_path: Path) -> None:
    by_magick(RGB, "-depth", str(bits), "-quality", "100")(tmp_path / f"deep.{suffix}")
    with pytest.raises(DataError, match=f"JPEG 2000 color of {bits} bits, which Pillow reads wrong; save it as"):
        open_decoded(tmp_path / f"deep.{suffix}")


def test_a_mode_that_is_not_understood_is_refused_by_name() -> None:
    with pytest.raises(DataError, match="mode LAB is not understood; save it as an 8-bit gray or RGB PNG"):
        decoded(Image.new("LAB", (4, 4)))


def test_opaque_eight_bits_are_taken_as_pillow_has_them(tmp_path: Path) -> None:
    for values in (RGB, np.dstack([RGB, np.full_like(GRAY, 255)])):
        np.testing.assert_array_equal(decoded(Image.fromarray(values)), RGB)


def test_the_callers_picture_stays_as_it_is() -> None:
    mine = Image.fromarray(RGBA)
    decoded(mine).close()
    np.testing.assert_array_equal(mine, RGBA)


def test_the_range_is_part_of_the_stores_name(tmp_path: Path) -> None:
    Image.fromarray(GRAY16 // 100).save(tmp_path / "dim.png")
    means = [
        open_images(
            ImageFiles(folder=tmp_path, names=("dim.png",), pixel_range=pixel_range),
            size=16,
            channels=1,
            cache_dir=tmp_path / "store",
        ).mean()
        for pixel_range in ("full", "used")
    ]
    assert means[0] < 3
    assert means[1] > 100
    assert len(list((tmp_path / "store").glob("*.npy"))) == 2


HEADS = {
    "phone.heic": (b"\0\0\0\x18ftypheic" + bytes(200), "HEIC"),
    "scan.dcm": (bytes(128) + b"DICM" + bytes(60), "DICOM, which is not read; save its pixels as 16-bit PNG"),
    "float.tif": (b"II*\0" + bytes(200), "TIFF of a kind that Pillow cannot read"),
    "page.jpg": (b"<html>", "not an image of a known format"),
}


@pytest.mark.parametrize("name", HEADS)
def test_what_cannot_be_decoded_is_named(name: str, tmp_path: Path) -> None:
    content, reason = HEADS[name]
    (tmp_path / name).write_bytes(content)
    opener = picture_opener(ImageFiles(folder=tmp_path, names=(name,)))
    assert reason in str(decode_into(np.empty((3, 4, 4), dtype=np.uint8), opener, 0))


def test_without_the_plug_in_heic_names_the_command_that_installs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pixels, "_register_heif", lambda: False)
    (tmp_path / "phone.heic").write_bytes(HEADS["phone.heic"][0])
    with pytest.raises(DataError, match=r"HEIC, which needs a plug-in: pip install 'wsml-study\[heic\]'"):
        open_decoded(tmp_path / "phone.heic")
    assert format_of_suffix(".HEIC") == "HEIC (cannot be read: pip install 'wsml-study[heic]')"


def make_fifo(path: Path) -> None:
    os.mkfifo(path)


def make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(path))


IRREGULAR = {
    "a FIFO": make_fifo,
    "a socket": make_socket,
    "a device": lambda path: path.symlink_to("/dev/zero"),
    "a folder": Path.mkdir,
}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("kind", IRREGULAR)
def test_what_is_no_regular_file_is_refused_and_not_read(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # a socket's path must be short
    path = Path("photo.jpg")
    IRREGULAR[kind](path)
    with pytest.raises(DataError, match=f"^{kind}, not an image file"):
        open_decoded(path)
    with pytest.raises(DataError, match=f"photo.jpg: {kind}, not an image file"):
        open_images(ImageFiles(folder=tmp_path, names=("photo.jpg",)), size=8, channels=3, cache_dir=tmp_path / "store")
