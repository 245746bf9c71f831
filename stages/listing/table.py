"""Store the list of found files in columns, at some hundred bytes per file."""

from __future__ import annotations

import array
import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from stages.decoding.sources import in_range
from stages.listing.containers import Container, Members
from stages.listing.urls import Stat, is_url

LOCATION = "location"
PIECE = 1 << 16
"""Greatest number of paths that exist as Python objects at the same time."""


@dataclass(frozen=True)
class FileTable:
    """The files of one set in the order of their paths' bytes, each once, as columns.

    paths       paths as bytes
    roots       the inputs under which files were found
    root        index in `roots`, int32 (n,)
    sizes       in bytes
    mtimes      in nanoseconds
    ctimes      in nanoseconds
    tags        stamps of URLs
    companions  names of the companions of each image that has one, by path
    containers  the container files that were opened
    container   index in `containers`, -1 for a file outside containers, int32 (n,)
    locations   positions of members in containers, see `stages.decoding.location`; null for a file outside containers
    values      values beside images, by the names in `scan.columns`; null where an image has no value"""

    paths: pa.LargeBinaryArray
    roots: Sequence[bytes]
    root: NDArray[np.int32]
    sizes: NDArray[np.int64]
    mtimes: NDArray[np.int64]
    ctimes: NDArray[np.int64]
    tags: Mapping[bytes, str] = field(default_factory=dict)
    companions: Mapping[bytes, str] = field(default_factory=dict)
    containers: Sequence[Container] = ()
    container: NDArray[np.int32] = field(default_factory=lambda: np.empty(0, np.int32))
    locations: pa.LargeStringArray | None = None
    values: Mapping[str, pa.LargeStringArray] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.paths)

    def companion_names(self, part: slice) -> pa.StringArray:
        """Return the names of the companions of some images; null for an image without companions."""
        if not self.companions:
            return pa.nulls(part.stop - part.start, pa.string())
        return pa.array(map(self.companions.get, self.paths[part].to_pylist()), pa.string())

    def empty(self) -> list[bytes]:
        """Return the roots without files.

        A root that lies inside a root with files does not count as empty."""
        true = {root: (root if is_url(root) else os.path.realpath(root)).rstrip(b"/") + b"/" for root in self.roots}
        counts = np.bincount(self.root, minlength=len(self.roots)).tolist()
        full = tuple(true[root] for root, count in zip(self.roots, counts, strict=True) if count)
        return [root for root in self.roots if not true[root].startswith(full)]


def _times(found: list[int]) -> array.array[int]:
    try:
        return array.array("q", found)
    except OverflowError:
        return array.array("q", map(in_range, found))


class FileColumns:
    """The files found so far, in order of discovery."""

    def __init__(self, names: Sequence[str] = ()) -> None:
        self._names = names
        self._pieces: list[pa.Array] = []
        self._paths: list[bytes] = []
        self._sparse: dict[str, list[tuple[int, pa.Array]]] = {name: [] for name in (LOCATION, *names)}
        self.numbers = [array.array("q") for _ in range(5)]
        self.containers: list[Container] = []

    def add(
        self,
        paths: Sequence[bytes],
        root: int,
        found: Sequence[os.stat_result | Stat],
        values: Sequence[tuple[str | None, ...]] = (),
    ) -> None:
        self._paths += paths
        self._add_values(values)
        roots, sizes, mtimes, ctimes, containers = self.numbers
        roots.extend([root] * len(found))
        sizes.extend([each.st_size for each in found])
        mtimes.extend(_times([each.st_mtime_ns for each in found]))
        ctimes.extend(_times([each.st_ctime_ns for each in found]))
        containers.extend([-1] * len(found))
        if len(self._paths) >= PIECE:
            self._flush()

    def add_members(self, container: Container, root: int, found: Iterable[Members]) -> None:
        """Add the images of a container. A member's times are those of its container."""
        times = _times([container.mtime_ns, container.ctime_ns])
        number = len(self.containers)
        self.containers.append(container)
        for some in found:
            count = len(some.paths)
            self._paths += some.paths
            self._sparse[LOCATION].append((len(self.numbers[0]), pa.array(some.locations, pa.large_string())))
            self._add_values(some.values)
            for column, values in zip(
                self.numbers,
                ([root] * count, some.sizes, [times[0]] * count, [times[1]] * count, [number] * count),
                strict=True,
            ):
                column.extend(values)
            self._flush()

    def _add_values(self, values: Sequence[tuple[str | None, ...]]) -> None:
        for name, column in zip(self._names, zip(*values, strict=True), strict=True) if values else ():
            self._sparse[name].append((len(self.numbers[0]), pa.array(column, pa.large_string())))

    def locations(self) -> pa.LargeStringArray | None:
        """Return the locations so far; None if no container was opened."""
        return self._whole(LOCATION) if self.containers else None

    def values(self) -> dict[str, pa.LargeStringArray]:
        """Return the values so far, by name."""
        return {name: self._whole(name) for name in self._names}

    def _whole(self, name: str) -> pa.LargeStringArray:
        """Return a column in which few images have values, with nulls for the other images."""
        end = 0
        whole: list[pa.Array] = []
        for start, some in (*self._sparse[name], (len(self.numbers[0]), pa.nulls(0, pa.large_string()))):
            whole += [pa.nulls(start - end, pa.large_string()), some]
            end = start + len(some)
        return pa.concat_arrays(whole)

    def _flush(self) -> None:
        self._pieces.append(pa.array(self._paths, pa.large_binary()))
        self._paths = []

    def paths(self) -> pa.LargeBinaryArray:
        """Return the paths so far, in order of discovery."""
        self._flush()
        self._pieces = [pa.concat_arrays(self._pieces)]
        return self._pieces[0]

    def table(self, roots: Sequence[bytes], tags: Mapping[bytes, str], companions: Mapping[bytes, str]) -> FileTable:
        """Return the files in path order, each once, and empty the columns.

        The arguments are fields of `FileTable`."""
        paths, locations, values = self.paths(), self.locations(), self.values()
        self._pieces = []
        order = pc.array_sort_indices(paths)
        paths = paths.take(order)
        numbers = order.to_numpy()
        if len(paths) > 1:  # a file may be an input, and also lie in another input
            again = np.append(False, pc.equal(paths[1:], paths[:-1]).to_numpy(zero_copy_only=False))
            if again.any():
                paths, numbers = paths.filter(pa.array(~again)), numbers[~again]
        root, sizes, mtimes, ctimes, container = (
            np.frombuffer(self.numbers.pop(0), np.int64)[numbers] for _ in range(len(self.numbers))
        )
        return FileTable(
            paths,
            roots,
            root.astype(np.int32),
            sizes,
            mtimes,
            ctimes,
            tags,
            companions,
            self.containers,
            container.astype(np.int32),
            None if locations is None else locations.take(pa.array(numbers)),
            {name: each.take(pa.array(numbers)) for name, each in values.items()},
        )


def path_hashes(paths: pa.LargeBinaryArray) -> NDArray[np.uint64]:
    """Return the hashes that decide where partitions end, uint64 (n,): 8 bytes of BLAKE2b of each path."""
    hashes = np.empty(len(paths), np.uint64)
    for start in range(0, len(paths), PIECE):
        digests = [hashlib.blake2b(path, digest_size=8).digest() for path in paths[start : start + PIECE].to_pylist()]
        hashes[start : start + PIECE] = np.frombuffer(b"".join(digests), np.uint64)
    return hashes
