"""Open an image by its bytes, whatever its name says; pixels are decoded later.

Pillow opens most images. Functions here open camera RAW, JPEG XL, and TIFFs that Pillow misreads."""

from __future__ import annotations

import importlib
import io
import struct
from typing import NamedTuple

import PIL
from PIL import Image, UnidentifiedImageError
from PIL.JpegImagePlugin import JpegImageFile, jpeg_factory
from PIL.TiffImagePlugin import BITSPERSAMPLE as BITS
from PIL.TiffImagePlugin import PHOTOMETRIC_INTERPRETATION as PHOTOMETRIC
from PIL.TiffImagePlugin import PLANAR_CONFIGURATION as PLANAR
from PIL.TiffImagePlugin import SAMPLEFORMAT as SAMPLES
from PIL.TiffImagePlugin import TiffImageFile

from pipeline.machine.installation import version_of
from stages.decoding import problems
from stages.decoding.formats.jxl import read_head
from stages.decoding.formats.png import open_plain
from stages.decoding.formats.registry import FORMATS, HEIC, JPEG_XL, RAW, ending_of, names_for
from stages.decoding.formats.wide import MISSING
from stages.decoding.problems import Problem, Unreadable

NO_DATA = 42113
"""GDAL's tag for the value of missing data."""
JPEG_START = b"\xff\xd8\xff"
RAW_STARTS = (b"FUJIFILMCCD-RAW", b"IIRO", b"IIRS", b"MMOR", b"IIU\0", b"FOVb", b"\0MRM")
TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
UNREAD_STARTS = (b"8BPS", b"PF\n", b"PF\r", b"PF ")
"""First bytes of variants that Pillow can't read: PSD of 16 bits, PFM in colour."""
DRAWING_STARTS = (b"%!PS", b"%PDF", b"\xc5\xd0\xd3\xc6", b"<svg", b"\xd7\xcd\xc6\x9a")
BY_PILLOW = {name: format for format in FORMATS for name in format.pillow}
PILLOW = f"Pillow {PIL.__version__}"
TIFF_DECODER = f"tifffile {version_of('tifffile')}"


class Opened(NamedTuple):
    """An image before decoding.

    width, height  as stored
    turn           EXIF orientation; 1: the decoder returns the image upright; None: see the image's EXIF"""

    image: Image.Image
    width: int
    height: int
    format: str
    mode: str
    decoder: str
    turn: int | None = None


def open_image(data: bytes, name: bytes, max_pixels: int, fast: bool) -> Opened:
    """Open an encoded image by its bytes; the name only tells camera RAW from TIFF.

    A JPEG of more than `max_pixels` is opened if `fast`, since a reduced scale may have fewer pixels.

    Raises:
        Unreadable: the format is unknown or unsupported, or the image is too large.
        Exception: any exception of a decoder."""
    if is_raw(data, name) and (raw := _open_raw(data, max_pixels, fast)):
        return raw
    if plain := open_plain(data, max_pixels):
        return Opened(plain, *plain.size, "PNG", plain.mode, PILLOW)
    names = names_for(data)
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
        image.putalpha(255)  # the header declares no alpha, and every stored alpha is 0
    format = image.format or ""
    known = BY_PILLOW.get(format)
    decoder = known.decoder if known and known.extra else PILLOW
    # pillow-heif returns upright images
    return Opened(image, *image.size, format, image.mode, decoder, turn=1 if format in HEIC.pillow else None)


def _open_jpeg(data: bytes) -> Image.Image | None:
    """Open a JPEG of any size, beyond Pillow's limit.

    Returns None where only a plugin may read the bytes."""
    if not data.startswith(JPEG_START):
        return None
    try:
        return jpeg_factory(io.BytesIO(data))
    except (SyntaxError, IndexError, TypeError, struct.error):
        return None


def is_raw(data: bytes, name: bytes) -> bool:
    """Return whether the bytes are camera RAW.

    Most RAW files begin like TIFFs, and Pillow would open their preview. Only the ending of the name tells the two
    apart."""
    if data.startswith(TIFF_STARTS):
        return data[8:10] == b"CR" or ending_of(name) in RAW.endings
    return data.startswith(RAW_STARTS) or data[4:11] == b"ftypcrx"


def _why_unidentified(data: bytes) -> Problem:
    """Return the problem of bytes that Pillow does not identify.

    Pillow also fails to identify unsupported JPEGs, such as JPEGs of 12 bits."""
    if not data:
        return problems.EMPTY
    if data[:1000].lstrip().startswith(DRAWING_STARTS) or b"<svg" in data[:1000]:
        return problems.DRAWING
    if data.startswith(JPEG_START):
        try:
            JpegImageFile(io.BytesIO(data))
        except Exception as error:  # the kind of error tells unsupported from broken
            return problems.UNSUPPORTED if is_unsupported(error) else problems.NO_IMAGE
    return problems.UNSUPPORTED if data.startswith(UNREAD_STARTS) else problems.NO_IMAGE


def is_unsupported(error: Exception) -> bool:
    """Return whether a decoder lacks a feature.

    Pillow's plugins raise NotImplementedError for a missing feature. For other decoders, only the message tells a
    missing feature from broken data."""
    words = str(error).lower()
    return isinstance(error, NotImplementedError) or any(
        word in words for word in ("unsupported", "not supported", "not available", "cannot handle")
    )


def _open_raw(data: bytes, max_pixels: int, fast: bool) -> Opened | None:
    """Develop camera RAW with the camera's white balance.

    Returns None for a camera unknown to LibRaw.

    If `fast`, four sensor cells make one pixel, without interpolation. The embedded preview is not used, since cameras
    crop, sharpen and style previews."""
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
    """Open a JPEG XL.

    The plugin applies the codestream's orientation, but not EXIF's."""
    try:
        head = read_head(data)
    except ValueError as error:
        raise Unreadable(problems.TRUNCATED) from error
    if head.width * head.height > max_pixels:
        raise Unreadable(problems.MANY_PIXELS)
    image = Image.open(io.BytesIO(data), formats=list(JPEG_XL.pillow))
    as_jpeg = getattr(image, "jpeg", False)  # the plugin rebuilds the original JPEG without turning it
    turn = 1 if head.orientation != 1 and not as_jpeg else None
    return Opened(image, *image.size, "JXL", image.mode, JPEG_XL.decoder, turn)


def _is_misread(image: TiffImageFile) -> bool:
    """Return whether Pillow opens a TIFF but gets its pixels wrong.

    Such TIFFs hold 16 bits in separate planes, unsigned 32 bits, or more than 8 bits where 0 is white."""
    tags = image.tag_v2
    bits = max(tags.get(BITS, (1,)))
    deep = bits > 8 and (tags.get(PLANAR, 1) == 2 or tags.get(PHOTOMETRIC) == 0)
    return deep or (image.mode == "I" and bits == 32 and max(tags.get(SAMPLES, (1,))) == 1)


def _open_tiff(data: bytes, max_pixels: int) -> Opened:
    from stages.decoding.formats.tiff import decode_tiff  # tifffile and numpy are slow to import and rarely needed

    try:
        image, samples, turn = decode_tiff(data, max_pixels)
    except ValueError as error:
        if "imagecodecs" in str(error):
            raise Unreadable(problems.needs("a TIFF with a rare compression", "tiff"), "imagecodecs missing") from error
        raise Unreadable(problems.TRUNCATED) from error
    return Opened(image, *image.size, "TIFF", samples, TIFF_DECODER, turn)
