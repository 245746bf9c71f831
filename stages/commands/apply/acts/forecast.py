"""Check before an act whether the act would fail, and choose its file's new path."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from stages.commands.apply.actions import LINKS
from stages.commands.apply.acts import names
from stages.commands.apply.acts.errors import ActRefused
from stages.commands.apply.acts.folder import Folder
from stages.commands.apply.acts.moving import attributes
from stages.commands.apply.acts.trash import nearest_existing, place_in, trash_for
from stages.comparing.text import human_bytes
from stages.listing.companions import stem_of


class DryRunChecks:
    """Checks before acts. Disk space and names that earlier acts will take count as taken."""

    def __init__(self, action: str, to: Path | None) -> None:
        self._action = action
        self._to = to and to.absolute()
        self._room: dict[int, tuple[int, int]] = {}
        """Free blocks of each disk after all acts checked so far, and the bytes of a block, by device number."""
        self._taken: set[Path] = set()

    def check(self, path: Path, found: os.stat_result, keeper: Path) -> None:
        """Raise ActRefused if the act would certainly fail. Changes no file."""
        places = {"the folder": path.parent}
        if self._to:
            places["--to:"] = nearest_existing((self._to / path.relative_to("/")).parent)
        elif self._action == "trash" and sys.platform != "darwin":
            places["the trash"] = nearest_existing(trash_for(path))
        for what, folder in places.items():
            if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK, effective_ids=True):
                raise ActRefused(f"{what} {folder} can't be written to")
        if self._action == "hardlink" and found.st_dev != keeper.lstat().st_dev:
            raise ActRefused("the keeper is on another disk, and hard links work within one disk only")
        if self._to and (device := places["--to:"].stat().st_dev) != found.st_dev:
            self._take_room(device, found.st_size, places["--to:"])

    def _take_room(self, device: int, size: int, folder: Path) -> None:
        if device not in self._room:
            disk = os.statvfs(folder)
            self._room[device] = disk.f_bavail, disk.f_frsize
        free, block = self._room[device]
        needed = -(-size // block)
        if free < needed:
            raise ActRefused(f"--to: the disk of {self._to} has no room for {human_bytes(size)}")
        self._room[device] = free - needed, block

    def places(self, paths: Sequence[Path]) -> list[Path | None]:
        """Return the new paths of an image and its companions; the common beginning of their names stays common.

        The result holds None for each path that `entry` chooses."""
        if not self._to or len(paths) == 1:
            return [None] * len(paths)
        image = self._to / paths[0].relative_to("/")
        known = [os.fsdecode(stem_of(os.fsencode(image.name))), *(path.name for path in paths)]
        stem = os.path.commonprefix(known)  # noqa: RUF071  # of characters, not of folders
        endings = [path.name.removeprefix(stem) for path in paths]
        free = names.free_together(stem, endings, lambda name: self._is_taken(image.with_name(name)))
        return [image.with_name(free + ending) for ending in endings]

    def entry(
        self, path: Path, home: Folder, found: os.stat_result, keeper: Path, place: Path | None = None
    ) -> dict[str, Any]:
        """Return the fields of the journal's entry that depend on the action.

        The field `made` is the number of folders that a move makes. Raises OSError.

        place  new path of a file that is moved; None: the file's own name, numbered if taken"""
        entry: dict[str, Any] = {
            "action": self._action,
            "mode": found.st_mode,
            "keeper": os.fsencode(keeper).hex(),
            "temporary": os.fsencode(names.temporary(path)).hex(),
        }
        if self._to:
            target = self._to / path.relative_to("/")
            if place is None:
                place = target.with_name(names.free(target.name, lambda name: self._is_taken(target.with_name(name))))
            entry["made"] = sum(not folder.exists() for folder in place.parents)
        elif self._action == "trash" and sys.platform != "darwin":
            place = place_in(trash_for(path), path, self._is_taken)
        if place:
            self._taken.add(place)
            entry["to"] = os.fsencode(place).hex()
        if self._action in LINKS:
            with home.opened(path.name) as file:
                entry |= {"owner": [found.st_uid, found.st_gid], "attributes": attributes(file.fileno())}
        return entry

    def _is_taken(self, place: Path) -> bool:
        return place in self._taken or os.path.lexists(place)
