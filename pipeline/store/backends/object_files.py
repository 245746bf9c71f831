"""Access the files of a run on an object store.

A folder is listed by one request, and many footers are fetched in parallel."""

from __future__ import annotations

import bisect
from collections.abc import Collection, Iterator, Mapping, Sequence

from pipeline.messages.errors import ArtifactDamaged
from pipeline.store.artifact import UNREADABLE, Record, read_record, record_of
from pipeline.store.backends.locations import Place
from pipeline.store.backends.ranges import footers, parsed
from pipeline.store.backends.storage import Entry, below, delete, file_system, key_of, move, read_bytes

AHEAD = 128
"""Number of footers that are fetched in parallel."""


class ObjectFiles:
    """Files on an object store.

    With `listed` the run's folder is listed once, so that a missing file costs no request. Otherwise each folder is
    listed when first used."""

    def __init__(self, folder: Place, listed: bool) -> None:
        self._folder, self._listed = folder, listed
        self._listings: dict[str, dict[str, Entry]] = {}
        self._sorted: dict[str, list[str]] = {}
        self._footers: dict[str, bytes] = {}

    def _below(self, folder: str) -> Mapping[str, Entry]:
        """Return the entries in `folder`, and perhaps further entries, by name relative to the run's folder."""
        top = "" if self._listed else folder
        if top not in self._listings:
            found = below(self._folder / top if top else self._folder)
            self._listings[top] = {f"{top}/{name}" if top else name: entry for name, entry in found.items()}
        return self._listings[top]

    def _entry(self, name: str) -> Entry | None:
        return self._below(name.rpartition("/")[0]).get(name)

    def names(self, folder: str) -> list[str]:
        return [name for name in self.below(folder) if "/" not in name]

    def below(self, folder: str) -> dict[str, int]:
        inside = f"{folder}/" if folder else ""
        found = self._below(folder).items()
        return {name.removeprefix(inside): entry.size for name, entry in found if name.startswith(inside)}

    def names_below(self, folder: str) -> Iterator[str]:
        return iter(self.below(folder))

    def size(self, name: str) -> int | None:
        entry = self._entry(name)
        return entry.size if entry else None

    def entries(self, folder: str) -> dict[str, Entry]:
        inside = f"{folder}/" if folder else ""
        found = self._below(folder)
        return {name: found[f"{inside}{name}"] for name in self.names(folder)}

    def read(self, name: str) -> bytes:
        return read_bytes(self._folder / name)

    def record(self, name: str, stage: str, key: str) -> Record:
        path = self._folder / name
        if not self._listed:
            return read_record(path, stage, key)
        if self._entry(name) is None:
            raise ArtifactDamaged(stage, key, f"{path} is missing")
        if name not in self._footers:
            self._fetch(self._beside(name))
        if name not in self._footers:
            return read_record(path, stage, key)
        try:
            metadata = parsed(self._footers[name])
            return record_of(metadata, metadata.schema.to_arrow_schema())
        except UNREADABLE as error:
            raise ArtifactDamaged(stage, key, f"{path} is damaged") from error

    def _beside(self, name: str) -> list[str]:
        """Return the names of an artifact and its neighbours, which are read next."""
        folder = name.rpartition("/")[0]
        if folder not in self._sorted:
            self._sorted[folder] = sorted(other for other in self._below(folder) if other.rpartition("/")[0] == folder)
        names = self._sorted[folder]
        start = bisect.bisect_left(names, name) // AHEAD * AHEAD
        return [other for other in names[start : start + AHEAD] if other not in self._footers]

    def _fetch(self, names: Sequence[str]) -> None:
        """Fetch footers, ignoring errors: `record` reads the file of a missing footer."""
        keys = [key_of(self._folder / name) for name in names]
        found = zip(names, footers(file_system(self._folder), keys), strict=True)
        self._footers.update((name, footer) for name, footer in found if footer)

    def move(self, source: str, target: str) -> None:
        move(self._folder / source, self._folder / target)
        for listing in self._listings.values():
            if source in listing:
                listing[target] = listing.pop(source)
        self._forget(source, target)

    def delete(self, names: Collection[str]) -> None:
        delete(self._folder, [key_of(self._folder / name) for name in names])
        for listing in self._listings.values():
            for name in names:
                listing.pop(name, None)
        self._forget(*names)

    def sync(self, folders: Collection[str]) -> None:
        """Do nothing: a put is durable."""

    def sync_files(self, names: Collection[str]) -> None:
        """Do nothing: a put is durable."""

    def sync_all(self, since: str) -> None:
        """Do nothing: a put is durable."""

    def written(self, name: str, size: int) -> None:
        for folder, listing in self._listings.items():
            if name.startswith(folder):
                listing[name] = Entry(size, 0, "")
        self._forget(name)

    def refresh(self) -> None:
        self._listings.clear()
        self._footers.clear()
        self._sorted.clear()

    def _forget(self, *names: str) -> None:
        self._sorted.clear()
        for name in names:
            self._footers.pop(name, None)
