"""Made-up datasets in the true layouts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.data.noise_photos import write_photo
from wsml_study.data.voc2012 import CLASSES

VocTree = Callable[..., Path]


@pytest.fixture
def make_voc(tmp_path: Path) -> VocTree:
    """Write `<folder>/ImageSets/Main` and `JPEGImages`; the states of classes that are not given are -1."""

    def make(
        folder: str, image_sets: dict[str, dict[str, dict[str, int]]], *, line_end: str = "\n", photos: bool = True
    ) -> Path:
        voc = tmp_path / folder
        main = voc / "ImageSets" / "Main"
        main.mkdir(parents=True)
        (voc / "JPEGImages").mkdir()
        for image_set, states_by_image in image_sets.items():
            for name in CLASSES:
                lines = [f"{image} {states.get(name, -1):2d}{line_end}" for image, states in states_by_image.items()]
                (main / f"{name}_{image_set}.txt").write_bytes("".join(lines).encode())
            for number, image in enumerate(states_by_image):
                if photos:
                    write_photo(voc / "JPEGImages" / f"{image}.jpg", seed=number)
        return voc

    return make


@pytest.fixture
def make_photo() -> Callable[..., None]:
    """Write a small photo of noise."""
    return write_photo
