"""Draw only charts that differ from those of the last report: each SVG ends with a digest of its data."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Callable, Sequence
from typing import Any

from pipeline.machine import side_process
from stages.report import charts


def mark_of(version: str, chart: Callable[..., bytes], *arguments: Any) -> str:
    """Return a digest of what determines a chart: the function, its arguments, and the version of the code.

    Arguments are JSON values, mappings and NumPy arrays."""
    plain = json.dumps([version, chart.__name__, *arguments], default=lambda value: value.tolist())
    return hashlib.sha256(plain.encode()).hexdigest()


def marked(picture: bytes, mark: str) -> bytes:
    """Return an SVG with a last line that holds the mark, and a digest of the SVG."""
    return picture + f"<!-- {mark} {hashlib.sha256(picture).hexdigest()} -->\n".encode()


def is_marked(data: bytes, mark: str) -> bool:
    """Return whether an SVG is whole, and has this mark."""
    picture, _, _ = data.rpartition(b"<!--")
    return bool(picture) and data == marked(picture, mark)


def draw(
    adopt: Callable[[str, Callable[[bytes], bool]], bool],
    names: Sequence[str],
    version: str,
    chart: Callable[..., bytes],
    *arguments: Any,
) -> Callable[[], tuple[bytes, bytes] | None]:
    """Begin to draw a chart; return a function that waits for the chart's light and dark form.

    adopt  `Job.adopt`
    names  names of the chart's files, for light and for dark pages

    The function returns None where both files could be adopted, since they were drawn from the same arguments."""
    mark = mark_of(version, chart, *arguments)
    if all(adopt(name, functools.partial(is_marked, mark=mark)) for name in names):
        return lambda: None
    picture = side_process.submit(chart, *arguments)

    def forms() -> tuple[bytes, bytes]:
        light, dark = charts.both(picture())
        return marked(light, mark), marked(dark, mark)

    return forms
