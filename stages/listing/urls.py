"""Find the files below a URL: one listing by fsspec, under the same rules as in folders."""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import NamedTuple

from pipeline.store.backends.locations import protocol_of
from pipeline.store.backends.storage import Entry, entry_of, opened, retried
from stages.listing.rules import Named, Rules


class Stat(NamedTuple):
    """What a listing tells of a file, by the names that `os.stat` has for it."""

    st_size: int
    st_mtime_ns: int
    st_ctime_ns: int


class Listed(NamedTuple):
    """A file below a URL: its own URL, and what must stay equal for it to count as unchanged."""

    url: bytes
    stat: Stat
    stamp: str


def is_url(path: bytes | str) -> bool:
    """Whether an image's name is a URL; paths of this machine are absolute."""
    return path[:1] not in (b"/", "/") and protocol_of(path if isinstance(path, str) else path.decode()) is not None


def exists(root: str) -> bool:
    """Whether there is anything under a URL. Raises OSError."""
    system, path = opened(root)
    try:  # `exists` of s3fs says no of a bucket, whatever went wrong
        retried(lambda: system.info(path), root)
    except FileNotFoundError:
        return False
    return True


def find_urls(root: str, rules: Rules) -> list[Listed]:
    """Files below a URL, or the one that it names itself. Raises OSError where it can't be listed, or names nothing."""
    system, path = opened(root)
    depth = None if rules.recursive else 1
    about = retried(lambda: system.find(path, maxdepth=depth, detail=True), root)
    top = path.rstrip("/")
    if set(about) == {top}:
        entry = entry_of(about[top] or retried(lambda: system.info(top), root))
        return [_listed(root, entry)]
    if not about and not exists(root):
        raise OSError(errno.ENOENT, "there is nothing under this URL", root)
    wanted = _wanted(root, rules)
    found = ((name.removeprefix(f"{top}/"), each) for name, each in about.items() if name.startswith(f"{top}/"))
    return [
        _listed(f"{root}/{name}", entry_of(each))
        for name, each in found
        if name and not name.endswith("/") and each.get("type") != "directory" and wanted(name)
    ]


def _listed(url: str, entry: Entry) -> Listed:
    stamp = entry.tag or str(entry.mtime_ns)
    return Listed(url.encode(), Stat(entry.size, entry.mtime_ns, entry.mtime_ns), stamp)


def _wanted(root: str, rules: Rules) -> Callable[[str], bool]:
    """Whether a file counts, by its name below the root; a folder that is left out takes all that is in it along."""
    ignore = rules.ignore()
    left_out: dict[str, bool] = {"": False}

    def out(name: str) -> bool:
        folder, _, last = name.rpartition("/")
        if folder not in left_out:
            left_out[folder] = out(folder)
        return left_out[folder] or bool(ignore and ignore(Named(last.encode(), f"{root}/{name}".encode())))

    return lambda name: rules.wanted(name.rpartition("/")[2].encode()) and not out(name)
