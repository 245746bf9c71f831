"""Add pairs of images that are not duplicates to a file for `cluster.dismissed`."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable, Sequence
from itertools import combinations
from math import comb
from pathlib import Path
from stat import S_IMODE

from pipeline.messages.errors import ConfigError
from pipeline.messages.words import counted
from pipeline.store.atomic import atomic_write
from stages.clustering.dismissed import COLUMNS, read
from stages.commands.plan.proposal import LOST
from stages.commands.results.tables import Results
from stages.comparing.text import one_line

MORE = ("path_a", "path_b")
"""Columns with the paths of both files at the time of dismissal."""


def dismiss(results: Results, file: Path, paths: Sequence[str], cluster: int | None) -> tuple[int, int]:
    """Add all pairs of some images to a file.

    Returns the number of pairs, and of new ones.

    Raises ConfigError where the run has no such images."""
    images = results.images().set_index("path")["digest"]
    if cluster is not None and paths:
        raise ConfigError("dismiss: expected either paths or --cluster, got both; leave one out")
    if cluster is not None:
        members = results.clusters().query("cluster == @cluster")["path"].tolist()
        if not members:
            raise ConfigError(f"--cluster: the run has no cluster {cluster}; see fast-diff show {results.folder}")
        if lost := set(members) - set(images.index):
            raise ConfigError(
                f"{results.folder}: {one_line(min(lost))} is in a cluster and in no other artifact: {LOST}"
            )
    else:
        members = list(dict.fromkeys(results.name_of(path) for path in paths))
        if len(members) < 2:
            raise ConfigError(f"dismiss: expected two images or --cluster N, got {counted(len(members), 'image')}")
    first: dict[str, str] = {}  # first image by content, since pairs are identified by content
    rows = []
    for path, digest in zip(members, images[members], strict=True):
        if digest is None:
            raise ConfigError(f"{one_line(path)} could not be read, so its content is unknown")
        if first.setdefault(digest, path) != path:
            rows.append((digest, digest, first[digest], path))
    rows += [(a, b, first[a], first[b]) for a, b in combinations(first, 2)]
    try:
        return comb(len(members), 2), append(file, rows)
    except (ValueError, OSError) as error:
        message = f"{file} can't be written ({error.strerror})" if isinstance(error, OSError) else str(error)
        raise ConfigError(message) from error


def append(path: Path, rows: Iterable[Sequence[str]]) -> int:
    """Add rows to a CSV file, except pairs that the file has.

    Returns the number added.

    A row holds two digests and two paths. The file is made if missing, replaced as a whole and synced. Raises
    ValueError for another kind of file; OSError where the file can't be read or written."""
    begun = path.exists() and path.stat().st_size > 0
    known = set(read([str(path)])) if begun else set()
    if path.suffix == ".parquet":
        raise ValueError(f"{path}: expected a CSV file to add to")
    new = []
    for row in rows:
        pair = min(row[:2]), max(row[:2])
        if pair not in known:
            known.add(pair)
            new.append(row)
    names, torn = _form(path) if begun else ([*COLUMNS, *MORE], False)
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, names, extrasaction="ignore")
    if torn:
        text.write("\r\n")
    if not begun:
        writer.writeheader()
    writer.writerows(dict(zip((*COLUMNS, *MORE), row, strict=True)) for row in new)
    target = path.resolve()  # a link to a shared file stays a link
    before, mode = (target.read_bytes(), target.stat().st_mode) if target.exists() else (b"", None)
    with atomic_write(target, durable=True) as file:
        file.write(before + text.getvalue().encode())
        if mode is not None:
            os.fchmod(file.fileno(), S_IMODE(mode))
    return len(new)


def _form(path: Path) -> tuple[Sequence[str], bool]:
    """Return the columns of a CSV file, and whether its last line has no line break."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        names = csv.DictReader(file, strict=True).fieldnames or ()
    return names, not path.read_bytes().endswith((b"\n", b"\r"))
