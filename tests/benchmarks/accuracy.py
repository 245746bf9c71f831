"""Measure the recall of known variants.

    python -m tests.benchmarks.accuracy FOLDER [ORIGINALS] [FINDER ...] [--model FILE]

Makes variants of photographs in a folder. For each kind of variant, prints the share of variants that match their
original at several thresholds, and the number of matches between different photographs. The finders are fast-diff, also
with its options for mirror images, borders and exposure; thumbnails scaled down without antialiasing, as fast-diff-py
makes them; difPy; and perceptual hashes: phash with at most ten bits of difference, imagededup's rule, and PDQ with at
most 31 of 256 bits, its authors' rule. With an ONNX model, fast-diff also compares the vectors of the model at COSINES.
FINDER is a part of a finder's name. Similar photographs are left out, so that each match of two photographs is false.
For variants with borders, a second figure leaves out photographs with an edge of one colour, or nearly of the border's
colour: the pixels of such a variant do not show where the border ends."""

from __future__ import annotations

import argparse
import contextlib
import io
import itertools
import tempfile
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import imagehash
import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont, ImageOps

from pipeline import load_run
from pipeline.config.settings import from_mapping
from pipeline.execution.reporter import Reporter
from pipeline.plan.discovery import discover
from pipeline.run import run
from stages.decoding.colour import conversion_of
from tests.benchmarks.decoders import SIDE, exact, missing, opencv_cubic

THRESHOLDS = (50, 100, 200, 400)
BITS = 10
PDQ_BITS = 31
COSINES = (0.98, 0.95, 0.9, 0.8)
"""Cosines of vectors of a model."""
APART = 1_500
"""Least MSE between two originals, in every turn."""
LARGEST = 1_600
Variant = Callable[[Image.Image], tuple[Image.Image, str, dict[str, Any]]]
Pair = frozenset[str]


def resized(share: float) -> Variant:
    """Return a variant that is scaled, and saved as JPEG of quality 92."""
    return lambda image: (
        image.resize(tuple(max(1, round(share * side)) for side in image.size), Image.Resampling.LANCZOS),
        ".jpg",
        {"quality": 92},
    )


def saved_as(ending: str, **arguments: Any) -> Variant:
    """Return a variant with the same picture in another format."""
    return lambda image: (image, ending, arguments)


def turned(method: Image.Transpose) -> Variant:
    """Return a variant that is turned or mirrored."""
    return lambda image: (image.transpose(method), ".jpg", {"quality": 92})


def turned_by_exif(image: Image.Image) -> tuple[Image.Image, str, dict[str, Any]]:
    """Make a variant with turned pixels and an EXIF orientation that undoes the turn."""
    exif = Image.Exif()
    exif[0x0112] = 6
    return image.transpose(Image.Transpose.ROTATE_90), ".jpg", {"quality": 92, "exif": exif}


def brighter(factor: float) -> Variant:
    """Return a variant with all values multiplied by `factor`."""
    return lambda image: (image.point(lambda value: min(255, round(value * factor))), ".jpg", {"quality": 92})


def lifted(by: int) -> Variant:
    """Return a variant with `by` levels added to every value."""
    return lambda image: (image.point(lambda value: max(0, min(255, value + by))), ".jpg", {"quality": 92})


def gamma(power: float) -> Variant:
    """Return a variant with all values, scaled to 0 to 1, raised to `power`."""
    return lambda image: (image.point(lambda value: round(255 * (value / 255) ** power)), ".jpg", {"quality": 92})


def cropped(share: float) -> Variant:
    """Return a variant with a share of the picture cropped off each side."""

    def crop(image: Image.Image) -> tuple[Image.Image, str, dict[str, Any]]:
        left, top = round(image.width * share), round(image.height * share)
        return image.crop((left, top, image.width - left, image.height - top)), ".jpg", {"quality": 92}

    return crop


def blurred(image: Image.Image) -> tuple[Image.Image, str, dict[str, Any]]:
    """Make a variant that is blurred by a hundredth of the shorter side."""
    return image.filter(ImageFilter.GaussianBlur(min(image.size) / 100)), ".jpg", {"quality": 92}


def captioned(image: Image.Image) -> tuple[Image.Image, str, dict[str, Any]]:
    """Make a variant with two lines of large white words, as on a meme."""
    found = image.copy()
    font, drawing = ImageFont.load_default(max(12, image.height // 9)), ImageDraw.Draw(found)
    for share in (0.03, 0.85):
        place = image.width * 0.08, image.height * share
        drawing.text(place, "WHEN YOU SEE IT", "white", font, stroke_width=2, stroke_fill="black")
    return found, ".jpg", {"quality": 92}


BLACK, WHITE = (0, 0, 0), (255, 255, 255)


def framed(left: float, top: float, right: float, bottom: float, colour: tuple[int, int, int]) -> Variant:
    """Return a variant with margins of one colour; margins are shares of the width and of the height."""

    def frame(image: Image.Image) -> tuple[Image.Image, str, dict[str, Any]]:
        wide, high = (round(image.width * (1 + left + right)), round(image.height * (1 + top + bottom)))
        whole = Image.new("RGB", (wide, high), colour)
        whole.paste(image, (round(image.width * left), round(image.height * top)))
        return whole, ".jpg", {"quality": 85}

    return frame


def on_a_phone(image: Image.Image) -> tuple[Image.Image, str, dict[str, Any]]:
    """Make a variant as PNG: a screenshot of the photograph in full width on a phone's black screen."""
    width, height = 540, 1170
    shown = image.resize((width, round(width * image.height / image.width)), Image.Resampling.BICUBIC)
    shown.thumbnail((width, height))
    screen = Image.new("RGB", (width, height))
    screen.paste(shown, ((width - shown.width) // 2, (height - shown.height) // 2))
    return screen, ".png", {}


def watermarked(image: Image.Image) -> tuple[Image.Image, str, dict[str, Any]]:
    """Make a variant with half-transparent words in a corner."""
    layer = Image.new("RGBA", image.size)
    font = ImageFont.load_default(max(10, image.height // 14))
    ImageDraw.Draw(layer).text((image.width * 0.55, image.height * 0.85), "sample photo", (255, 255, 255, 128), font)
    return Image.alpha_composite(image.convert("RGBA"), layer).convert("RGB"), ".jpg", {"quality": 92}


def grey(image: Image.Image) -> tuple[Image.Image, str, dict[str, Any]]:
    """Make a variant without colour."""
    return image.convert("L"), ".jpg", {"quality": 92}


SIGNS = {"brighter": 1, "darker": -1}
BORDERED: dict[str, tuple[Variant, tuple[int, int, int]]] = {
    "letterbox": (framed(0, 1 / 6, 0, 1 / 6, BLACK), BLACK),
    "pillarbox": (framed(1 / 5, 0, 1 / 5, 0, BLACK), BLACK),
    "white margins": (framed(0.1, 0.12, 0.08, 0.2, WHITE), WHITE),
    "thin white frame": (framed(0.01, 0.01, 0.01, 0.01, WHITE), WHITE),
    "screenshot": (on_a_phone, BLACK),
}
"""Variants with borders, and the colour of each border."""
VARIANTS: dict[str, Variant] = {
    **{f"resize {round(100 * share)} %": resized(share) for share in (0.25, 0.5, 0.75, 1.5, 2.0)},
    **{f"JPEG quality {quality}": saved_as(".jpg", quality=quality) for quality in (90, 60, 30)},
    "PNG copy": saved_as(".png"),
    **{f"WebP quality {quality}": saved_as(".webp", quality=quality) for quality in (80, 20)},
    **{f"AVIF quality {quality}": saved_as(".avif", quality=quality) for quality in (70, 20)},
    "quarter turn": turned(Image.Transpose.ROTATE_90),
    "quarter turn by EXIF": turned_by_exif,
    "mirrored": turned(Image.Transpose.FLIP_LEFT_RIGHT),
    **{f"{share} % {name}": brighter(1 + sign * share / 100) for share in (5, 15) for name, sign in SIGNS.items()},
    **{f"{by:+} levels": lifted(by) for by in (13, -13, 38, -38)},
    **{f"gamma {power:g}": gamma(power) for power in (0.8, 1.25)},
    **{f"{share} % crop": cropped(share / 100) for share in (2, 5, 10, 20)},
    "blur": blurred,
    "watermark": watermarked,
    "caption": captioned,
    **{name: variant for name, (variant, _) in BORDERED.items()},
    "grey": grey,
}


def originals(folder: Path, count: int) -> list[Image.Image]:
    """Return photographs that differ by at least APART, in random order."""
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
        image.info.clear()  # else only some kinds of variants would carry the profile
        chosen.append(image)
        seen = np.append(seen, thumbnail[None], axis=0)
        if len(chosen) == count:
            break
    return chosen


def make(images: Sequence[Image.Image], folder: Path) -> dict[str, str]:
    """Write originals and variants; return the kind of each file, by name; names begin with the photograph's number."""
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


def by_us(folder: Path, output: Path, pairs: Mapping[str, Any] = {}, **more: Any) -> dict[Pair, float]:
    """Return the MSE of each match of a run at the highest threshold; `pairs` and `more` are config keys."""
    given = {"run": "accuracy", "output": str(output), "inputs": {"a": [str(folder)]}, "scheduler": {"workers": 2}}
    config = from_mapping(given | {"pairs": {"threshold": float(THRESHOLDS[-1]), **pairs}} | more, discover())
    record = run(config, [stage for stage in discover() if stage.name not in ("cluster", "plot")], Reporter())
    assert not record.failures, record.failures
    rows = load_run(config.folder).pairs(expand=True)
    distances = rows["mse" if "mse" in rows else "distance"]
    return {pair(a, b): distance for a, b, distance in zip(rows["path_a"], rows["path_b"], distances, strict=True)}


def by_model(model: Path) -> Callable[[Path, Path], dict[Pair, float]]:
    """Return the finder that compares an ONNX model's vectors; a YAML file beside the model holds mean and scale."""
    vectors = {"embedding": f"onnx:{model.absolute()}", "embedding_distance": "cosine", "rotations": False}
    return partial(by_us, pairs={"metric": "embedding", "threshold": 1 - COSINES[-1], **vectors})


def by_aliased_thumbnails(folder: Path, output: Path) -> dict[Pair, float]:
    """Return the MSE of each match of thumbnails scaled by INTER_CUBIC, the least of four turns."""
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
    """Return the lowest of THRESHOLDS at which difPy groups each pair; difPy's own thresholds are a third."""
    import difPy

    found: dict[Pair, float] = {}
    with contextlib.redirect_stdout(io.StringIO()):
        built = difPy.build(str(folder), processes=2, show_progress=False)
        for limit in reversed(THRESHOLDS):
            searched = difPy.search(built, similarity=limit / 3, same_dim=False, processes=2, show_progress=False)
            for first, others in searched.result.items():  # each file is named once, beside the first similar file
                for a, b in itertools.combinations([first, *(other for other, _ in others)], 2):
                    found[pair(a, b)] = limit
    return found


def by_hashes(folder: Path, output: Path) -> dict[Pair, float]:
    """Return the pairs whose perceptual hashes differ in at most BITS bits, as matches at distance 0."""
    paths = sorted(folder.iterdir())
    bits = np.array([imagehash.phash(Image.open(path)).hash.ravel() for path in paths])
    apart = (bits[:, None] != bits[None]).sum(axis=2)
    return {pair(paths[i], paths[j]): 0.0 for i, j in zip(*np.nonzero(np.triu(apart <= BITS, 1)), strict=True)}


def by_pdq(folder: Path, output: Path) -> dict[Pair, float]:
    """Return the pairs whose PDQ hashes differ in at most PDQ_BITS bits, as matches at distance 0."""
    import pdqhash

    paths = sorted(folder.iterdir())
    bits = np.array([pdqhash.compute(np.asarray(Image.open(path).convert("RGB")))[0] for path in paths])
    apart = (bits[:, None] != bits[None]).sum(axis=2)
    return {pair(paths[i], paths[j]): 0.0 for i, j in zip(*np.nonzero(np.triu(apart <= PDQ_BITS, 1)), strict=True)}


def pair(a: object, b: object) -> Pair:
    """Return a pair of files, by the names of the files."""
    return frozenset((Path(str(a)).name, Path(str(b)).name))


FINDERS: dict[str, tuple[Callable[[Path, Path], dict[Pair, float]], str]] = {
    "fast-diff": (by_us, ""),
    "fast-diff, pairs.mirror: true": (partial(by_us, pairs={"mirror": True}), ""),
    "fast-diff, pairs.exposure: ignore": (partial(by_us, pairs={"exposure": "ignore"}), ""),
    "fast-diff, thumbnail.trim: borders": (partial(by_us, thumbnail={"trim": "borders"}), ""),
    "aliased thumbnails (fast-diff-py)": (by_aliased_thumbnails, "cv2"),
    "difPy": (by_difpy, "difPy"),
    f"perceptual hashes, at most {BITS} bits (imagededup)": (by_hashes, ""),
    f"PDQ, at most {PDQ_BITS} of 256 bits": (by_pdq, "pdqhash"),
}


def plain_edge(image: Image.Image, colour: tuple[int, int, int]) -> bool:
    """Return whether an edge of a photograph has nearly one colour, or nearly a border's colour."""
    pixels = np.asarray(image, np.int64)
    for line in (pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]):
        own, other = (np.abs(line - each).max(axis=1) for each in (np.median(line, axis=0), colour))
        if (own > 32).mean() < 0.1 or other.mean() < 40:
            return True
    return False


def show(
    found: Mapping[Pair, float], kinds: Mapping[str, str], thresholds: Sequence[float], images: Sequence[Image.Image]
) -> None:
    """Print the recall per kind of variant, and the number of false matches, at each threshold."""
    first = {name[:4]: name for name, kind in kinds.items() if kind == "original"}
    of_kind: dict[str, list[float]] = defaultdict(list)
    for name, kind in kinds.items():
        if kind != "original":
            of_kind[kind].append(found.get(pair(first[name[:4]], name), np.inf))
    false = [mse for key, mse in found.items() if len({name[:4] for name in key}) > 1]
    for kind, values in of_kind.items():
        shares = "".join(f"{np.mean(np.array(values) <= limit):8.1%}" for limit in thresholds)
        if kind in BORDERED:
            fit = [not plain_edge(image, BORDERED[kind][1]) for image in images]
            ends = np.array(values)[fit]
            shares += "   without plain edges" + "".join(f"{np.mean(ends <= limit):8.1%}" for limit in thresholds)
            shares += f" of {len(ends)}"
        print(f"  {kind:<22}{shares}")
    counts = "".join(f"{sum(mse <= limit for mse in false):8,}" for limit in thresholds)
    print(f"  {'false matches':<22}{counts}")


def main() -> None:
    """Make variants, and print a table per finder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="photographs")
    parser.add_argument("originals", nargs="?", type=int, default=150, help="number of photographs")
    parser.add_argument("finder", nargs="*", help="part of a finder's name; default: all finders")
    parser.add_argument("--model", type=Path, help="ONNX model of images")
    options = parser.parse_args()
    finders = FINDERS | ({"vectors of a model": (by_model(options.model), "onnxruntime")} if options.model else {})
    with tempfile.TemporaryDirectory() as name:
        folder, output = Path(name) / "images", Path(name) / "outputs"
        folder.mkdir()
        images = originals(options.folder, options.originals)
        kinds = make(images, folder)
        total = len(kinds) * (len(kinds) - 1) // 2
        print(f"{len(images)} photographs, {len(VARIANTS)} variants of each, {total:,} pairs; found at MSE", end=" ")
        print(", ".join(map(str, THRESHOLDS)))
        for finder, (find, library) in finders.items():
            if options.finder and not any(word in finder for word in options.finder):
                continue
            print(finder, flush=True)
            if missing(library):
                print(f"  {library} is not installed")
                continue
            thresholds: Sequence[float] = THRESHOLDS[:1] if find in (by_hashes, by_pdq) else THRESHOLDS
            if finder not in FINDERS:
                thresholds = [1 - cosine for cosine in COSINES]
                print(f"  cosines {', '.join(map(str, COSINES))}")
            show(find(folder, output), kinds, thresholds, images)


if __name__ == "__main__":
    main()
