"""The raw files that the tutorials start from, as their owners would have them; drawn, and the same every time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pillow_heif
from PIL import Image

FINDINGS = ("Cardiomegaly", "Effusion", "Infiltration", "Mass", "Nodule")
HEADING = (
    "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"
    "OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y],"
)
SIDE = 96

ALBUMS = ("Urlaub \u00d6sterreich 2019", "M\u00fcllers Garten", "Winter/B\u00e4ume & See")
SUBJECTS = ("Strand", "Hund", "Schnee")
UPRIGHT_AFTER_90 = 6
"""EXIF orientation of a phone that was held upright."""


def chest_xrays(folder: Path) -> None:
    """Images of 40 patients in two folders, a table and the split lists, laid out as NIH ChestX-ray14 is.

    The images have 12 bits in 16, as they come from a clinic's system.
    """
    random = np.random.RandomState(0)
    rows: list[tuple[int, str, str]] = []
    for patient in range(1, 41):
        for follow_up in range(random.randint(2, 6)):
            shown = [finding for finding in FINDINGS if random.rand() < 0.25]
            name = f"{patient:08d}_{follow_up:03d}.png"
            path = folder / f"images_{1 + (patient > 20):03d}/images" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(_chest(shown, random)).save(path)
            listed = "|".join(shown) or "No Finding"
            rows.append((patient, name, f"{name},{listed},{follow_up},{patient},50,M,PA,{SIDE},{SIDE},0.143,0.143,"))
    (folder / "Data_Entry_2017.csv").write_text("\n".join([HEADING, *(row for _, _, row in rows)]) + "\n")
    for file, of_list in (("train_val_list.txt", lambda patient: patient <= 30), ("test_list.txt", lambda p: p > 30)):
        (folder / file).write_text("\n".join(name for patient, name, _ in rows if of_list(patient)))


def _chest(shown: list[str], random: np.random.RandomState) -> np.ndarray:
    y, x = np.mgrid[:SIDE, :SIDE]
    pixels = 1200 + 600 * np.exp(-((x - SIDE / 2) ** 2 + (y - SIDE / 2) ** 2) / 1500)
    for finding in shown:
        place = FINDINGS.index(finding)
        left, top = 20 + 26 * (place % 3), 30 + 34 * (place // 3)
        pixels = pixels + 1500 * ((x - left) ** 2 + (y - top) ** 2 < (6 + 2 * place) ** 2)
    return np.clip(pixels + random.normal(0, 60, pixels.shape), 0, 4095).astype(np.uint16)


def own_photos(folder: Path) -> None:
    """80 photos in nested folders, and the table that a German Excel has saved; two files are broken.

    Names have umlauts and blanks, every fifth photo is HEIC, and phones' photos lie on their side with an EXIF
    orientation. About a third of the labels are not annotated.
    """
    pillow_heif.register_heif_opener()
    random = np.random.RandomState(1)
    lines = ["Datei;Strand;Hund;Schnee;Gr\u00f6\u00dfe (MB)"]
    for number in range(80):
        shown = [subject for subject in SUBJECTS if random.rand() < 0.5]
        known = random.rand(len(SUBJECTS)) < 0.7
        name = _save_photo(folder, number, _photo(shown, random))
        cells = ["1" if subject in shown else "0" for subject in SUBJECTS]
        told = ";".join(cell if is_known else "" for cell, is_known in zip(cells, known, strict=True))
        windows_name = name.replace("/", "\\")
        lines.append(f"{windows_name};{told};{random.randint(1, 9)},{random.randint(10)}")
    (folder / "Liste.csv").write_bytes("".join(f"{line}\r\n" for line in lines).encode("cp1252"))
    cut = folder / "photos" / ALBUMS[1] / "IMG_0013.JPG"
    cut.write_bytes(cut.read_bytes()[:900])
    (folder / "photos" / ALBUMS[0] / "IMG_0018.JPG").write_text("<html>404 Not Found</html>")


def _photo(shown: list[str], random: np.random.RandomState) -> Image.Image:
    pixels = np.full((72, 96, 3), (90, 130, 90)) + random.randint(-25, 25, (72, 96, 3))
    y, x = np.mgrid[:72, :96]
    if "Strand" in shown:
        pixels[48:] += np.array([120, 60, -60])
    if "Schnee" in shown:
        pixels[:24] += 110
    if "Hund" in shown:
        pixels[(x - random.randint(25, 70)) ** 2 + (y - 40) ** 2 < 150] = (90, 50, 20)
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def _save_photo(folder: Path, number: int, photo: Image.Image) -> str:
    """Save a photo, as one of several devices would, and return its name below `photos`."""
    album = ALBUMS[number % len(ALBUMS)]
    suffix = "HEIC" if number % 5 == 0 else "JPG"
    name = f"{album}/Gr\u00fc\u00dfe {number}.{suffix}" if number % 7 == 2 else f"{album}/IMG_{number:04d}.{suffix}"
    path = folder / "photos" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if suffix == "HEIC":
        photo.save(path, format="HEIF")
    elif number % 5 == 1:
        exif = Image.Exif()
        exif[0x0112] = UPRIGHT_AFTER_90
        photo.rotate(90, expand=True).save(path, format="JPEG", exif=exif)
    else:
        photo.save(path, format="JPEG")
    return name
