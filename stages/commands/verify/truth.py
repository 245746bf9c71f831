"""Compute the correct row of a pair of images by the rules alone, and collect the errors of a check."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.commands.verify.data import Recorded
from stages.commands.verify.distances import Ints, inverse
from stages.commands.verify.files import ArtifactFile
from stages.commands.verify.tables import alone

SHOWN = 20
"""Errors of a check that verify.json lists; further errors are only counted."""

Mask = NDArray[np.bool_]


@dataclass
class Check:
    """The outcome of a check.

    counted    number of checked items
    wrong      number of errors
    offenders  the first errors, at most SHOWN
    facts      further content of verify.json"""

    counted: int = 0
    wrong: int = 0
    offenders: list[dict[str, Any]] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)

    def add(self, file: ArtifactFile | str, actual: Any, true: Any, **where: Any) -> None:
        """Count an error, and record the error if there is room.

        file    artifact with the wrong value
        actual  the value in the artifact
        true    the correct value
        where   the place of the value in the artifact"""
        self.wrong += 1
        if len(self.offenders) < SHOWN:
            name = file if isinstance(file, str) else file.name
            self.offenders.append({"artifact": name, **where, "stands": actual, "true": true})

    def listed(self, places: Ints) -> list[int]:
        """Return the first of `places`, as many as verify.json has room for; count the others as errors."""
        room = SHOWN - len(self.offenders)
        self.wrong += len(places[room:])
        return [int(place) for place in places[:room]]

    def as_dict(self) -> dict[str, Any]:
        """Return the content of the check in verify.json."""
        return {"counted": self.counted, "wrong": self.wrong, **self.facts, "offenders": self.offenders}


@dataclass(frozen=True)
class Truth:
    """The correct rows of pairs of images, arrays (m,).

    recorded  whether the pair has a row; for pairs without a row, the other arrays have no meaning"""

    recorded: Mask
    mse: NDArray[np.float64]
    turns: Ints
    measured: Mask

    def row(self, i: int) -> dict[str, Any] | None:
        """Return the correct row of a pair, or None where the pair must have no row."""
        if not self.recorded[i]:
            return None
        turn = smallest(self.turns[i : i + 1])[0]
        return row_of(self.mse[i], turn % 4 * 90, self.turns[i], self.measured[i])


def decide(run: Recorded, a: Ints, b: Ints, least: NDArray[Any], bits: Ints) -> Truth:
    """Return the correct rows of pairs of images.

    least  the least distances of the pairs, before the division by `Rules.divisor`
    bits   the turns that attain the least distances

    Pairs that a rule excludes have no row. Pairs with equal hashes have no row under `same_hash: skip`, and distance 0
    under `same_hash: zero`."""
    rules = run.rules
    agree = agreement(run, a, b)
    mse = least / rules.divisor
    unmeasured = (agree > 0) & (rules.same_hash == "zero")
    recorded = np.ones(len(a), bool) if rules.threshold is None else mse <= rules.threshold
    recorded = (recorded | unmeasured) & allowed(run, a, b)
    recorded &= (agree == 0) | (rules.same_hash != "skip")
    return Truth(recorded, np.where(unmeasured, 0.0, mse), np.where(unmeasured, agree, bits), ~unmeasured)


def allowed(run: Recorded, a: Ints, b: Ints) -> Mask:
    """Return which pairs of images no rule excludes, if equal hashes are ignored, bool (m,)."""
    images = run.images
    one_folder: Mask = (images.folder[a] == images.folder[b]) & (images.folder[a] >= 0)
    found: Mask = (images.kind[a] == images.kind[b]) & ~(images.settled[a] & images.settled[b]) & ~one_folder
    return found


def agreement(run: Recorded, a: Ints, b: Ints) -> Ints:
    """Return the turns in which the hashes of a pair are equal, as bits, int64 (m,).

    Bit k is set if hash_0 of a is the hash of b in turn k, or hash_0 of b is the hash of a in the inverse turn. No bit
    is set if `same_hash` is compare."""
    bits, hashes = np.zeros(len(a), np.int64), run.images.hashes
    for turn in run.rules.turns if run.rules.same_hash != "compare" else ():
        forth = hashes[a, 0] == hashes[b, turn]
        back = hashes[a, inverse(turn)] == hashes[b, 0]
        bits |= (forth | back).astype(np.int64) << turn
    return bits


def smallest(bits: Ints) -> Ints:
    """Return the smallest turn in each set of turns; 0 for an empty set."""
    return np.select([bits >> turn & 1 > 0 for turn in range(8)], list(range(8)), 0).astype(np.int64)


def row_of(mse: float, rotation: int, turns: int, measured: bool) -> dict[str, Any]:
    """Return a row of a pairs artifact in the form of verify.json."""
    return {"mse": float(mse), "rotation": int(rotation), "turns": int(turns), "measured": bool(measured)}


def check_rows(run: Recorded, check: Check, a: Ints, b: Ints, truth: Truth) -> None:
    """Check that pairs of images have the rows in `truth`; add errors to `check`.

    The first of several identical images of a block represents the others, so the row of a pair is the row of the two
    representatives, except for pairs that `alone` names. For two images with the same representative, the
    row of each image with the representative is checked."""
    check.counted += len(a)
    own, representative = alone(run.images, run.rules, a, b), run.images.representative
    first, second = (np.where(own, each, representative[each]) for each in (a, b))
    inside = first == second
    # For images of two groups, both look-ups find the same row. A representative has no row with itself.
    one = np.where(inside, np.where(a != first, a, b), second)
    two = np.where(inside, np.where(b != first, b, a), second)
    mse, measured = run.find(np.minimum(first, one), np.maximum(first, one))
    other, _ = run.find(np.minimum(first, two), np.maximum(first, two))
    found = ~np.isnan(mse) & ~np.isnan(other)
    wrong = (found != truth.recorded) | (found & ((mse != truth.mse) | (other != truth.mse)))
    wrong |= found & (measured != truth.measured)
    for i in check.listed(np.flatnonzero(wrong)):
        file = run.pairs[int(run.images.block[a[i]]), int(run.images.block[b[i]])]
        actual = {"mse": float(mse[i]), "measured": bool(measured[i])} if found[i] else None
        true = {"mse": float(truth.mse[i]), "measured": bool(truth.measured[i])} if truth.recorded[i] else None
        check.add(file, actual, true, path_a=run.images.path(a[i]), path_b=run.images.path(b[i]))
