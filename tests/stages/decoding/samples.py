"""Make a file of every format; files that Pillow can't write are written by hand or by tifffile."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
import tifffile
from PIL import Image


def smooth(width: int, height: int, seed: int = 0, channels: int = 3) -> np.ndarray:
    """Return a smooth random picture, uint8 (height, width, channels)."""
    grid = np.random.default_rng(seed).integers(0, 256, (5, 6, channels), dtype=np.uint8)
    layers = [Image.fromarray(grid[:, :, c]).resize((width, height), Image.Resampling.BICUBIC) for c in range(channels)]
    return np.stack([np.asarray(layer) for layer in layers], axis=2)


def saved(image: Image.Image, kind: str, **arguments: Any) -> bytes:
    """Return an image file as Pillow writes it."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **arguments)
    return buffer.getvalue()


def tiff(values: np.ndarray, **arguments: Any) -> bytes:
    """Return a TIFF as tifffile writes it."""
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, values, **arguments)
    return buffer.getvalue()


def png(width: int, height: int, depth: int, colour: int, rows: list[bytes], *chunks: tuple[bytes, bytes]) -> bytes:
    """Return a PNG written by hand, for features that Pillow does not write."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    data = zlib.compress(b"".join(b"\0" + row for row in rows))
    whole = [(b"IHDR", header), *chunks, (b"IDAT", data), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body)) for name, body in whole
    )


def psd(picture: np.ndarray) -> bytes:
    """Return a Photoshop file of a flat picture, uint8 (height, width, 3)."""
    height, width, channels = picture.shape
    head = b"8BPS" + struct.pack(">H6xHIIHH", 1, channels, height, width, 8, 3)
    return head + struct.pack(">IIIH", 0, 0, 0, 0) + np.moveaxis(picture, 2, 0).tobytes()


def dng(picture: np.ndarray) -> bytes:
    """Return a raw file as a camera writes it: one sample a pixel behind a filter mosaic of red, green and blue.

    The picture, uint8 (height, width, 3), has even sides."""
    mosaic = np.empty(picture.shape[:2], np.uint16)
    for top, left, channel in ((0, 0, 0), (0, 1, 1), (1, 0, 1), (1, 1, 2)):
        mosaic[top::2, left::2] = picture[top::2, left::2, channel].astype(np.uint16) * 200
    one = (1, 1)
    matrix = [pair for number in range(9) for pair in (one if number % 4 == 0 else (0, 1))]
    tags = [
        (33421, "H", 2, (2, 2), True),
        (33422, "B", 4, (0, 1, 1, 2), True),
        (50706, "B", 4, (1, 4, 0, 0), True),
        (50708, "s", 0, "Test Camera", True),
        (50714, "H", 1, 0, True),
        (50717, "I", 1, 51_000, True),
        (50721, "2i", 9, tuple(matrix), True),
        (50728, "2I", 3, (*one, *one, *one), True),
        (50778, "H", 1, 21, True),
    ]
    return tiff(mosaic, photometric=32803, extratags=tags)


def every_format() -> dict[str, bytes]:
    """Return a file of the same picture in each format that needs no extra, by file name."""
    picture = smooth(96, 64, seed=1)
    image = Image.fromarray(picture)
    with_alpha = Image.fromarray(smooth(96, 64, seed=1, channels=4))
    grey = image.convert("L")
    deep = np.asarray(grey).astype(np.uint16) * 257
    frames = {"save_all": True, "append_images": [grey.convert("RGB")]}
    kinds = ("JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP", "TGA", "PPM", "JPEG2000", "DDS", "AVIF", "PCX", "SGI", "QOI")
    made = {kind: saved(image, kind) for kind in kinds}
    made |= {f"{kind} alpha": saved(with_alpha, kind) for kind in ("PNG", "WEBP", "TIFF", "TGA", "JPEG2000", "AVIF")}
    made |= {f"{kind} frames": saved(image, kind, **frames) for kind in ("GIF", "PNG", "WEBP", "TIFF", "AVIF")}
    made |= {f"{kind} deep": saved(Image.fromarray(deep), kind) for kind in ("PNG", "TIFF", "PPM", "JPEG2000")}
    made |= {f"TIFF {name}": saved(image, "TIFF", compression=name) for name in ("tiff_lzw", "tiff_deflate", "jpeg")}
    made |= {f"{kind} cmyk": saved(image.convert("CMYK"), kind) for kind in ("JPEG", "TIFF")}
    made |= {f"{kind} palette": saved(image.convert("P"), kind) for kind in ("PNG", "BMP", "TIFF")}
    made |= {f"{kind} bit": saved(image.convert("1"), kind) for kind in ("PNG", "TIFF", "PPM", "XBM")}
    made |= {
        "JPEG progressive": saved(image, "JPEG", progressive=True),
        "JPEG grey": saved(grey, "JPEG"),
        "PNG grey alpha": saved(with_alpha.convert("LA"), "PNG"),
        "ICO": saved(with_alpha, "ICO", sizes=[(48, 32)]),
        "PSD": psd(picture),
        "TIFF float": tiff(picture.astype(np.float32) / 255, photometric="rgb"),
        "TIFF planes": tiff(np.moveaxis(picture, 2, 0), photometric="rgb", planarconfig="separate"),
        "TIFF tiles": tiff(picture, photometric="rgb", tile=(32, 32)),
    }
    return made
