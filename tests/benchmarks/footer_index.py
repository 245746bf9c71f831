"""Measure the processor time of the index of footers, against SQLite without checksums.

    python -m tests.benchmarks.footer_index [FOOTERS]

Adds the footers of block pairs (default: 100,000), then opens the index and looks up every footer. SQLite appends to a
table, and commits without sync after every 200 footers."""

from __future__ import annotations

import sqlite3
import sys
import tempfile
import time
import uuid
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from pipeline.store.artifact import Record, artifact_name
from pipeline.store.footer_index import Footer, Index, State, footer_of

COLUMNS = ("borderline", "measured", "mse", "path_a", "path_b", "rotation", "turns", "#summary")
BATCH = 200


def footer(number: int) -> Footer:
    """Return the index's entry for the footer of a block pair."""
    key, fingerprint = f"a-{number:016x}.a-{number:016x}", 2 * uuid.uuid4().hex
    content = {name: uuid.uuid4().hex for name in COLUMNS}
    record = Record("pairs", key, fingerprint, {}, {"index": fingerprint[:16]}, content=content)
    made = footer_of(record, Path(artifact_name(key, fingerprint)), State(7_000, str(number)))
    assert made
    return made


def add_lines(path: Path, footers: Sequence[Footer]) -> None:
    with path.open("wb") as file:
        index = Index((), file)
        for each in footers:
            index.add(each)


def read_lines(path: Path) -> Index:
    with path.open("rb") as file:
        return Index(file)


def add_sqlite(path: Path, footers: Sequence[Footer]) -> None:
    with closing(sqlite3.connect(path)) as base:
        base.executescript("PRAGMA synchronous=OFF; CREATE TABLE footers (stage, name, size, stamp, own, shared)")
        for start in range(0, len(footers), BATCH):
            rows = [(each.stage, each.name, *each.state, *each[3:]) for each in footers[start : start + BATCH]]
            base.executemany("INSERT INTO footers VALUES (?, ?, ?, ?, ?, ?)", rows)
            base.commit()


def read_sqlite(path: Path) -> Index:
    index = Index(())
    with closing(sqlite3.connect(path)) as base:
        for stage, name, size, stamp, own, shared in base.execute("SELECT * FROM footers"):
            index.footers[stage, name] = Footer(stage, name, State(size, stamp), own, shared)
    return index


def main() -> None:
    footers = [footer(number) for number in range(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)]
    for name, add, read in (("in use", add_lines, read_lines), ("SQLite", add_sqlite, read_sqlite)):
        with tempfile.TemporaryDirectory() as folder:
            path, times = Path(folder) / "index", [time.process_time()]
            add(path, footers)
            times.append(time.process_time())
            index = read(path)
            assert all(index.find(each.stage, each.name, each.state) for each in footers)
            each, found = (times[1] - times[0]) / len(footers), time.process_time() - times[1]
            print(f"{name}: add {each * 1e6:.1f} µs each, find all {found:.2f} s, {path.stat().st_size / 1e6:.0f} MB")


if __name__ == "__main__":
    main()
