"""Decoded and resized images in one memory-mapped file, shared by every process of a machine.

They are kept as raw pixels, or, where these would take too much room, as JPEGs of the final size that are decoded for
each batch. A file's name is a fingerprint of the images and of how they were decoded: a changed image leads to another
file, and a file that is there is never stale.

Shapes: N images, c channels, H = W = size pixels.
"""

from __future__ import annotations

import hashlib
import io
import mmap
import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import BinaryIO, Literal

import numpy as np
import numpy.typing as npt
from PIL import Image

from wsml_study.data.dataset import ImageFiles, ImageSource, RenderedImages
from wsml_study.data.decoded_rows import MODES, DecodedRows, Images, OpenPicture, decode_into, resized_to
from wsml_study.data.pixels import irregular, open_decoded
from wsml_study.data.problem_list import data_error
from wsml_study.data.stored_file import (
    Progress,
    Unfinished,
    blocks_of,
    default_cache_dir,
    in_threads,
    made_once,
    make_array,
    open_array,
    writable_by_others,
    writing,
)
from wsml_study.errors import DataError

VERSION = 1
"""Part of every fingerprint. Raise it when the same image would be stored as other pixels."""

DECODING = 2
"""Part of the fingerprint of image files: raise it when `pixels.decoded` gives other pixels. 1 was before orientation,
scaling of more than 8 bits and transparency."""

ROWS_PER_BLOCK = 32
"""Images that a thread decodes at a stretch, and the step of the progress."""

MOST_RAW_BYTES = 100 * 2**30
"""Raw pixels of a split take at most so much room; beyond it JPEGs are kept, unless the study says otherwise.

The same on every machine: pixels that have been a JPEG are not quite the same, so how much room a machine has must not
decide it."""

JPEG_QUALITY = 95
SAMPLED_IMAGES = 64
LARGEST_MEAN_DIFFERENCE = 4.0
"""Levels of 255 by which JPEGs, or another version of a decoder, may change an image on average."""

WHAT = "decoded images"

Kind = Literal["raw", "jpeg", "none"]
ImageRows = Images | DecodedRows
"""Images by row: an array, or what decodes the rows that it is asked for."""

Failures = list[tuple[int, str]]


def open_images(
    source: ImageSource,
    *,
    size: int,
    channels: int,
    kind: Kind | None = None,
    cache_dir: str | Path | None = None,
    progress: Progress | None = None,
) -> ImageRows:
    """Images (N, channels, size, size) uint8, read-only; decoded now if never before.

    Each image is decoded as `pixels.decoded` says, converted to gray or RGB and resized to a square without keeping
    its aspect, as the source's `interpolation` says, with antialiasing. Several processes may ask for the same
    images at once: one does the work, the others wait for it; if it is killed, the next one continues. A store that
    other users can write is compared with some of the images before it is used.

    Args:
        source: where the images come from.
        size: pixels of a side.
        channels: 1 for gray, 3 for RGB.
        kind: `raw` memory-mapped pixels, `jpeg`, or `none` to decode the files themselves for each batch; by default
            as `kind_of_store` says.
        cache_dir: folder of the store; `default_cache_dir()` if None.
        progress: called with the rows done and all rows, in the calling thread.

    Raises:
        ValueError: there are no images, or size or channels are impossible.
        DataError: images are missing or unreadable (all of them are counted, the first ones named), or the store cannot
            be written, is damaged, or can be written by others and holds other images.
    """
    if len(source) == 0 or size < 1 or channels not in MODES:
        raise ValueError(
            f"expected images, a size of at least 1 and 1 or 3 channels, got {len(source)} images, size {size}, "
            f"{channels} channels"
        )
    shape = (len(source), channels, size, size)
    folder = default_cache_dir() if cache_dir is None else Path(cache_dir)
    match kind or kind_of_store(shape):
        case "raw":
            return _open_raw(source, folder / _file_name(source, shape, "raw"), shape, progress)
        case "jpeg":
            return _open_jpegs(source, folder / _file_name(source, shape, "jpeg"), shape, progress)
    # The pixels are those of the raw store.
    return DecodedRows(
        _opener(source, shape),
        shape,
        identity=_file_name(source, shape, "raw"),
        name_of=partial(_name_of, source),
    )


def stored_images(
    source: ImageSource, *, size: int, channels: int, kind: Kind | None = None, cache_dir: Path | None = None
) -> Path:
    """Where the store keeps these images, or would; kind is raw or jpeg.

    Raises:
        DataError: images are missing, or are no regular files.
    """
    folder = default_cache_dir() if cache_dir is None else cache_dir
    shape = (len(source), channels, size, size)
    return folder / _file_name(source, shape, kind or kind_of_store(shape))


def kind_of_store(shape: tuple[int, ...]) -> Kind:
    """How images (N, channels, H, W) are kept where the study does not say.

    >>> kind_of_store((80_000, 3, 448, 448)), kind_of_store((3_400_000, 3, 448, 448))
    ('raw', 'jpeg')
    """
    return "raw" if _num_raw_bytes(shape) <= MOST_RAW_BYTES else "jpeg"


def estimated_bytes(source: ImageSource, *, size: int, channels: int, kind: Kind | None = None) -> int:
    """Room that the store takes; of JPEGs a guess from some of the images.

    Raises:
        DataError: one of them is missing or unreadable.
    """
    shape = (len(source), channels, size, size)
    if (kind or kind_of_store(shape)) == "raw":
        return _num_raw_bytes(shape)
    rows = np.unique(np.linspace(0, len(source) - 1, min(SAMPLED_IMAGES, len(source))).astype(int))
    encode = partial(_encode, open_picture=_opener(source, shape), shape=shape)
    sampled = [encode(range(row, row + 1)) for row in map(int, rows)]
    if unreadable := [failure for _, _, failures in sampled for failure in failures]:
        _raise_unreadable(source, unreadable)
    mean = sum(len(encoded) for _, encoded_one, _ in sampled for encoded in encoded_one) / len(sampled)
    return round(mean * len(source))


def identity_of(images: ImageRows) -> str | None:
    """What stands for everything that decides the pixels of opened images; None for an array from elsewhere."""
    if isinstance(images, DecodedRows):
        return images.identity
    return None if not isinstance(images, np.memmap) or images.filename is None else Path(images.filename).name


def _opener(source: ImageSource, shape: tuple[int, ...]) -> OpenPicture:
    """As `picture_opener`; pictures that are not resized bilinearly have the size of the shape already."""
    return resized_to(shape[-1], picture_opener(source), source.interpolation)


def picture_opener(source: ImageSource) -> OpenPicture:
    """A function that decodes the picture of a row; the caller closes it."""
    if isinstance(source, ImageFiles):
        return lambda row: open_decoded(source.folder / source.names[row], source.pixel_range)
    rendered_NcHW = source.render()
    assert len(rendered_NcHW) == len(source)
    gray = rendered_NcHW.shape[1] == 1
    return lambda row: Image.fromarray(rendered_NcHW[row, 0] if gray else rendered_NcHW[row].transpose(1, 2, 0))


def _num_raw_bytes(shape: tuple[int, ...]) -> int:
    return int(np.prod(shape, dtype=np.int64))


def _file_name(source: ImageSource, shape: tuple[int, ...], kind: str) -> str:
    _, channels, height, width = shape
    digest = hashlib.sha256(f"{VERSION} {shape}".encode())
    for part in _identity(source):
        digest.update(b"\0" + part.encode(errors="surrogateescape"))
    jpeg = f"-q{JPEG_QUALITY}" if kind == "jpeg" else ""
    return f"images-{height}x{width}x{channels}{jpeg}-{digest.hexdigest()[:32]}.npy"


def _identity(source: ImageSource) -> Iterator[str]:
    """Everything that decides the pixels; of a file, its size and time of change stand for its content."""
    if source.interpolation != "bilinear":
        yield source.interpolation
    if isinstance(source, RenderedImages):
        yield f"rendered {source.identity}"
        return
    yield f"files {DECODING} {source.pixel_range} {source.folder.resolve()}"
    problems = []
    for name in source.names:
        try:
            status = (source.folder / name).stat()
        except (OSError, ValueError) as error:  # ValueError: a name that no file can have
            problems.append(f"{name}: {getattr(error, 'strerror', None) or error}")
        else:
            if (kind := irregular(status.st_mode)) is not None:
                problems.append(f"{name}: {kind}, not an image file")
            yield f"{name}\0{status.st_size} {status.st_mtime_ns}"
    if problems:
        raise data_error(source.folder, problems, remedy="put image files there; the labels list them")


def _check_unchanged(source: ImageSource, stored: Path, shape: tuple[int, ...], kind: str) -> None:
    if _file_name(source, shape, kind) != stored.name:
        raise DataError("images changed while they were decoded; start again when nothing writes to them")


def _name_of(source: ImageSource, row: int) -> str:
    if isinstance(source, RenderedImages):
        return f"{source.identity}: rendered image {row}"
    return str(source.folder / source.names[row])


READABLE = (
    "put readable images in their place, or take them off the lists; `wsml-study data verify` finds those of all splits"
)


def _raise_unreadable(source: ImageSource, failures: Failures) -> None:
    if isinstance(source, RenderedImages):
        raise DataError(f"{source.identity}: rendered image {failures[0][0]} is no picture: {failures[0][1]}")
    problems = [f"{source.names[row]}: {reason}" for row, reason in sorted(failures)]
    raise data_error(source.folder, problems, remedy=READABLE)


# Raw pixels: one array.


def _open_raw(source: ImageSource, stored: Path, shape: tuple[int, ...], progress: Progress | None) -> Images:
    def make() -> None:
        make_array(
            stored,
            shape,
            np.uint8,
            rows_per_block=ROWS_PER_BLOCK,
            fill=partial(_fill, source),
            check=partial(_check_unchanged, source, stored, shape, "raw"),
            what=WHAT,
            progress=progress,
        )

    made_once(stored, make, what=WHAT)
    images_NcHW: Images = open_array(stored, shape, np.uint8, what=WHAT)
    _check_against_source(images_NcHW, source, stored, stored)
    return images_NcHW


def _check_against_source(images: ImageRows, source: ImageSource, stored: Path, content: Path) -> None:
    """Decode some images anew where others can write the store, and compare.

    Args:
        images: of the store.
        source: what they should be.
        stored: the store's file.
        content: the file with the pixels, which may be another one.

    Raises:
        DataError: one of them differs.
    """
    reason = writable_by_others(stored) or writable_by_others(content)
    if reason is None:
        return
    rows = np.random.default_rng().permutation(len(source))[:SAMPLED_IMAGES]
    open_picture = _opener(source, images.shape)
    image_cHW = np.empty(images.shape[1:], dtype=np.uint8)
    for row, kept_cHW in zip(rows, images[rows], strict=True):
        failure = decode_into(image_cHW, open_picture, int(row))
        if failure is not None or np.abs(kept_cHW.astype(int) - image_cHW).mean() > LARGEST_MEAN_DIFFERENCE:
            raise DataError(
                f"{content}: {reason}, and what it holds is not {_name_of(source, int(row))}; have it deleted, or set "
                f"WSML_CACHE to a folder of your own"
            )


def _fill(source: ImageSource, images_NcHW: Images, blocks: list[range]) -> Iterator[range]:
    """Decode blocks of rows into the array, in threads: Pillow lets go of the interpreter while it decodes."""
    open_picture = _opener(source, images_NcHW.shape)
    unreadable: Failures = []

    def fill(block: range) -> tuple[range, Failures]:
        failures = [(row, decode_into(images_NcHW[row], open_picture, row)) for row in block]
        return block, [(row, reason) for row, reason in failures if reason is not None]

    for block, failures in in_threads(fill, blocks):
        unreadable += failures
        if not failures:
            yield block
    if unreadable:
        _raise_unreadable(source, unreadable)


# JPEGs: their bytes one after the other in one file, and an array (N, 2) of where each begins and how long it is. The
# array is put in place last: where it is, everything is.

Encoded = tuple[range, list[bytes], Failures]


def _open_jpegs(source: ImageSource, stored: Path, shape: tuple[int, ...], progress: Progress | None) -> DecodedRows:
    made_once(stored, partial(_make_jpegs, source, stored, shape, progress), what=WHAT)
    places_N2 = open_array(stored, (shape[0], 2), np.int64, what=f"places of {WHAT}")
    file = stored.with_suffix(".jpegs")
    try:
        with file.open("rb") as opened:
            content = mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ)
    except (OSError, ValueError) as error:
        raise DataError(f"{file}: cannot be read as {WHAT} ({error}); delete {stored} to have it made anew") from error
    if len(content) < int(places_N2.sum(axis=1).max()):
        raise DataError(f"{file}: shorter than {stored} says; delete both to have them made anew")
    images = DecodedRows(
        partial(_open_jpeg, content, places_N2),
        shape,
        identity=stored.name,
        name_of=lambda row: f"{file}: image {row}",
    )
    _check_against_source(images, source, stored, file)
    return images


def _open_jpeg(content: mmap.mmap, places_N2: npt.NDArray[np.int64], row: int) -> Image.Image:
    start, length = places_N2[row]
    return Image.open(io.BytesIO(content[start : start + length]))


def _make_jpegs(source: ImageSource, stored: Path, shape: tuple[int, ...], progress: Progress | None) -> None:
    unfinished = Unfinished(stored.with_suffix(".jpegs"))
    if not unfinished.notes:
        unfinished.start_anew()
    try:
        places_N2 = _append_jpegs(source, unfinished, shape, progress)
        _check_unchanged(source, stored, shape, "jpeg")
        with writing(stored, WHAT):
            unfinished.put_in_place()
            index = Unfinished(stored)
            with index.path.open("wb") as file:
                np.save(file, places_N2)
            index.put_in_place()
    except DataError:
        unfinished.remove()
        raise


def _append_jpegs(
    source: ImageSource, unfinished: Unfinished, shape: tuple[int, ...], progress: Progress | None
) -> npt.NDArray[np.int64]:
    """Encode what is not in the file yet, and say where all of it is."""
    blocks = blocks_of(shape[0], ROWS_PER_BLOCK)
    done = {note["block"] for note in unfinished.notes}
    encode = partial(_encode, open_picture=_opener(source, shape), shape=shape)
    num_done = sum(len(blocks[number]) for number in done)
    end = max((note["start"] + sum(note["lengths"]) for note in unfinished.notes), default=0)
    unreadable: Failures = []
    with writing(unfinished.stored, WHAT), unfinished.path.open("ab") as file:
        file.truncate(end)  # what came after the last note may be cut short
        try:
            for block, encoded, failures in in_threads(encode, [b for n, b in enumerate(blocks) if n not in done]):
                unreadable += failures
                if failures:
                    continue
                file.writelines(encoded)
                lengths = list(map(len, encoded))
                unfinished.note(
                    {"block": block.start // ROWS_PER_BLOCK, "start": end, "lengths": lengths}, partial(_flush, file)
                )
                end += sum(lengths)
                num_done += len(block)
                if progress is not None:
                    progress(num_done, shape[0])
        finally:
            unfinished.write_notes(partial(_flush, file))
    if unreadable:
        _raise_unreadable(source, unreadable)
    places_N2 = np.empty((shape[0], 2), dtype=np.int64)
    for note in unfinished.notes:
        rows = blocks[note["block"]]
        starts = note["start"] + np.cumsum([0, *note["lengths"][:-1]])
        places_N2[rows.start : rows.stop] = np.stack([starts, note["lengths"]], axis=1)
    return places_N2


def _flush(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def _encode(block: range, *, open_picture: OpenPicture, shape: tuple[int, ...]) -> Encoded:
    """The images of some rows as JPEGs of the final size, all color kept."""
    image_cHW = np.empty(shape[1:], dtype=np.uint8)
    encoded, failures = [], []
    for row in block:
        if (reason := decode_into(image_cHW, open_picture, row)) is not None:
            failures.append((row, reason))
            continue
        picture = Image.fromarray(image_cHW[0] if shape[1] == 1 else image_cHW.transpose(1, 2, 0))
        buffer = io.BytesIO()
        picture.save(buffer, "JPEG", quality=JPEG_QUALITY, subsampling=0)
        encoded.append(buffer.getvalue())
    return block, encoded, failures
