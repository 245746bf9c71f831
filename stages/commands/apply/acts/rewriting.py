"""Write a new or changed sidecar, and restore the old version.

A sidecar is small, so the journal holds the bytes of both versions: the old version can be restored even if temporary
files are lost."""

from __future__ import annotations

import os
from pathlib import Path

from stages.commands.apply.acts.act import Act
from stages.commands.apply.acts.errors import ActRefused
from stages.commands.apply.acts.folder import Folder, version
from stages.commands.apply.acts.linking import NEW
from stages.commands.apply.acts.moving import set_attributes

EDITED = "the sidecar was changed after the metadata were merged"


class Rewrite(Act):
    """A new version of a sidecar.

    `entry["before"]` is None where there was no sidecar."""

    def lift(self) -> None:
        home = self._home()
        if not home.is_at_path():
            raise ActRefused("the path leads to another folder now")
        with home.created(self._new) as file:
            file.write(self._after)
            if self.entry.get("before") is not None:
                self._set_attributes(file.fileno(), os.fstat(file.fileno()).st_mtime_ns)
            else:
                os.fchmod(file.fileno(), self.entry["mode"])
        assert self.keeper is not None
        if version(self.keeper.path.lstat()) != self.keeper.version:
            raise ActRefused("the image of the sidecar was changed meanwhile")
        if self.seen is not None:
            home.set_aside(self.path.name, self.temporary, self.seen)
        try:
            home.claim(self._new, self.path.name)
        except FileExistsError as error:
            raise self.taken(self.seen is not None) from error

    def clear(self) -> None:
        self._home().remove(self._new)

    def fetch(self) -> None:
        home = self.folders.find(self.path.parent)
        if home is None and self.entry.get("before") is not None:
            home = self._home()
        if home is None or self._is_before(home):
            return
        if home.stat(self.path.name) and not _holds(home, self.path.name, self._after):
            raise ActRefused(EDITED)
        if self.entry.get("before") is not None and not self.is_whole(home, self.temporary):
            self._remove_own(home, self.temporary)
            with home.created(self.temporary) as file:
                file.write(bytes.fromhex(self.entry["before"]))
                file.flush()
                self._set_attributes(file.fileno(), self.entry["mtime_ns"])
        self.changed = True

    def restore(self) -> None:
        self.dropped = False
        if self.changed:
            home = self._home()
            if found := home.stat(self.path.name):
                self._remove_own(home, self._new)
                home.set_aside(self.path.name, self._new, version(found))
            if self.entry.get("before") is not None:
                super().restore()

    def tidy(self) -> None:
        if home := self.folders.find(self.path.parent):
            self._remove_own(home, self._new)  # the journal has these bytes, too
            if self._is_before(home):
                self._remove_own(home, self.temporary)

    def temporaries(self) -> list[tuple[Folder, str]]:
        return [(folder, name) for folder, temporary in super().temporaries() for name in (temporary, temporary + NEW)]

    def _is_before(self, home: Folder) -> bool:
        """Return whether the sidecar is as it was before the act."""
        if self.entry.get("before") is None:
            return home.stat(self.path.name) is None
        return self.is_whole(home, self.path.name)

    def _remove_own(self, home: Folder, name: str) -> None:
        """Remove a temporary file if it holds one of the two versions, or an incomplete copy."""
        versions = [self._after, bytes.fromhex(self.entry.get("before") or "")]
        if home.stat(name) and any(_begins_like(home, name, each) for each in versions):
            home.remove(name)

    def _set_attributes(self, descriptor: int, mtime_ns: int) -> None:
        entry = self.entry
        set_attributes(descriptor, list(entry["owner"]), entry["attributes"] or {}, entry["mode"], mtime_ns)

    @property
    def _after(self) -> bytes:
        return bytes.fromhex(self.entry["after"])

    @property
    def _new(self) -> str:
        return self.temporary + NEW


def _holds(home: Folder, name: str, data: bytes) -> bool:
    with home.opened(name) as file:
        return file.read(len(data) + 1) == data


def _begins_like(home: Folder, name: str, data: bytes) -> bool:
    """Return whether a file's content is a prefix of `data`.

    Zeros count as equal, since a power cut leaves zeros."""
    with home.opened(name) as file:
        found = file.read(len(data) + 1)
    return len(found) <= len(data) and all(x in (0, y) for x, y in zip(found, data, strict=False))


def sidecar_name(image: Path) -> str:
    """Return the name of a new sidecar of an image."""
    return f"{image.name}.xmp"
