"""Check the inputs before anything runs."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from stat import S_ISDIR

from pipeline.stage import Settings
from stages.listing.urls import exists, is_url


def check(params: object, settings: Settings) -> Iterator[str]:
    """Yield the problems of inputs that do not exist, or that lead into other inputs."""
    for name in ("a", "b"):
        for number, root in enumerate(settings(f"inputs.{name}")):
            try:
                there = exists(root) if is_url(root) else Path(root).exists()
            except OSError as error:
                yield f"inputs.{name}[{number}]: {root} can't be read ({error.strerror or error})"
            else:
                if not there:
                    expected = "a folder, an image, a container, a list, or a pattern that matches files or folders"
                    yield f"inputs.{name}[{number}]: {root} does not exist; expected {expected}"
    yield from _inputs_twice(settings)


def _inputs_twice(settings: Settings) -> Iterator[str]:
    """Yield a problem for each input that leads into another input through a link.

    Without this check, files would be compared with themselves. An input whose path lies below another input is valid:
    each of its files counts once."""
    roots = [(f"inputs.{name}", root) for name in ("a", "b") for root in settings(f"inputs.{name}") if not is_url(root)]
    leads = {root: os.path.realpath(root) for _, root in roots}
    led = {_folder(leads[root]): (key, root) for key, root in sorted(roots, key=lambda each: leads[each[1]] == each[1])}
    for key, root in roots:
        for place in (leads[root], *map(str, Path(leads[root]).parents)):
            other_key, other = led.get(_folder(place), (key, root))
            if not f"{root.rstrip('/')}/".startswith(f"{other.rstrip('/')}/"):
                yield f"{key}: {root} leads to {leads[root]}, which is also in {other_key} as {other}; remove one"
                break


def _folder(path: str) -> str | tuple[int, ...]:
    """Return an identity of a folder that is the same under all paths of the folder; for a file, the path.

    A folder may be mounted under two paths. The identity includes times, since some systems number folders
    unreliably."""
    with contextlib.suppress(OSError, ValueError):
        stat = os.stat(path)  # raises ValueError for a name with NUL
        if S_ISDIR(stat.st_mode):
            return stat.st_dev, stat.st_ino, stat.st_mtime_ns, stat.st_ctime_ns
    return path
