"""Define the rules of a match, earlier matches, and the counts of a block pair."""

from __future__ import annotations

from dataclasses import dataclass

from stages.kernels.measure.metric import Mask, MatchArrays


@dataclass(frozen=True)
class MatchRules:
    """The rules that decide which pairs match.

    limit      the greatest distance of a match; None: every pair is a match
    turns      number of compared turns, a key of `COMPARED` in `measure/turns.py`
    same_hash  treatment of pairs with equal hashes: compare, zero (a match at distance 0) or skip"""

    limit: float | None
    turns: int
    same_hash: str


@dataclass
class Ledger:
    """Numbers of pairs of images in a block pair, by outcome.

    decided          pairs that were compared, or excluded by a bound
    skipped_by_rule  pairs that a rule excludes
    identical        pairs that were not compared, since a pair of representatives was compared instead
    matches          pairs that match"""

    decided: int = 0
    skipped_by_rule: int = 0
    identical: int = 0
    matches: int = 0


@dataclass(frozen=True)
class EarlierMatches:
    """Matches of an earlier artifact among images that have not changed since.

    limit             the greatest distance of a match in the artifact; None: the artifact holds every pair
    known_a, known_b  images of either side that the artifact covers and that are unchanged, bool (n,)
    found             measured matches of two known images, sorted"""

    limit: float | None
    known_a: Mask
    known_b: Mask
    found: MatchArrays

    def covers(self, limit: float | None) -> bool:
        """Return whether the artifact holds every match up to `limit` (None: every pair)."""
        return self.limit is None or (limit is not None and limit <= self.limit)

    def covers_all(self, limit: float | None) -> bool:
        """Return whether the artifact covers all images and every match up to `limit`."""
        return self.covers(limit) and bool(self.known_a.all() and self.known_b.all())
