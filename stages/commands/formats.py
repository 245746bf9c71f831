"""Which formats this installation reads, and what it lacks."""

from __future__ import annotations

from collections.abc import Iterator

from pipeline.machine.installation import install_extra
from stages.decoding.formats.registry import FORMATS, Format


def lines() -> Iterator[str]:
    """Yield a line per format with name, library and endings; then the command that installs missing libraries."""
    for format in FORMATS:
        yield f"{format.name:<11} {_reader(format):<45} {' '.join(format.endings)}"
    if extras := list(dict.fromkeys(format.extra for format in FORMATS if format.extra and not format.version)):
        yield f"to add extras: {install_extra(*extras)}"


def rows() -> list[dict[str, object]]:
    """Return the formats as JSON data, with the command that installs a missing library."""
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
