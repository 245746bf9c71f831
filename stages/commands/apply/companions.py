"""Find the companions of an image to remove, and check that each may be removed with the image.

An image and its companions are removed together or not at all: not if a companion also belongs to another image, if the
kept image lacks a companion of the same kind, or if a companion has changed. An image that is replaced by a link keeps
its name, so its companions are kept; a companion that equals a companion of the kept image is replaced by a link,
too."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cachetools import LRUCache

from stages.commands.apply.actions import LEAVE, LINKS, REFUSE
from stages.commands.apply.acts.errors import ActRefused
from stages.commands.apply.acts.folder import Folder, version
from stages.commands.apply.acts.folders import Folders
from stages.commands.apply.kept_images import KeptImage
from stages.commands.plan.companions import PlannedCompanion, true_name
from stages.commands.plan.plan_file import PlannedFile, RemovalPlan, path_of
from stages.comparing.text import one_line
from stages.decoding.sources import in_range
from stages.listing.companions import DEFAULT, CompanionRules, kind_of
from stages.listing.path_text import show
from stages.listing.rules import EXTENSIONS, ListingRules

ALONE = "; with --companions leave, only the image is removed"
SHARED = f"a companion belongs to another image, too{ALONE}"
LACKS = f"the kept image has no companion of this kind{ALONE}"
NEW = f"a companion is new since the run{ALONE}"
GONE = "a companion is gone"
CHANGED = "a companion was changed after the plan"
HAS = "the image has companions, and --companions is refuse"
XMP = "xmp"
"""Kind of sidecars that hold metadata."""
LISTINGS = 64
"""Greatest number of folders whose listings are held in memory."""


@dataclass(frozen=True)
class Companion:
    """A companion that is removed with its image.

    keeper  the kept file that must be present and unchanged when the companion is removed"""

    path: Path
    seen: os.stat_result
    digest: str
    keeper: KeptImage

    def entry(self, image: Path) -> dict[str, Any]:
        """Return the fields of the journal's entry that do not depend on the action."""
        return {
            "shown": show(os.fsencode(self.path)),
            "path": os.fsencode(self.path).hex(),
            "bytes": self.seen.st_size,
            "digest": self.digest,
            "mtime_ns": self.seen.st_mtime_ns,
            "image": os.fsencode(image).hex(),
        }


@dataclass(frozen=True)
class _Listing:
    """Companions by image, and images by companion, of one folder."""

    of: Mapping[bytes, Sequence[bytes]]
    owners: Mapping[bytes, Sequence[bytes]]


class Companions:
    """Finds the companions of the images of a plan. Each folder is listed once."""

    def __init__(self, plan: RemovalPlan, choice: str, action: str, merging: bool = False) -> None:
        """Prepare the search; with `merging`, kept images get sidecars with merged metadata."""
        self._choice, self._action = choice, action
        self._replaced = {XMP} if merging else set()
        self._known = plan.companion_patterns is not None
        self._rules = CompanionRules(DEFAULT if plan.companion_patterns is None else plan.companion_patterns)
        more = () if plan.extensions == "default" else map(str.encode, plan.extensions)
        self._images = ListingRules(extensions=EXTENSIONS.union(more))
        self._planned = {path_of(file) for group in plan.clusters for file in (*group.keep, *group.remove)}
        self._listings: LRUCache[Path, _Listing] = LRUCache(LISTINGS)

    def of(self, file: PlannedFile, path: Path, keeper: KeptImage, folders: Folders) -> list[Companion]:
        """Return the companions to remove with an image. Raises ActRefused if the image may not be removed, OSError."""
        if self._choice == LEAVE:
            return []
        folder, image = _open(folders, path.parent), os.fsencode(path.name)
        listing = self._listing(folder)
        planned = {true_name(each.name, image): each for each in file.companions}
        found = [name for name in listing.of.get(image, ()) if self._is_companion(folder, name, planned)]
        if (found or planned) and self._choice == REFUSE:
            raise ActRefused(HAS, _shown(found or [*planned]))
        if not found and not planned:
            return []
        beside = _open(folders, keeper.path.parent)
        kept = self._listing(beside).of.get(os.fsencode(keeper.path.name), ())
        if self._action in LINKS:
            return list(_equal(folder, found, beside, kept, keeper))
        if self._known and (new := [name for name in found if name not in planned]):
            raise ActRefused(NEW, _shown(new))
        if lost := [name for name in planned if name not in found]:
            raise ActRefused(GONE, _shown(lost))
        for name in found:
            if others := [owner for owner in listing.owners[name] if owner not in (image, *found)]:
                raise ActRefused(SHARED, f"{_shown([name])} of {_shown(others)}")
        if lacking := [name for name in found if kind_of(name) not in {*map(kind_of, kept), *self._replaced}]:
            raise ActRefused(LACKS, _shown(lacking))
        return [_looked(folder, name, planned.get(name), keeper) for name in found]

    def sidecars(self, image: Path, folders: Folders) -> list[Path]:
        """Return the XMP sidecars of an image. Raises ActRefused, OSError."""
        found = self._listing(_open(folders, image.parent)).of.get(os.fsencode(image.name), ())
        return [image.with_name(os.fsdecode(name)) for name in found if kind_of(name) == XMP]

    def forget(self, folder: Path) -> None:
        """Forget the listing of a folder, since a sidecar was added."""
        self._listings.pop(folder, None)

    def is_shared(self, companion: Path, folders: Folders) -> bool:
        """Return whether a companion belongs to several images. Raises ActRefused, OSError."""
        owners = self._listing(_open(folders, companion.parent)).owners.get(os.fsencode(companion.name), ())
        return len(owners) > 1

    def _is_companion(self, folder: Folder, name: bytes, planned: Collection[bytes]) -> bool:
        """Return whether a file that is a companion by its name is not an image of the run."""
        return name in planned or not self._is_image(folder, name)

    def _is_image(self, folder: Folder, name: bytes) -> bool:
        return self._images.wanted(name) or folder.path / os.fsdecode(name) in self._planned

    def _listing(self, folder: Folder) -> _Listing:
        if folder.path not in self._listings:
            names = [os.fsencode(name) for name in folder.names()]
            images = [name for name in names if self._is_image(folder, name)]
            found = self._rules.of(images, filter(self._rules.fits, names))
            owners: dict[bytes, list[bytes]] = {}
            for image, companions in found.items():
                for name in companions:
                    owners.setdefault(name, []).append(image)
            self._listings[folder.path] = _Listing(found, owners)
        return self._listings[folder.path]


def _looked(folder: Folder, name: bytes, planned: PlannedCompanion | None, keeper: KeptImage) -> Companion:
    """Return a companion after reading its bytes.

    Raises ActRefused where the file differs from the plan."""
    path = folder.path / os.fsdecode(name)
    try:
        found, digest = folder.digest(path.name)
        keeper.kept.refuse(path, found)
    except FileNotFoundError as error:
        raise ActRefused(GONE, _shown([name])) from error
    except OSError as error:
        raise ActRefused(f"a companion can't be read ({error.strerror})", _shown([name])) from error
    except ActRefused as error:
        raise ActRefused(f"a companion can't be removed: {error}", _shown([name])) from error
    if planned and (planned.bytes, planned.mtime_ns) != (found.st_size, in_range(found.st_mtime_ns)):
        raise ActRefused(CHANGED, _shown([name]))
    return Companion(path, found, digest, keeper)


def _equal(
    folder: Folder, names: Sequence[bytes], beside: Folder, kept: Sequence[bytes], keeper: KeptImage
) -> Iterator[Companion]:
    """Yield companions that equal a companion of the kept image.

    The equal companion becomes the keeper of the yielded companion."""
    for name in names:
        own = folder.stat(os.fsdecode(name))
        for other in (os.fsdecode(each) for each in kept if kind_of(each) == kind_of(name)):
            same = beside.stat(other)
            if own is None or same is None or own.st_size != same.st_size or os.path.samestat(own, same):
                continue
            with contextlib.suppress(ActRefused):
                found = _looked(folder, name, None, keeper)
                if beside.is_whole(other, found.seen.st_size, found.digest):
                    held = KeptImage(beside.path / other, version(same), found.digest, keeper.kept)
                    yield Companion(found.path, found.seen, found.digest, held)
                    break


def _open(folders: Folders, path: Path) -> Folder:
    folder = folders.find(path)
    if folder is None:
        raise ActRefused("the folder of the image is gone")
    return folder


def _shown(names: Sequence[bytes]) -> str:
    return ", ".join(one_line(show(name)) for name in names)
