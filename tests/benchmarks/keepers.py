"""Measure the share of originals that the default rules keep, for twelve kinds of copies in folders of any name.

    python -m tests.benchmarks.keepers [FOLDER] [--each 200] [--seed 0]

Makes two libraries: photographs with the metadata of cameras, and photographs without metadata, except an orientation
if the copy differs in the orientation alone. Runs `fast-diff run` on each library with the default rules. Prints the
share of originals that are kept, by kind of copy and in all. The photographs are parts of the photographs in FOLDER, or
synthesised if FOLDER is not given. A third of the copies is in folders named like copies, a third in folders with any
name, a third in folders that come first in the alphabet. Some copies keep the date of the original's file. One original
in ten has lost its own date, like files that were moved to another disk or restored.
"""

from __future__ import annotations

import argparse
import io
import os
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from PIL import Image, ImageEnhance

from pipeline import load_run
from pipeline.cli.main import main
from tests.photographs import photograph

TELLING = ("Backup 2015", "old laptop backup", "Kopie", "Archive", "Downloads", "copies", "tmp", "Trash")
ANY = ("Lisbon", "disk2", "Anna", "misc", "Photos from Tom", "red", "stick", "Sammlung", "u", "Zeeland")
FIRST = ("0", "AAA", "_x", "!", "1999")
LIVE = ("Phone", "Pictures/2014", "Pictures/2015", "Pictures/Summer", "Canon")
CAMERAS = (
    ("Canon", "Canon EOS 70D"),
    ("NIKON CORPORATION", "NIKON D90"),
    ("Apple", "iPhone 6"),
    ("samsung", "SM-G900F"),
)
BEGUN = datetime(2014, 1, 1)
Random = np.random.Generator


@dataclass(frozen=True)
class Photo:
    """A photograph: stored pixels, the camera's options for encoding, metadata, date and EXIF orientation."""

    image: Image.Image
    how: dict[str, Any]
    exif: Image.Exif | None
    taken: datetime
    orientation: int = 1

    def encoded(self) -> bytes:
        """Return the bytes of the file that the camera writes."""
        return _encoded(self.image, "JPEG", **self.how, **({"exif": self.exif.tobytes()} if self.exif else {}))


@dataclass(frozen=True)
class Copy:
    """A copy of a photograph.

    data    bytes of the file
    ending  ending of the name
    stem    stem of the name, {} for the original's stem; empty: the original's stem
    kept    whether the copy has the date of the original's file
    beside  whether the copy is in the original's folder"""

    data: bytes
    ending: str
    stem: str = ""
    kept: bool = False
    beside: bool = False


@dataclass(frozen=True)
class Planted:
    """An original and its copy."""

    kind: str
    original: Path
    copy: Path


def _encoded(image: Image.Image, form: str, **how: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **how)
    return file.getvalue()


def _again(photo: Photo, random: Random, share: float = 1 / 3) -> dict[str, Any]:
    """Return options that keep the camera's metadata in a `share` of all cases, with upright orientation."""
    if photo.exif is None or random.random() > share:
        return {}
    exif = Image.Exif()
    exif.load(photo.exif.tobytes())
    exif[0x0112] = 1
    return {"exif": exif.tobytes()}


def _decoded(photo: Photo) -> Image.Image:
    return Image.open(io.BytesIO(photo.encoded())).convert("RGB")


def _upright(photo: Photo) -> Image.Image:
    turn = {3: Image.Transpose.ROTATE_180, 6: Image.Transpose.ROTATE_270, 8: Image.Transpose.ROTATE_90}
    image = _decoded(photo)
    return image.transpose(turn[photo.orientation]) if photo.orientation in turn else image


def backup(photo: Photo, random: Random) -> Copy:
    """Return the same file, for another folder."""
    return Copy(photo.encoded(), "jpg", kept=bool(random.random() < 0.5))


def again(photo: Photo, random: Random) -> Copy:
    """Return the same file under another name, for the same folder."""
    names = ("{} (1)", "{} - Copy", "Copy of {}", "{} copy 2", "{}(2)", "{}_b", "2{}")
    return Copy(photo.encoded(), "jpg", str(random.choice(names)), bool(random.random() < 0.5), beside=True)


def png(photo: Photo, random: Random) -> Copy:
    """Return a copy converted to PNG."""
    return Copy(_encoded(_upright(photo), "PNG", compress_level=1, **_again(photo, random)), "png")


def tiff(photo: Photo, random: Random) -> Copy:
    """Return a copy converted to TIFF."""
    return Copy(_encoded(_upright(photo), "TIFF", **_again(photo, random)), "tif")


def webp(photo: Photo, random: Random) -> Copy:
    """Return a copy converted to WebP."""
    return Copy(
        _encoded(_upright(photo), "WEBP", quality=int(random.integers(75, 97)), **_again(photo, random)), "webp"
    )


def turned(photo: Photo, random: Random) -> Copy:
    """Return a turned copy that was encoded again, with more bytes or fewer."""
    turn = random.choice([Image.Transpose.ROTATE_90, Image.Transpose.ROTATE_180, Image.Transpose.ROTATE_270])
    how = {"quality": int(random.integers(85, 99)), "subsampling": int(random.choice([0, 2]))}
    image = _upright(photo).transpose(turn)
    return Copy(
        _encoded(image, "JPEG", **how, **_again(photo, random)), "jpg", "{}r", beside=bool(random.random() < 0.5)
    )


def upright(photo: Photo, random: Random) -> Copy:
    """Return a copy encoded again with upright pixels instead of an EXIF orientation."""
    how = {"quality": int(random.integers(85, 99)), "subsampling": int(random.choice([0, 2]))}
    data = _encoded(_upright(photo), "JPEG", **how, **_again(photo, random, 0.8))
    return Copy(data, "jpg", "{}-1", beside=bool(random.random() < 0.5))


def worse(photo: Photo, random: Random) -> Copy:
    """Return a copy encoded again with fewer bytes."""
    return Copy(_encoded(_upright(photo), "JPEG", quality=int(random.integers(40, 79)), **_again(photo, random)), "jpg")


def better(photo: Photo, random: Random) -> Copy:
    """Return a copy encoded again with more bytes."""
    how = {"quality": int(random.integers(96, 101)), "subsampling": int(random.choice([0, 2]))}
    return Copy(
        _encoded(_upright(photo), "JPEG", **how, **_again(photo, random)), "jpg", kept=bool(random.random() < 0.2)
    )


def half(photo: Photo, random: Random) -> Copy:
    """Return a copy half as wide and high, with all metadata of the camera."""
    small = _upright(photo).reduce(2)
    return Copy(_encoded(small, "JPEG", quality=95, **_again(photo, random, 1.0)), "jpg")


def messenger(photo: Photo, random: Random) -> Copy:
    """Return a copy as a messenger encodes it: without metadata, scaled down in half of all cases."""
    image = _upright(photo)
    image = image.resize((image.width * 3 // 4, image.height * 3 // 4)) if random.random() < 0.5 else image
    stem = f"IMG-2015{random.integers(1000, 1300)}-WA{random.integers(0, 9999):04}"
    return Copy(_encoded(image, "JPEG", quality=70, progressive=True), "jpg", stem)


def retouched(photo: Photo, random: Random) -> Copy:
    """Return a slightly brighter copy, with the editor's name in the metadata, if any."""
    image, more = ImageEnhance.Brightness(_upright(photo)).enhance(1.01), _again(photo, random, 0.8)
    if more:
        exif = Image.Exif()
        exif.load(more["exif"])
        exif[0x0131] = "GIMP 2.8.10"
        more = {"exif": exif.tobytes()}
    return Copy(_encoded(image, "JPEG", quality=95, subsampling=0, **more), "jpg")


KINDS: tuple[Callable[[Photo, Random], Copy], ...] = (
    *(backup, again, png, tiff, webp, turned, upright, worse, better, half, messenger, retouched),
)


def _pictures(folder: Path | None, random: Random) -> Iterator[Image.Image]:
    """Yield parts of photographs without end, scaled down so that no trace of an earlier encoding is left."""
    pool: list[Image.Image] = []
    for path in sorted(folder.rglob("*")) if folder else ():
        if path.suffix.lower() in (".jpg", ".jpeg", ".png"):
            image = Image.open(path).convert("RGB")
            scale = max(2.2, min(image.size) / 700)
            small = image.resize((round(image.width / scale), round(image.height / scale)), Image.Resampling.LANCZOS)
            pool += [small] if min(small.size) >= 150 else []
    while True:
        seed = int(random.integers(1 << 30))
        whole = pool[seed % len(pool)] if pool else photograph(seed, (400, 304))
        width, height = (round(side * random.uniform(0.55, 0.95)) for side in whole.size)
        left, top = random.integers(whole.width - width), random.integers(whole.height - height)
        yield whole.crop((left, top, left + width, top + height))


def _photo(image: Image.Image, number: int, kind: str, metadata: bool, random: Random) -> Photo:
    """Return a photograph; half of the cameras have JPEG tables of their own, the others libjpeg's tables."""
    make, model = CAMERAS[int(random.integers(len(CAMERAS)))]
    how: dict[str, Any] = {"quality": int(random.integers(85, 98)), "subsampling": 2}
    if random.random() < 0.5:
        table = [min(255, 2 + (n // 8 + n % 8) * int(random.integers(1, 3))) for n in range(64)]
        how = {"qtables": [table, [min(255, each * 2) for each in table]], "subsampling": int(random.integers(1, 3))}
    orientation = int(random.choice([3, 6, 8])) if kind == "upright" else 1
    taken = BEGUN + timedelta(minutes=37 * number)
    exif = Image.Exif() if metadata or orientation > 1 else None
    if exif is not None and metadata:
        exif[0x010F], exif[0x0110] = make, model
        exif.get_ifd(0x8769)[0x9003] = taken.strftime("%Y:%m:%d %H:%M:%S")
        if make in ("Apple", "samsung") and random.random() < 0.6:
            exif.get_ifd(0x8825)[2] = (52.0, 30.0, float(number % 60))
    if exif is not None and orientation > 1:
        exif[0x0112] = orientation
    return Photo(image, how, exif, taken, orientation)


def plant(folder: Path, each: int, metadata: bool, seed: int, photographs: Path | None = None) -> list[Planted]:
    """Make a library; return the originals with their copies. One photograph in five has no copy."""
    random = np.random.default_rng(seed)
    pictures, planted = _pictures(photographs, random), []
    kinds = [kind for kind in KINDS for _ in range(each)]
    for number, place in enumerate(random.permutation(len(kinds) * 5 // 4).tolist()):
        kind = kinds[place] if place < len(kinds) else None
        photo = _photo(next(pictures), number, kind.__name__ if kind else "", metadata, random)
        original = folder / LIVE[number % len(LIVE)] / f"IMG_{number:05}.jpg"
        lost = timedelta(days=900) if random.random() < 0.1 else timedelta()
        _write(original, photo.encoded(), photo.taken + lost)
        if kind is None:
            continue
        copy = kind(photo, random)
        names = (TELLING, ANY, FIRST)[int(random.integers(3))]
        place_of = original.parent if copy.beside else folder / str(random.choice(names)) / original.parent.name
        stem = copy.stem.replace("{}", original.stem) or original.stem
        path = place_of / f"{stem}.{copy.ending}"
        later = timedelta(days=float(random.uniform(1, 400)))
        # Files of one folder lose their dates together.
        _write(path, copy.data, photo.taken + (lost if copy.beside else timedelta()) + (0 if copy.kept else 1) * later)
        planted.append(Planted(kind.__name__, original, path))
    return planted


def _write(path: Path, data: bytes, date: datetime) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert not path.exists(), path
    path.write_bytes(data)
    os.utime(path, (date.timestamp(), date.timestamp()))


def stayed(
    clusters: pd.DataFrame, planted: list[Planted]
) -> tuple[Counter[str], Counter[str], list[tuple[Planted, str]]]:
    """Return facts about the originals that form a cluster with their copy alone.

    The facts are: the number of such originals by kind, the number of kept ones by kind, and the originals that are
    not kept, each with the keeper's reason."""
    number = dict(zip(clusters["path"], clusters["cluster"], strict=True))
    sizes = clusters["cluster"].value_counts()
    kept = set(clusters.loc[clusters["keeper"], "path"])
    reason = clusters[clusters["keeper"]].set_index("cluster")["reason"]
    found, stays, lost = Counter[str](), Counter[str](), []
    for each in planted:
        mine = number.get(str(each.original))
        if mine is None or mine != number.get(str(each.copy)) or sizes[mine] != 2:
            continue
        found[each.kind] += 1
        stays[each.kind] += str(each.original) in kept
        if str(each.original) not in kept:
            lost.append((each, reason[mine]))
    return found, stays, lost


def run(folder: Path) -> pd.DataFrame:
    """Run `fast-diff run` on a library with the default rules; return the clusters."""
    config: dict[str, Any] = {
        "run": "keepers",
        "output": str(folder.parent / "outputs"),
        "inputs": {"a": [str(folder)]},
    }
    path = folder.parent / "config.yaml"
    path.write_text(yaml.safe_dump(config | {"plot": {"pairs": 0, "clusters": 0, "page": 0}}))
    assert main(["run", str(path), "--quiet"]) == 0
    frame: pd.DataFrame = load_run(folder.parent / "outputs" / "keepers").clusters()
    return frame


def _main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", nargs="?", type=Path, help="photographs; synthesised if not given")
    parser.add_argument("--each", type=int, default=200, help="copies of each kind")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    for metadata in (True, False):
        with tempfile.TemporaryDirectory() as scratch:
            library = Path(scratch) / "library"
            planted = plant(library, options.each, metadata, options.seed, options.folder)
            found, stays, lost = stayed(run(library), planted)
        print(
            f"\n{'with' if metadata else 'without'} metadata: {sum(found.values()):,} of {len(planted):,} copies found"
        )
        for kind in (each.__name__ for each in KINDS):
            print(f"  {kind:<10} {stays[kind]:>5} of {found[kind]:>5} stay  {stays[kind] / max(1, found[kind]):6.1%}")
        all_stay, all_found = stays.total(), found.total()
        print(f"  {'all':<10} {all_stay:>5} of {all_found:>5} stay  {all_stay / max(1, all_found):6.1%}")
        for (kind, reason), count in Counter((each.kind, why) for each, why in lost).most_common(12):
            print(f"    {kind}: {count} copies stay, {reason}")


if __name__ == "__main__":
    _main()
