"""Merge metadata of removed images into a sidecar of the kept image."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stages.commands.apply import exiftool
from stages.commands.apply.actions import MERGE
from stages.commands.apply.acts import names
from stages.commands.apply.acts.errors import ActRefused
from stages.commands.apply.acts.folder import Folder, Version, version
from stages.commands.apply.acts.folders import Folders
from stages.commands.apply.acts.moving import attributes
from stages.commands.apply.acts.rewriting import sidecar_name
from stages.commands.apply.companions import Companions
from stages.commands.apply.kept_images import KeptImage
from stages.commands.apply.metadata import merged, metadata_of
from stages.commands.apply.planned import Planned
from stages.commands.apply.tally import conflict_text
from stages.commands.plan.plan_file import RemovalPlan, path_of, reference_of
from stages.comparing.text import one_line
from stages.listing.path_text import show

MOST_BYTES = 4 << 20
"""Greatest size of a sidecar in bytes: the journal holds two versions."""
UNREAD = "exiftool can't read the metadata"
UNMERGED = "the metadata can't be merged: "


@dataclass
class Merge:
    """A sidecar that gets metadata.

    images  the images to remove, whose metadata are merged"""

    keeper: KeptImage
    path: Path
    images: Sequence[Planned]
    tags: Mapping[str, Any] = field(default_factory=dict)
    fields: Sequence[str] = ()
    conflicts: Sequence[Mapping[str, str]] = ()
    before: bytes | None = None
    seen: Version | None = None
    entry: dict[str, Any] = field(default_factory=dict)

    @property
    def shown(self) -> str:
        """Return the sidecar's path as text."""
        return one_line(show(os.fsencode(self.path)))

    def lines(self, done: bool) -> Iterator[str]:
        """Yield a line about what is written, and a line per conflict."""
        if self.tags:
            yield f"{'' if done else 'would be '}merged  {', '.join(self.fields)} into {self.shown}"
        for each in self.conflicts:
            yield f"conflict  {conflict_text(each)}"


class Merges:
    """Finds the merges of groups of images."""

    def __init__(self, plan: RemovalPlan, companions: Companions) -> None:
        self._references = plan.references
        self._kept = {path_of(file): file for group in plan.clusters for file in group.keep}
        self._companions = companions

    def of(self, group: Sequence[Planned], folders: Folders, write: bool) -> list[Merge]:
        """Return the merges for images to remove.

        An image whose metadata would be lost is refused.

        write  make the sidecars' new content; a dry run needs none"""
        by_keeper: dict[Path, list[Planned]] = {}
        for planned in group:
            keeper = planned.keeper
            try:
                if keeper is not None and not planned.why and self._may_differ(planned, keeper, folders):
                    by_keeper.setdefault(keeper.path, []).append(planned)
            except (ActRefused, OSError) as error:
                planned.refuse(error, UNMERGED)
        removed = [_path(planned) for images in by_keeper.values() for planned in images]
        try:
            files = {path: [*self._companions.sidecars(path, folders), path] for path in (*by_keeper, *removed)}
            every = list(dict.fromkeys(path for paths in files.values() for path in paths))
            tags = dict(zip(every, exiftool.read(every), strict=True))
        except (ActRefused, OSError) as error:
            for planned in (each for images in by_keeper.values() for each in images):
                planned.refuse(error, UNMERGED)
            return []
        found = []
        for path, images in by_keeper.items():
            try:
                if merge := self._merge(path, images, files, tags, folders, write):
                    found.append(merge)
            except (ActRefused, OSError) as error:
                for planned in images:
                    planned.refuse(error, UNMERGED)
        return found

    def _may_differ(self, planned: Planned, keeper: KeptImage, folders: Folders) -> bool:
        """Return whether an image may have metadata that its keeper lacks. Raises ActRefused, OSError."""
        return planned.file.digest != keeper.digest or bool(self._companions.sidecars(_path(planned), folders))

    def _merge(
        self,
        keeper: Path,
        images: Sequence[Planned],
        files: Mapping[Path, Sequence[Path]],
        tags: Mapping[Path, Mapping[str, Any]],
        folders: Folders,
        write: bool,
    ) -> Merge | None:
        """Return a merge, None if there is nothing to merge. Raises ActRefused, OSError."""
        _refuse_unread(files[keeper], tags)
        others = []
        for planned in images:
            path = _path(planned)
            try:
                _refuse_unread(files[path], tags)
            except ActRefused as error:
                planned.refuse(error)
                continue
            others.append((planned.file.path, metadata_of([tags[each] for each in files[path]])))
        new, fields, found = merged(metadata_of([tags[each] for each in files[keeper]]), others)
        conflicts = [{**each._asdict(), "keeper": show(os.fsencode(keeper))} for each in found]
        kept = next(planned.keeper for planned in images if planned.keeper)
        removed = [planned for planned in images if not planned.why]
        if not new:
            return Merge(kept, keeper, removed, conflicts=conflicts) if conflicts else None
        if (root := reference_of(self._kept[keeper], self._references)) is not None:
            raise ActRefused(f"the kept image lies in the reference {root}, where nothing is written")
        own = [path for path in files[keeper][:-1] if not self._companions.is_shared(path, folders)]
        target = next((path for path in own if path.stem == keeper.name), own[0] if own else None)
        merge = Merge(kept, target or keeper.with_name(sidecar_name(keeper)), removed, new, fields, conflicts)
        home = folders.find(keeper.parent)
        if home is None or not os.access(keeper.parent, os.W_OK | os.X_OK, effective_ids=True):
            raise ActRefused(f"the folder {keeper.parent} can't be written to")
        _describe(merge, home, exists=target is not None, write=write)
        return merge


def _describe(merge: Merge, home: Folder, exists: bool, write: bool) -> None:
    """Read the present sidecar, and make the journal's entry if `write`.

    Raises ActRefused, OSError."""
    owner, extra, mode, mtime = None, None, merge.keeper.path.lstat().st_mode & 0o100666, 0
    if not exists and home.stat(merge.path.name):
        raise ActRefused(f"{merge.shown} exists, but is no companion by companions.patterns: it may not be overwritten")
    if exists:
        with home.opened(merge.path.name) as file:
            stat = os.fstat(file.fileno())
            merge.before, merge.seen = file.read(MOST_BYTES + 1), version(stat)
            owner, extra, mode = [stat.st_uid, stat.st_gid], attributes(file.fileno()), stat.st_mode
            mtime = stat.st_mtime_ns
        if len(merge.before) > MOST_BYTES:
            raise ActRefused(f"the sidecar {merge.shown} has more than {MOST_BYTES >> 20} MiB")
    if not write:
        return
    before = merge.before or b""
    merge.entry = {
        "action": MERGE,
        "shown": merge.shown,
        "path": os.fsencode(merge.path).hex(),
        "keeper": os.fsencode(merge.keeper.path).hex(),
        "bytes": len(before),
        "digest": hashlib.sha256(before).hexdigest(),
        "mtime_ns": mtime,
        "mode": mode,
        "owner": owner,
        "attributes": extra,
        "temporary": os.fsencode(names.temporary(merge.path)).hex(),
        "before": None if merge.before is None else before.hex(),
        "after": exiftool.written(merge.before, merge.tags).hex(),
    }


def _path(planned: Planned) -> Path:
    return path_of(planned.file)


def _refuse_unread(files: Sequence[Path], tags: Mapping[Path, Mapping[str, Any]]) -> None:
    """Raise ActRefused where exiftool could not read a file that may hold metadata."""
    for path in files:
        error = str(tags[path].get("ExifTool:Error", ""))
        if error and not error.startswith(exiftool.UNKNOWN):
            raise ActRefused(UNREAD, f"{one_line(show(os.fsencode(path.name)))}: {one_line(error)}")
