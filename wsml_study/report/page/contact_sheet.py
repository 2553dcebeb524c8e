"""A contact sheet of decided images as one self-contained HTML page, without scripts."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from importlib import resources

import jinja2
from PIL import Image

JPEG_QUALITY = 75


@dataclass(frozen=True, kw_only=True)
class Shown:
    """An image of a class's row.

    Attributes:
        image: its name.
        picture: a thumbnail.
        probability, calibrated: of the class, as the model says and calibrated.
        yes: what was decided.
        borderline: whether thresholds that were chosen on parts of the images decide differently.
    """

    image: str
    picture: Image.Image
    probability: float
    calibrated: float
    yes: bool
    borderline: bool

    @property
    def decision(self) -> str:
        """In words."""
        return f"{'yes' if self.yes else 'no'}{', borderline' if self.borderline else ''}"

    @property
    def data_uri(self) -> str:
        """The thumbnail as a JPEG in an address."""
        content = io.BytesIO()
        self.picture.save(content, "JPEG", quality=JPEG_QUALITY, optimize=True)
        return f"data:image/jpeg;base64,{base64.b64encode(content.getvalue()).decode()}"


@dataclass(frozen=True, kw_only=True)
class SheetRow:
    """A class.

    Attributes:
        name: of the class.
        num_yes, num_borderline: images that were decided yes, and whose decision is borderline.
        threshold, precision, recall: as text.
        shown: the surest images, and those nearest to the threshold, by falling probability.
    """

    name: str
    num_yes: int
    num_borderline: int
    threshold: str
    precision: str
    recall: str
    shown: tuple[Shown, ...]


@dataclass(frozen=True, kw_only=True)
class ContactSheet:
    """Decided images, a row per class.

    Attributes:
        model: its name.
        num_images: that were decided.
        target: of the thresholds.
        rows: the classes with a threshold.
        left_out: classes with a threshold that are not shown, since there are too many.
        without: classes without a threshold, and why.
        warnings: what limits the figures.
    """

    model: str
    num_images: int
    target: str
    rows: tuple[SheetRow, ...]
    left_out: tuple[str, ...]
    without: tuple[tuple[str, str], ...]
    warnings: tuple[str, ...]


def render_sheet(sheet: ContactSheet) -> str:
    """The sheet as HTML."""
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    template = environment.from_string((resources.files(__package__) / "contact_sheet.html.jinja").read_text())
    return template.render(sheet=sheet)
