"""What the footers of a run's artifacts say, most of them without a look at them, thanks to an index beside them:

    <output>/<run>/.footers.tsv

The artifact stays the record. An entry counts only while the listing of its folder gives the artifact the state that it
had when the footer was read or written; else the footer is read. So the index may be missing, old, cut short or
altered: then a run takes longer, and comes to the same. A name says which fingerprint the artifact has, so a file of
that name is that artifact or a damaged one; artifacts with a name of their own (`Task.filename`) are not in the index.

In a folder the index is appended to as tasks end. On an object store, where nothing is appended, the driver keeps it
in a temporary file, and puts it when the run ends; the state of what was put meanwhile is that of one more listing.
"""

from __future__ import annotations

import contextlib
import logging
import tempfile
from collections.abc import Mapping
from io import FileIO
from pathlib import Path
from types import TracebackType

from pipeline.messages.errors import ArtifactDamaged
from pipeline.store.artifact import Record, artifact_name, artifact_names
from pipeline.store.backends.storage import Entry
from pipeline.store.footer_index import Footer, Index, State, footer_of
from pipeline.store.regular import regular, remove_irregular
from pipeline.store.store import RETIRED, Store

INDEX = ".footers.tsv"

log = logging.getLogger("fast_diff.files")


class Footers:
    """What is known of the artifacts of one run; a context manager. `read_only` leaves the run's folder as it is.

    An index that can't be read or written (a full disk) is given up: it must not end the run."""

    def __init__(self, store: Store, read_only: bool = False) -> None:
        self._store, self._read_only = store, read_only
        self._listed: dict[str, dict[str, Entry]] = {}
        self._index: Index | None = None
        try:
            self._index = Index(self._open())
        except FileNotFoundError:
            return  # to be read only, and not there
        except OSError as error:
            log.warning("%s can't be used (%s)", store.folder / INDEX, error.strerror or error)

    def __enter__(self) -> Footers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def names(self, folder: str) -> Mapping[str, Entry]:
        """The artifacts in a folder, relative to the run's, as they were when it was first asked for."""
        if folder not in self._listed:
            self._listed[folder] = self._entries(folder)
        return self._listed[folder]

    def forget(self, folder: str, name: str) -> None:
        """An artifact is no longer where it was."""
        self.names(folder)
        self._listed[folder].pop(name, None)

    def record(self, folder: str, name: str, key: str | None = None) -> Record:
        """The footer of an artifact. Raises ArtifactDamaged where that is missing or damaged."""
        stage, entry = folder.partition("/")[0], self.names(folder).get(name)
        if entry is None:
            raise ArtifactDamaged(stage, key or name, f"{folder}/{name} is missing")
        known = self._index.find(stage, name, _state(entry)) if self._index else None
        if known:
            return known
        record = self._store.files.record(f"{folder}/{name}", stage, key or name)
        if (stage, name) == (record.stage, artifact_name(record.key, record.fingerprint)):
            self.add(footer_of(record, self._store.folder / folder / name, _state(entry)))
        return record

    def add(self, footer: Footer | None) -> None:
        """Take in what is known of an artifact that was written or read just now."""
        if footer is None or self._index is None or self._read_only:
            return
        try:
            self._index.add(footer)
        except OSError:
            self._drop()

    def close(self) -> None:
        """Let go of the index; what it holds is kept for the next run."""
        if self._index and self._index.added:
            with contextlib.suppress(OSError):
                self._keep(self._index)
        self._drop()

    def _open(self) -> FileIO:
        """The index as a file of this machine."""
        folder = self._store.folder
        if isinstance(folder, Path):
            if not self._read_only:
                folder.mkdir(parents=True, exist_ok=True)
                remove_irregular(folder / INDEX)
            return open(folder / INDEX, "rb" if self._read_only else "a+b", buffering=0, opener=regular)
        with tempfile.NamedTemporaryFile(prefix="fast-diff-") as copy:
            if self._store.files.size(INDEX) is not None:
                copy.write(self._store.files.read(INDEX))
                copy.flush()
            return Path(copy.name).open("a+b", buffering=0)

    def _keep(self, index: Index) -> None:
        """Drop the lines that nobody will ask for, once they are the most; an object store is given the rest anew."""
        local = isinstance(self._store.folder, Path)
        self._store.refresh()
        there = {stage: self._on_disk(stage) for stage in {stage for stage, _ in index.entries()}}
        for stage, name in index.unlisted():
            if name in there[stage]:
                index.set_state(stage, name, _state(there[stage][name]))
        kept = [(stage, name) for stage, name in index.entries() if name in there[stage]]
        if not local or index.lines > 2 * len(kept):
            index.write(self._store.folder / INDEX, kept)

    def _on_disk(self, stage: str) -> dict[str, Entry]:
        """The artifacts of a stage that there are now, retired ones included."""
        return self._entries(f"{stage}/{RETIRED}") | self._entries(stage)

    def _entries(self, folder: str) -> dict[str, Entry]:
        found = self._store.files.entries(folder)
        return {name: found[name] for name in artifact_names(found)}

    def _drop(self) -> None:
        if self._index:
            self._index.close()
        self._index = None


def _state(entry: Entry) -> State:
    """What tells whether a file is still the one that a footer was read from."""
    return State(entry.size, entry.tag or (str(entry.mtime_ns) if entry.mtime_ns else ""))
