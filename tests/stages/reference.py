"""The simplest reference: one pair after another, in integers."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from pipeline.stage import Base, Task
from stages import hash as hash_stage
from stages import index, pairs
from stages.kernels.bounds.coarse import coarse, length
from stages.thumbnail import Params as ThumbnailParams
from stages.thumbnail import schema as thumbnail_schema
from tests.in_memory import MemoryArtifact, compute
from tests.stages.kernels.plain import form

Row = tuple[str, str, float, int, int, bool]

REFERENCES = tuple(f"{name}{number:02}" for name in "fse" for number in range(0, 100, 2))
"""The references among the images that `copies` makes."""


ROOTS = ("/r", "/s")
"""Inputs for images whose paths have folders."""


@dataclass(frozen=True)
class Picture:
    """An image as the stage `pairs` reads it."""

    path: str
    pixels: np.ndarray
    width: int = 640
    height: int = 480


def corner(image: np.ndarray) -> str:
    """Return a coarse hash that turns with the image: two turns may agree where their inverses do not."""
    return str(image[0, 0, 0] // 4)


def turns_of(params: pairs.Params) -> list[int]:
    """Return the compared turns; turns from 4 on mirror the image first."""
    turns = [0, 1, 2, 3] if params.rotations else [0]
    return turns + [turn + 4 for turn in turns if params.mirror]


def turned(pixels: np.ndarray, turns: Sequence[int]) -> np.ndarray:
    """Return an image in each turn, int64 (turns, H, W, C)."""
    assert pixels.dtype == np.uint8
    return np.stack([form(pixels, k) for k in turns]).astype(np.int64)


def expected_rows(
    a: Sequence[Picture],
    b: Sequence[Picture] | None,
    params: pairs.Params,
    hashed: Callable[[np.ndarray], object] = np.ndarray.tobytes,
) -> tuple[list[Row], dict[str, int]]:
    """Return the rows and the ledger that `identical: all` must give."""
    turns = turns_of(params)
    together = [(x, y) for x in a for y in b] if b is not None else [(x, y) for x in a for y in a if x.path < y.path]
    every = {y.path: turned(y.pixels, turns) for y in b or a}
    rows: list[Row] = []
    skipped = 0
    for x, y in together:
        if not comparable(x, y, params):
            skipped += 1
            continue
        agree = [k for k in turns if hash_agrees(x, y, k, hashed)] if params.same_hash != "compare" else []
        if params.same_hash == "skip" and agree:
            skipped += 1
        elif params.same_hash == "zero" and agree:
            rows.append((x.path, y.path, 0.0, agree[0] % 4 * 90, sum(1 << k for k in agree), False))
        else:
            sums, divisor = distances(x.pixels, every[y.path], params)
            least = min(sums)
            mse = least / divisor
            if params.threshold is None or mse <= params.threshold:
                best = [k for k, far in zip(turns, sums, strict=True) if far == least]
                rows.append((x.path, y.path, mse, best[0] % 4 * 90, sum(1 << k for k in best), True))
    ledger = {
        "pairs_total": len(together),
        "decided": len(together) - skipped,
        "skipped_by_rule": skipped,
        "identical": 0,
        "matches": len(rows),
    }
    return sorted(rows), ledger


def distances(pixels: np.ndarray, others: np.ndarray, params: pairs.Params) -> tuple[list[int], int]:
    """Return the sums of squared differences from each other image, int64, and the divisor that makes an MSE of a
    sum."""
    height, width, channels = pixels.shape
    apart = pixels - others
    sums, divisor = (apart**2).sum(axis=(1, 2, 3)), height * width * (channels if params.normalize == "value" else 1)
    if params.exposure == "ignore":
        sums = height * width * sums - (apart.sum(axis=(1, 2)) ** 2).sum(axis=1)
        divisor *= height * width
    return sums.tolist(), divisor


def comparable(x: Picture, y: Picture, params: pairs.Params) -> bool:
    if params.references == "skip" and x.path in REFERENCES and y.path in REFERENCES:
        return False
    if params.folders != "any":
        same = folder_of(x.path, params.folder_depth) == folder_of(y.path, params.folder_depth)
        if same != (params.folders == "within"):
            return False
    sizes = [(y.width, y.height), (y.height, y.width)] if params.rotations else [(y.width, y.height)]
    if params.same == "dimensions":
        return (x.width, x.height) in sizes
    if params.same == "aspect":
        return any(x.width * height == x.height * width for width, height in sizes)
    return True


def folder_of(path: str, depth: int) -> list[str]:
    """Return the names of the folders around an image, from its input on; an image directly in an input has one
    folder."""
    return path.split("/")[1:-1][: 1 + depth]


def hash_agrees(x: Picture, y: Picture, turn: int, hashed: Callable[[np.ndarray], object]) -> bool:
    """Return whether hash_0 of x equals the hash of y in this turn, or the other way round."""
    of_x, of_y = (functools.partial(_hash, p.pixels.tobytes(), p.pixels.shape, hashed=hashed) for p in (x, y))
    return of_x(turn=0) == of_y(turn=turn) or of_x(turn=turn if turn >= 4 else -turn) == of_y(turn=0)


@functools.cache
def _hash(data: bytes, shape: tuple[int, ...], hashed: Callable[[np.ndarray], object], turn: int) -> object:
    """Return a hash; cached, since many tests look at the same images."""
    return hashed(form(np.frombuffer(data, np.uint8).reshape(shape) >> 4, turn))


@dataclass
class Artifacts:
    """The thumbnails, hashes and index of one block, cut into partitions."""

    thumbnails: list[MemoryArtifact]
    hashes: list[MemoryArtifact]
    index: MemoryArtifact


def settings(shape: tuple[int, ...], params: pairs.Params | None = None) -> dict[str, object]:
    """Return the settings of other sections, and the fields of `params` that earlier stages read."""
    params = params or pairs.Params()
    channels = {1: "grey", 3: "rgb", 4: "rgba"}[shape[2]]
    return {
        "thumbnail.size": (shape[1], shape[0]),
        "thumbnail.channels": channels,
        "thumbnail.decode": "fast",
        "pairs.embedding": params.embedding,
        "pairs.rotations": params.rotations,
        "pairs.mirror": params.mirror,
        "pairs.exposure": params.exposure,
        "inputs.reference": REFERENCES,
        "inputs.a": ROOTS,
        "inputs.b": (),
    }


def block(
    pictures: Sequence[Picture],
    name: str,
    shape: tuple[int, ...],
    partitions: int = 2,
    function: str = "sha256",
    params: pairs.Params | None = None,
) -> Artifacts:
    """Return the artifacts of a block from the real stages hash and index; pictures are taken in path order."""
    kind = thumbnail_schema(
        ThumbnailParams(size=(shape[1], shape[0]), channels=settings(shape)["thumbnail.channels"]), lambda key: None
    )
    pictures = sorted(pictures, key=lambda picture: picture.path)
    thumbnails, hashes = [], []
    for number, part in enumerate(np.array_split(np.arange(len(pictures)), partitions)):
        rows = [thumbnail_row(pictures[i]) for i in part]
        rows.insert(len(rows) // 2, {"path": f"unreadable {name} {number}", "set": name[0], "error": "truncated"})
        artifact = MemoryArtifact("thumbnail", f"{name}{number}", pa.Table.from_pylist(rows, kind))
        thumbnails.append(artifact)
        hashed, _ = compute(
            hash_stage.STAGE,
            [artifact],
            hash_stage.Params(function=function),
            settings(shape, params),
            None,
            Task(artifact.key),
        )
        hashes.append(hashed)
    last = Task(f"{name}{partitions - 1}")
    gathered, _ = compute(index.STAGE, [*thumbnails, *hashes], index.Params(), settings(shape, params), None, last)
    return Artifacts(thumbnails, hashes, gathered)


def thumbnail_row(picture: Picture) -> dict[str, object]:
    sums = coarse(picture.pixels[None])[0]
    assert len(sums) == length(picture.pixels.shape)
    return {
        "path": picture.path,
        "set": "a",
        "width": picture.width,
        "height": picture.height,
        "bytes": 1000 + picture.width,
        "digest": hashlib.sha256(picture.pixels.tobytes()).hexdigest(),
        "contrast": picture.pixels.astype(float).std(),
        "thumbnail": picture.pixels.tobytes(),
        "coarse": sums,
    }


def computed(
    blocks: Sequence[Artifacts], params: pairs.Params, shape: tuple[int, ...], bases: Sequence[Base] = ()
) -> MemoryArtifact:
    """Return the artifact of one block pair (one block: with itself) from the real stage `pairs`."""
    return computed_by_levels(blocks, params, shape, bases)[0]


def computed_by_levels(
    blocks: Sequence[Artifacts], params: pairs.Params, shape: tuple[int, ...], bases: Sequence[Base] = ()
) -> tuple[MemoryArtifact, dict[str, int]]:
    """Return the artifact, and the counts of pairs left after each filter."""
    others = [artifact for each in blocks for artifact in each.thumbnails]
    indexes = [each.index for each in blocks]
    artifact, result = compute(
        pairs.STAGE, indexes, params, settings(shape, params), None, Task("pair"), others=others, bases_=bases
    )
    return artifact, result.stats["levels"]


def rows_of(table: pa.Table) -> list[Row]:
    names = ("path_a", "path_b", "mse", "rotation", "turns", "measured")
    if "mirrored" in table.column_names:
        assert table["mirrored"].to_pylist() == [bits & 15 == 0 for bits in table["turns"].to_pylist()]
    else:
        assert all(bits < 16 for bits in table["turns"].to_pylist())
    return list(zip(*(table[name].to_pylist() for name in names), strict=True))


def random_picture(random: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Return a picture as smooth as a photograph: neighbouring pixels are similar."""
    steps = random.integers(-12, 13, shape)
    walk = np.cumsum(np.cumsum(steps, axis=0), axis=1) // 4 + random.integers(0, 256, shape[2])
    return np.clip(walk, 0, 255).astype(np.uint8)


def near(random: np.random.Generator, pixels: np.ndarray, noise: int) -> np.ndarray:
    return np.clip(pixels + random.integers(-noise, noise + 1, pixels.shape), 0, 255).astype(np.uint8)


def copies(seed: int, shape: tuple[int, ...], path: str = "") -> list[Picture]:
    """Return copies of each picture, turned and mirrored at random.

    Some pictures are similar; one is unchanged by half a turn, one by a mirror, and one by every turn."""
    random = np.random.default_rng(seed)
    base = [random_picture(random, shape) for _ in range(3)]
    base += [near(random, base[0], 3), near(random, np.rot90(base[1]), 3)]
    base.append(((base[2].astype(int) + np.rot90(base[2], 2)) // 2).astype(np.uint8))
    base.append(((base[2].astype(int) + base[2][:, ::-1]) // 2).astype(np.uint8))
    base.append(np.full(shape, 40, np.uint8))
    places = random.permutation(4 * len(base))
    return [
        Picture(f"{path}{place:02}", np.ascontiguousarray(form(base[number % len(base)], int(random.integers(8)))))
        for number, place in enumerate(places)
    ]


def gallery(
    seed: int, shape: tuple[int, ...], count: int = 12, path: Callable[[int], str] | None = None
) -> list[Picture]:
    """Return pictures with near-duplicates, copies, turned and mirrored copies, constants and checkerboards."""
    random = np.random.default_rng(seed)
    square = shape[0] == shape[1]
    sizes = [(640, 480), (480, 640), (1280, 960), (600, 600)]
    base = [random_picture(random, shape) for _ in range(count)]
    base += [np.full(shape, value, np.uint8) for value in (0, 7, 7, 255)]
    checks = (np.indices(shape[:2]).sum(axis=0) % 2 * 255).astype(np.uint8)[:, :, None].repeat(shape[2], axis=2)
    base += [checks, 255 - checks]
    for number in range(count):
        original = base[random.integers(count)]
        kind = number % 4
        base.append([original, near(random, original, 3), near(random, original, 14), near(random, original, 30)][kind])
        base.append(form(base[-1], int(random.choice(range(8) if square else (0, 4)))))
    name = path or (lambda number: f"{number * 37 % 101:03}-{number}")
    return [
        Picture(name(number), np.ascontiguousarray(pixels), *sizes[random.integers(len(sizes))])
        for number, pixels in enumerate(base)
    ]


def relit(seed: int, pictures: Sequence[Picture]) -> list[Picture]:
    """Return the pictures, and brighter or darker copies of some pictures, each channel changed by its own amount.

    Values outside the range are cut."""
    random = np.random.default_rng(seed)
    found = list(pictures)
    for number in random.permutation(len(pictures))[: len(pictures) // 2].tolist():
        picture = pictures[number]
        most = 255 - picture.pixels.max(axis=(0, 1)).astype(int) if number % 2 else np.full(picture.pixels.shape[2], 40)
        by = random.integers(-10, most + 1)
        pixels = np.clip(picture.pixels + by, 0, 255).astype(np.uint8)
        found.append(Picture(f"{picture.path}-relit", pixels, picture.width, picture.height))
    return found
