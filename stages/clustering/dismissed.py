"""Read pairs of files that a person has dismissed: pairs that are not duplicates.

A pair is identified by the digests of both files' bytes, and is therefore valid for other names and in other runs.
Pairs are stored in files that people can share: CSV or Parquet with the columns digest_a and digest_b; other columns
are ignored."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from itertools import product
from pathlib import Path

from stages.comparing.user_tables import read_rows, read_unchanged

COLUMNS = ("digest_a", "digest_b")

DIGEST = re.compile("[0-9a-f]{64}")

Pair = tuple[str, str]


def read(files: Sequence[str]) -> frozenset[Pair]:
    """Return the pairs in `files`, the smaller digest of each first.

    Raises:
        ValueError: a file does not hold pairs of digests.
        OSError: a file can't be read."""
    found: set[Pair] = set()
    for name in files:
        for number, row in enumerate(read_rows(Path(name), COLUMNS, " of SHA-256 digests"), start=1):
            pair = [digest.strip().lower() for digest in row]  # other programs write capitals or spaces
            if not all(map(DIGEST.fullmatch, pair)):
                raise ValueError(f"{name}, row {number}: expected two SHA-256 digests in hex, {', '.join(COLUMNS)}")
            found.add((min(pair), max(pair)))
    return frozenset(found)


def digest_of(pairs: Iterable[Pair]) -> str:
    """Return a digest of pairs that does not depend on their order."""
    return hashlib.sha256("\n".join(f"{a} {b}" for a, b in sorted(pairs)).encode()).hexdigest()


def spec(files: Sequence[str]) -> dict[str, str]:
    """Return the part of a task's spec that changes with the pairs.

    Raises:
        ValueError: a file does not hold pairs of digests.
        OSError: a file can't be read."""
    return {"dismissed": digest_of(read(files))} if files else {}


def unchanged(files: Sequence[str], expected: object) -> frozenset[Pair]:
    """Return the pairs in `files`.

    `expected` is the digest of the pairs in the task's spec.

    Raises:
        TaskError: the pairs changed, or can't be read."""
    return read_unchanged("cluster.dismissed", lambda: read(files), digest_of, expected)


def dismissed_images(pairs: Iterable[Pair], digests: Sequence[str]) -> dict[int, set[int]]:
    """Map each image of a dismissed pair to all images that must not match it.

    digests  digest of each image; images are numbered by their index in `digests`"""
    places: dict[str, list[int]] = {}
    for place, digest in enumerate(digests):
        places.setdefault(digest, []).append(place)
    found: dict[int, set[int]] = {}
    for a, b in pairs:
        for x, y in product(places.get(a, ()), places.get(b, ())):
            if x != y:  # two equal digests dismiss two copies of one file
                found.setdefault(x, set()).add(y)
                found.setdefault(y, set()).add(x)
    return found
