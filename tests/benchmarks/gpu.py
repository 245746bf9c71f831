"""Measure how fast a GPU decides pairs, against one core and bare matrix products; needs CuPy.

    python -m tests.benchmarks.gpu [--count 200000]

Thumbnails are synthesised, 64x64 RGB; the threshold is 200. Both devices decide the same pairs, and the matches are
compared row by row. The floors are matrix products whose results are not used: for filtering, products of the coarse
vectors in tiles of the device; for exact products of 2,048 images, cuBLAS in float32. A second table has data for which
bounds exclude few pairs. The core decides the pairs of `--cpu` images only. The time per pair falls with the number of
images, so one line compares the GPU on the same number of images.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial

import numpy as np
import threadpoolctl

from stages.comparing.metrics.mse import Mse
from stages.kernels import arrays
from stages.kernels.arrays import CPU, Device
from stages.kernels.compare import BlockPair
from stages.kernels.measure import exact
from stages.kernels.measure.metric import MatchArrays, Side, joined
from stages.kernels.rules import MatchRules
from stages.pairs import Params
from tests.benchmarks import thumbnails
from tests.benchmarks.pairs import LIMIT, VALUES, side
from tests.benchmarks.thumbnails import SHAPE


def compared(one: Side, device: Device, rotations: bool, threshold: float) -> tuple[BlockPair, MatchArrays]:
    """Compare all pairs of the images; return the block pair and the matches."""
    kind = Mse(Params(rotations=rotations, threshold=threshold).comparison, SHAPE, device)
    pair = BlockPair(one, one, True, MatchRules(kind.limit, 4 if rotations else 1, "compare"), kind.kernel, device)
    return pair, joined([found for _, found in pair.runs()])


def seconds(work: Callable[[], object], device: Device) -> float:
    """Return the seconds of the faster of two rounds; a round ends when the device has finished."""
    times = []
    for _ in range(2):
        started = time.perf_counter()
        work()
        if device.free:
            import cupy

            cupy.cuda.Device().synchronize()
        times.append(time.perf_counter() - started)
    return min(times)


def floor(vectors: np.ndarray, device: Device) -> None:
    """Multiply the vectors of all pairs, tile by tile."""
    rows, high = device.put(vectors), device.side
    for row in range(0, len(vectors), high):
        for column in range(row, len(vectors), high):
            device.xp.matmul(rows[row : row + high, :], rows[column : column + high, :].T)


def check(one: Side, rotations: bool, threshold: float) -> None:
    """Assert that both devices find the same pairs, MSE and turns."""
    (_, expected), (_, found) = (compared(one, device, rotations, threshold) for device in (CPU, arrays.gpu()))
    for name in ("a", "b", "values", "turns"):
        assert np.array_equal(getattr(found, name), getattr(expected, name)), f"{name} differs"


def line(name: str, pairs: int, taken: float, beside: float | None = None, note: str = "") -> float:
    rate = pairs / taken
    print(f"{name:<40}{rate:>18,.0f}{rate / beside if beside else 1:>9.3g}  {note}".rstrip(), flush=True)
    return rate


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, default=200_000)
    parser.add_argument("--cpu", type=int, default=30_000)
    options = parser.parse_args()
    gpu = arrays.gpu()
    images = np.concatenate([thumbnails.synthesised(n, 10_000) for n in range(0, options.count, 10_000)])
    many, few = side(images), side(images[: options.cpu])
    n, m = (size * (size - 1) // 2 for size in (len(images), options.cpu))
    print(f"{gpu.name}, tiles of {gpu.side:,} images a side; {len(images):,} images, {options.cpu:,} on one core")
    print(f"{'':<40}{'pairs a second':>18}{'x':>9}")
    for rotations in (False, True):
        check(few, rotations, LIMIT)
        name = "four turns" if rotations else "no rotations"
        with threadpoolctl.threadpool_limits(1):
            core = line(f"one core, {name}", m, seconds(partial(compared, few, CPU, rotations, LIMIT), CPU))
        line(f"GPU, {name}, as many images", m, seconds(partial(compared, few, gpu, rotations, LIMIT), gpu), core)
        pair, found = compared(many, gpu, rotations, LIMIT)
        note = f"{len(found.a):,} matches of {pair.levels.sums:,} candidates"
        line(f"GPU, {name}", n, seconds(partial(compared, many, gpu, rotations, LIMIT), gpu), core, note)
    line("floor: bare product, 64 columns, GPU", n, seconds(lambda: floor(many.vectors, gpu), gpu), core)

    a, b = np.ascontiguousarray(images[:2_048]), np.ascontiguousarray(images[-2_048:])
    with threadpoolctl.threadpool_limits(1):
        core = line("exact product, one core", len(a) ** 2, seconds(lambda: exact.Squares(CPU).cross(a, b), CPU))
    line("exact product, GPU", len(a) ** 2, seconds(lambda: exact.Squares(gpu).cross(a, b), gpu), core)
    floats = [gpu.put(part.reshape(len(part), VALUES).astype(np.float32)) for part in (a, b)]
    bare = seconds(lambda: gpu.xp.matmul(floats[0], floats[1].T), gpu)
    line("floor: cuBLAS, float32", len(a) ** 2, bare, core)

    print(f"\n{'hard data, threshold 200':<40}{'pairs a second':>18}{'x core':>9}")
    for name, hard in (
        ("10,000 icons", thumbnails.icons(10_000)),
        ("4,000 pages of text", thumbnails.scans(4_000)),
        ("4,000 frames of a film", thumbnails.frames(4_000)),
        ("4,000 flat sheets", thumbnails.flat(4_000)),
    ):
        one, pairs = side(hard), len(hard) * (len(hard) - 1) // 2
        check(one, True, LIMIT)
        with threadpoolctl.threadpool_limits(1):
            core = line(f"{name}, one core", pairs, seconds(partial(compared, one, CPU, True, LIMIT), CPU))
        line(f"{name}, GPU", pairs, seconds(partial(compared, one, gpu, True, LIMIT), gpu), core)


if __name__ == "__main__":
    main()
