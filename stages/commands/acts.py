"""What can be done to a file that is to go, and how each act is taken back.

Every act is made of steps after each of which the disk still tells how far it came: a file is never gone before what
takes its place is whole. `undo` looks at the disk, not at how the act ended, so it is right after a crash, too.

    move       to the same path below another folder     trash     to the system's trash
    hardlink   a second name of its keeper               symlink   a pointer to its keeper
    reflink    a copy-on-write clone of its keeper       delete    gone for good
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import shutil
import uuid
from collections.abc import Iterable, Iterator, Mapping
from configparser import ConfigParser, Error
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import unquote

from stages.commands.choices import LINKS
from stages.commands.journal import sync

Act: TypeAlias = Mapping[str, Any]
"""What a journal says of it: action, path, bytes, mtime_ns, digest, and keeper, to or temporary."""

FICLONE = 0x40049409
"""Linux' request for a clone of a file."""
PIECE = 1 << 20


class Cannot(Exception):
    """Why an act was not done, or can't be taken back, in one line."""


def prepared(action: str, path: Path, keeper: Path, to: Path | None) -> dict[str, Any]:
    """What the journal is to know before the act, beside the file itself; `made`: how many folders a move will make."""
    stat = path.lstat()
    act: dict[str, Any] = {"action": action, "mode": stat.st_mode, "keeper": os.fsencode(keeper).hex()}
    if action == "move":
        assert to is not None
        free = _free(to / path.relative_to("/"))
        act |= {"to": os.fsencode(free).hex(), "made": sum(not folder.exists() for folder in free.parents)}
    if action in LINKS:
        act["temporary"] = os.fsencode(_temporary(path)).hex()
        act |= {"owner": [stat.st_uid, stat.st_gid], "attributes": _attributes(path)}
    return act


def foresee(action: str, path: Path, keeper: Path, to: Path | None) -> None:
    """Raises Cannot where it can be told beforehand that the act would fail; touches nothing."""
    places = {"its folder": path.parent}
    if action == "move":
        assert to is not None
        target = to.absolute() / path.relative_to("/")
        places["--to:"] = next(folder for folder in target.parents if os.path.lexists(folder))
    for what, folder in places.items():
        if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK, effective_ids=True):
            raise Cannot(f"{what} {folder} can't be written to")
    if action == "hardlink" and path.lstat().st_dev != keeper.lstat().st_dev:
        raise Cannot("its keeper lies on another disk, where no hard link reaches")


def do(act: Act) -> None:
    """Do what a journal's entry says. Raises Cannot, OSError."""
    path, keeper = _path(act["path"]), _path(act["keeper"])
    match act["action"]:
        case "move":
            _move(path, _path(act["to"]))
        case "trash":
            _trash(path)
        case "delete":
            path.unlink()
        case "hardlink":
            _replaced(path, act, lambda temporary: os.link(keeper, temporary, follow_symlinks=False))
        case "symlink":
            _replaced(path, act, lambda temporary: temporary.symlink_to(keeper))
        case "reflink":
            _replaced(path, act, lambda temporary: _clone(keeper, temporary, path))
    sync(path.parent)


def undo(act: Act) -> bool:
    """Take an act back, however far it came; whether there was anything to take back. Raises Cannot, OSError."""
    path = _path(act["path"])
    match act["action"]:
        case "move":
            changed = _move_back(path, _path(act["to"]), act)
        case "trash":
            changed = _from_trash(path, act)
        case "delete":
            changed = False
            if not os.path.lexists(path):
                raise Cannot("it was deleted, which can't be taken back")
        case _:
            changed = _unlinked(path, act)
    sync(path.parent)
    return changed


def is_whole(path: Path, act: Act) -> bool:
    """Whether a regular file with the act's content stands there."""
    with contextlib.suppress(OSError):
        if path.is_file() and not path.is_symlink() and path.stat().st_size == act["bytes"]:
            return digest_of(path) == act["digest"]
    return False


def digest_of(path: Path) -> str:
    """SHA-256 of a file's bytes. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _path(name: str) -> Path:
    return Path(os.fsdecode(bytes.fromhex(name)))


def _temporary(path: Path) -> Path:
    return path.with_name(f".fast-diff-{uuid.uuid4().hex}")


def _free(path: Path) -> Path:
    """The path, or one like it that nothing has yet."""
    number, free = 1, path
    while os.path.lexists(free):
        number += 1
        free = path.with_name(f"{path.stem} ({number}){path.suffix}")
    return free


def _move(path: Path, to: Path) -> None:
    """Never over another file: the new name is taken first, by an empty file."""
    made = [folder for folder in to.parents if not folder.exists()]
    try:
        to.parent.mkdir(parents=True, exist_ok=True)
        try:
            to.open("xb").close()
        except FileExistsError as error:
            raise Cannot(f"{to} has come into being meanwhile") from error
        try:
            _onto(path, to)
        except BaseException:
            if os.path.lexists(path):
                to.unlink(missing_ok=True)
            raise
    except BaseException:
        _remove_empty(made)
        raise
    sync(to.parent)


def _remove_empty(folders: Iterable[Path]) -> None:
    """Those of them in which nothing lies, the deepest first."""
    for folder in folders:
        with contextlib.suppress(OSError):
            folder.rmdir()


def _onto(path: Path, to: Path) -> None:
    """Move a file onto an empty one of ours."""
    try:
        path.replace(to)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        shutil.copyfile(path, to)
        stat = path.stat()
        _give(to, stat.st_uid, stat.st_gid)
        shutil.copystat(path, to)
        with to.open("rb") as copy:
            os.fsync(copy.fileno())
        if digest_of(to) != digest_of(path):
            raise Cannot(f"the copy on the other disk ({to}) is not what was written; the file stays") from error
        sync(to.parent)
        path.unlink()


def _move_back(path: Path, to: Path, act: Act) -> bool:
    if is_whole(path, act):
        if os.path.lexists(to) and _begins_like(to, path):  # an interrupted copy, or the empty file before it
            to.unlink()
        return False
    if not is_whole(to, act):
        raise Cannot(f"{to} is not the file that was moved there any more")
    if os.path.lexists(path):
        raise Cannot("another file has its name now")
    _move(to, path)
    _remove_empty(to.parents[: act.get("made", 0)])  # those that the move has made
    return True


def _begins_like(piece: Path, whole: Path) -> bool:
    """Whether a file holds the first bytes of another one, and is another one."""
    if piece.is_symlink() or not piece.is_file() or piece.samefile(whole):
        return False
    with piece.open("rb") as some, whole.open("rb") as every:
        while data := some.read(PIECE):
            if data != every.read(len(data)):
                return False
    return True


def _trash(path: Path) -> None:
    from send2trash import send2trash

    send2trash(os.fsencode(path))


def _from_trash(path: Path, act: Act) -> bool:
    if is_whole(path, act):
        return False
    if os.path.lexists(path):
        raise Cannot("another file has its name now")
    for info, trashed in _trashed(path):
        if is_whole(trashed, act):
            _move(trashed, path)
            info.unlink(missing_ok=True)
            return True
    raise Cannot("it is in no trash that is known here; if the system's trash shows it, take it back from there")


def _trashed(path: Path) -> Iterator[tuple[Path, Path]]:
    """What trashes of the freedesktop kind hold of a file: notes and files."""
    data = Path(os.environ.get("XDG_DATA_HOME", Path.home() / ".local/share"))
    mount = path.parent
    while not mount.exists() or not mount.is_mount():
        mount = mount.parent
    places = [
        (data / "Trash", data),
        (mount / f".Trash/{os.getuid()}", mount),
        (mount / f".Trash-{os.getuid()}", mount),
    ]
    for trash, top in places:
        for info in sorted((trash / "info").glob("*.trashinfo")):
            note = ConfigParser(interpolation=None)
            with contextlib.suppress(OSError, UnicodeDecodeError, Error, KeyError):
                note.read(info)
                if top / unquote(note["Trash Info"]["Path"], errors="surrogateescape") == path:
                    yield info, trash / "files" / info.name.removesuffix(".trashinfo")


def _replaced(path: Path, act: Act, make: Any) -> None:
    """Put what `make` makes in the file's place, in one step."""
    temporary = _path(act["temporary"])
    try:
        make(temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _attributes(path: Path) -> dict[str, str]:
    """Extended attributes, such as tags; in hex."""
    with contextlib.suppress(OSError, AttributeError):  # not every system has them
        return {os.fsencode(name).hex(): os.getxattr(path, name).hex() for name in os.listxattr(path)}
    return {}


def _give(path: Path, *owner: int) -> None:
    """Make a file somebody's, where one may."""
    with contextlib.suppress(OSError):
        if owner:
            os.chown(path, *owner)


def _clone(keeper: Path, temporary: Path, path: Path) -> None:
    try:
        with keeper.open("rb") as source, temporary.open("xb") as target:
            fcntl.ioctl(target.fileno(), FICLONE, source.fileno())
        shutil.copystat(path, temporary)
    except OSError as error:
        if error.errno in (errno.EOPNOTSUPP, errno.ENOTTY, errno.EINVAL, errno.EXDEV):
            raise Cannot("its file system has no reflinks, or its keeper lies on another one") from error
        raise


def _unlinked(path: Path, act: Act) -> bool:
    """A file of its own again, with its keeper's bytes, which are its own."""
    _path(act["temporary"]).unlink(missing_ok=True)
    keeper = _path(act["keeper"])
    if is_whole(path, act) and not (keeper.exists() and path.samefile(keeper)):
        return False
    if not is_whole(keeper, act):
        raise Cannot(f"its keeper {keeper} does not hold its bytes any more")
    if os.path.lexists(path) and not (path.exists() and path.samefile(keeper)):
        raise Cannot("another file has its name now")
    temporary = _temporary(path)
    try:
        shutil.copyfile(keeper, temporary)
        _give(temporary, *(act.get("owner") or []))
        for name, value in (act.get("attributes") or {}).items():
            with contextlib.suppress(OSError, AttributeError):
                os.setxattr(temporary, bytes.fromhex(name), bytes.fromhex(value))
        temporary.chmod(act["mode"] & 0o7777)
        os.utime(temporary, ns=(act["mtime_ns"], act["mtime_ns"]))
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return True
