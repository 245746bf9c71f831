"""Find the image or the folder that a user typed."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from pathlib import Path

from pipeline.messages.errors import ConfigError
from pipeline.messages.words import counted
from pipeline.store.backends.locations import at_home, canonical, protocol_of
from stages.comparing.text import one_line
from stages.listing.path_text import show


def image_named(typed: str, known: Collection[str]) -> str:
    """Return the image of `known` that a user typed.

    The text is a relative path, a path from ~, a URL, a name as `fast-diff show` prints it, with control characters
    escaped, or the end of the path of a single image. Raises ConfigError."""
    return _named(typed, known, "an image of this run", "a path as `fast-diff show RUN --verbose` prints it")


def folder_named(typed: str, images: Collection[str]) -> str:
    """Return the folder that a user typed, with some of `images` below.

    See `image_named`. Raises ConfigError."""
    known: set[str] = set()
    for folder in {path.rpartition("/")[0] for path in images}:
        while folder not in known:
            known.add(folder)
            folder = folder.rpartition("/")[0]
    found = _named(
        typed, known | {"/"}, "a folder with images of this run", "a folder as `fast-diff folders` prints it"
    )
    return found.rstrip("/")


def _named(typed: str, known: Collection[str], kind: str, expected: str) -> str:
    text = show(os.fsencode(typed))
    found = next((name for name in _meant(text) if name in known), None)
    found = found or next((path for path in known if one_line(path) == text), None)
    if found is not None:
        return found
    end = f"/{text.strip('/')}"
    ends = sorted(path for path in known if path.endswith(end) or one_line(path).endswith(end))
    if len(ends) > 1:
        some = f"{one_line(ends[0])} and {one_line(ends[1])}"
        raise ConfigError(
            f"{one_line(typed)} is the end of {counted(len(ends), 'path')}, such as {some}; type more of it"
        )
    if not ends or end == "/":
        raise ConfigError(f"{one_line(typed)} is not {kind}; expected {expected}, or the end of one")
    return ends[0]


def _meant(text: str) -> Iterator[str]:
    """Yield the paths that a text may name."""
    yield text if protocol_of(text) else os.path.normpath(Path.cwd() / at_home(text))
    yield text
    yield canonical(text)
