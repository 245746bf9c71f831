"""Expand the patterns of inputs.

Patterns are brace ranges such as {000..099}, alternatives such as {a,b}, and globs with *, ? or [."""

from __future__ import annotations

import glob
import math
import os
import re
from collections.abc import Iterator

from pipeline.store.backends.locations import absolute, protocol_of

BRACES = re.compile(r"\{(?:(\d+)\.\.(\d+)|([^{}]*,[^{}]*))\}")
MAGIC = re.compile(r"[*?\[]")
MOST = 1_000_000
"""Greatest number of inputs that one pattern may name."""


def has_pattern(text: str) -> bool:
    """Return whether a text may name several inputs."""
    return bool(BRACES.search(text) or MAGIC.search(text))


def expanded(text: str) -> list[str]:
    """Return the inputs that a text names, in order.

    The text itself is returned if a file has this name, if nothing matches, or if the pattern names more than MOST
    inputs. Globs in URLs are expanded later, when the store lists the files."""
    local = protocol_of(text) is None
    if not has_pattern(text) or (local and os.path.lexists(absolute(text))):
        return [text]
    if math.prod(_number(match) for match in BRACES.finditer(text)) > MOST:
        return [text]
    found: list[str] = []
    for name in _braces(text):
        globbed = glob.glob(absolute(name), recursive=True) if local and MAGIC.search(name) else []
        found += sorted(globbed, key=os.fsencode) or [name]
        if len(found) > MOST:
            return [text]
    return list(dict.fromkeys(found))


def _number(match: re.Match[str]) -> int:
    """Return how many names a pair of braces stands for."""
    first, last, words = match.groups()
    return words.count(",") + 1 if words is not None else abs(int(last) - int(first)) + 1


def _braces(text: str) -> Iterator[str]:
    match = BRACES.search(text)
    if match is None:
        yield text
        return
    first, last, words = match.groups()
    if words is not None:
        choices: Iterator[str] = iter(words.split(","))
    else:
        low, high = int(first), int(last)
        width = max(len(first), len(last)) if first.startswith("0") or last.startswith("0") else 0
        step = 1 if low <= high else -1
        choices = (f"{number:0{width}d}" for number in range(low, high + step, step))
    for choice in choices:
        yield from _braces(f"{text[: match.start()]}{choice}{text[match.end() :]}")
