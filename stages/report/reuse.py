"""Draw only charts that differ from those of the last report: each file ends with a digest of its data."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from pipeline.machine import side_process
from stages.report import charts

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PDF = b"%PDF"


def mark_of(version: str, chart: Callable[..., Figure], *arguments: Any) -> str:
    """Return a digest of what determines a chart: the function, its arguments, and the version of the code.

    Arguments are JSON values, mappings and NumPy arrays."""
    plain = json.dumps([version, chart.__name__, *arguments], default=lambda value: value.tolist())
    return hashlib.sha256(plain.encode()).hexdigest()


def marked(picture: bytes, mark: str) -> bytes:
    """Return an SVG or PDF with a last line, a comment, that holds the mark and a digest of the picture."""
    said = f"{mark} {hashlib.sha256(picture).hexdigest()}"
    return picture + (f"% {said}\n" if picture.startswith(PDF) else f"<!-- {said} -->\n").encode()


def is_marked(data: bytes, mark: str) -> bool:
    """Return whether a picture is whole, and has this mark."""
    begins = data.rfind(b"% " if data.startswith(PDF) else b"<!--")
    return begins > 0 and data == marked(data[:begins], mark)


def draw(
    adopt: Callable[[str, Callable[[bytes], bool]], bool],
    names: Sequence[str],
    version: str,
    chart: Callable[..., Figure],
    *arguments: Any,
) -> Callable[[], list[bytes] | None]:
    """Begin to draw a chart; return a function that waits for the forms of the chart.

    adopt  `Job.adopt`
    names  names of the chart's files, for light and for dark pages, and of a PDF if one is wanted

    The function returns None where all files could be adopted, since they were drawn from the same arguments."""
    mark = mark_of(version, chart, *arguments)
    if all(adopt(name, functools.partial(is_marked, mark=mark)) for name in names):
        return lambda: None
    pictures = side_process.submit(charts.forms, names[-1].endswith(".pdf"), chart, *arguments)
    return lambda: [marked(picture, mark) for picture in pictures()]
