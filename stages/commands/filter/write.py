"""Write copies of the sources of a run, one source after the other, and continue an earlier call."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from pipeline.messages.errors import FastDiffError
from pipeline.messages.say import say_on_stderr
from pipeline.messages.words import counted
from stages.commands.filter.sources import Sources
from stages.comparing.text import one_line
from stages.decoding.problems import Unreadable
from stages.decoding.sources import Expected
from stages.filtering.datasets import write_json
from stages.filtering.lists import ImageList, write_list
from stages.filtering.loose import FolderImages, companion_files, other_files, put, remove
from stages.filtering.manifest import Manifest
from stages.filtering.outcome import Refused, Removal, Rewritten
from stages.filtering.rewriting import CHANGED, FULL, current_stamp, write_container
from stages.listing.path_text import show

FILES = "/"
"""End of a unit's name in the manifest if the unit is the loose files of a folder."""
SHOWN = 20
"""Greatest number of refused sources that are named on standard error."""


class OutOfSpace(FastDiffError):
    """Nothing more can be written to the target."""


@dataclass
class FilterCounts:
    """Counts of a call of `filter`.

    containers, lists  number of containers and lists that this call wrote
    finished           number of containers that an earlier call wrote
    members            counts of members, summed over all containers
    rows               counts of rows, summed over all lists
    files              number of loose images in the target, and of files that belong to these images
    gone_files         number of removed loose images
    gone_beside        number of files that were removed with a loose image
    refused            names of sources that were not written
    notes              lines about damage, and about relative paths in lists"""

    containers: int = 0
    lists: int = 0
    finished: int = 0
    members: Rewritten = field(default_factory=lambda: Rewritten(0, 0))
    rows: Rewritten = field(default_factory=lambda: Rewritten(0, 0))
    files: int = 0
    gone_files: int = 0
    gone_beside: int = 0
    refused: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """Return the counts as plain data."""
        plain = asdict(self)
        return plain | {name: _counts(getattr(self, name)) for name in ("members", "rows")}


def _counts(some: Rewritten) -> dict[str, int]:
    return {name: value for name, value in some._asdict().items() if name != "note"}


class Writer:
    """Writes copies of the sources of a run below `out`.

    linked  whether loose files become hard links where possible
    report  is called with a line for each container and each list"""

    def __init__(
        self, out: Path, sources: Sources, manifest: Manifest, linked: bool, report: Callable[[str], None]
    ) -> None:
        self.out, self.sources, self.manifest = out, sources, manifest
        self.linked, self.report = linked, report
        self.tally = FilterCounts()

    @property
    def steps(self) -> int:
        """Number of steps that `write` yields."""
        sources = self.sources
        loose = sum(len(folder.kept) for folder in sources.folders.values())
        return len(sources.containers) + len(sources.lists) + len(sources.datasets) + loose

    def write(self) -> Iterator[None]:
        """Write all sources that are not finished; yield after each container, list, JSON file and loose image.

        Raises:
            OutOfSpace: nothing more can be written.
            OSError: the manifest can't be written."""
        self._remove_others()
        for name in sorted(self.sources.containers):
            self._guarded(name, partial(self._container, name))
            yield
        for source in self.sources.lists:
            self._guarded(source.name, partial(self._list, source))
            yield
        for name, removals in sorted(self.sources.datasets.items()):
            self._guarded(name, partial(self._json, name, removals))
            yield
        for folder in sorted(self.sources.folders):
            yield from self._folder(self.sources.folders[folder])

    def _guarded(self, name: bytes, write: Callable[[], str | None]) -> bool:
        """Write a source, and report the line that `write` returns; return whether the source was written.

        Raises:
            OutOfSpace: nothing more can be written.
            OSError: the line can't be reported."""
        try:
            line = write()
        except (Refused, Unreadable) as error:
            return self._refuse(name, str(error))
        except FileNotFoundError:
            return self._refuse(name, "the source is gone; run `fast-diff run` again first")
        except OSError as error:
            if error.errno in FULL:
                kept = "finished work is kept: make room, then run the same command again"
                raise OutOfSpace(f"{self.out}: {error.strerror}; {kept}") from error
            return self._refuse(name, error.strerror or str(error))
        if line:
            self.report(line)
        return True

    def _refuse(self, name: bytes, why: str) -> bool:
        self.tally.refused.append(show(name))
        if len(self.tally.refused) <= SHOWN:
            say_on_stderr(f"{one_line(show(name))}: not written: {why}")
        return False

    def _container(self, name: bytes) -> str:
        removal, target = self.sources.removal(name), self.sources.layout.path(name)
        stamp = self.sources.containers[name].stamp
        now = current_stamp(name, self.sources.trust)
        if stamp and now != stamp:
            raise Refused(CHANGED)
        wanted = {"stamp": now, "removals": digest_of(removal)}
        done = self._finished(target, wanted)
        if done is None:
            done = write_container(name, now, self.sources.trust, removal, self.out / target)
            self.tally.containers += 1
            self._record(target, wanted, done)
        self.tally.members = self.tally.members.plus(done)
        return self._line(target, done, "member")

    def _list(self, source: ImageList) -> str:
        target = self.sources.layout.path(source.name)
        done = write_list(source, self.sources.removed, self.out / target)  # quick, so never skipped
        self.tally.lists += 1
        self._record(target, {}, done)
        self.tally.rows = self.tally.rows.plus(done)
        return self._line(target, done, "row")

    def _json(self, name: bytes, removals: str) -> None:
        target = self.sources.layout.path(name)
        write_json(name, removals, self.out / target)
        self._record(target, {}, Rewritten(0, 0))

    def _finished(self, target: Path, wanted: Mapping[str, str]) -> Rewritten | None:
        """Return the counts of a container that an earlier call wrote; None if the container must be written."""
        known = self.manifest.units.get(str(target))
        if known is None or any(known.get(key) != value for key, value in wanted.items()):
            return None
        try:
            there = (self.out / target).stat()
        except OSError:
            return None
        if [there.st_size, there.st_mtime_ns] != known.get("result"):
            return None
        self.tally.finished += 1
        return Rewritten(*known["counts"])

    def _record(self, target: Path, wanted: Mapping[str, str], done: Rewritten) -> None:
        there = (self.out / target).stat()
        result = [there.st_size, there.st_mtime_ns]
        self.manifest.record(str(target), {**wanted, "result": result, "counts": list(done)})

    def _line(self, target: Path, done: Rewritten, noun: str) -> str:
        """Return the line to report for a result, and add its note to the notes."""
        name = one_line(show(os.fsencode(target)))
        if done.note:
            self.tally.notes.append(f"{name}: {done.note}")
        return f"{name}: {summed(done, noun)}"

    def _folder(self, images: FolderImages) -> Iterator[None]:
        """Link or copy the loose images of a folder, and the files that belong to them; yield after each image."""
        place = self.sources.layout.path(images.folder)
        others: set[bytes] = set()
        if not self._guarded(images.folder, lambda: others.update(other_files(images))):
            return
        kept, removed = companion_files(images, others)
        names = sorted(os.fsdecode(name) for name in (*images.kept, *kept))
        unit = f"{place}{FILES}"
        if (known := self.manifest.units.get(unit)) is None or known["names"] != names:
            remove(self.out / place, set(known["names"] if known else ()) - set(names))
            self.manifest.record(unit, {"names": names})
        for name, file in images.kept.items():
            self.tally.files += self._put(file, place / os.fsdecode(name))
            yield
        for name in sorted(kept):
            path = os.path.join(images.folder, name)
            self.tally.files += self._put(Expected(path, 0, ""), place / os.fsdecode(name))
        self.tally.gone_files += len(images.removed)
        self.tally.gone_beside += len(removed)

    def _put(self, file: Expected, target: Path) -> bool:
        return self._guarded(file.path, partial(put, file, self.sources.trust, self.out / target, self.linked))

    def _remove_others(self) -> None:
        """Remove the results of an earlier call whose sources are not among the sources of this call."""
        path = self.sources.layout.path
        files = (*self.sources.containers, *(each.name for each in self.sources.lists), *self.sources.datasets)
        wanted = {str(path(name)) for name in files} | {f"{path(name)}{FILES}" for name in self.sources.folders}
        for unit in self.manifest.units.keys() - wanted:
            if unit.endswith(FILES):
                remove(self.out / unit, self.manifest.units[unit]["names"])
            else:
                remove(self.out, [unit])
            self.manifest.forget(unit)


def digest_of(removal: Removal) -> str:
    """Return a digest of the images to remove from a container."""
    column = (removal.column or "").encode("utf-8", "surrogateescape")
    return hashlib.sha256(b"\0\0".join([column, b"\0".join(sorted(removal.names))])).hexdigest()


def summed(done: Rewritten, noun: str) -> str:
    """Return counts as a sum, such as `9 members = 6 kept + 3 removed (1 image, 2 companions)`."""
    parts = f" ({counted(done.images, 'image')}, {counted(done.companions, 'companion')})" if done.companions else ""
    lost = f" + {done.unreadable:,} unreadable" if done.unreadable else ""
    return (
        f"{counted(done.members, noun)} = {done.kept:,} kept + {done.images + done.companions:,} removed{parts}{lost}"
    )
