"""Convert colours to sRGB by the ICC profile that an image carries.

It is done before the image is scaled down, since colours outside sRGB are cut off: averages of what is cut off are not
cut-off averages, and a saturated picture would be off by an MSE of some 80. `decode: fast` converts at four times the
thumbnail's size, which is near enough and a hundred times less to do."""

from __future__ import annotations

import functools
import io
from collections.abc import Callable
from typing import TypeAlias

from PIL import Image, ImageCms

Conversion: TypeAlias = Callable[[Image.Image], Image.Image]
"""From a picture in the image's own colours (L, RGB, RGBA or CMYK) to one in sRGB; alpha stays."""

FLAGS = ImageCms.Flags.BLACKPOINTCOMPENSATION | ImageCms.Flags.NOCACHE
"""NOCACHE: several threads may use one transformation."""
SPACES = {"RGB": ("RGB", "RGBA"), "GRAY": ("L",), "CMYK": ("CMYK",)}
"""Modes that a profile of each colour space is about."""
LEVELS = (0, 51, 102, 153, 204, 255)
NEAR = 2
"""A profile that moves no value of a lattice of colours by more than this is sRGB under some name."""


def conversion_of(image: Image.Image) -> tuple[Conversion | None, str]:
    """How the colours of an image become sRGB, or None where they are; and a note on a profile that can't be used."""
    profile = image.info.get("icc_profile")
    if not isinstance(profile, bytes) or not profile:
        return None, ""
    return _conversion(profile)


@functools.lru_cache(maxsize=32)
def _conversion(profile: bytes) -> tuple[Conversion | None, str]:
    try:
        opened = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        space = opened.profile.xcolor_space.strip()
        modes = SPACES[space]
        transform = functools.lru_cache(maxsize=4)(functools.partial(_transform, opened))
        transform(modes[0])
        convert = functools.partial(_converted, transform)
        if space == "RGB" and _is_srgb(convert):
            return None, ""
    except (ImageCms.PyCMSError, OSError, KeyError, ValueError, TypeError):
        return None, "its colour profile can't be used: colours are taken as they are"
    return convert, ""


def _transform(profile: ImageCms.ImageCmsProfile, mode: str) -> ImageCms.ImageCmsTransform:
    out = mode if mode in ("RGBA", "RGB") else "RGB"
    return ImageCms.buildTransform(
        profile,
        ImageCms.createProfile("sRGB"),
        mode,
        out,
        renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
        flags=FLAGS,
    )


def _converted(transform: Callable[[str], ImageCms.ImageCmsTransform], image: Image.Image) -> Image.Image:
    """The picture in sRGB; as it is where the profile is about other colours than it has."""
    try:
        return ImageCms.applyTransform(image, transform(image.mode)) or image
    except (ImageCms.PyCMSError, ValueError):
        return image


def _is_srgb(convert: Conversion) -> bool:
    lattice = Image.new("RGB", (len(LEVELS) ** 3, 1))
    lattice.putdata([(red, green, blue) for red in LEVELS for green in LEVELS for blue in LEVELS])
    pairs = zip(lattice.tobytes(), convert(lattice).tobytes(), strict=True)
    return all(abs(before - after) <= NEAR for before, after in pairs)
