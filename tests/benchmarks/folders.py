"""Make folders of images to time decoding: `python -m tests.benchmarks.folders PHOTOGRAPHS OUT [MOST]`

Makes in OUT: `small` (1,000 JPEGs of 0.2 megapixels), `many` (20,000 such JPEGs), `large` (1,000 JPEGs of 4 megapixels)
and `icons` (20,000 PNGs of some 200 bytes). Each JPEG is a random part of one of the photographs; an enlarged part is
as smooth as a photograph of a cheap camera. No folder gets more than MOST files."""

from __future__ import annotations

import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import cache, partial
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

QUALITY = 90
ICON = 32


@cache
def photographs(folder: Path) -> list[Path]:
    """Return the image files of a folder, sorted."""
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg"))


def part(folder: Path, size: tuple[int, int], out: Path, number: int) -> None:
    """Write one random part of one photograph, scaled to `size`."""
    random = np.random.default_rng(number)
    paths = photographs(folder)
    with Image.open(paths[number % len(paths)]) as opened:
        opened.draft("RGB", (2 * size[0], 2 * size[1]))
        image = opened.convert("RGB")
    share = random.uniform(0.6, 1)
    width, height = (share * side for side in image.size)
    left, top = random.uniform(0, image.width - width), random.uniform(0, image.height - height)
    made = image.resize(size, Image.Resampling.BICUBIC, box=(left, top, left + width, top + height))
    made.save(out / f"{number:05}.jpg", quality=QUALITY)


def icon(out: Path, number: int) -> None:
    """Write a coloured shape on a transparent background."""
    random = np.random.default_rng(number)
    image = Image.new("RGBA", (ICON, ICON))
    colour = (*random.integers(0, 256, 3).tolist(), 255)
    left, top = random.integers(0, ICON // 2, 2).tolist()
    draw = ImageDraw.Draw(image)
    draw.ellipse((left, top, left + ICON // 2, top + ICON // 3), fill=colour)
    draw.line((0, *random.integers(0, ICON, 3).tolist()), fill=(*colour[2::-1], 255), width=2)
    image.save(out / f"{number:06}.png")


def main(source: Path, out: Path, most: int = 20_000) -> None:
    """Make all folders."""
    sets: dict[str, tuple[int, Callable[[Path], Callable[[int], None]]]] = {
        "small": (1_000, lambda folder: partial(part, source, (548, 365), folder)),
        "many": (20_000, lambda folder: partial(part, source, (548, 365), folder)),
        "large": (1_000, lambda folder: partial(part, source, (2_448, 1_632), folder)),
        "icons": (20_000, lambda folder: partial(icon, folder)),
    }
    with ProcessPoolExecutor() as pool:
        for name, (count, write) in sets.items():
            (out / name).mkdir(parents=True, exist_ok=True)
            made = list(pool.map(write(out / name), range(min(count, most)), chunksize=64))
            print(f"{out / name}: {len(made):,} files")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), *map(int, sys.argv[3:]))
