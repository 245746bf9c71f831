"""Read metadata of files, and write XMP sidecars, with exiftool.

exiftool gets the files as links in a temporary folder: no file name can be mistaken for an option, and exiftool writes
nothing beside files of the user."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.messages.errors import ConfigError
from stages.commands.apply.acts.errors import ActRefused

PROGRAM = "exiftool"
SECONDS = 300
"""Timeout in seconds for reading the files of a group, or for writing one sidecar."""
MISSING = (
    "exiftool is not installed; expected the program exiftool on the path. Install it: "
    "apt-get install libimage-exiftool-perl, brew install exiftool, or https://exiftool.org"
)
EMPTY = (
    b"<x:xmpmeta xmlns:x='adobe:ns:meta/'>\n<rdf:RDF xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax-ns#'>\n"
    b"</rdf:RDF>\n</x:xmpmeta>\n"
)
UNKNOWN = ("Unknown file type", "File format error", "File is empty")
"""Errors of exiftool for files that can't hold metadata."""
TAGS = (
    *("XMP-dc:Description", "XMP-dc:Subject", "XMP-xmp:Rating", "XMP-iptcExt:PersonInImage"),
    *("XMP-mwg-rs:RegionName", "XMP-MP:RegionPersonDisplayName", "IPTC:Caption-Abstract", "IPTC:Keywords"),
    *("EXIF:ImageDescription", "EXIF:Rating", "EXIF:XPKeywords", "EXIF:XPTitle", "EXIF:DateTimeOriginal"),
    *("XMP-exif:DateTimeOriginal", "XMP-photoshop:DateCreated", "Composite:GPSLatitude", "Composite:GPSLongitude"),
    *("XMP-exif:GPSLatitude", "XMP-exif:GPSLongitude", "XMP-exif:GPSAltitude", "GPS:GPSAltitude"),
    *("GPS:GPSAltitudeRef", "ExifTool:Error"),
)
"""Tags that are read, with their groups."""


def check_installed() -> None:
    """Raise ConfigError where exiftool is missing."""
    if not is_installed():
        raise ConfigError(f"--merge-metadata: {MISSING}")


def is_installed() -> bool:
    """Return whether exiftool is on the path."""
    return shutil.which(PROGRAM) is not None


def read(paths: Sequence[Path]) -> list[Mapping[str, Any]]:
    """Return the tags of each file, by group and name.

    Raises ActRefused where exiftool fails."""
    if not paths:
        return []
    with tempfile.TemporaryDirectory(prefix="fast-diff-") as made:
        folder = Path(made)
        names = [f"{number}{_ending(path)}" for number, path in enumerate(paths)]
        for name, path in zip(names, paths, strict=True):
            (folder / name).symlink_to(path)
        (folder / "names").write_text("".join(f"{name}\n" for name in names))
        tags = [f"-{tag}" for tag in TAGS]
        output = _run(["-json", "-n", "-G1", "-a", "-charset", "iptc=utf8", *tags, "-@", "names"], folder, (0, 1))
    try:
        every = json.loads(output or "[]", parse_int=str, parse_float=str, parse_constant=str)  # no rounding
        found = {each.pop("SourceFile"): each for each in every}
    except (ValueError, KeyError, AttributeError) as error:
        raise ActRefused("exiftool gives no JSON") from error
    return [found.get(name, {"ExifTool:Error": "the file can't be read"}) for name in names]


def written(before: bytes | None, tags: Mapping[str, Any]) -> bytes:
    """Return a sidecar with new values of `tags`; other content stays.

    Raises ActRefused where exiftool fails."""
    with tempfile.TemporaryDirectory(prefix="fast-diff-") as made:
        folder = Path(made)
        (folder / "old.xmp").write_bytes(EMPTY if before is None else before)
        (folder / "tags.json").write_text(json.dumps([{"SourceFile": "*", **tags}]), encoding="utf-8")
        _run(["-n", "-q", "-json=tags.json", "-o", "new.xmp", "old.xmp"], folder, (0,))
        try:
            return (folder / "new.xmp").read_bytes()
        except OSError as error:
            raise ActRefused("exiftool writes no sidecar") from error


def _run(words: Sequence[str], folder: Path, codes: Sequence[int]) -> str:
    """Run exiftool without the user's configuration; return its output."""
    command, around = [PROGRAM, "-config", "", *words], os.environ | {"LC_ALL": "C.UTF-8"}
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, timeout=SECONDS, env=around, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ActRefused(f"exiftool failed ({type(error).__name__})") from error
    if done.returncode not in codes:
        errors = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise ActRefused(f"exiftool failed ({errors[0][:100] if errors else done.returncode})")
    return done.stdout.decode("utf-8", "replace")


def _ending(path: Path) -> str:
    ending = path.suffix
    return ending if ending.isascii() and ending[1:].isalnum() else ""
