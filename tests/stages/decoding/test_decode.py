"""Decode one file to a thumbnail, or to an error code."""

import contextlib
import errno
import io
import struct
import warnings
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageOps, JpegImagePlugin

from stages.decoding import memory, metadata, pixels, problems
from stages.decoding.decode import decode as decode_
from stages.decoding.options import DecodeOptions
from stages.decoding.problems import Problem, Unreadable
from tests.stages.decoding.samples import png, saved, smooth, tiff

EXACT = DecodeOptions((16, 12), "RGB", False, (255, 255, 255), True, 1 << 28, 500_000_000, "mtime")
FAST = replace(EXACT, fast=True)
ORIENTATION = 0x0112


def decode(data: bytes, options: DecodeOptions, name: bytes = b"") -> SimpleNamespace:
    """Return the facts and the pixels (H, W, C)."""
    thumbnail, facts = decode_(data, options, name)
    width, height = options.size
    return SimpleNamespace(pixels=np.frombuffer(thumbnail, np.uint8).reshape(height, width, -1), **facts._asdict())


def problem(data: bytes, options: DecodeOptions = EXACT) -> Problem:
    with pytest.raises(Unreadable) as caught:
        decode(data, options)
    return caught.value.problem


def code(data: bytes, options: DecodeOptions = EXACT) -> str:
    return problem(data, options).code


def colours(data: bytes, options: DecodeOptions = EXACT) -> np.ndarray:
    """Return pixels at the image's own size, where resizing changes nothing: (height, width, channels)."""
    with Image.open(io.BytesIO(data)) as image:
        size = image.size
    return decode(data, replace(options, size=size)).pixels


@pytest.mark.parametrize("size", [(64, 64), (50, 50), (32, 48), (200, 7)])
@pytest.mark.parametrize(("kind", "orientation"), [("JPEG", 1), ("JPEG", 6), ("PNG", 1), ("PNG", 7), ("WEBP", 8)])
def test_exact_is_the_formula(size: tuple[int, int], kind: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    data = saved(Image.fromarray(smooth(333, 251, seed=orientation)), kind, exif=exif)
    with Image.open(io.BytesIO(data)) as image:
        upright = ImageOps.exif_transpose(image)
        expected = upright.convert("RGB").resize(size, Image.Resampling.BICUBIC)
    got = decode(data, replace(EXACT, size=size))
    assert np.array_equal(got.pixels, np.asarray(expected))
    assert (got.width, got.height, got.format, got.mode) == (*upright.size, kind, "RGB")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "TIFF compressed"])
@pytest.mark.parametrize("options", [EXACT, FAST], ids=["exact", "fast"])
def test_every_orientation_gives_the_same_upright_picture(kind: str, options: DecodeOptions) -> None:
    upright = Image.fromarray(smooth(320, 240, seed=4))
    plain = decode(saved(upright, "PNG"), options).pixels.astype(int)
    undo = {6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270}
    for orientation in range(1, 9):
        method = undo.get(orientation, metadata.UPRIGHT.get(orientation))
        stored = upright.transpose(method) if method is not None else upright
        exif = Image.Exif()
        exif[ORIENTATION] = orientation
        more = {"quality": 95, "subsampling": 0} if kind == "JPEG" else {}
        more |= {"compression": "tiff_lzw"} if "compressed" in kind else {}
        data = saved(stored, kind.split()[0], exif=exif, **more)
        got = decode(data, options)
        assert (got.width, got.height) == (320, 240), orientation
        assert np.abs(got.pixels - plain).max() <= (3 if kind == "JPEG" or options.fast else 0), orientation
        ignored = decode(data, replace(options, upright=False))
        assert (ignored.width, ignored.height) == stored.size, orientation
        as_stored = decode(saved(stored, "PNG"), options).pixels.astype(int)
        assert np.abs(ignored.pixels - as_stored).max() <= (3 if kind == "JPEG" or options.fast else 0), orientation


@pytest.mark.parametrize(
    "exif", [b"Exif\0\0garbage", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0MM\0*\0\0\0\x08\xff\xff"]
)
def test_broken_exif_is_no_error_of_the_image(exif: bytes) -> None:
    plain = Image.fromarray(smooth(40, 30))
    assert np.array_equal(
        decode(saved(plain, "JPEG", exif=exif), EXACT).pixels, decode(saved(plain, "JPEG"), EXACT).pixels
    )


def test_fast_is_near_exact_and_decodes_no_less_than_four_thumbnails(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    draft = JpegImagePlugin.JpegImageFile.draft

    def spy(image: JpegImagePlugin.JpegImageFile, mode: str | None, size: tuple[int, int]) -> object:
        drafted = draft(image, mode, size)
        asked.append(image.size)
        return drafted

    monkeypatch.setattr(JpegImagePlugin.JpegImageFile, "draft", spy)
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    data = saved(Image.fromarray(smooth(2100, 800, seed=2)), "JPEG", exif=exif, quality=95)
    options = replace(FAST, size=(64, 16))
    fast, exact = decode(data, options), decode(data, replace(options, fast=False))
    assert asked == [(1050, 400)]  # a half; a quarter would be 200 wide, but the width must be 4 times 64
    assert (fast.width, fast.height) == (exact.width, exact.height) == (800, 2100)
    assert np.square(fast.pixels.astype(float) - exact.pixels).sum(axis=2).mean() < 5


RED, HALF_RED_ON_BLUE = (255, 0, 0), (128, 0, 127)


@pytest.mark.parametrize(
    ("mode", "colour", "expected"),
    [
        ("1", 1, (255, 255, 255)),
        ("L", 77, (77, 77, 77)),
        ("RGB", RED, RED),
        ("CMYK", (0, 255, 255, 0), RED),
        ("YCbCr", (76, 85, 255), (254, 0, 0)),
        ("HSV", (0, 255, 255), RED),
        ("RGBX", (255, 0, 0, 9), RED),
        ("RGBA", (255, 0, 0, 128), HALF_RED_ON_BLUE),
        ("RGBA", (255, 0, 0, 0), (0, 0, 255)),
        ("RGBa", (128, 0, 0, 128), HALF_RED_ON_BLUE),
        ("LA", (200, 0), (0, 0, 255)),
        ("LA", (200, 51), (40, 40, 244)),  # a fifth of 200, plus four fifths of 255
        ("La", (40, 51), (40, 40, 244)),
        ("I;16", 257 * 99, (99, 99, 99)),
        ("I;16B", 257 * 99, (99, 99, 99)),
        ("I", 99, (99, 99, 99)),
        ("F", 98.6, (99, 99, 99)),
        ("F", 0.5, (128, 128, 128)),
        ("F", 1e9, (255, 255, 255)),
        ("F", float("nan"), (0, 0, 0)),
    ],
)
def test_every_mode_becomes_rgb_on_the_background(mode: str, colour: object, expected: tuple[int, ...]) -> None:
    flat = as_rgb(Image.new(mode, (3, 2), colour), (0, 0, 255))
    assert flat.mode == "RGB"
    assert flat.getcolors() == [(6, expected)]


def as_rgb(image: Image.Image, background: tuple[int, int, int]) -> Image.Image:
    target = pixels.Target("RGB", background)
    return pixels.finish(pixels.flatten(image, target).image, target)


def test_lab_is_converted_by_its_profile() -> None:
    profiles = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    lab = ImageCms.profileToProfile(Image.new("RGB", (4, 4), (200, 30, 60)), *profiles, outputMode="LAB")
    got = decode(saved(lab, "TIFF"), EXACT)
    assert got.mode == "LAB"
    assert np.abs(got.pixels[0, 0].astype(int) - (200, 30, 60)).max() <= 4


def test_adobe_cmyk_jpeg_is_not_inverted() -> None:
    data = saved(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), "JPEG", quality=95)
    assert np.abs(decode(data, FAST).pixels[0, 0].astype(int) - RED).max() <= 4


def test_palette_with_one_or_many_transparent_entries() -> None:
    indexed = Image.fromarray(np.array([[0, 1, 2, 3]], np.uint8), "P")
    indexed.putpalette([255, 0, 0, 0, 255, 0, 10, 20, 30, 40, 50, 60])
    on_blue = replace(EXACT, background=(0, 0, 255))
    assert colours(saved(indexed, "PNG"), on_blue)[0].tolist() == [[255, 0, 0], [0, 255, 0], [10, 20, 30], [40, 50, 60]]
    for kind in ("PNG", "GIF"):
        one = colours(saved(indexed, kind, transparency=1), on_blue)[0].tolist()
        assert one == [[255, 0, 0], [0, 0, 255], [10, 20, 30], [40, 50, 60]]
    many = colours(saved(indexed, "PNG", transparency=bytes([128, 0, 255, 255])), on_blue)[0].tolist()
    assert many == [[128, 0, 127], [0, 0, 255], [10, 20, 30], [40, 50, 60]]


@pytest.mark.parametrize(
    ("depth", "colour", "row", "key", "expected"),
    [
        (8, 0, b"\x05\x06", b"\0\x05", ["blue", (6,) * 3]),
        (1, 0, b"\x40", b"\0\x01", [(0,) * 3, "blue"]),
        (2, 0, b"\x60", b"\0\x01", ["blue", (170,) * 3]),
        (4, 0, b"\x1f", b"\0\x0f", [(17,) * 3, "blue"]),
        (16, 0, struct.pack(">HH", 0x6363, 0x6364), b"\x63\x63", ["blue", (99,) * 3]),
        (8, 2, b"\1\2\3\1\2\4", b"\0\1\0\2\0\3", ["blue", (1, 2, 4)]),
        (16, 2, b"\1\1\2\2\3\3\1\1\2\2\4\4", b"\1\1\2\2\3\3", ["blue", (1, 2, 4)]),
    ],
)
def test_a_transparent_colour_at_every_depth(
    depth: int, colour: int, row: bytes, key: bytes, expected: list[object]
) -> None:
    data = png(2, 1, depth, colour, [row], (b"tRNS", key))
    on_blue = replace(EXACT, background=(0, 0, 255))
    assert colours(data, on_blue)[0].tolist() == [[0, 0, 255] if e == "blue" else list(e) for e in expected]


def test_alpha_is_composited_before_the_resize_and_kept_for_rgba() -> None:
    picture = np.zeros((8, 8, 4), np.uint8)
    picture[:, :4] = (255, 0, 0, 255)  # the black below transparent pixels must not be visible
    data = saved(Image.fromarray(picture), "PNG")
    small = decode(data, replace(EXACT, size=(4, 4))).pixels
    canvas = Image.new("RGBA", (8, 8), "white")
    canvas.alpha_composite(Image.fromarray(picture))
    assert np.array_equal(small, np.asarray(canvas.convert("RGB").resize((4, 4), Image.Resampling.BICUBIC)))
    kept = decode(data, replace(EXACT, size=(4, 4), mode="RGBA")).pixels
    assert kept[0, 0].tolist() == [255, 0, 0, 255]
    assert kept[0, 3, 3] == 0
    grey = decode(data, replace(EXACT, size=(8, 8), mode="L")).pixels
    assert grey.shape == (8, 8, 1)
    assert (grey[0, 0, 0], grey[0, 7, 0]) == (76, 255)


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "PPM"])
def test_sixteen_bits_are_scaled_by_their_range_not_clipped(kind: str) -> None:
    ramp = (np.arange(256, dtype=np.uint16) * 257).reshape(16, 16)
    assert np.array_equal(colours(saved(Image.fromarray(ramp), kind))[:, :, 0].ravel(), np.arange(256))
    dark = colours(saved(Image.fromarray(ramp // 4), kind))
    assert dark.max() == 64  # by 65,535, not by the image's largest value


@pytest.mark.parametrize("dtype", [np.int32, np.float32])
def test_wide_values_are_scaled_by_their_own_range(dtype: type) -> None:
    values = np.array([[-1000, 0, 3000]], dtype)
    assert colours(saved(Image.fromarray(values), "TIFF"))[0, :, 0].tolist() == [0, 64, 255]


def test_infinite_values_do_not_darken_the_others() -> None:
    values = np.array([[np.nan, np.inf, -np.inf, 0, 500, 1000]], np.float32)
    assert colours(saved(Image.fromarray(values), "TIFF"))[0, :, 0].tolist() == [0, 255, 0, 0, 128, 255]


def test_only_the_first_frame_counts() -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    for kind in ("GIF", "PNG", "TIFF", "WEBP"):
        data = saved(frames[0], kind, save_all=True, append_images=frames[1:])
        assert np.abs(decode(data, EXACT).pixels[0, 0].astype(int) - RED).max() <= 2, kind


JPEG = saved(Image.fromarray(smooth(200, 200)), "JPEG")
PNG = saved(Image.fromarray(smooth(200, 200)), "PNG")
PALETTE = saved(Image.fromarray(smooth(200, 200)).quantize(16), "PNG")


def test_broken_files_have_a_code() -> None:
    assert code(b"") == "not-an-image"
    assert code(b"hello, this is some text\n" * 9) == "not-an-image"
    assert code(JPEG[: len(JPEG) // 2]) == "truncated"
    assert code(JPEG[: len(JPEG) // 2], FAST) == "truncated"
    assert code(PNG[: len(PNG) // 2]) == "truncated"
    assert code(PNG[:29] + bytes(4) + PNG[33:]) == "not-an-image"  # the checksum of the header
    start = PNG.index(b"IDAT") + 6
    assert code(PNG[:start] + b"\xff" * 9 + PNG[start + 9 :]) == "truncated"
    frame = JPEG.index(b"\xff\xc0")
    assert code(JPEG[: frame + 4] + b"\x0c" + JPEG[frame + 5 :]) == "unsupported"  # 12 bits
    bitmap = bytearray(saved(Image.new("RGB", (4, 4)), "BMP"))
    bitmap[28] = 7  # bits a pixel
    assert code(bytes(bitmap)) == "unsupported"


def test_nothing_is_run_to_draw_an_image(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("PIL.EpsImagePlugin.Ghostscript", lambda *_: pytest.fail("started another program"))
    assert code(saved(Image.new("RGB", (9, 9)), "EPS")) == "unsupported"


def test_random_damage_never_escapes() -> None:
    rng = np.random.default_rng(7)
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    picture = Image.fromarray(smooth(60, 40, channels=4))
    opaque = picture.convert("RGB")
    whole = [saved(picture, kind) for kind in ("PNG", "TIFF", "ICO", "TGA", "WEBP", "JPEG2000")]
    whole += [saved(opaque, kind) for kind in ("BMP", "GIF", "PPM", "PCX", "SGI")] + [saved(opaque, "JPEG", exif=exif)]
    for data in whole:
        for _ in range(40):
            broken = np.frombuffer(data, np.uint8).copy()
            broken[rng.integers(0, min(len(broken), 400), 3)] = rng.integers(0, 256, 3)
            with contextlib.suppress(Unreadable):
                decode(broken.tobytes()[: rng.integers(1, 2 * len(broken))], replace(FAST, max_pixels=100_000))


def test_too_many_pixels_are_refused_before_they_are_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    options = replace(EXACT, max_pixels=40_000)
    assert decode(PNG, options).width == 200
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", lambda _: pytest.fail("decoded"))
    assert code(PNG, replace(options, max_pixels=39_999)) == "too-large"
    assert code(PNG, replace(options, max_pixels=1_000)) == "too-large"


def test_an_icon_counts_by_its_images(monkeypatch: pytest.MonkeyPatch) -> None:
    content = saved(Image.new("RGBA", (300, 300), "red"), "PNG")
    icon = struct.pack("<HHHBBBBHHII", 0, 1, 1, 16, 16, 0, 0, 0, 32, len(content), 22) + content
    assert (decode(icon, EXACT).width, decode(icon, EXACT).format) == (300, "ICO")
    assert code(icon, replace(EXACT, max_pixels=89_999)) == "too-large"
    monkeypatch.setattr("PIL.PngImagePlugin.PngImageFile.load_prepare", lambda _: pytest.fail("decoded"))
    assert code(icon, replace(EXACT, max_pixels=20_000)) == "too-large"  # the size at which Pillow's own limit applies


@pytest.mark.parametrize("error", [RecursionError("deep"), struct.error("odd"), AttributeError("no"), MemoryError()])
def test_every_error_of_pillow_becomes_a_code(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def fail(image: object) -> None:
        raise error

    monkeypatch.setattr("PIL.PngImagePlugin.PngImageFile.load_prepare", fail)
    assert problem(PALETTE) == (problems.MEMORY if isinstance(error, MemoryError) else problems.TRUNCATED)


def test_a_file_that_is_not_a_png_is_not_decoded_again_without_comments(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: object) -> None:
        raise ValueError("odd")

    monkeypatch.setattr(pixels, "flatten", fail)
    for kind in ("GIF", "JPEG", "BMP"):
        assert problem(saved(Image.new("RGB", (20, 20)), kind)) == problems.TRUNCATED


def test_warnings_of_pillow_are_no_errors_and_others_are_left_alone() -> None:
    odd = png(2, 1, 8, 0, [b"\5\6"], (b"acTL", bytes(8)))
    with pytest.warns(UserWarning, match="Invalid APNG"):
        Image.open(io.BytesIO(odd))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert decode(odd, replace(EXACT, size=(2, 1))).pixels[0, :, 0].tolist() == [5, 6]
    with pytest.warns(UserWarning, match="mine"):
        warnings.warn("mine", stacklevel=1)


def test_pages_of_a_tiff_are_counted_without_reading_them(monkeypatch: pytest.MonkeyPatch) -> None:
    page = np.zeros((4, 6), np.uint8)
    for count in (1, 2, 7):
        for values in (np.stack([page] * count), np.stack([page] * count).astype(np.float64)):
            for big in (False, True):
                data = tiff(values, photometric="minisblack", bigtiff=big, metadata=None)
                assert decode(data, EXACT).frames == count
    data = tiff(np.stack([page] * 5), photometric="minisblack", metadata=None)
    (first,) = struct.unpack_from("<L", data, 4)
    (entries,) = struct.unpack_from("<H", data, first)
    at = first + 2 + 12 * entries
    assert metadata.pages(data[:at] + data[4:8] + data[at + 4 :]) == 1  # the second frame equals the first
    assert metadata.pages(data[:at] + b"\xff\xff\xff\x7f" + data[at + 4 :]) is None
    monkeypatch.setattr(metadata, "MANY_PAGES", 4)
    assert metadata.pages(data) is None


@pytest.mark.parametrize(
    "error", [OSError("broken"), Unreadable(problems.NO_IMAGE), ImportError("x: Failed to map segment")]
)
def test_lack_of_memory_is_reported_whatever_a_decoder_raises(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(image: object) -> None:
        if not isinstance(error, ImportError):
            memory._location()()[0] = errno.ENOMEM
        raise error

    monkeypatch.setattr("PIL.PngImagePlugin.PngImageFile.load_prepare", fail)
    assert problem(PALETTE) == problem(PALETTE, replace(EXACT, salvage=True)) == problems.MEMORY
    monkeypatch.undo()
    assert problem(JPEG[:400]) == problems.TRUNCATED  # the state before does not count
