"""Which formats this installation reads, and what it lacks."""

from __future__ import annotations

from collections.abc import Iterator

from pipeline.installation import install_extra
from stages.decoding.formats import FORMATS, Format


def lines() -> Iterator[str]:
    """A line per format: its name, endings, and who reads it; and in the end the command that adds what is missing."""
    for format in FORMATS:
        yield f"{format.name:<11} {_reader(format):<45} {' '.join(format.endings)}"
    if extras := list(dict.fromkeys(format.extra for format in FORMATS if format.extra and not format.version)):
        yield f"to add extras: {install_extra(*extras)}"


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
    if format.version:
        return f"{format.library} {format.version}"
    return f"missing: the extra {format.extra}" if format.extra else f"missing: {_install(format)}"


def _install(format: Format) -> str:
    return install_extra(format.extra) if format.extra else f"a build of Pillow with {format.feature}"
