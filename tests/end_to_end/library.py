"""Make a photo library with planted duplicates, a whole backup folder and companions.

`python -m tests.end_to_end.library FOLDER [IMAGES]` makes one to look at."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from tests.stages.decoding.test_annotations import listed, xmp

CAMERA, BACKUP = "Phone/DCIM/100ANDRO", "Backup 2015/100ANDRO"
GRID, SIZE = (6, 8), (120, 90)
"""Random colours of a photograph, and its pixels: small, so that 20,000 are made in seconds."""
WRITTEN = 1_400_000_000
"""Time of the first file, in seconds; each further file is a minute later."""


@dataclass(frozen=True)
class Library:
    """A library on disk.

    images     number of images
    copies     the original of each planted duplicate, by the duplicate's path
    backup     paths of the images in the backup folder
    said_once  images of the backup whose XMP sidecar has no equal beside the original"""

    folder: Path
    images: int
    copies: dict[Path, Path]
    backup: list[Path]
    said_once: list[Path]

    def files(self) -> dict[str, bytes]:
        """The content of each file, by path below the folder."""
        return {str(path.relative_to(self.folder)): path.read_bytes() for path in _files(self.folder)}

    def orphans(self) -> list[Path]:
        """Companions without an image of their name in their folder."""
        found = []
        for path in _files(self.folder):
            stem = path.name.partition(".")[0]
            if path.suffix != ".jpg" and not path.with_name(f"{stem}.jpg").exists():
                found.append(path)
        return found


def library(folder: Path, images: int) -> Library:
    """Make a library of this many images: 3 in 100 in a backup folder, and 12 in 100 duplicates elsewhere."""
    saved, elsewhere = max(20, 3 * images // 100), 12 * images // 100
    originals = images - saved - elsewhere
    paths = [_place(folder, number, saved) for number in range(originals)]
    for number, path in enumerate(paths):
        _photograph(number, path)
    copies: dict[Path, Path] = {}
    backup: list[Path] = []
    said_once: list[Path] = []
    for number, original in enumerate(paths[:saved]):
        copy = folder / BACKUP / original.name
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(original, copy)
        both = (original, copy)
        if number % 3 == 0:
            _companions(both, f"{copy.stem}.xmp", xmp(listed("dc:subject", f"event {number}")))
        elif number % 29 == 1:
            _companions((copy,), f"{copy.stem}.xmp", xmp(listed("dc:subject", f"only in the backup {number}")))
            said_once.append(copy)
        for every, name in ((7, f"{copy.name}.json"), (11, f"{copy.stem}.MOV"), (13, f"{copy.stem}.aae")):
            if number % every == 0:
                _companions(both, name, f"{name} of {number}".encode())
        copies[copy] = original
        backup.append(copy)
    for number, original in enumerate(paths[saved : saved + elsewhere]):
        copy = folder / ("Downloads", "Exports/web", "Exports/print")[number % 3] / f"{original.stem} {number}.jpg"
        copy.parent.mkdir(parents=True, exist_ok=True)
        if number % 3 == 0:
            shutil.copy2(original, copy)
        else:
            with Image.open(original) as image:
                changed = image.resize((96, 72)) if number % 3 == 1 else image
                changed.save(copy, quality=70)
        copies[copy] = original
    for number, path in enumerate(_files(folder)):
        os.utime(path, (WRITTEN + 60 * number,) * 2)
    return Library(folder, images, copies, backup, said_once)


def _place(folder: Path, number: int, saved: int) -> Path:
    """Return the path of an original: the first ones in the camera's folder, the others by month."""
    month = number // 150
    above = CAMERA if number < saved else f"Pictures/{2014 + month // 12}/{month % 12 + 1:02}"
    path = folder / above / f"IMG_{number:05}.jpg"
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def _photograph(number: int, path: Path) -> None:
    colours = np.random.default_rng(number).integers(0, 256, (*GRID, 3), np.uint8)
    Image.fromarray(colours).resize(SIZE, Image.Resampling.BICUBIC).save(path, quality=85)


def _companions(images: tuple[Path, ...], name: str, data: bytes) -> None:
    for image in images:
        image.with_name(name).write_bytes(data)


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file())


if __name__ == "__main__":
    made = library(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 20_000)
    print(f"{made.folder}: {made.images:,} images, {len(made.copies):,} duplicates")
