"""Read the records of a run's artifacts, most of these from an index of footers:

    <output>/<run>/.footers.tsv

The footer is authoritative. An entry of the index counts only while the listing of the folder shows the artifact in the
state that the entry records; otherwise the footer is read. So a bad index, such as a truncated one, costs time, not
results. The name of an artifact holds the fingerprint, so a file of this name is this artifact, whole or damaged.
Artifacts with `Task.filename` are not in the index.

In a local folder, lines are appended to the index as tasks end. On an object store, which can't append, the driver puts
the index when the run ends, after one more listing for the states of new artifacts.
"""

from __future__ import annotations

import contextlib
import io
import logging
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

from pipeline.messages.errors import ArtifactDamaged
from pipeline.store.artifact import Record, artifact_name, artifact_names
from pipeline.store.backends.storage import Entry
from pipeline.store.footer_index import UNLISTED, Footer, Index, State, footer_of, write
from pipeline.store.regular import regular, remove_irregular
from pipeline.store.store import RETIRED, Store

INDEX = ".footers.tsv"

log = logging.getLogger("fast_diff.files")


class Footers:
    """Records of the artifacts of one run; a context manager.

    With `read_only` nothing in the run's folder changes.

    An index that can't be read or written, on a full disk for instance, is ignored and does not end the run."""

    def __init__(self, store: Store, read_only: bool = False) -> None:
        self._store, self._read_only = store, read_only
        self._listed: dict[str, dict[str, Entry]] = {}
        self._index: Index | None = None
        try:
            self._index = self._read()
        except FileNotFoundError:
            return  # read-only, and no index exists
        except OSError as error:
            log.warning("%s can't be used (%s)", store.folder / INDEX, error.strerror or error)

    def __enter__(self) -> Footers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def names(self, folder: str) -> Mapping[str, Entry]:
        """Return the artifacts in a folder of the run, as first listed."""
        if folder not in self._listed:
            self._listed[folder] = self._entries(folder)
        return self._listed[folder]

    def forget(self, folder: str, name: str) -> None:
        """Record that an artifact was moved or deleted."""
        self.names(folder)
        self._listed[folder].pop(name, None)

    def record(self, folder: str, name: str, key: str | None = None) -> Record:
        """Return an artifact's record. Raises ArtifactDamaged, also for a missing file."""
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
        """Add the footer of an artifact that was just written or read."""
        if footer is None or self._index is None or self._read_only:
            return
        try:
            self._index.add(footer)
        except OSError:
            self._drop()

    def close(self) -> None:
        """Close the index and keep the entries for the next run."""
        if self._index and self._index.added:
            with contextlib.suppress(OSError):
                self._keep(self._index)
        self._drop()

    def _read(self) -> Index:
        """Read the index. Raises OSError."""
        folder, files = self._store.folder, self._store.files
        if not isinstance(folder, Path):
            return Index(io.BytesIO(files.read(INDEX) if files.size(INDEX) is not None else b""))
        if self._read_only:
            with open(folder / INDEX, "rb", opener=regular) as file:
                return Index(file)
        folder.mkdir(parents=True, exist_ok=True)
        remove_irregular(folder / INDEX)
        appended = open(folder / INDEX, "a+b", opener=regular)  # noqa: SIM115  # `close` closes it
        appended.seek(0)
        return Index(appended, appended)

    def _keep(self, index: Index) -> None:
        """Rewrite the index if most lines are outdated.

        On an object store, always put the index."""
        self._store.refresh()
        there = {
            (stage, name): _state(entry)
            for stage in {stage for stage, _ in index.footers}
            for folder in (f"{stage}/{RETIRED}", stage)
            for name, entry in self._entries(folder).items()
        }
        kept = [
            footer._replace(state=there[address]) if footer.state == UNLISTED else footer
            for address, footer in index.footers.items()
            if address in there
        ]
        if not isinstance(self._store.folder, Path) or index.lines > 2 * len(kept):
            write(self._store.folder / INDEX, kept)

    def _entries(self, folder: str) -> dict[str, Entry]:
        found = self._store.files.entries(folder)
        return {name: found[name] for name in artifact_names(found)}

    def _drop(self) -> None:
        if self._index:
            self._index.close()
        self._index = None


def _state(entry: Entry) -> State:
    """Return the state of a file, to compare with the state in the index."""
    return State(entry.size, entry.tag or (str(entry.mtime_ns) if entry.mtime_ns else ""))
