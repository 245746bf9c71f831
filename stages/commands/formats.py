"""Which formats this installation reads, and what it lacks."""

from __future__ import annotations

from collections.abc import Iterator

from stages.decoding.formats import FORMATS, Format


def lines() -> Iterator[str]:
    """A line per format: its name, endings, and who reads it or what to install."""
    for format in FORMATS:
        yield f"{format.name:<11} {_reader(format):<45} {' '.join(format.endings)}"


def rows() -> list[dict[str, object]]:
    """The same for machines."""
    return [
        {
            "format": format.name,
            "endings": list(format.endings),
            "library": format.library,
            "version": format.version,
            "install": None if format.version else _install(format),
        }
        for format in FORMATS
    ]


def _reader(format: Format) -> str:
    return f"{format.library} {format.version}" if format.version else f"missing: {_install(format)}"


def _install(format: Format) -> str:
    if format.extra:
        return f"pip install 'fast-diff-dask[{format.extra}]'"
    return f"a build of Pillow with {format.feature}"
