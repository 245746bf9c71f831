"""Compute the path of each result: the path of its source, relative to the innermost folder that holds all inputs."""

from __future__ import annotations

import os
from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path

ESCAPED = {b"": b"%2F", b".": b"%2E", b"..": b"%2E%2E"}
"""Replacements for parts of a URL that would have a special meaning in a path."""


def parts(name: bytes) -> list[bytes]:
    """Return the parts of an absolute path or of a URL; the first part of a URL is its protocol."""
    if name.startswith(b"/"):
        return [part for part in name.split(b"/") if part]
    protocol, _, rest = name.partition(b"://")
    return [protocol + b":", *(ESCAPED.get(part, part) for part in rest.split(b"/"))]


class ResultPaths:
    """Paths of results below the target folder.

    folders  the folders of all inputs"""

    def __init__(self, folders: Sequence[bytes]) -> None:
        shared = zip(*map(parts, folders), strict=False)
        self._shared = len(list(takewhile(lambda each: len(set(each)) == 1, shared)))

    def path(self, name: bytes) -> Path:
        """Return the path of a result, relative to the target folder."""
        return Path(*map(os.fsdecode, parts(name)[self._shared :]))
