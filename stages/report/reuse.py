"""Draw only charts that differ from the charts of the last report.

Each file of a chart ends with a digest of everything that determines the chart."""

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
    """Return a digest of the function that draws a chart, of its arguments, and of the version of the code.

    Arguments are JSON values, mappings and NumPy arrays."""
    plain = json.dumps([version, chart.__name__, *arguments], default=lambda value: value.tolist())
    return hashlib.sha256(plain.encode()).hexdigest()


def marked(picture: bytes, mark: str) -> bytes:
    """Return an SVG or PDF with an added last line: a comment with the mark, and a digest of the picture."""
    comment = f"{mark} {hashlib.sha256(picture).hexdigest()}"
    return picture + (f"% {comment}\n" if picture.startswith(PDF) else f"<!-- {comment} -->\n").encode()


def is_marked(data: bytes, mark: str) -> bool:
    """Return whether a picture is undamaged, and has the given mark."""
    begins = data.rfind(b"% " if data.startswith(PDF) else b"<!--")
    return begins > 0 and data == marked(data[:begins], mark)


def draw(
    adopt: Callable[[str, Callable[[bytes], bool]], bool],
    names: Sequence[str],
    version: str,
    chart: Callable[..., Figure],
    *arguments: Any,
) -> Callable[[], list[bytes] | None]:
    """Begin to draw a chart; return a function that waits for the chart's files, and returns their content.

    adopt  see `Job.adopt`
    names  names of the chart's files: for light pages, for dark pages, and of the PDF, if a PDF is wanted

    The returned function returns None if all files of the last report have this chart's mark and were adopted."""
    mark = mark_of(version, chart, *arguments)
    if all(adopt(name, functools.partial(is_marked, mark=mark)) for name in names):
        return lambda: None
    pictures = side_process.submit(charts.forms, names[-1].endswith(".pdf"), chart, *arguments)
    return lambda: [marked(picture, mark) for picture in pictures()]
