"""List the image formats that this installation reads, and missing libraries."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pipeline.cli.command import Command
from pipeline.cli.parameters import JSON
from pipeline.machine.installation import install_extra
from pipeline.messages.say import answer

if TYPE_CHECKING:
    from stages.decoding.formats.registry import Format


def formats(as_json: bool) -> int:
    """Print the formats, and return the exit code."""
    return answer(as_json, rows(), lines())


def lines() -> Iterator[str]:
    """Yield a line per format; then the command that installs missing libraries."""
    from stages.decoding.formats.registry import FORMATS

    for format in FORMATS:
        yield f"{format.name:<11} {_reader(format):<45} {' '.join(format.endings)}"
    if extras := list(dict.fromkeys(format.extra for format in FORMATS if format.extra and not format.version)):
        yield f"to add extras: {install_extra(*extras)}"


def rows() -> list[dict[str, object]]:
    """Return the formats as JSON data, with commands that install missing libraries."""
    from stages.decoding.formats.registry import FORMATS

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


COMMAND = Command(
    "formats",
    "set up",
    does="list the image formats that this installation reads",
    help="List the image formats, the library that reads each of them, and their file name endings; at the end the "
    "command that installs what is missing.",
    examples={"fast-diff formats": "a table", "fast-diff formats --json": "for a script"},
    arguments=(JSON,),
    function=formats,
)
