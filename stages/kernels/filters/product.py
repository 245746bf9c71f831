"""Find pairs that may match by matrix products, on NumPy without numba or on CuPy.

Rows are sorted along the leading direction, so a tile of a is compared only with tiles of b within reach; sorted order
excludes everything else. For each tile, one product with DIRECTIONS + 2 columns gives a number for each pair, which is
compared with the bound of `slack.py`. Pairs that pass are gathered and compared on whole vectors. Both sides are copied
to the device once; each tile returns one array of candidates.

Only names of the array API standard are used: the tests run this module on array-api-strict."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.kernels.arrays import Device
from stages.kernels.bounds import slack
from stages.kernels.bounds.directions import DIRECTIONS, LEADING
from stages.kernels.bounds.space import NOTHING, Candidates, Levels, Pass, Prepared, merged

GATHERED = 64 << 20
"""Bytes of vectors that are gathered together, per side."""

Ints = NDArray[np.int64]
Floats = NDArray[np.float32]


def operand(keys: Floats, right: bool = False) -> Floats:
    """Return rows [u, -|u|²/2, 1] or, for `right`, [u, 1, -|u|²/2], float32 (n, d + 2)."""
    half = np.einsum("nd,nd->n", keys, keys, dtype=np.float64) / 2
    extra = (-half, np.ones_like(half))
    return np.concatenate([keys, np.stack(extra[::-1] if right else extra, axis=1).astype(np.float32)], axis=1)


class _Sorted:
    """One side of a pass: rows on the device, sorted along the leading direction."""

    def __init__(self, keys: Floats, right: bool, device: Device) -> None:
        self.order = np.argsort(keys[:, 0], kind="stable")
        self.leading = keys[self.order, 0]
        self.rows = device.put(operand(keys[self.order], right))
        self.positions = device.put(self.order)

    def subset(self, keep: Ints, size: int, device: Device) -> _Sorted:
        """Return the same side with only the positions `keep`."""
        if len(keep) == size:
            return self
        wanted = np.zeros(size, bool)
        wanted[keep] = True
        places = np.flatnonzero(wanted[self.order])
        part = object.__new__(_Sorted)
        part.order, part.leading = self.order[places], self.leading[places]
        index = device.put(places)
        part.rows = device.xp.take(self.rows, index, axis=0)
        part.positions = device.xp.take(self.positions, index)
        return part


class Product:
    """Find the pairs that may match by matrix products; implements `space.Filter`."""

    def __init__(self, prepared: Prepared, device: Device) -> None:
        self.levels = Levels()
        self._prepared, self._device, self._cut = prepared, device, prepared.cut
        self._left = device.put(prepared.left)
        self._right = self._left if prepared.right is prepared.left else device.put(prepared.right)
        self._orders = [device.put(order) for order in prepared.space.orders]
        self._sorted = [
            (_Sorted(step.left.narrow, False, device), _Sorted(step.right.narrow, True, device))
            for step in prepared.passes
        ]

    def candidates(self, a: Ints, b: Ints | None, ascending: bool, room: int) -> Candidates | None:
        """Return the pairs of positions of a and b that may match; None for more than `room` pairs."""
        prepared, levels, whole = self._prepared, Levels(), NOTHING
        everything = len(prepared.right)
        for step, (left, right) in zip(prepared.passes, self._sorted, strict=True):
            some_a = left.subset(a, len(prepared.left), self._device)
            some_b = right if b is None else right.subset(b, everything, self._device)
            same = step.symmetric and ascending and len(some_a.order) == len(some_b.order) == everything
            parts, found = [], 0
            for tile in self._tiles(step, some_a, some_b, ascending, same, levels):
                parts.append(tile)
                found += len(tile.a)
                if found > room:
                    return None
            whole = merged([whole, *parts], everything + 1)
            if len(whole.a) > room:
                return None
            levels.order += len(some_a.order) * len(some_b.order) // (2 if same else 1)
        self.levels.order += max(0, levels.order - levels.compared)
        self.levels.compared += levels.compared
        self.levels.directions += levels.directions
        self.levels.sums += len(whole.a)
        return whole

    def _tiles(
        self, step: Pass, left: _Sorted, right: _Sorted, ascending: bool, same: bool, levels: Levels
    ) -> Iterator[Candidates]:
        """Yield candidates tile by tile.

        same  whether both sides are the same points; then only tiles on and above the diagonal are compared"""
        xp, side = self._device.xp, self._device.side
        bound = slack.bound(step.squared, step.left.norm, step.right.norm, DIRECTIONS)
        reach = float(step.cut(LEADING)) ** 0.5 * (1 + 2.0**-20)
        for row in range(0, len(left.order), side):
            rows = slice(row, min(row + side, len(left.order)))
            first, last = float(left.leading[rows.start]) - reach, float(left.leading[rows.stop - 1]) + reach
            start = int(np.searchsorted(right.leading, np.nextafter(np.float32(first), np.float32(-np.inf)), "left"))
            end = int(np.searchsorted(right.leading, np.nextafter(np.float32(last), np.float32(np.inf)), "right"))
            for column in range(row if same else start, end, side):
                columns = slice(column, min(column + side, end))
                levels.compared += (rows.stop - rows.start) * (columns.stop - columns.start)
                product = xp.matmul(left.rows[rows, :], right.rows[columns, :].T)
                i, j = xp.nonzero(xp.logical_not(product < float(bound)))
                a, b = xp.take(left.positions[rows], i), xp.take(right.positions[columns], j)
                if ascending:
                    keep = xp.nonzero(i + row < j + column if same else a < b)[0]
                    a, b = xp.take(a, keep), xp.take(b, keep)
                if same:
                    a, b = xp.minimum(a, b), xp.maximum(a, b)
                levels.directions += int(a.shape[0])
                yield self._passing(a, b, step.turns)

    def _passing(self, a: Any, b: Any, turns: int) -> Candidates:
        """Return the pairs a, b that pass on whole vectors in one of the turns."""
        xp, device = self._device.xp, self._device
        most = max(1, GATHERED // (4 * int(self._prepared.left.shape[1])))
        parts, count = [], int(a.shape[0])
        for start in range(0, count, most):
            some = slice(start, min(start + most, count))
            i, j = a[some], b[some]
            u = xp.take(xp.take(self._left, i, axis=0), self._orders[0], axis=1)
            v = xp.take(self._right, j, axis=0)
            bits = xp.zeros(i.shape, dtype=xp.int64)
            for turn, order in enumerate(self._orders):
                if turns >> turn & 1:
                    apart = u - xp.take(v, order, axis=1)
                    passes = xp.sum(apart * apart, axis=1) <= float(self._cut)
                    bits = bits + xp.astype(passes, xp.int64) * (1 << turn)
            keep = xp.nonzero(bits > 0)[0]
            parts.append(xp.stack([xp.take(i, keep), xp.take(j, keep), xp.take(bits, keep)]))
        if not parts:
            return NOTHING
        found = device.get(xp.concat(parts, axis=1))
        return Candidates(found[0], found[1], found[2].astype(np.uint8))
