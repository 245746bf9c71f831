"""Which formats can be read, and by whom: Pillow itself, or a library that an extra of this distribution brings."""

from __future__ import annotations

import functools
import importlib
import io
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import PurePath
from typing import NamedTuple

import PIL
from PIL import Image, UnidentifiedImageError, features
from PIL.JpegImagePlugin import JpegImageFile, jpeg_factory
from PIL.TiffImagePlugin import BITSPERSAMPLE as BITS
from PIL.TiffImagePlugin import PHOTOMETRIC_INTERPRETATION as PHOTOMETRIC
from PIL.TiffImagePlugin import PLANAR_CONFIGURATION as PLANAR
from PIL.TiffImagePlugin import SAMPLEFORMAT as SAMPLES
from PIL.TiffImagePlugin import TiffImageFile

from stages.decoding import problems
from stages.decoding.formats.jxl import read_head
from stages.decoding.formats.png import open_plain
from stages.decoding.formats.wide import MISSING
from stages.decoding.problems import Problem, Unreadable


@functools.cache
def installed(library: str) -> str | None:
    """Version of a distribution, or None."""
    try:
        return metadata.version(library)
    except metadata.PackageNotFoundError:
        return None


@dataclass(frozen=True)
class Format:
    """A format as users know it.

    `endings` by which the scan finds it; `pillow`: what Pillow calls it, once `module` is imported; `extra` of this
    distribution that brings `library`, where it is not Pillow; `feature` of Pillow that may be missing from a build."""

    name: str
    endings: tuple[str, ...]
    pillow: tuple[str, ...]
    feature: str = ""
    extra: str = ""
    library: str = "Pillow"
    module: str = "PIL"

    @property
    def version(self) -> str | None:
        """Version of the library that reads it; None where that is not installed, or built without."""
        if self.feature and not features.check(self.feature):
            return None
        return PIL.__version__ if self.library == "Pillow" else installed(self.library)

    @property
    def decoder(self) -> str:
        """What stands in the rows of images of this format: the library and its version."""
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
PILLOW = f"Pillow {PIL.__version__}"
TIFF_DECODER = f"tifffile {installed('tifffile')}"
EXTRAS = (*dict.fromkeys(format.library for format in FORMATS if format.extra), "imagecodecs", "tifffile")
"""Distributions that read few images: only the rows of these change with their versions."""
BY_PILLOW = {name: format for format in FORMATS for name in format.pillow}
NO_DATA = 42113
"""The tag in which GDAL says which value stands for missing data."""
HEIC_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"})
JPEG_START = b"\xff\xd8\xff"
JXL_STARTS = (b"\xff\x0a", b"\0\0\0\x0cJXL \r\n\x87\n")
RAW_STARTS = (b"FUJIFILMCCD-RAW", b"IIRO", b"IIRS", b"MMOR", b"IIU\0", b"FOVb", b"\0MRM")
TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
UNREAD_STARTS = (b"8BPS", b"PF\n", b"PF\r", b"PF ")
"""Of kinds of a known format that Pillow does not know: PSD of 16 bits, PFM in colour."""
DRAWING_STARTS = (b"%!PS", b"%PDF", b"\xc5\xd0\xd3\xc6", b"<svg", b"\xd7\xcd\xc6\x9a")


class Opened(NamedTuple):
    """An image that is not decoded yet: `width` and `height` as stored. `turn`: its EXIF orientation, 1 where its
    decoder sets it upright, None where the image is to be asked."""

    image: Image.Image
    width: int
    height: int
    format: str
    mode: str
    decoder: str
    turn: int | None = None


def open_image(data: bytes, name: bytes, max_pixels: int, fast: bool) -> Opened:
    """Open an encoded image by what its bytes are, whatever its name says; a name only tells camera RAW from TIFF.

    A JPEG of more than `max_pixels` is opened if `fast`: at a reduced scale it may have fewer. Raises Unreadable, and
    whatever a decoder raises."""
    if is_raw(data, name) and (raw := _open_raw(data, max_pixels, fast)):
        return raw
    if plain := open_plain(data, max_pixels):
        return Opened(plain, *plain.size, "PNG", plain.mode, PILLOW)
    names = _names(data)
    if names == list(JPEG_XL.pillow):
        return _open_jxl(data, max_pixels)
    try:
        image = _open_jpeg(data) or Image.open(io.BytesIO(data), formats=names)
    except UnidentifiedImageError as error:
        if data.startswith(TIFF_STARTS):
            return _open_tiff(data, max_pixels)
        raise Unreadable(_why_unidentified(data)) from error
    if image.width * image.height > max_pixels and not (fast and isinstance(image, JpegImageFile)):
        raise Unreadable(problems.MANY_PIXELS)
    if isinstance(image, TiffImageFile) and _is_misread(image):
        return _open_tiff(data, max_pixels)
    if isinstance(image, TiffImageFile) and NO_DATA in image.tag_v2:
        image.info[MISSING] = image.tag_v2[NO_DATA]
    if image.format == "TGA" and image.mode == "RGBA" and not data[17] & 15 and not image.getchannel("A").getbbox():
        image.putalpha(255)  # its header knows no alpha, and all of what stands there is 0
    format = image.format or ""
    known = BY_PILLOW.get(format)
    decoder = known.decoder if known and known.extra else PILLOW
    # pillow-heif turns images as the file says
    return Opened(image, *image.size, format, image.mode, decoder, turn=1 if format in HEIC.pillow else None)


def _open_jpeg(data: bytes) -> Image.Image | None:
    """A JPEG of any size, where Pillow has a limit; None where it is none, or such that only a plugin may read it."""
    if not data.startswith(JPEG_START):
        return None
    try:
        return jpeg_factory(io.BytesIO(data))
    except (SyntaxError, IndexError, TypeError, struct.error):
        return None


def is_raw(data: bytes, name: bytes) -> bool:
    """Whether this is what a camera's sensor saw. Most such files are TIFFs by their first bytes, and Pillow would show
    the preview in them; only their endings tell."""
    if data.startswith(TIFF_STARTS):
        return data[8:10] == b"CR" or _ending(name) in RAW.endings
    return data.startswith(RAW_STARTS) or data[4:11] == b"ftypcrx"


class PluginBroken(Exception):
    """A module of `thumbnail.plugins` that can't be imported: which one, and why."""


def import_plugins(modules: Sequence[str]) -> None:
    """Import modules that register formats with Pillow (`thumbnail.plugins`). Raises PluginBroken."""
    Image.init()
    before = set(Image.ID)
    for module in modules:
        try:
            importlib.import_module(module)
        except ModuleNotFoundError as error:
            missing = module if error.name == module else f"{module}: {error.name}, which it needs,"
            raise PluginBroken(f"{missing} is not installed here") from error
        except (Exception, SystemExit) as error:  # it is the user's own code
            what = " ".join(f"{type(error).__name__}: {error}".split())[:200]
            raise PluginBroken(f"{module} can't be imported ({what})") from error
    _plugged.update(dict.fromkeys(name for name in Image.ID if name not in before))


_plugged: dict[str, None] = {}
"""Formats that plugins have registered, in the order of their coming."""


def _ending(name: bytes) -> str:
    return PurePath(name.decode("latin-1")).suffix.lower()


def _names(data: bytes) -> list[str]:
    """Which of Pillow's formats these bytes may be."""
    for format in (HEIC, JPEG_XL):
        if _looks_like(format, data):
            if not format.version:
                raise Unreadable(problems.needs(format.name, format.extra), format.decoder)
            _register(format)
            return list(format.pillow)
    return [*_own(), *_plugged]


@functools.cache
def _own() -> tuple[str, ...]:
    """Those of Pillow's own formats that are listed here and that this build of it opens."""
    Image.init()
    return tuple(name for format in FORMATS if not format.extra for name in format.pillow if name in Image.OPEN)


def _looks_like(format: Format, data: bytes) -> bool:
    if format is JPEG_XL:
        return data.startswith(JXL_STARTS)
    # an AVIF may bear one of the brands of HEIF, too
    return data[4:8] == b"ftyp" and data[8:12] in HEIC_BRANDS and b"avif" not in data[16:64]


@functools.cache
def _register(format: Format) -> None:
    module = importlib.import_module(format.module)
    if format is HEIC:
        module.register_heif_opener()
    else:
        module.JpegXLImagePlugin.DECODE_THREADS = 0  # lanes are the parallelism


def _why_unidentified(data: bytes) -> Problem:
    """Pillow says of a JPEG that it can't handle, one of 12 bits for instance, that it is none."""
    if not data:
        return problems.EMPTY
    if data[:1000].lstrip().startswith(DRAWING_STARTS) or b"<svg" in data[:1000]:
        return problems.DRAWING
    if data.startswith(JPEG_START):
        try:
            JpegImageFile(io.BytesIO(data))
        except Exception as error:  # it is broken in one way or another; which one is the question
            return problems.UNSUPPORTED if is_unsupported(error) else problems.NO_IMAGE
    return problems.UNSUPPORTED if data.startswith(UNREAD_STARTS) else problems.NO_IMAGE


def is_unsupported(error: Exception) -> bool:
    """Whether a decoder gave up for want of a feature; only its words tell that from broken data."""
    words = str(error).lower()
    return isinstance(error, NotImplementedError) or any(
        word in words for word in ("unsupported", "not supported", "not available", "cannot handle")
    )


def _open_raw(data: bytes, max_pixels: int, fast: bool) -> Opened | None:
    """What the sensor saw, developed with the camera's white balance, at half its size if `fast`: each four sensor
    cells make one pixel, so that nothing needs to be guessed. None where LibRaw knows no such camera: it may be a TIFF.

    The preview in the file is not used: cameras crop it, sharpen it, and let owners choose a style for it."""
    if not RAW.version:
        raise Unreadable(problems.needs(RAW.name, RAW.extra), RAW.decoder)
    rawpy = importlib.import_module(RAW.module)
    try:
        with rawpy.imread(io.BytesIO(data)) as raw:
            width, height = raw.sizes.width, raw.sizes.height
            if width * height > max_pixels:
                raise Unreadable(problems.MANY_PIXELS)
            pixels = raw.postprocess(half_size=fast, use_camera_wb=True, output_bps=8)
            turned = raw.sizes.flip in (5, 6)
    except (rawpy.LibRawFileUnsupportedError, rawpy.NotSupportedError):
        return None
    except rawpy.LibRawFatalError as error:
        raise Unreadable(problems.TRUNCATED) from error
    size = (height, width) if turned else (width, height)
    return Opened(Image.fromarray(pixels), *size, "RAW", "RGB", RAW.decoder, turn=1)


def _open_jxl(data: bytes, max_pixels: int) -> Opened:
    """A JPEG XL; the plugin turns it by its codestream's orientation, and leaves one that only EXIF tells to us."""
    try:
        head = read_head(data)
    except ValueError as error:
        raise Unreadable(problems.TRUNCATED) from error
    if head.width * head.height > max_pixels:
        raise Unreadable(problems.MANY_PIXELS)
    image = Image.open(io.BytesIO(data), formats=list(JPEG_XL.pillow))
    as_jpeg = getattr(image, "jpeg", False)  # rebuilt as the JPEG that it once was, which nobody has turned
    turn = 1 if head.orientation != 1 and not as_jpeg else None
    return Opened(image, *image.size, "JXL", image.mode, JPEG_XL.decoder, turn)


def _is_misread(image: TiffImageFile) -> bool:
    """Whether Pillow opens a TIFF and gets its pixels wrong: 16 bits in planes of their own, unsigned 32 bits, and
    more than 8 where 0 is white."""
    tags = image.tag_v2
    bits = max(tags.get(BITS, (1,)))
    deep = bits > 8 and (tags.get(PLANAR, 1) == 2 or tags.get(PHOTOMETRIC) == 0)
    return deep or (image.mode == "I" and bits == 32 and max(tags.get(SAMPLES, (1,))) == 1)


def _open_tiff(data: bytes, max_pixels: int) -> Opened:
    from stages.decoding.formats.tiff import decode_tiff  # loads tifffile and numpy, which hardly any image needs

    try:
        image, samples, turn = decode_tiff(data, max_pixels)
    except ValueError as error:
        if "imagecodecs" in str(error):
            raise Unreadable(
                problems.needs("a TIFF compressed in a rare way", "tiff"), "imagecodecs missing"
            ) from error
        raise Unreadable(problems.TRUNCATED) from error
    return Opened(image, *image.size, "TIFF", samples, TIFF_DECODER, turn)
