"""Read the lens and the colour profile of an image in a separate process, since the bytes may be hostile.

The process runs this module, reads the file's bytes from standard input and writes JSON; limits on memory and time end
the process."""

from __future__ import annotations

import contextlib
import io
import json
import resource
import signal
import subprocess
import sys
from typing import Any

MEMORY = 2 << 30
SECONDS = 10
LETTERS = 100
EXIF, LENS_MAKE, LENS_MODEL = 0x8769, 0xA433, 0xA434


def embedded(data: bytes) -> dict[str, str]:
    """Return lens and colour profile of an encoded image; empty texts where unknown."""
    command = [sys.executable, "-P", "-m", __name__]
    with contextlib.suppress(OSError, subprocess.SubprocessError, ValueError):
        done = subprocess.run(command, input=data, capture_output=True, timeout=2 * SECONDS, check=True)
        found = json.loads(done.stdout)
        return {name: str(found.get(name, "")) for name in ("lens", "ICC")}
    return {"lens": "", "ICC": ""}


def _read(data: bytes) -> dict[str, str]:
    from PIL import Image

    with contextlib.suppress(ImportError):
        import pillow_heif

        pillow_heif.register_heif_opener()
    image = Image.open(io.BytesIO(data))
    exif = image.getexif().get_ifd(EXIF)
    lens = " ".join(_text(exif.get(tag)) for tag in (LENS_MAKE, LENS_MODEL)).strip()
    return {"lens": lens, "ICC": _profile(image.info.get("icc_profile"))}


def _text(value: Any) -> str:
    """Return a field of EXIF as one line."""
    return " ".join("".join(each if each.isprintable() else " " for each in str(value or "")).split())[:LETTERS]


def _profile(data: bytes | None) -> str:
    """Return the description of a colour profile."""
    from PIL import ImageCms

    if not data:
        return ""
    return _text(ImageCms.getProfileDescription(ImageCms.ImageCmsProfile(io.BytesIO(data)))) or "without a name"


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    signal.alarm(SECONDS)
    sys.stdout.write(json.dumps(_read(sys.stdin.buffer.read())))
