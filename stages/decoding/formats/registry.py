"""List the formats that can be read, and the library that reads each format.

Every run imports this module, so only functions import Pillow."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePath

from pipeline.machine.installation import version_of
from stages.decoding import problems
from stages.decoding.problems import Unreadable


@dataclass(frozen=True)
class Format:
    """An image format, under the name that users know.

    endings  endings of file names by which the scan finds the format
    pillow   Pillow's names of the format, after importing `module`
    feature  Pillow feature that a build of Pillow may lack
    extra    extra of this distribution that installs `library`, unless Pillow reads the format
    library  distribution that reads the format"""

    name: str
    endings: tuple[str, ...]
    pillow: tuple[str, ...]
    feature: str = ""
    extra: str = ""
    library: str = "Pillow"
    module: str = "PIL"

    @property
    def version(self) -> str | None:
        """Return the version of the format's library.

        Returns None if the library is missing, or was built without the feature."""
        import PIL
        from PIL import features

        if self.feature and not features.check(self.feature):
            return None
        return PIL.__version__ if self.library == "Pillow" else version_of(self.library)

    @property
    def decoder(self) -> str:
        """Return the library and its version, as recorded in the rows of images."""
        return f"{self.library} {self.version or 'missing'}"


def _format(name: str, endings: str, pillow: str, **more: str) -> Format:
    return Format(name, tuple(endings.split()), tuple(pillow.split()), **more)


HEIC = _format("HEIC", ".heic .heics .heif .hif", "HEIF", extra="heic", library="pillow-heif", module="pillow_heif")
JPEG_XL = _format("JPEG XL", ".jxl", "JXL", extra="jxl", library="pillow-jxl-plugin", module="pillow_jxl")
RAW = _format(
    "camera RAW",
    ".3fr .arw .cr2 .cr3 .crw .dng .erf .iiq .kdc .mef .mrw .nef .nrw .orf .pef .raf .rw2 .rwl .sr2 .srf .srw .x3f",
    "",
    extra="raw",
    library="rawpy",
    module="rawpy",
)
FORMATS = (
    _format("JPEG", ".jpg .jpeg .jpe .jfif .mpo", "JPEG MPO"),
    _format("PNG", ".png .apng", "PNG"),
    _format("GIF", ".gif", "GIF"),
    _format("WebP", ".webp", "WEBP", feature="webp"),
    _format("TIFF", ".tif .tiff", "TIFF"),
    _format("BMP", ".bmp .dib", "BMP DIB"),
    _format("AVIF", ".avif .avifs", "AVIF", feature="avif"),
    HEIC,
    JPEG_XL,
    _format("JPEG 2000", ".jp2 .j2k .j2c .jpc .jpf .jpx", "JPEG2000", feature="jpg_2000"),
    RAW,
    _format("PSD", ".psd", "PSD"),
    _format("ICO", ".ico .cur", "ICO CUR"),
    _format("TGA", ".tga", "TGA"),
    _format("Netpbm", ".pbm .pgm .ppm .pnm .pfm", "PPM"),
    _format("DDS", ".dds", "DDS"),
    _format("PCX", ".pcx", "PCX"),
    _format("SGI", ".sgi", "SGI"),
    _format("QOI", ".qoi", "QOI"),
    _format("XBM", ".xbm", "XBM"),
    _format("XPM", ".xpm", "XPM"),
)
EXTRAS = (*dict.fromkeys(format.library for format in FORMATS if format.extra), "imagecodecs", "tifffile")
"""Distributions that read rare formats: a new version changes only the rows of images in these formats."""
LOSSLESS = frozenset({"PNG", "TIFF", "BMP", "DIB", "PPM", "TGA", "QOI", "SGI", "PCX"})
"""Formats that store every pixel exactly."""
HEIC_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"})
JXL_STARTS = (b"\xff\x0a", b"\0\0\0\x0cJXL \r\n\x87\n")


class PluginBroken(Exception):
    """Signal that a module of `thumbnail.plugins` can't be imported; the message says why."""


def import_plugins(modules: Sequence[str]) -> None:
    """Import modules that register formats with Pillow (`thumbnail.plugins`).

    Raises:
        PluginBroken: a module can't be imported."""
    from PIL import Image

    Image.init()
    before = set(Image.ID)
    for module in modules:
        try:
            importlib.import_module(module)
        except ModuleNotFoundError as error:
            missing = module if error.name == module else f"{module}: the required module {error.name}"
            raise PluginBroken(f"{missing} is not installed on this machine") from error
        except (Exception, SystemExit) as error:  # user code may raise anything
            what = " ".join(f"{type(error).__name__}: {error}".split())[:200]
            raise PluginBroken(f"{module} can't be imported ({what})") from error
    _plugged.update(dict.fromkeys(name for name in Image.ID if name not in before))


_plugged: dict[str, None] = {}
"""Formats that plugins have registered, in order of registration."""


def ending_of(name: bytes) -> str:
    """Return the ending of a file's name, in lower case."""
    return PurePath(name.decode("latin-1")).suffix.lower()


def names_for(data: bytes) -> list[str]:
    """Return the names of Pillow's formats to try for these bytes."""
    for format in (HEIC, JPEG_XL):
        if _looks_like(format, data):
            if not format.version:
                raise Unreadable(problems.needs(format.name, format.extra), format.decoder)
            _register(format)
            return list(format.pillow)
    return [*_own(), *_plugged]


@functools.cache
def _own() -> tuple[str, ...]:
    """Return Pillow's names of the formats in FORMATS that this build of Pillow can open."""
    from PIL import Image

    Image.init()
    return tuple(name for format in FORMATS if not format.extra for name in format.pillow if name in Image.OPEN)


def _looks_like(format: Format, data: bytes) -> bool:
    if format is JPEG_XL:
        return data.startswith(JXL_STARTS)
    # an AVIF may also have a HEIF brand
    return data[4:8] == b"ftyp" and data[8:12] in HEIC_BRANDS and b"avif" not in data[16:64]


@functools.cache
def _register(format: Format) -> None:
    module = importlib.import_module(format.module)
    if format is HEIC:
        module.register_heif_opener()
    else:
        module.JpegXLImagePlugin.DECODE_THREADS = 0  # lanes run in parallel already
