"""What is found of known variants: `python -m tests.benchmarks.accuracy FOLDER [ORIGINALS]`

Takes photographs of a folder, makes variants of each, and prints per kind of variant which share is found at several
thresholds, and how many pairs of different photographs are matches, too: by a run of this program, by thumbnails that
are scaled down without antialiasing as fast-diff-py's are, by difPy, and by perceptual hashes with at most ten bits of
difference, imagededup's rule. Photographs that resemble each other already are left out, so that a match of two of them
would be false."""

from __future__ import annotations

import contextlib
import io
import itertools
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import imagehash
import numpy as np
from PIL import Image, ImageDraw, ImageFont, ImageOps

from pipeline import load_run
from pipeline.config.settings import from_mapping
from pipeline.execution.reporter import Reporter
from pipeline.plan.discovery import discover
from pipeline.run import run
from stages.decoding.colour import conversion_of
from tests.benchmarks.decoders import SIDE, exact, missing, opencv_cubic

THRESHOLDS = (50, 100, 200, 400)
BITS = 10
APART = 1_500
"""Originals are at least so far apart, in every turn."""
LARGEST = 1_600
Variant = Callable[[Image.Image], tuple[Image.Image, str, dict[str, Any]]]
Pair = frozenset[str]


def resized(share: float) -> Variant:
    """Scaled, and saved well."""
    return lambda image: (
        image.resize(tuple(max(1, round(share * side)) for side in image.size), Image.Resampling.LANCZOS),
        ".jpg",
        {"quality": 92},
    )


def saved_as(ending: str, **arguments: Any) -> Variant:
    """The same pixels in another file."""
    return lambda image: (image, ending, arguments)


def turned(method: Image.Transpose) -> Variant:
    """Turned or mirrored."""
    return lambda image: (image.transpose(method), ".jpg", {"quality": 92})


def turned_by_exif(image: Image.Image) -> tuple[Image.Image, str, dict[str, Any]]:
    """Turned on the disk, and upright by EXIF."""
    exif = Image.Exif()
    exif[0x0112] = 6
    return image.transpose(Image.Transpose.ROTATE_90), ".jpg", {"quality": 92, "exif": exif}


def brighter(factor: float) -> Variant:
    """Every value times so much."""
    return lambda image: (image.point(lambda value: min(255, round(value * factor))), ".jpg", {"quality": 92})


def cropped(image: Image.Image) -> tuple[Image.Image, str, dict[str, Any]]:
    """Without a fiftieth of each side."""
    left, top = round(image.width * 0.02), round(image.height * 0.02)
    return image.crop((left, top, image.width - left, image.height - top)), ".jpg", {"quality": 92}


def watermarked(image: Image.Image) -> tuple[Image.Image, str, dict[str, Any]]:
    """With words in a corner, half transparent."""
    layer = Image.new("RGBA", image.size)
    font = ImageFont.load_default(max(10, image.height // 14))
    ImageDraw.Draw(layer).text((image.width * 0.55, image.height * 0.85), "sample photo", (255, 255, 255, 128), font)
    return Image.alpha_composite(image.convert("RGBA"), layer).convert("RGB"), ".jpg", {"quality": 92}


def grey(image: Image.Image) -> tuple[Image.Image, str, dict[str, Any]]:
    """Without colour."""
    return image.convert("L"), ".jpg", {"quality": 92}


VARIANTS: dict[str, Variant] = {
    **{f"resize {round(100 * share)} %": resized(share) for share in (0.25, 0.5, 0.75, 1.5, 2.0)},
    **{f"JPEG quality {quality}": saved_as(".jpg", quality=quality) for quality in (90, 60, 30)},
    "PNG copy": saved_as(".png"),
    "WebP copy": saved_as(".webp", quality=80),
    "AVIF copy": saved_as(".avif", quality=70),
    "quarter turn": turned(Image.Transpose.ROTATE_90),
    "quarter turn by EXIF": turned_by_exif,
    "mirrored": turned(Image.Transpose.FLIP_LEFT_RIGHT),
    "5 % brighter": brighter(1.05),
    "5 % darker": brighter(0.95),
    "2 % crop": cropped,
    "watermark": watermarked,
    "grey": grey,
}


def originals(folder: Path, count: int) -> list[Image.Image]:
    """Photographs that are far apart, in random order."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    chosen: list[Image.Image] = []
    seen = np.empty((0, SIDE, SIDE, 3))
    for place in np.random.default_rng(0).permutation(len(paths)):
        thumbnail = exact(str(paths[place])).astype(float)
        turns = [np.rot90(thumbnail, turn) for turn in range(4)]
        turns += [turn[:, ::-1] for turn in turns]
        if len(seen) and min(np.square(seen - turn).sum(axis=(1, 2, 3)).min() for turn in turns) / SIDE**2 < APART:
            continue
        image = ImageOps.exif_transpose(Image.open(paths[place])).convert("RGB")
        image.thumbnail((LARGEST, LARGEST))
        conversion, _ = conversion_of(image)
        image = conversion(image) if conversion else image
        image.info.clear()  # else some kinds of variants would carry the profile, and some not
        chosen.append(image)
        seen = np.append(seen, thumbnail[None], axis=0)
        if len(chosen) == count:
            break
    return chosen


def make(images: Sequence[Image.Image], folder: Path) -> dict[str, str]:
    """Write originals and variants; returns what each file is a kind of, by name. Names begin with the photograph's."""
    kinds = {}
    for number, image in enumerate(images):
        name = f"{number:04}-original.png"
        image.save(folder / name)
        kinds[name] = "original"
        for place, (kind, variant) in enumerate(VARIANTS.items()):
            changed, ending, arguments = variant(image)
            name = f"{number:04}-{place:02}{ending}"
            changed.save(folder / name, **arguments)
            kinds[name] = kind
    return kinds


def by_us(folder: Path, output: Path) -> dict[Pair, float]:
    """The MSE of every pair up to the highest threshold, by a run."""
    given = {"run": "accuracy", "output": str(output), "inputs": {"a": [str(folder)]}, "scheduler": {"workers": 2}}
    config = from_mapping(given | {"pairs": {"threshold": float(THRESHOLDS[-1])}}, discover())
    record = run(config, [stage for stage in discover() if stage.name not in ("cluster", "plot")], Reporter())
    assert not record.failures, record.failures
    rows = load_run(config.folder).pairs(expand=True)
    return {pair(a, b): mse for a, b, mse in zip(rows["path_a"], rows["path_b"], rows["mse"], strict=True)}


def by_aliased_thumbnails(folder: Path, output: Path) -> dict[Pair, float]:
    """The same from thumbnails of INTER_CUBIC, in four turns."""
    paths = sorted(folder.iterdir())
    flat = np.array([opencv_cubic(str(path)) for path in paths], np.float32)
    norms = np.square(flat).sum(axis=(1, 2, 3))
    found: dict[Pair, float] = {}
    for turn in range(4):
        turned = np.rot90(flat, turn, axes=(1, 2)).reshape(len(flat), -1)
        mse = (norms[:, None] + norms - 2 * (flat.reshape(len(flat), -1) @ turned.T)) / SIDE**2
        for i, j in zip(*np.nonzero(np.triu(mse <= THRESHOLDS[-1], 1)), strict=True):
            key = pair(paths[i], paths[j])
            found[key] = min(found.get(key, np.inf), float(mse[i, j]))
    return found


def by_difpy(folder: Path, output: Path) -> dict[Pair, float]:
    """The lowest threshold at which difPy puts two files beside each other; its figures are a third of ours."""
    import difPy

    found: dict[Pair, float] = {}
    with contextlib.redirect_stdout(io.StringIO()):
        built = difPy.build(str(folder), processes=2, show_progress=False)
        for limit in reversed(THRESHOLDS):
            searched = difPy.search(built, similarity=limit / 3, same_dim=False, processes=2, show_progress=False)
            for first, others in searched.result.items():  # each file is named once, beside the first one like it
                for a, b in itertools.combinations([first, *(other for other, _ in others)], 2):
                    found[pair(a, b)] = limit
    return found


def by_hashes(folder: Path, output: Path) -> dict[Pair, float]:
    """Bits in which perceptual hashes differ; counted as found at every threshold if there are at most BITS."""
    paths = sorted(folder.iterdir())
    bits = np.array([imagehash.phash(Image.open(path)).hash.ravel() for path in paths])
    apart = (bits[:, None] != bits[None]).sum(axis=2)
    return {pair(paths[i], paths[j]): 0.0 for i, j in zip(*np.nonzero(np.triu(apart <= BITS, 1)), strict=True)}


def pair(a: object, b: object) -> Pair:
    """Two files by their names."""
    return frozenset((Path(str(a)).name, Path(str(b)).name))


FINDERS: dict[str, tuple[Callable[[Path, Path], dict[Pair, float]], str]] = {
    "fast-diff": (by_us, ""),
    "aliased thumbnails (fast-diff-py)": (by_aliased_thumbnails, "cv2"),
    "difPy": (by_difpy, "difPy"),
    f"perceptual hashes, at most {BITS} bits (imagededup)": (by_hashes, ""),
}


def show(found: Mapping[Pair, float], kinds: Mapping[str, str], thresholds: Sequence[float]) -> None:
    """Recall per kind of variant, and false matches."""
    first = {name[:4]: name for name, kind in kinds.items() if kind == "original"}
    of_kind: dict[str, list[float]] = defaultdict(list)
    for name, kind in kinds.items():
        if kind != "original":
            of_kind[kind].append(found.get(pair(first[name[:4]], name), np.inf))
    false = [mse for key, mse in found.items() if len({name[:4] for name in key}) > 1]
    for kind, values in of_kind.items():
        shares = "".join(f"{np.mean(np.array(values) <= limit):8.1%}" for limit in thresholds)
        print(f"  {kind:<22}{shares}")
    counts = "".join(f"{sum(mse <= limit for mse in false):8,}" for limit in thresholds)
    print(f"  {'false matches':<22}{counts}")


def main() -> None:
    """Make variants, and print a table per finder."""
    words = dict(enumerate(sys.argv))
    with tempfile.TemporaryDirectory() as name:
        folder, output = Path(name) / "images", Path(name) / "outputs"
        folder.mkdir()
        images = originals(Path(words[1]), int(words.get(2, 150)))
        kinds = make(images, folder)
        total = len(kinds) * (len(kinds) - 1) // 2
        print(f"{len(images)} photographs, {len(VARIANTS)} variants of each, {total:,} pairs; found at MSE", end=" ")
        print(", ".join(map(str, THRESHOLDS)))
        for finder, (find, library) in FINDERS.items():
            print(finder)
            if missing(library):
                print(f"  {library} is not installed")
                continue
            hashes = find is by_hashes
            show(find(folder, output), kinds, THRESHOLDS[:1] if hashes else THRESHOLDS)


if __name__ == "__main__":
    main()
