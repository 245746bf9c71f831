"""Draw pairs side by side and contact sheets; equal input gives equal bytes."""

from __future__ import annotations

import functools
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont, ImageOps

PREVIEW = 320
"""Longest side of a preview, in pixels."""
PAPER, INK, FAINT, ACCENT, FRAME = "#ffffff", "#1c2024", "#667078", "#0b6e4f", "#d5dade"
MARGIN, LINE = 16, 20


@dataclass(frozen=True)
class Subject:
    """An image with lines of text; if `marked`, the frame is accented."""

    image: Image.Image
    lines: Sequence[str]
    marked: bool = False


@functools.cache
def font(size: int = 14) -> ImageFont.FreeTypeFont:
    """Return DejaVu Sans from Matplotlib: the same font on every machine."""
    import matplotlib

    return ImageFont.truetype(str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"), size)


@functools.cache
def _glyphs() -> frozenset[int]:
    from matplotlib.ft2font import FT2Font

    return frozenset(FT2Font(font().path).get_charmap())


def printable(text: str) -> str:
    """Return text that the font can draw: other characters are replaced by code points such as <U+200E>."""
    return "".join(c if ord(c) in _glyphs() and c.isprintable() else f"<U+{ord(c):04X}>" for c in text)


def fitted(text: str, width: int) -> str:
    """Return text that is at most `width` pixels wide; long text is cut in the middle.

    Two thirds of the kept text come from the end, since paths begin alike and differ at their ends."""
    text = printable(text)
    if font().getlength(text) <= width:
        return text
    keep = len(text)
    while keep > 2 and font().getlength(shortened := _without_middle(text, keep)) > width:
        keep -= 1
    return shortened


def _without_middle(text: str, keep: int) -> str:
    head = keep // 3
    return f"{text[:head]}…{text[len(text) - (keep - head - 1) :]}"


def shrunk(image: Image.Image, side: int = PREVIEW) -> Image.Image:
    """Return the image as RGB, scaled to a longest side of `side` pixels.

    Small images are enlarged without smoothing."""
    image = ImageOps.contain(image, (side, side), Image.Resampling.LANCZOS if max(image.size) > side else 0)
    return image.convert("RGB")


def side_by_side(title: str, subjects: Sequence[Subject], side: int = 400) -> Image.Image:
    """Return a picture with a title and images side by side, each above its lines of text."""
    lines, box = max(len(subject.lines) for subject in subjects), (side, _tallest(subjects, side))
    height = 3 * MARGIN + LINE + box[1] + lines * LINE
    page = Image.new("RGB", (MARGIN + len(subjects) * (side + MARGIN), height), PAPER)
    draw = ImageDraw.Draw(page)
    draw.text((MARGIN, MARGIN), printable(title), INK, font(16))
    for number, subject in enumerate(subjects):
        _place(page, draw, subject, (MARGIN + number * (side + MARGIN), 2 * MARGIN + LINE), box)
    return page


def contact_sheet(title: str, subjects: Sequence[Subject], side: int = 200, columns: int = 6) -> Image.Image:
    """Return a picture with a title and images in rows of at most `columns`, each above its lines of text."""
    columns = max(3, min(columns, len(subjects)))
    lines, box = max(len(subject.lines) for subject in subjects), (side, _tallest(subjects, side))
    cell = box[1] + lines * LINE + MARGIN
    rows = -(-len(subjects) // columns)
    page = Image.new("RGB", (MARGIN + columns * (side + MARGIN), 2 * MARGIN + LINE + rows * cell), PAPER)
    draw = ImageDraw.Draw(page)
    draw.text((MARGIN, MARGIN), printable(title), INK, font(16))
    for number, subject in enumerate(subjects):
        row, column = divmod(number, columns)
        _place(page, draw, subject, (MARGIN + column * (side + MARGIN), 2 * MARGIN + LINE + row * cell), box)
    return page


def _tallest(subjects: Sequence[Subject], side: int) -> int:
    """Return the greatest height of the images after each is scaled to a longest side of `side` pixels."""
    return max(shrunk(subject.image, side).height for subject in subjects)


def _place(
    page: Image.Image, draw: ImageDraw.ImageDraw, subject: Subject, at: tuple[int, int], size: tuple[int, int]
) -> None:
    x, y = at
    side, height = size
    image = shrunk(subject.image, side)
    left, top = x + (side - image.width) // 2, y + (height - image.height) // 2
    page.paste(image, (left, top))
    frame = (left - 1, top - 1, left + image.width, top + image.height)
    draw.rectangle(frame, outline=ACCENT if subject.marked else FRAME, width=3 if subject.marked else 1)
    for number, line in enumerate(subject.lines):
        colour = ACCENT if subject.marked and number == 0 else INK if number == 0 else FAINT
        draw.text((x, y + height + 4 + number * LINE), fitted(line, side), colour, font())


def jpeg(image: Image.Image, quality: int = 85) -> bytes:
    """Return an image as JPEG without metadata; colours have full resolution, so that letters are sharp."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality, subsampling=0)
    return buffer.getvalue()
