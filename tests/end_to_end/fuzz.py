"""Run `fast-diff` on randomly broken images: `python -m tests.end_to_end.fuzz [CASES] [SEED]`

Mutates files of every format and runs `fast-diff run` on the mutants. The run must exit with 0 and write a row for
every file, and no process may take more memory than its limit. Prints the number of images by error."""

from __future__ import annotations

import resource
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import yaml
from PIL import Image

from stages.decoding.formats.registry import HEIC, JPEG_XL, RAW, _register
from tests.stages.decoding.samples import dng, every_format, saved, smooth

Random = np.random.Generator
MEMORY = 512 << 20
BOUND = MEMORY + (400 << 20)
"""Greatest memory of a process: the limit of decoding, plus the memory of the driver, which also clusters and draws."""
EXTREMES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF)


def flip(data: bytearray, random: Random) -> bytearray:
    """Flip some bits, in the head or anywhere."""
    end = len(data) if random.random() < 0.5 else min(len(data), 200)
    for place in random.integers(0, end, random.integers(1, 9)):
        data[place] ^= 1 << random.integers(0, 8)
    return data


def noise(data: bytearray, random: Random) -> bytearray:
    """Replace some consecutive bytes by random bytes."""
    start = int(random.integers(0, len(data)))
    length = int(min(random.integers(1, 64), len(data) - start))
    data[start : start + length] = random.bytes(length)
    return data


def cut(data: bytearray, random: Random) -> bytearray:
    """Keep the beginning only."""
    return data[: int(random.integers(0, len(data)))]


def remove(data: bytearray, random: Random) -> bytearray:
    """Remove a piece from the middle."""
    start = int(random.integers(0, len(data)))
    del data[start : start + int(random.integers(1, 200))]
    return data


def repeat(data: bytearray, random: Random) -> bytearray:
    """Repeat a piece once, or hundreds of times."""
    start = int(random.integers(0, len(data)))
    piece = data[start : start + int(random.integers(1, 100))]
    data[start:start] = piece * int(random.choice([1, 3, 500]))
    return data


def extreme(data: bytearray, random: Random) -> bytearray:
    """Write the least or greatest value of an integer type, in either byte order; most often in the head."""
    size = int(random.choice([1, 2, 4]))
    end = len(data) if random.random() < 0.2 else min(len(data), 120)
    start = int(random.integers(0, max(1, end - size)))
    number = int(random.choice(EXTREMES)) & ((1 << 8 * size) - 1)
    data[start : start + size] = number.to_bytes(size, "big" if random.random() < 0.5 else "little")
    return data


MUTATIONS: tuple[Callable[[bytearray, Random], bytearray], ...] = (flip, noise, cut, remove, repeat, extreme, extreme)


def timeless(data: bytes) -> bytes:
    """Return the file without timestamps: an animated AVIF has a timestamp in each of three boxes."""
    for box in (b"mvhd", b"tkhd", b"mdhd"):
        start = data.find(box) + 8
        if data[4:12] == b"ftypavis" and start >= 8:
            size = 16 if data[start - 4] == 1 else 8
            data = data[:start] + bytes(size) + data[start + size :]
    return data


def seeds() -> list[bytes]:
    """Return whole files of all formats, including the formats of installed extras."""
    image = Image.fromarray(smooth(64, 48, seed=2))
    found = [timeless(data) for data in every_format().values()]
    for format in (HEIC, JPEG_XL):
        if format.version:
            _register(format)
            found.append(saved(image, format.pillow[0]))
    return [*found, dng(np.asarray(image))] if RAW.version else found


def mutants(count: int, seed: int) -> list[bytes]:
    """Return `count` broken files; equal seeds give equal files."""
    random = np.random.default_rng(seed)
    whole = seeds()
    made = []
    for number in range(count):
        data = bytearray(whole[number % len(whole)])
        for _ in range(random.integers(1, 4)):
            if data:
                data = MUTATIONS[random.integers(len(MUTATIONS))](data, random)
        if random.random() < 0.02:  # the first half of one file, the second half of another
            other = whole[random.integers(len(whole))]
            data = data[: len(data) // 2] + other[len(other) // 2 :]
        made.append(bytes(data))
    return made


@dataclass(frozen=True)
class Outcome:
    """The end of a run on mutants: exit code, stderr, rows by error (`readable`: no error), peak memory in bytes."""

    code: int
    stderr: str
    rows: dict[str, int]
    peak: int


def fuzz(count: int, seed: int, folder: Path) -> Outcome:
    """Make mutants in a folder, and run on them."""
    images = folder / "images"
    images.mkdir()
    endings = ("jpg", "png", "tif", "gif", "webp", "dng")
    for number, data in enumerate(mutants(count, seed)):
        (images / f"{number:06}.{endings[number % len(endings)]}").write_bytes(data)
    config = {
        "run": "fuzz",
        "output": str(folder / "outputs"),
        "inputs": {"a": [str(images)]},
        "thumbnail": {"max_pixels": 50_000_000, "max_memory": MEMORY, "timeout": 20.0},
        "scheduler": {"kind": "synchronous"},
    }
    (folder / "fuzz.yaml").write_text(yaml.safe_dump(config))
    command = [sys.executable, "-m", "pipeline.cli.main", "run", str(folder / "fuzz.yaml"), "--quiet"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    rows = pd.read_parquet(folder / "outputs" / "fuzz" / "thumbnail", columns=["error"])["error"]
    return Outcome(done.returncode, done.stderr, dict(Counter(rows.fillna("readable"))), peak)


def main() -> None:
    """Run and print the counts; exit with 1 if the run, the rows or the memory are wrong."""
    words = dict(enumerate(sys.argv))
    count, seed = int(words.get(1, 10_000)), int(words.get(2, 0))
    folder = Path(tempfile.mkdtemp(prefix="fast-diff-fuzz-"))
    outcome = fuzz(count, seed, folder)
    print(f"exit code {outcome.code}, {sum(outcome.rows.values()):,} of {count:,} rows, peak {outcome.peak >> 20} MiB")
    for error, number in sorted(outcome.rows.items()):
        print(f"  {error:<14} {number:,}")
    if outcome.code or sum(outcome.rows.values()) != count or outcome.peak > BOUND:
        sys.exit(f"{outcome.stderr}\nthe files are in {folder}")
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
