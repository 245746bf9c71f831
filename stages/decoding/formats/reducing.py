"""Let decoders scale an image down while decoding."""

from __future__ import annotations

from PIL import Image
from PIL.Jpeg2KImagePlugin import Jpeg2KImageFile
from PIL.JpegImagePlugin import JpegImageFile

DRAFT = 4
"""`decode: fast` decodes to at least DRAFT times the thumbnail's size; a smaller factor adds hundreds to an MSE."""
HALVED = 16
"""The factor for JPEG 2000, larger than DRAFT, since each halving shifts pixels by up to half a pixel."""


def reduce(image: Image.Image, data: bytes, size: tuple[int, int]) -> int:
    """Let the decoder scale a JPEG or a JPEG 2000 down; leave other images as they are.

    Returns the number of halvings that `image.size` does not reflect yet."""
    if isinstance(image, JpegImageFile):
        image.draft(None, (DRAFT * size[0], DRAFT * size[1]))
    elif isinstance(image, Jpeg2KImageFile):
        factor = min(side // (HALVED * each) for side, each in zip(image.size, size, strict=True))
        wanted = factor.bit_length() - 1
        image.reduce = max(0, min(wanted, _resolutions(data)))
        return image._reduce
    return 0


def _resolutions(data: bytes) -> int:
    """Return the number of halvings in a JPEG 2000.

    The number is in the first COD marker of the codestream."""
    start = data.find(b"\xff\x4f\xff\x51")
    place = data.find(b"\xff\x52", start, start + 10_000)
    return data[place + 9] if 0 <= start < place < len(data) - 9 else 0
