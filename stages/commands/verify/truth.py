"""What the results must say of a pair of images, by the rules alone; and what a check of `verify` found."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.commands.verify.data import Recorded
from stages.commands.verify.distances import Ints
from stages.commands.verify.files import ArtifactFile

SHOWN = 20
"""Offenders that are named; the others are counted."""

Mask = NDArray[np.bool_]


@dataclass
class Check:
    """How many were looked at, how many were wrong, and the first of these."""

    counted: int = 0
    wrong: int = 0
    offenders: list[dict[str, Any]] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)

    def add(self, file: ArtifactFile | str, stands: Any, true: Any, **where: Any) -> None:
        """One that is wrong: where, what stands there, and what is true."""
        self.wrong += 1
        if len(self.offenders) < SHOWN:
            name = file if isinstance(file, str) else file.name
            self.offenders.append({"artifact": name, **where, "stands": stands, "true": true})

    def named(self, places: Ints) -> list[int]:
        """Of offenders at these places, those that there is room to name; the others are counted here."""
        room = SHOWN - len(self.offenders)
        self.wrong += len(places[room:])
        return [int(place) for place in places[:room]]

    def as_dict(self) -> dict[str, Any]:
        """As it stands in verify.json."""
        return {"counted": self.counted, "wrong": self.wrong, **self.facts, "offenders": self.offenders}


@dataclass(frozen=True)
class Truth:
    """What the results must say of pairs of images; arrays (m,). Where not `recorded`, there must be no row."""

    recorded: Mask
    mse: NDArray[np.float64]
    turns: Ints
    measured: Mask

    def row(self, i: int) -> dict[str, Any] | None:
        """What must stand in one row, or None."""
        if not self.recorded[i]:
            return None
        return row_of(self.mse[i], smallest(self.turns[i : i + 1])[0] * 90, self.turns[i], self.measured[i])


def decide(run: Recorded, a: Ints, b: Ints, least: Ints, bits: Ints) -> Truth:
    """What must be recorded of pairs of images whose least sums of squares, attained by the turns in `bits`, are known.

    Rules come first: pairs of unequal kind are not compared; pairs that agree in hash may be skipped, or be zero."""
    rules, images = run.rules, run.images
    agree = agreement(run, a, b)
    mse = least / rules.divisor
    unseen = (agree > 0) & (rules.same_hash == "zero")
    recorded = np.ones(len(a), bool) if rules.threshold is None else mse <= rules.threshold
    recorded = (recorded | unseen) & (images.kind[a] == images.kind[b]) & ~(images.settled[a] & images.settled[b])
    recorded &= (agree == 0) | (rules.same_hash != "skip")
    return Truth(recorded, np.where(unseen, 0.0, mse), np.where(unseen, agree, bits), ~unseen)


def agreement(run: Recorded, a: Ints, b: Ints) -> Ints:
    """The turns k, as bits, in which hash_0 of one image is the other's hash when it is turned by k; 0 where hashes do
    not matter."""
    bits, hashes = np.zeros(len(a), np.int64), run.images.hashes
    for turn in range(run.rules.turns if run.rules.same_hash != "compare" else 0):
        forth = hashes[a, 0] == hashes[b, turn]
        back = hashes[a, -turn % 4] == hashes[b, 0]
        bits |= (forth | back).astype(np.int64) << turn
    return bits


def smallest(bits: Ints) -> Ints:
    """The smallest turn in each set of turns; 0 for the empty one."""
    return np.select([bits & 1 > 0, bits & 2 > 0, bits & 4 > 0, bits & 8 > 0], [0, 1, 2, 3], 0).astype(np.int64)


def row_of(mse: float, rotation: int, turns: int, measured: bool) -> dict[str, Any]:
    """One row of the results as verify.json shows it."""
    return {"mse": float(mse), "rotation": int(rotation), "turns": int(turns), "measured": bool(measured)}


def hold_against_results(run: Recorded, check: Check, a: Ints, b: Ints, truth: Truth) -> None:
    """Whether the results tell the truth about pairs of images: the row that there must be, and no other.

    Where an image of the block is identical to one of the two and comes before it, that one's row speaks for it; two
    images of one such group are joined by the rows that join each to the first of the group."""
    check.counted += len(a)
    first, second = run.images.stands[a], run.images.stands[b]
    inside = first == second
    # Between groups both rows are the same one; within a group, an image that is the first itself needs none.
    one = np.where(inside, np.where(a != first, a, b), second)
    two = np.where(inside, np.where(b != first, b, a), second)
    mse, measured = run.find(np.minimum(first, one), np.maximum(first, one))
    other, _ = run.find(np.minimum(first, two), np.maximum(first, two))
    there = ~np.isnan(mse) & ~np.isnan(other)
    wrong = (there != truth.recorded) | (there & ((mse != truth.mse) | (other != truth.mse)))
    wrong |= there & (measured != truth.measured)
    for i in check.named(np.flatnonzero(wrong)):
        file = run.pairs[int(run.images.block[a[i]]), int(run.images.block[b[i]])]
        stands = {"mse": float(mse[i]), "measured": bool(measured[i])} if there[i] else None
        true = {"mse": float(truth.mse[i]), "measured": bool(truth.measured[i])} if truth.recorded[i] else None
        check.add(file, stands, true, path_a=run.images.path(a[i]), path_b=run.images.path(b[i]))
