"""Make thumbnails for benchmarks, uint8 (n, 64, 64, 3): crops of photographs, synthesised photographs, hard data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageOps, UnidentifiedImageError

SHAPE = (64, 64, 3)
SIZE = SHAPE[:2]
WAVES = 12
"""Number of cosine waves per side of synthesised photographs, from the mean on; finer detail is noise."""


def crops(folders: Sequence[Path], count: int) -> np.ndarray:
    """Return photographs and random parts of photographs, equally many of each photograph, in random order."""
    random = np.random.default_rng(0)
    paths = sorted({path.resolve() for folder in folders for path in folder.rglob("*") if path.is_file()})
    found: list[np.ndarray] = []
    each = -(-count // max(1, len(paths)))
    for path in paths:
        try:
            opened = Image.open(path)
            opened.draft("RGB", (800, 800))
            image = ImageOps.exif_transpose(opened).convert("RGB")
        except (OSError, UnidentifiedImageError):
            print(f"{path.name}: left out, not an image")
            continue
        image.thumbnail((800, 800))
        found.append(np.asarray(image.resize(SIZE)))
        for _ in range(each - 1):
            width, height = (
                int(side * share) for side, share in zip(image.size, [random.uniform(0.25, 0.95)] * 2, strict=True)
            )
            left, top = random.integers(0, image.width - width + 1), random.integers(0, image.height - height + 1)
            found.append(np.asarray(image.resize(SIZE, box=(left, top, left + width, top + height))))
    return np.array(found)[random.permutation(len(found))[:count]]


def synthesised(first: int, count: int) -> np.ndarray:
    """Return `count` thumbnails of a series, from number `first` on.

    The thumbnails have the spectrum, and the spread of brightness and contrast, of photographs. Every hundredth
    thumbnail is a near-duplicate of the thumbnail before."""
    random = np.random.default_rng(first)
    grey = random.normal(0, 1, (count, WAVES**2)).astype(np.float32)
    colour = random.normal(0, 0.5, (count, 3, WAVES**2)).astype(np.float32) + grey[:, None]
    contrast = random.lognormal(4.15, 0.35, (count, 1, 1)).astype(np.float32)
    mean = random.normal(120, 25, (count, 1, 1)).astype(np.float32) + random.normal(0, 8, (count, 3, 1))
    waves = (colour.reshape(-1, WAVES**2) @ _patterns()).reshape(count, 3, -1)
    starts = random.integers(0, len(_grain()) - waves.shape[1] * waves.shape[2], count)
    noise = np.stack([_grain()[start : start + waves[0].size].reshape(waves[0].shape) for start in starts])
    images = mean + contrast * (waves / 2 + noise / 3)
    alike = np.flatnonzero((first + np.arange(count)) % 100 == 99)
    alike = alike[alike > 0]
    images[alike] = images[alike - 1] + random.normal(0, 4, images[alike].shape)
    return np.clip(images, 0, 255).astype(np.uint8).reshape(count, 3, 64, 64).transpose(0, 2, 3, 1)


@cache
def _patterns() -> np.ndarray:
    """Return cosine waves, float32 (WAVES², 64·64), with amplitudes that fall with the frequency."""
    side = np.cos(np.pi * np.arange(WAVES)[:, None] * (np.arange(64) + 0.5) / 64)
    frequency = np.hypot(*np.indices((WAVES, WAVES)))
    waves = np.einsum("iy,jx->ijyx", side, side) / np.maximum(frequency, 0.7)[..., None, None] ** 0.9
    return waves.reshape(WAVES**2, -1).astype(np.float32)


@cache
def _grain() -> np.ndarray:
    return np.random.default_rng(0).normal(0, 1, 1 << 22).astype(np.float32)


def icons(count: int) -> np.ndarray:
    """Return coloured shapes on white, drawn four times as large and scaled down."""
    return _drawn(count, _icon)


def _icon(draw: ImageDraw.ImageDraw, random: np.random.Generator) -> None:
    for _ in range(random.integers(1, 4)):
        x, y = random.integers(30, 226, 2)
        side = int(random.integers(10, 70))
        box = (x - side, y - side, x + side, y + side)
        colour = tuple(random.integers(0, 256, 3).tolist())
        shape = random.integers(4)
        if shape == 0:
            draw.ellipse(box, fill=colour)
        elif shape == 1:
            draw.rectangle(box, outline=colour, width=12)
        elif shape == 2:
            draw.line(box, fill=colour, width=16)
        else:
            draw.polygon([tuple(corner) for corner in random.integers(20, 236, (3, 2)).tolist()], fill=colour)


def scans(count: int) -> np.ndarray:
    """Return pages of text: lines of dark words on white, ragged right."""
    return _drawn(count, _page)


def _page(draw: ImageDraw.ImageDraw, random: np.random.Generator) -> None:
    for top in range(20, int(random.integers(120, 240)), 10):
        left = 20
        while left < random.integers(190, 236):
            width = int(random.integers(4, 28))
            draw.rectangle((left, top, left + width, top + 4), fill=(40, 40, 40))
            left += width + 5


def _drawn(count: int, page: Callable[[ImageDraw.ImageDraw, np.random.Generator], None]) -> np.ndarray:
    random = np.random.default_rng(7)
    found = np.empty((count, *SHAPE), np.uint8)
    for number in range(count):
        image = Image.new("RGB", (256, 256), "white")
        page(ImageDraw.Draw(image), random)
        found[number] = np.asarray(image.resize(SIZE, Image.Resampling.BOX))
    return found


def frames(count: int) -> np.ndarray:
    """Return frames of a film: one scene with grain, and a patch that moves."""
    random = np.random.default_rng(8)
    scene = synthesised(0, 1)[0]
    patch = synthesised(1, 1)[0][:6, :6]
    found = np.clip(scene + random.normal(0, 2, (count, *SHAPE)), 0, 255).astype(np.uint8)
    for number in range(count):
        y, x = (int(26 + 25 * wave) for wave in (np.sin(number / 300), np.cos(number / 170)))
        found[number, y : y + 6, x : x + 6] = patch
    return found


def flat(count: int) -> np.ndarray:
    """Return sheets of a single random grey with grain."""
    random = np.random.default_rng(9)
    grey = random.integers(0, 256, (count, 1, 1, 1))
    return np.clip(grey + random.normal(0, 1.5, (count, *SHAPE)), 0, 255).astype(np.uint8)
