"""Pixels of image files as ImageMagick has them, and files of kinds that Pillow does not write."""

from __future__ import annotations

import io
import itertools
import shutil
import struct
import subprocess
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

PROGRAMS = ("magick", "/usr/bin/convert", "convert")
MISSING = "no ImageMagick here: apt-get install imagemagick"


@cache
def _program() -> str | None:
    for program in PROGRAMS:
        if shutil.which(program) is not None:
            done = subprocess.run([program, "-version"], capture_output=True, text=True)
            if done.returncode == 0 and "ImageMagick" in done.stdout:
                return program
    return None


def magick(*arguments: str | Path) -> bytes:
    """What ImageMagick writes to its output; skips the test where it is not installed."""
    program = _program()
    if program is None:
        pytest.skip(MISSING)
    done = subprocess.run([program, *map(str, arguments)], capture_output=True)
    if done.returncode != 0 and b"no decode delegate" in done.stderr:
        pytest.skip(f"this ImageMagick does not read {arguments[0]}")
    assert done.returncode == 0, done.stderr
    return done.stdout


def magick_pixels(file: Path, *, profile: Path | None = None, orient: str | None = None) -> npt.NDArray[np.uint8]:
    """RGB (H, W, 3) of the first picture of a file: upright, over white, 8 bits.

    Args:
        file: of an image.
        profile: of the output; sRGB without profiles if None.
        orient: how the picture is stored, as ImageMagick calls it; None if the file says so.
    """
    stored = () if orient is None else ("-orient", orient)
    over_white = ("-background", "white", "-alpha", "remove", "-alpha", "off")
    to_srgb = ("-profile", profile) if profile else ("-colorspace", "sRGB")
    shown = magick(
        f"{file}[0]", *stored, "-auto-orient", *over_white, *to_srgb, "-depth", "8", "-type", "TrueColor", "ppm:-"
    )
    return np.asarray(Image.open(io.BytesIO(shown)).convert("RGB"))


def cmyk_profile() -> bytes:
    """A small ICC profile of made-up inks: an 8-bit table with 2 points for each of 4 inks, to L*a*b*."""
    white, one, ramp = struct.pack(">3i", 63190, 65536, 54061), 65536, bytes(range(256))
    table = b"".join(_lab(*inks) for inks in itertools.product((0, 1), repeat=4))
    matrix = struct.pack(">9i", one, 0, 0, 0, one, 0, 0, 0, one)
    tags = {
        b"desc": b"desc\0\0\0\0" + struct.pack(">I", 5) + b"inks\0" + bytes(78),
        b"cprt": b"text\0\0\0\0none\0",
        b"wtpt": b"XYZ \0\0\0\0" + white,
        b"A2B0": b"mft1\0\0\0\0" + bytes([4, 3, 2, 0]) + matrix + 4 * ramp + table + 3 * ramp,
    }
    start = 128 + 4 + 12 * len(tags)
    directory, content = struct.pack(">I", len(tags)), b""
    for name, tag in tags.items():
        padded = tag + bytes(-len(tag) % 4)
        directory += name + struct.pack(">II", start + len(content), len(padded))
        content += padded
    kind = b"lcms" + struct.pack(">I", 0x02400000) + b"prtrCMYKLab " + bytes(12) + b"acsp" + bytes(28)
    return struct.pack(">I", start + len(content)) + kind + white + bytes(48) + directory + content


def _lab(cyan: int, magenta: int, yellow: int, black: int) -> bytes:
    lightness = 100 * (1 - 0.4 * cyan) * (1 - 0.5 * magenta) * (1 - 0.1 * yellow) * (1 - 0.85 * black)
    color = 1 - black
    a = color * (-35 * cyan + 70 * magenta - 5 * yellow)
    b = color * (-50 * cyan - 5 * magenta + 85 * yellow)
    return bytes([round(lightness * 2.55), round(a) + 128, round(b) + 128])
