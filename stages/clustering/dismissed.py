"""Pairs of files that a person has dismissed as no duplicates.

A pair is identified by the digests of both files' bytes, and so holds for other names and other runs. Pairs are stored
in files that people can share: CSV or Parquet with the columns digest_a and digest_b; other columns are for people.
"""

from __future__ import annotations

import csv
import hashlib
import re
from collections.abc import Iterable, Sequence
from itertools import product
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.messages.errors import TaskError

COLUMNS = ("digest_a", "digest_b")

DIGEST = re.compile("[0-9a-f]{64}")

Pair = tuple[str, str]


def read(files: Sequence[str]) -> frozenset[Pair]:
    """Return the pairs in `files`, the lesser digest of each first. Raises ValueError, OSError."""
    found: set[Pair] = set()
    for name in files:
        path = Path(name)
        try:
            table = _parquet(path) if path.suffix == ".parquet" else _csv(path)
        except (KeyError, TypeError, UnicodeDecodeError, csv.Error, pa.ArrowException) as error:
            raise ValueError(f"{path}: expected CSV or Parquet of SHA-256 digests, {', '.join(COLUMNS)}") from error
        for number, pair in enumerate(table, start=1):
            if any(not DIGEST.fullmatch(str(digest)) for digest in pair):
                raise ValueError(f"{path}, row {number}: expected two SHA-256 digests in hex, {', '.join(COLUMNS)}")
            found.add((min(pair), max(pair)))
    return frozenset(found)


def _csv(path: Path) -> list[Pair]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file, strict=True)
        if not set(COLUMNS) <= set(reader.fieldnames or ()):
            raise KeyError("columns")
        return [(_plain(row[COLUMNS[0]]), _plain(row[COLUMNS[1]])) for row in reader]


def _plain(digest: str | None) -> str:
    """Return a digest in lower case without spaces around it: other programs write capitals or spaces."""
    return (digest or "").strip().lower()


def _parquet(path: Path) -> list[Pair]:
    with path.open("rb") as file:
        columns = pq.read_table(file, columns=list(COLUMNS))
    return list(zip(*(columns[name].to_pylist() for name in COLUMNS), strict=True))


def mark(pairs: Iterable[Pair]) -> str:
    """Return a digest of pairs that does not depend on their order."""
    return hashlib.sha256("\n".join(f"{a} {b}" for a, b in sorted(pairs)).encode()).hexdigest()


def spec(files: Sequence[str]) -> dict[str, str]:
    """Return the part of a task's spec that makes the task stale when the pairs change. Raises ValueError, OSError."""
    return {"dismissed": mark(read(files))} if files else {}


def unchanged(files: Sequence[str], expected: object) -> frozenset[Pair]:
    """Return the pairs in `files`. Raises TaskError unless their digest is `expected`, from the task's spec."""
    try:
        pairs = read(files)
    except (ValueError, OSError) as error:
        raise TaskError(f"cluster.dismissed: {error}") from error
    if mark(pairs) != expected:
        raise TaskError("cluster.dismissed: a file was changed while the run was under way; run the same command again")
    return pairs


def apart(pairs: Iterable[Pair], digests: Sequence[str]) -> dict[int, set[int]]:
    """Return for each dismissed image, by its index in `digests`, the indices of images that it must not match."""
    places: dict[str, list[int]] = {}
    for place, digest in enumerate(digests):
        places.setdefault(digest, []).append(place)
    found: dict[int, set[int]] = {}
    for a, b in pairs:
        for x, y in product(places.get(a, ()), places.get(b, ())):
            if x != y:  # copies of one file may be called no duplicates, too
                found.setdefault(x, set()).add(y)
                found.setdefault(y, set()).add(x)
    return found
