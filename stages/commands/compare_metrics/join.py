"""Join the matches of two runs by the pair of images."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.messages.errors import ConfigError
from pipeline.messages.words import counted
from stages.commands.results.tables import Results
from stages.comparing.figure import SETTINGS, figure_of
from stages.comparing.text import human_number, one_line

SCHEMA = pa.schema(
    [
        ("path_a", pa.string()),
        ("path_b", pa.string()),
        ("distance_a", pa.float64()),
        ("distance_b", pa.float64()),
        ("found_by", pa.string()),
    ]
)
FINDERS = ("both", "a", "b")
"""Values of `found_by`."""


@dataclass(frozen=True)
class MetricRun:
    """One of the two runs.

    about      what the distances of the run are
    threshold  greatest distance of a match
    matches    number of matches among the images of both runs
    left_out   readable images that the other run lacks"""

    folder: str
    about: str
    threshold: float
    matches: int
    left_out: int


@dataclass(frozen=True)
class JoinedMatches:
    """Matches of two runs.

    rows    columns as in SCHEMA, by path; the first path of a pair precedes the second in UTF-8 bytes
    images  number of readable images of both runs"""

    rows: pd.DataFrame
    images: int
    runs: tuple[MetricRun, MetricRun]

    def count(self, finder: str) -> int:
        """Return the number of matches with this value of `found_by`."""
        return int((self.rows["found_by"] == finder).sum())


def joined(a: Results, b: Results) -> JoinedMatches:
    """Return the matches of two runs.

    Raises ConfigError where the runs share no two images."""
    readable = [_comparable(run) for run in (a, b)]
    shared = readable[0] & readable[1]
    if len(shared) < 2:
        raise ConfigError(
            f"{a.folder} and {b.folder}: expected runs over the same images, got {counted(len(shared), 'image')} in "
            "common; run both metrics on the same folders"
        )
    found = [_matches(run, shared) for run in (a, b)]
    keys = ["path_a", "path_b"]
    rows = found[0].merge(found[1], on=keys, how="outer", suffixes=("_a", "_b"), validate="one_to_one")
    finder = np.where(rows["distance_b"].isna(), "a", np.where(rows["distance_a"].isna(), "b", "both"))
    rows = rows.assign(found_by=finder).sort_values(keys, ignore_index=True)[SCHEMA.names]
    runs = (
        MetricRun(str(run.folder), _about(run), _threshold(run), len(matches), len(mine - shared))
        for run, matches, mine in zip((a, b), found, readable, strict=True)
    )
    first, second = runs
    return JoinedMatches(rows, len(shared), (first, second))


def _comparable(run: Results) -> set[str]:
    """Return the paths of the images that a run could compare."""
    paths = {path for table in run.tables("thumbnail", ("path",)) for path in table["path"].to_pylist()}
    return paths - set(run.failures()["path"])


def _matches(run: Results, shared: set[str]) -> pd.DataFrame:
    """Return the matches among some images: path_a, path_b, distance."""
    rows = run.pairs(expand=True)
    rows = rows[(rows[run.comparison.column] <= _threshold(run)) & rows["path_a"].isin(shared)]
    rows = rows[rows["path_b"].isin(shared)]
    ordered = [sorted(pair, key=str.encode) for pair in zip(rows["path_a"], rows["path_b"], strict=True)]
    table = pd.DataFrame(ordered, columns=["path_a", "path_b"], dtype="str")
    return table.assign(distance=rows[run.comparison.column].to_numpy())


def _threshold(run: Results) -> float:
    """Return the threshold of matches.

    A run that records every pair has the threshold of its clusters."""
    limit = run.comparison.threshold
    return float(run.summary["config"]["cluster"]["threshold"] if limit is None else limit)


def _about(run: Results) -> str:
    pairs: Mapping[str, Any] = run.summary["config"]["pairs"]
    return figure_of({key: pairs.get(key.rpartition(".")[2]) for key in SETTINGS}.__getitem__).about


def write(found: JoinedMatches, out: Path) -> None:
    """Write the joined matches as Parquet.

    Raises ConfigError where the file can't be written."""
    from pipeline.store.atomic import atomic_write

    try:
        with atomic_write(out) as file:
            pq.write_table(pa.Table.from_pandas(found.rows, SCHEMA, preserve_index=False), file)
    except OSError as error:
        raise ConfigError(f"{out} can't be written ({error.strerror}); choose another place") from error


def as_dict(found: JoinedMatches) -> dict[str, Any]:
    """Return the counts as plain data for scripts."""
    runs = {name: vars(run) for name, run in zip(("a", "b"), found.runs, strict=True)}
    return {"images": found.images, **runs, **{f"found_by_{name}": found.count(name) for name in FINDERS}}


def lines(found: JoinedMatches, out: Path | None) -> Iterator[str]:
    """Yield the counts as text."""
    for letter, run in zip("AB", found.runs, strict=True):
        matches = counted(run.matches, "match", "matches")
        yield f"{letter}         {one_line(run.folder)}: {matches} at {human_number(run.threshold)} ({run.about})"
    yield f"images    {found.images:,} in both runs"
    for letter, run in zip("AB", found.runs, strict=True):
        if run.left_out:
            yield f"left out  {counted(run.left_out, 'image')} that only {letter} could compare"
    yield f"both      {counted(found.count('both'), 'match', 'matches')}"
    for letter in "AB":
        yield f"only {letter}    {counted(found.count(letter.lower()), 'match', 'matches')}"
    if out:
        yield f"written   {out}"
