"""A contact sheet of decided images as one picture."""

from __future__ import annotations

import io
from typing import Literal

from PIL import Image, ImageDraw

from wsml_study.data.picture_sheet import FAINT, LINE, MARGIN, TEXT, THUMBNAIL, TITLE_SIZE, Color, Page
from wsml_study.report.page.contact_sheet import ContactSheet, SheetRow

PER_ROW = 12
BORDERLINE: Color = (190, 70, 0)
HEADING, CAPTION = 2 * LINE + 6, 2 * LINE + 4
WIDTH = MARGIN + PER_ROW * (THUMBNAIL + MARGIN)
HEIGHT = HEADING + THUMBNAIL + CAPTION + MARGIN


def draw_sheet(sheet: ContactSheet, form: Literal["PNG", "JPEG"]) -> bytes:
    """The sheet as the bytes of a picture, a row of thumbnails per class."""
    picture = Image.new("RGB", (WIDTH, 3 * LINE + 2 * MARGIN + len(sheet.rows) * HEIGHT), "white")
    page = Page(picture)
    title = f"{sheet.model}: {sheet.num_images:,} images, thresholds for {sheet.target}; borderline images are framed"
    page.write(MARGIN, MARGIN, title, size=TITLE_SIZE, width=WIDTH - 2 * MARGIN)
    if sheet.without:
        names = ", ".join(name for name, _ in sheet.without)
        page.write(MARGIN, MARGIN + 24, f"without a threshold: {names}", color=FAINT, width=WIDTH - 2 * MARGIN)
    for number, row in enumerate(sheet.rows):
        _draw_row(picture, page, row, 3 * LINE + MARGIN + number * HEIGHT)
    content = io.BytesIO()
    picture.save(content, form)
    return content.getvalue()


def _draw_row(picture: Image.Image, page: Page, row: SheetRow, top: int) -> None:
    page.write(MARGIN, top, f"{row.name}: {row.num_yes:,} yes", size=TITLE_SIZE, width=WIDTH - 2 * MARGIN)
    facts = f"threshold {row.threshold}, precision {row.precision}, recall {row.recall}"
    page.write(MARGIN, top + 22, facts, color=FAINT, width=WIDTH - 2 * MARGIN)
    draw = ImageDraw.Draw(picture)
    for place, one in enumerate(row.shown):
        left, above = MARGIN + place * (THUMBNAIL + MARGIN), top + HEADING
        at = left + (THUMBNAIL - one.picture.width) // 2, above + (THUMBNAIL - one.picture.height) // 2
        picture.paste(one.picture, at)
        if one.borderline:
            draw.rectangle((left, above, left + THUMBNAIL - 1, above + THUMBNAIL - 1), outline=BORDERLINE, width=4)
        color = BORDERLINE if one.borderline else TEXT
        below = above + THUMBNAIL + 2
        page.write(left, below, f"{one.decision} {one.calibrated:.3f}", color=color, width=THUMBNAIL)
        page.write(left, below + LINE, one.image, color=FAINT, width=THUMBNAIL)
