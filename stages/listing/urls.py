"""Find the files below a URL with one listing by fsspec and the same rules as in folders."""

from __future__ import annotations

import errno
from dataclasses import replace
from typing import NamedTuple

from pipeline.store.backends.locations import protocol_of
from pipeline.store.backends.retries import retried
from pipeline.store.backends.storage import Entry, entry_of, opened
from stages.decoding.reading import read_url
from stages.listing.companions import FoundCompanions
from stages.listing.layouts import STATS, remote_files
from stages.listing.patterns import MAGIC
from stages.listing.rules import ListingRules


class Stat(NamedTuple):
    """Size and times of a remote file, named as in `os.stat`."""

    st_size: int
    st_mtime_ns: int
    st_ctime_ns: int


class Listed(NamedTuple):
    """A file below a URL.

    stamp  a file with an equal stamp counts as unchanged"""

    url: bytes
    stat: Stat
    stamp: str


def is_url(path: bytes | str) -> bool:
    """Return whether an image's name is a URL; local paths are absolute."""
    return path[:1] not in (b"/", "/") and protocol_of(path if isinstance(path, str) else path.decode()) is not None


def exists(root: str) -> bool:
    """Return whether anything exists under a URL, or matches a glob.

    Raises:
        OSError: the store reports an error."""
    system, path = opened(root)
    try:  # s3fs's `exists` returns False for a bucket on any error
        retried(lambda: system.info(path), root)
    except FileNotFoundError:
        return MAGIC.search(path) is not None and bool(retried(lambda: system.glob(path), root))
    return True


def find_urls(root: str, rules: ListingRules, companions: FoundCompanions | None = None) -> list[Listed]:
    """Return the files below a URL, the file at the URL, or the matches of a glob.

    companions  receives the companions among the files

    Raises:
        OSError: the URL can't be listed, or nothing exists under the URL."""
    system, path = opened(root)
    depth = None if rules.recursive else 1
    about = retried(lambda: system.find(path, maxdepth=depth, detail=True), root)
    top = path.rstrip("/")
    if set(about) == {top}:
        entry = entry_of(about[top] or retried(lambda: system.info(top), root))
        return [_listed(root, entry)]
    if not about and MAGIC.search(path):
        found = retried(lambda: system.glob(path, detail=True), root)
        before = root.removesuffix(path)
        return [_listed(f"{before}{name}", entry_of(each)) for name, each in found.items() if each["type"] == "file"]
    if not about and not exists(root):
        raise OSError(errno.ENOENT, "nothing exists under this URL", root)
    below = {
        name.removeprefix(f"{top}/"): each
        for name, each in about.items()
        if name.startswith(f"{top}/") and not name.endswith("/") and each.get("type") != "directory"
    }
    files = remote_files(below, lambda name: read_url(f"{root}/{name}")[0])
    if files is not None:
        return [_listed(f"{root}/{name}", entry_of(below[name])) for name in files if name in below]
    if any(STATS.fullmatch(name.encode()) for name in below):
        rules = replace(rules, archives=True)
    wanted = rules.below(root.encode())
    images = [name for name in below if name and wanted(name.encode())]
    if companions:
        companions.add_below(root.encode(), map(str.encode, images), map(str.encode, below))
    return [_listed(f"{root}/{name}", entry_of(below[name])) for name in images]


def _listed(url: str, entry: Entry) -> Listed:
    stamp = entry.tag or str(entry.mtime_ns)
    return Listed(url.encode(), Stat(entry.size, entry.mtime_ns, entry.mtime_ns), stamp)
