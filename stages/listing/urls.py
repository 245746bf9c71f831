"""Find the files below a URL: one listing by fsspec, with the rules for folders."""

from __future__ import annotations

import errno
from typing import NamedTuple

from pipeline.store.backends.locations import protocol_of
from pipeline.store.backends.retries import retried
from pipeline.store.backends.storage import Entry, entry_of, opened
from stages.listing.rules import ListingRules


class Stat(NamedTuple):
    """A listing's facts about a file, with the names of `os.stat`."""

    st_size: int
    st_mtime_ns: int
    st_ctime_ns: int


class Listed(NamedTuple):
    """A file below a URL.

    stamp  must stay equal for the file to count as unchanged"""

    url: bytes
    stat: Stat
    stamp: str


def is_url(path: bytes | str) -> bool:
    """Return whether an image's name is a URL; local paths are absolute."""
    return path[:1] not in (b"/", "/") and protocol_of(path if isinstance(path, str) else path.decode()) is not None


def exists(root: str) -> bool:
    """Return whether anything exists under a URL.

    Raises:
        OSError: the store reports an error."""
    system, path = opened(root)
    try:  # s3fs's `exists` returns False for a bucket on any error
        retried(lambda: system.info(path), root)
    except FileNotFoundError:
        return False
    return True


def find_urls(root: str, rules: ListingRules) -> list[Listed]:
    """Return the files below a URL, or the file under the URL itself.

    Raises:
        OSError: the URL can't be listed, or nothing exists under the URL."""
    system, path = opened(root)
    depth = None if rules.recursive else 1
    about = retried(lambda: system.find(path, maxdepth=depth, detail=True), root)
    top = path.rstrip("/")
    if set(about) == {top}:
        entry = entry_of(about[top] or retried(lambda: system.info(top), root))
        return [_listed(root, entry)]
    if not about and not exists(root):
        raise OSError(errno.ENOENT, "nothing exists under this URL", root)
    wanted = rules.below(root.encode())
    found = ((name.removeprefix(f"{top}/"), each) for name, each in about.items() if name.startswith(f"{top}/"))
    return [
        _listed(f"{root}/{name}", entry_of(each))
        for name, each in found
        if name and not name.endswith("/") and each.get("type") != "directory" and wanted(name.encode())
    ]


def _listed(url: str, entry: Entry) -> Listed:
    stamp = entry.tag or str(entry.mtime_ns)
    return Listed(url.encode(), Stat(entry.size, entry.mtime_ns, entry.mtime_ns), stamp)
