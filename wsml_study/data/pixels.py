"""The one place where an image file becomes pixels: upright, 8 bits, gray or RGB.

Training, the image store, `evaluate`, `predict`, maps, contact sheets and `data verify` all decode here, so that a
model sees a photo as it saw those that it was trained on. `decoded` says what is done to which kind of picture.

Shapes: H x W pixels.
"""

from __future__ import annotations

import io
import stat
import warnings
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image, ImageCms, UnidentifiedImageError

from wsml_study.data.dataset import PixelRange
from wsml_study.errors import DataError

# Damaged EXIF counts as none; photos with it are common, and their pixels are whole.
warnings.filterwarnings("ignore", message="Corrupt EXIF data", module=r"PIL\.")

HEIF_SUFFIXES = frozenset({".heic", ".heics", ".heif", ".heifs", ".hif"})
HEIF_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"})
AVIF_BRANDS = frozenset({b"avif", b"avis"})

HEIF_REMEDY = "pip install 'wsml-study[heic]'"
AVIF_REMEDY = "this build of Pillow cannot read AVIF: pip install --upgrade pillow"

DEEP_MODES = frozenset({"I", "I;16", "I;16B", "I;16L", "I;16N", "F"})
GRAY_MODES = frozenset({"1", "L", "LA", "La"})
COLOR_MODES = frozenset({"P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "YCbCr", "HSV"})

JPEG2000_START = b"\xff\x4f\xff\x51"
"""Start of codestream, and of the segment of sizes; the bits of the first component less one are 42 bytes from here."""
JPEG2000_BITS, JPEG2000_HEAD = 42, 2**20

# Of TIFF.
BITS_PER_SAMPLE, PHOTOMETRIC, SAMPLE_FORMAT = 258, 262, 339
WHITE_IS_ZERO, SIGNED = 0, 2

TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""EXIF orientation -> what makes the picture upright."""

QUARTER_TURNS = frozenset(TURNS[orientation] for orientation in (5, 6, 7, 8))
"""Those that exchange width and height."""

Gray = npt.NDArray[np.uint8]


def open_decoded(file: str | Path, pixel_range: PixelRange = "full") -> Image.Image:
    """The first picture of an image file, as `decoded` gives it.

    Raises:
        DataError: it is no regular file (reading a FIFO or a device need not end), or no picture that can be decoded;
            the message is the reason, without the file's name.
        OSError: it cannot be read, or is truncated.
    """
    _register_heif()
    if (kind := irregular(Path(file).stat().st_mode)) is not None:
        raise DataError(f"{kind}, not an image file")
    try:
        picture = Image.open(file)
    except UnidentifiedImageError:
        raise DataError(_unidentified(Path(file))) from None
    with picture:
        return decoded(picture, pixel_range)


def upright_size(file: str | Path) -> tuple[tuple[int, int], Image.Transpose | None]:
    """Width and height of the upright picture in a file, and the turn that makes it upright, None for none.

    Raises:
        OSError: it cannot be read, or is no picture.
    """
    _register_heif()
    with Image.open(file) as picture:
        if picture.format in ("TIFF", "PNG"):
            picture.load()  # of a PNG, EXIF data may follow the pixels; a TIFF turns itself
        turn = TURNS.get(_orientation(picture))
        width, height = picture.size
    return ((height, width) if turn in QUARTER_TURNS else (width, height)), turn


def decoded(picture: Image.Image, pixel_range: PixelRange = "full") -> Image.Image:
    """A picture of any mode as an upright one of mode L or RGB, 8 bits, of its own size.

    - EXIF orientation is applied; EXIF data that cannot be read counts as none.
    - More than 8 bits, gray: the full range of the type (of a TIFF as many bits as it says) becomes 0 to 255, or the
      range that the picture uses. Floating point numbers have no full range: always what the picture uses.
    - Transparent parts are seen over white; palettes are looked up.
    - CMYK follows its embedded ICC profile to sRGB; without one, or with one that is damaged, R = (1 - C) (1 - K).
      Profiles of RGB and gray pictures are not applied.

    Args:
        picture: is left open.
        pixel_range: see above.

    Raises:
        DataError: the mode is not understood; the message names it and the way out.
    """
    raw_mode = _raw_mode(picture)  # gone once the pixels are loaded
    _refuse_deep_jpeg2000(picture)
    picture.load()  # of a PNG, EXIF data may follow the pixels; a TIFF turns itself
    turn = TURNS.get(_orientation(picture))
    converted = _deep(picture, pixel_range) if picture.mode in DEEP_MODES else _shallow(picture, raw_mode, pixel_range)
    return converted if turn is None else converted.transpose(turn)


def irregular(mode: int) -> str | None:
    """What a file's `st_mode` says it is, if it is no regular file."""
    kinds = {
        stat.S_IFDIR: "a folder",
        stat.S_IFIFO: "a FIFO",
        stat.S_IFSOCK: "a socket",
        stat.S_IFCHR: "a device",
        stat.S_IFBLK: "a device",
    }
    return kinds.get(stat.S_IFMT(mode))


def image_suffixes() -> frozenset[str]:
    """Suffixes of image files, lower case, those included that need a plug-in which is not installed."""
    _register_heif()
    return frozenset(Image.registered_extensions()) | HEIF_SUFFIXES


def format_of_suffix(suffix: str) -> str:
    """The format that a suffix stands for, with what is missing to read it.

    >>> format_of_suffix(".JPG"), format_of_suffix(".xyz")
    ('JPEG', '.xyz')
    """
    if suffix.lower() in HEIF_SUFFIXES:
        return "HEIC" if _register_heif() else f"HEIC (cannot be read: {HEIF_REMEDY})"
    return Image.registered_extensions().get(suffix.lower(), suffix or "without a suffix")


@cache
def _register_heif() -> bool:
    """Have Pillow read HEIC and HEIF if the plug-in is installed; whether it is."""
    try:
        import pillow_heif
    except ImportError:
        return False
    pillow_heif.register_heif_opener()
    return True


def _unidentified(file: Path) -> str:
    """Why Pillow knows no format of a file."""
    with file.open("rb") as opened:
        head = opened.read(132)
    brand = head[8:12] if head[4:8] == b"ftyp" else b""
    if brand in AVIF_BRANDS:
        return AVIF_REMEDY
    if brand in HEIF_BRANDS:
        return "damaged HEIC" if _register_heif() else f"HEIC, which needs a plug-in: {HEIF_REMEDY}"
    if head[128:132] == b"DICM":
        return "DICOM, which is not read; save its pixels as 16-bit PNG"
    if head[:4] in (b"II*\0", b"MM\0*"):
        return "TIFF of a kind that Pillow cannot read, such as floating point color; save it as 8-bit PNG"
    return "not an image of a known format"


def _orientation(picture: Image.Image) -> int:
    try:
        return int(picture.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # damaged EXIF can make its parser raise anything; the pixels may be whole
        return 1


def _shallow(picture: Image.Image, raw_mode: str, pixel_range: PixelRange) -> Image.Image:
    """8 bits or fewer, or colors of 16, of which Pillow keeps the upper 8."""
    if picture.mode == "CMYK":
        return _from_cmyk(picture)
    if picture.mode not in GRAY_MODES | COLOR_MODES:
        raise DataError(f"mode {picture.mode} is not understood; save it as an 8-bit gray or RGB PNG")
    if "16" in raw_mode and pixel_range == "used":
        raise DataError(
            "16-bit color has its full range only; leave out `data.pixel_range: used`, or save it as 8-bit color"
        )
    target = "L" if picture.mode in GRAY_MODES else "RGB"
    if not picture.has_transparency_data:
        return picture.convert(target)
    return _over_white(_with_alpha(picture, raw_mode)).convert(target)


def _with_alpha(picture: Image.Image, raw_mode: str) -> Image.Image:
    picture = picture.copy()  # whose notes are changed below
    transparent = picture.info.get("transparency")
    # Pillow brings pixels of a PNG to 8 bits, and leaves the value that stands for transparent as it is.
    if raw_mode in ("L;2", "L;4") and isinstance(transparent, int):
        picture.info["transparency"] = transparent * (85 if raw_mode == "L;2" else 17)
    if "16" in raw_mode and isinstance(transparent, tuple):
        picture.info["transparency"] = tuple(value >> 8 for value in transparent)
    if picture.mode in ("La", "RGBa"):  # colors multiplied by alpha
        picture = picture.convert("LA" if picture.mode == "La" else "RGBA")
    return picture.convert("RGBA")


def _over_white(picture: Image.Image) -> Image.Image:
    return Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)


def _refuse_deep_jpeg2000(picture: Image.Image) -> None:
    """Pillow rounds JPEG 2000 colors of more than 8 bits so that the brightest become 0."""
    opened = getattr(picture, "fp", None)
    if picture.format != "JPEG2000" or picture.mode in DEEP_MODES or opened is None:
        return
    place = opened.tell()
    opened.seek(0)
    head = opened.read(JPEG2000_HEAD)
    opened.seek(place)
    start = head.find(JPEG2000_START)
    bits = (head[start + JPEG2000_BITS] & 127) + 1 if 0 <= start < len(head) - JPEG2000_BITS else 8
    if bits > 8:
        raise DataError(f"JPEG 2000 color of {bits} bits, which Pillow reads wrong; save it as 16-bit PNG")


def _raw_mode(picture: Image.Image) -> str:
    """How the file of a picture that is not loaded yet has its pixels, as Pillow calls it, such as `RGB;16B`."""
    for tile in getattr(picture, "tile", []):
        args = tile.args
        return str(args[0] if isinstance(args, tuple) and args else args)
    return ""


def _from_cmyk(picture: Image.Image) -> Image.Image:
    if profile := picture.info.get("icc_profile"):
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            converted = ImageCms.profileToProfile(
                picture,
                source,
                ImageCms.createProfile("sRGB"),
                outputMode="RGB",
                flags=ImageCms.Flags.NOOPTIMIZE,  # its shortcut for 8 bits is up to 8 levels off
            )
            assert converted is not None, "only a conversion in place gives None"
            return converted
        except (ImageCms.PyCMSError, OSError):
            pass  # damaged, or of other colors
    return picture.convert("RGB")


def _deep(picture: Image.Image, pixel_range: PixelRange) -> Image.Image:
    """Gray of more than 8 bits."""
    values_HW = np.asarray(picture)
    tags = getattr(picture, "tag_v2", {})  # of a TIFF
    if picture.mode == "I" and picture.format == "TIFF" and not _is_signed(tags):
        values_HW = values_HW.view(np.uint32)
    low, high = _ends(picture, values_HW, pixel_range)
    gray_HW = _scaled(values_HW, low, high)
    if tags.get(PHOTOMETRIC) == WHITE_IS_ZERO:
        gray_HW = 255 - gray_HW
    if isinstance(transparent := picture.info.get("transparency"), int):
        gray_HW[values_HW == transparent] = 255
    return Image.fromarray(gray_HW)


def _is_signed(tags: Mapping[int, Any]) -> bool:
    return bool(tags.get(SAMPLE_FORMAT, (1,))[0] == SIGNED)


def _scaled(values_HW: npt.NDArray[np.generic], low: float, high: float) -> Gray:
    """From low, 0, to high, 255; what is not a number is 0."""
    spread = high - low if high > low else 1.0
    scaled_HW = (values_HW.astype(np.float64) - low) * (255 / spread)
    gray_HW: Gray = np.rint(np.nan_to_num(scaled_HW, nan=0.0).clip(0, 255)).astype(np.uint8)
    return gray_HW


def _ends(picture: Image.Image, values_HW: npt.NDArray[np.generic], pixel_range: PixelRange) -> tuple[float, float]:
    """What becomes black, and white."""
    if picture.mode == "F" or pixel_range == "used":
        finite = values_HW[np.isfinite(values_HW)]
        return (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    if picture.format == "TIFF":
        tags = picture.tag_v2  # type: ignore[attr-defined]
        bits = tags.get(BITS_PER_SAMPLE, (16,))[0]
        return (-(2.0 ** (bits - 1)), 2.0 ** (bits - 1) - 1) if _is_signed(tags) else (0.0, 2.0**bits - 1)
    if picture.mode == "I" and picture.format != "PPM":  # Pillow scales those to 16 bits
        raise DataError(
            "32-bit integers have no full range that is known; set `data.pixel_range: used`, or save it as 16-bit PNG"
        )
    return 0.0, 65535.0
