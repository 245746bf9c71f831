"""Take the members of unchanged tar and zip files from the rows of the last run.

This saves time: listing a tar reads every header, listing a compressed tar reads the whole file, and listing a tar
behind a URL downloads the tar. A container counts as unchanged if its stamp is unchanged."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Iterator, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.messages.errors import ArtifactDamaged
from pipeline.stage import PastRows
from stages.decoding.location import TARS, ZIPS, container_length
from stages.listing.containers import Container, Members
from stages.listing.stamps import state

logger = logging.getLogger("fast_diff")
READ = ("path", "path_bytes", "bytes", "stamp", "location")


class KnownContainers:
    """The containers of the last run.

    past     returns the rows of the last run with the same parameters; called once, for the first container
    trust    `scan.trust`; with `bytes` no container is known, since the bytes must be read anyway
    columns  names of the columns with values beside images"""

    def __init__(self, past: Callable[[], PastRows], trust: str, columns: Sequence[str]) -> None:
        self._past, self._trust, self._columns = past, trust, columns
        self._pieces: dict[bytes, list[pa.Table]] | None = None

    def members(self, container: Container) -> list[Members] | None:
        """Return the images of a container; None if the container is not known, or has changed.

        A container that the last run could not open, or not list to its end, is never known."""
        if self._trust == "bytes" or not container.name.lower().endswith((*TARS, *ZIPS)):
            return None
        if self._pieces is None:
            self._pieces = self._read()
        pieces = self._pieces.get(container.name, [])
        start = state(container, self._trust) + " "
        for piece in pieces:
            expected = pc.binary_join_element_wise(start, piece["location"], "")
            if not pc.all(pc.equal(piece["stamp"], expected)).as_py():
                return None
        found = [self._members(piece) for piece in pieces]
        return None if any(container.name in some.paths for some in found) else found or None

    def _members(self, piece: pa.Table) -> Members:
        values = [piece[name].to_pylist() for name in self._columns]
        return Members(
            _names(piece), piece["bytes"].to_pylist(), piece["location"].to_pylist(), list(zip(*values, strict=True))
        )

    def _read(self) -> dict[bytes, list[pa.Table]]:
        """Return the rows of each container; no rows at all if an artifact is damaged."""
        found: dict[bytes, list[pa.Table]] = {}
        racy: set[bytes] = set()
        past = self._past()
        racy_paths = pa.array(past.racy, pa.string())
        try:
            for table in past.tables:
                inside = table.select([*READ, *self._columns]).filter(pc.is_valid(table["location"]))
                for container, start, rows in _runs(inside):
                    piece = inside.slice(start, rows)
                    found.setdefault(container, []).append(piece)
                    if past.racy and pc.any(pc.is_in(piece["path"], racy_paths)).as_py():
                        racy.add(container)
        except ArtifactDamaged as error:
            logger.warning("%s; every container is listed again", error)
            return {}
        return {container: pieces for container, pieces in found.items() if container not in racy}


def _names(table: pa.Table) -> list[bytes]:
    names: list[bytes] = pc.coalesce(table["path_bytes"], table["path"].cast(pa.binary())).to_pylist()
    return names


def _runs(table: pa.Table) -> Iterator[tuple[bytes, int, int]]:
    """Yield container, first row and number of rows for consecutive rows of one container."""
    lengths = map(container_length, table["location"].to_pylist())
    names = [name[:length] for name, length in zip(_names(table), lengths, strict=True)]
    start = 0
    for container, rows in itertools.groupby(names):
        count = sum(1 for _ in rows)
        yield container, start, count
        start += count
