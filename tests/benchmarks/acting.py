"""Measure the time of `apply` per file, against a loop that renames each file and syncs its folder.

    .venv/bin/python -m tests.benchmarks.acting [FOLDER] [--files 3000]

Applies a plan that moves 3,000 files of 100 kB from clusters of two: `apply` reads each file and its keeper, writes the
journal, moves and syncs. The bare loop renames as many files, and syncs the target folder after each; it reads nothing.
Both work on the disk of FOLDER (default: the current folder), after a sync of the whole system.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import tempfile
import time
from pathlib import Path

from stages.commands.apply.follow import Tally, apply
from stages.commands.apply.journal import Journal
from stages.commands.apply.take_back import undo
from stages.commands.plan.plan_file import FORMAT, VERSION, checked

FOLDERS = 30
BYTES = 100_000


def files(folder: Path, count: int) -> list[Path]:
    """Make files in FOLDERS folders, no two alike."""
    made = []
    for number in range(count):
        path = folder / str(number % FOLDERS) / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(number.to_bytes(4, "big") * (BYTES // 4))
        os.utime(path, ns=(10**18, 10**18))
        made.append(path)
    return made


def entry(path: Path) -> dict[str, object]:
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return {"path": str(path), "bytes": BYTES, "mtime_ns": 10**18, "digest": digest}


def bare(folder: Path, count: int) -> float:
    """Rename each file and sync the folder; return the seconds."""
    found = files(folder / "bare", count)
    to = folder / "bare moved"
    to.mkdir()
    number = os.open(to, os.O_RDONLY)
    os.sync()
    begin = time.perf_counter()
    for path in found:
        path.rename(to / path.name)
        os.fsync(number)
    taken = time.perf_counter() - begin
    os.close(number)
    return taken


def followed(folder: Path, count: int) -> tuple[float, float]:
    """Apply a plan, then undo it; return the seconds of each."""
    keep, remove = files(folder / "keep", count), files(folder / "remove", count)
    clusters = [
        {"cluster": number, "keep": [entry(one)], "remove": [entry(other)]}
        for number, (one, other) in enumerate(zip(keep, remove, strict=True))
    ]
    plan = checked({FORMAT: VERSION, "clusters": clusters}, "plan")
    os.sync()
    tally = Tally()
    begin = time.perf_counter()
    with Journal(folder / "journal") as journal:
        for _ in apply(plan, "move", folder / "moved", journal, tally):
            pass
    middle = time.perf_counter()
    assert (tally.done, tally.ok) == (count, True), tally
    os.sync()
    again = time.perf_counter()
    back = Tally()
    for _ in undo(folder / "journal", back):
        pass
    end = time.perf_counter()
    assert (back.done, back.ok) == (count, True), back
    return middle - begin, end - again


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "folder", nargs="?", type=Path, default=Path(), metavar="FOLDER", help="a folder on the disk to measure"
    )
    parser.add_argument("--files", type=int, default=3_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder.resolve()) as name:
        least = bare(Path(name), options.files)
        there, back = followed(Path(name), options.files)
    print(f"a bare loop of rename and sync  {least / options.files * 1000:6.2f} ms a file")
    for what, taken in (("apply --action move", there), ("undo", back)):
        print(f"{what:30}  {taken / options.files * 1000:6.2f} ms a file; {taken / least:.2f} of the bare loop")


if __name__ == "__main__":
    main()
