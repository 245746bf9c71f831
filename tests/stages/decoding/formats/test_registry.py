"""Each format gives a thumbnail, or the error of a format that can't be read here."""

import io
import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from stages.commands import formats as command
from stages.decoding import metadata, problems
from stages.decoding.formats import registry as formats
from stages.decoding.formats.jxl import JxlHeader, read_head
from stages.decoding.formats.registry import FORMATS, HEIC, JPEG_XL, RAW
from stages.decoding.options import DecodeOptions
from stages.decoding.problems import Unreadable
from tests.stages.decoding.samples import dng, every_format, psd, saved, smooth, tiff
from tests.stages.decoding.test_decode import code, decode, problem

EXACT = DecodeOptions((16, 12), "RGB", False, (255, 255, 255), True, 1 << 28, 500_000_000, "mtime")
FAST = replace(EXACT, fast=True)
PICTURE = smooth(320, 240, seed=4)
GREY = np.asarray(Image.fromarray(PICTURE).convert("L"))
SMALL = np.asarray(Image.fromarray(PICTURE).resize((16, 12), Image.Resampling.BICUBIC)).astype(int)
GREY_SMALL = np.asarray(Image.fromarray(GREY).resize((16, 12), Image.Resampling.BICUBIC)).astype(int)[:, :, None]
EVERY = every_format()


def off(got: SimpleNamespace, expected: np.ndarray = SMALL) -> int:
    """Return the largest difference of a value."""
    return int(np.abs(got.pixels.astype(int) - expected).max())


@pytest.mark.parametrize("name", EVERY)
def test_every_format_is_read(name: str) -> None:
    got, kind = decode(EVERY[name], FAST), name.split()[0]
    assert got.format == kind
    assert got.frames == (2 if "frames" in name else 1)
    assert (got.alpha > 0) == ("alpha" in name or kind == "ICO")
    plain = np.asarray(Image.fromarray(smooth(96, 64, seed=1)).resize((16, 12), Image.Resampling.BICUBIC))
    grey = np.asarray(Image.fromarray(plain).convert("L"))[:, :, None]
    if not any(word in name for word in ("alpha", "ICO")):
        dull = any(word in name for word in ("grey", "deep", "bit"))
        tolerance = 90 if "bit" in name else 40 if any(word in name for word in ("palette", "GIF")) else 12
        assert np.abs(got.pixels.astype(int) - (grey if dull else plain)).max() <= tolerance


@pytest.mark.parametrize(
    ("values", "arguments"),
    [
        (PICTURE.astype(np.uint16) * 257, {}),
        (PICTURE.astype(np.float32) / 255, {}),
        (PICTURE.astype(np.float64) / 255, {}),
        (PICTURE, {"tile": (64, 64)}),
        (PICTURE, {"bigtiff": True}),
        (np.moveaxis(PICTURE, 2, 0), {"planarconfig": "separate"}),
        (np.moveaxis(PICTURE, 2, 0), {"planarconfig": "separate", "tile": (64, 64)}),
        (np.moveaxis(PICTURE.astype(np.uint16) * 257, 2, 0), {"planarconfig": "separate"}),
        (np.moveaxis(PICTURE.astype(np.float32) / 255, 2, 0), {"planarconfig": "separate"}),
    ],
)
def test_colour_tiffs_of_every_kind(values: np.ndarray, arguments: dict[str, object]) -> None:
    got = decode(tiff(values, photometric="rgb", **arguments), EXACT)
    assert (got.width, got.height, got.format) == (320, 240, "TIFF")
    assert off(got) <= 1


@pytest.mark.parametrize(
    "values",
    [
        GREY,
        GREY.astype(np.uint16) * 257,
        GREY.astype(np.uint32) * 16_843_009,
        GREY.astype(np.float16) / 255,
        GREY.astype(np.float32) / 255,
        GREY.astype(np.float64) / 255,
    ],
    ids=lambda values: str(values.dtype),
)
def test_grey_tiffs_of_every_depth(values: np.ndarray) -> None:
    assert off(decode(tiff(values), EXACT), GREY_SMALL) <= 1
    white = 1 if values.dtype.kind == "f" else np.iinfo(values.dtype).max
    inverted = decode(tiff((white - values).astype(values.dtype), photometric="miniswhite"), EXACT)
    assert off(inverted, GREY_SMALL) <= 1
    for order in "<>":
        assert off(decode(tiff(values, bigtiff=True, byteorder=order), EXACT), GREY_SMALL) <= 1


FLOAT = GREY.astype(np.float64)
DIMMED = FLOAT * 0.7 + 20


def spotted(values: np.ndarray, spot: float) -> np.ndarray:
    """Return the image with one changed pixel in a corner."""
    found = values.copy()
    found[0, 0] = spot
    return found


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize(
    "values",
    [
        spotted(FLOAT / 255, 1.0001),
        spotted(FLOAT / 255, -0.02),
        FLOAT,
        DIMMED,
        spotted(FLOAT / 255, np.nan),
        spotted(FLOAT / 255, -9999),
        spotted(FLOAT / 255, 1e38),
        spotted(FLOAT / 255, -1e308),
    ],
    ids=["over", "under", "255", "20 to 200", "nan", "no data", "huge", "least"],
)
def test_floats_give_equal_pixels_by_every_library(values: np.ndarray, kind: type) -> None:
    """Pillow reads grey TIFFs of 32-bit floats, tifffile all other TIFFs of floats."""
    with np.errstate(over="ignore"):
        data = tiff(values.astype(kind))
    expected = GREY_SMALL * 0.7 + 20 if np.array_equal(values, DIMMED) else GREY_SMALL
    assert off(decode(data, EXACT), expected) <= 2


def test_a_value_that_a_tiff_names_for_missing_data_is_no_light() -> None:
    for kind in (np.float32, np.float64):
        values = spotted(FLOAT * 4 + 1000, -500).astype(kind)
        data = tiff(values, extratags=[(42113, "s", 0, "-500", True)])
        low, high = float(values[values > 0].min()), float(values.max())
        expected = (GREY_SMALL * 4 + 1000 - low) * 255 / (high - low)
        assert off(decode(data, EXACT), expected) <= 3


@pytest.mark.parametrize("kind", [np.uint16, np.float32])
@pytest.mark.parametrize("extra", ["unassalpha", "assocalpha", "unspecified"])
@pytest.mark.parametrize("colours", [1, 3])
def test_alpha_of_tiffs_that_tifffile_reads(colours: int, extra: str, kind: type) -> None:
    whole = 1.0 if kind is np.float32 else 65535.0
    picture = (PICTURE if colours == 3 else GREY[..., None]).astype(np.float64) / 255
    alpha = np.full((*picture.shape[:2], 1), 0.5)
    alpha[:, :160] = 0
    stored = np.concatenate([picture * alpha if extra == "assocalpha" else picture, alpha], axis=2) * whole
    more = {} if colours == 1 or kind is np.float32 else {"planarconfig": "separate"}
    values = np.moveaxis(stored, 2, 0) if more else stored
    photometric = "rgb" if colours == 3 else "minisblack"
    got = decode(tiff(values.astype(kind), photometric=photometric, extrasamples=[extra], **more), EXACT)
    seen = np.where(alpha > 0, picture * 0.5 + 0.5, 1.0) if extra != "unspecified" else picture
    small = Image.fromarray(np.rint(np.broadcast_to(seen, PICTURE.shape) * 255).astype(np.uint8))
    assert off(got, np.asarray(small.resize((16, 12), Image.Resampling.BICUBIC)).astype(int)) <= 3
    assert got.alpha == pytest.approx(0.0 if extra == "unspecified" else 0.75, abs=0.01)


def test_a_tga_whose_header_knows_no_alpha_is_opaque() -> None:
    image = Image.fromarray(PICTURE).convert("RGBA")
    for alpha, descriptor, share in ((0, 0, 0.0), (0, 8, 1.0), (128, 0, 0.5)):
        image.putalpha(alpha)
        data = bytearray(saved(image, "TGA"))
        data[17] = data[17] & 0xF0 | descriptor
        assert decode(bytes(data), EXACT).alpha == pytest.approx(share, abs=0.01)


@pytest.mark.parametrize("start", [b"8BPS\0\1", b"PF\n4 4\n-1.0\n"])
def test_unreadable_kinds_of_known_formats_are_unsupported(start: bytes) -> None:
    assert code(start + bytes(500)) == "unsupported"


def test_tiffs_that_pillow_leaves_to_others_are_turned_and_bounded() -> None:
    data = tiff(PICTURE.astype(np.float32) / 255, photometric="rgb", extratags=[(274, "H", 1, 6, True)])
    got = decode(data, EXACT)
    turned = Image.fromarray(PICTURE).transpose(metadata.UPRIGHT[6])
    assert (got.width, got.height) == (240, 320)
    assert off(got, np.asarray(turned.resize((16, 12), Image.Resampling.BICUBIC)).astype(int)) <= 1
    assert (decode(data, replace(EXACT, upright=False)).width, got.decoder.split()[0]) == (320, "tifffile")
    assert problem(data, replace(EXACT, max_pixels=1_000)) == problems.MANY_PIXELS
    assert code(data[: len(data) // 2]) == "truncated"


def test_a_float_tiff_of_other_values_is_scaled_by_its_range() -> None:
    ramp = np.array([[-1000.0, 0.0, np.nan, np.inf, 3000.0]])
    with_nan = decode(tiff(ramp), replace(EXACT, size=(5, 4))).pixels[0, :, 0]
    assert with_nan.tolist() == [0, 64, 0, 255, 255]


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "AVIF", "JPEG"])
def test_every_orientation(kind: str) -> None:
    assert_upright(kind)


def assert_upright(kind: str) -> None:
    upright = Image.fromarray(PICTURE)
    undo = {6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270}
    for orientation in range(1, 9):
        method = undo.get(orientation, metadata.UPRIGHT.get(orientation))
        exif = Image.Exif()
        exif[0x0112] = orientation
        stored = upright.transpose(method) if method is not None else upright
        got = decode(saved(stored, kind, exif=exif.tobytes(), quality=95), EXACT)
        assert (got.width, got.height) == (320, 240), orientation
        assert off(got) <= 6, orientation


def test_a_library_is_imported_with_the_first_file_that_needs_it() -> None:
    ready = "import sys; from stages.decoding import child; child._prepare(child.Limits())"
    loaded = "print({'pillow_heif', 'pillow_jxl'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", f"{ready}; {loaded}"], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_heic() -> None:
    import pillow_heif

    pillow_heif.register_heif_opener()
    assert_upright("HEIF")
    data = saved(Image.fromarray(PICTURE), "HEIF")
    assert decode(data, FAST).decoder == HEIC.decoder
    assert problem(data, replace(FAST, max_pixels=100)) == problems.MANY_PIXELS
    assert code(data[: len(data) // 2]) in ("truncated", "not-an-image", "unsupported")


def test_jpeg_xl(monkeypatch: pytest.MonkeyPatch) -> None:
    import pillow_jxl

    assert_upright("JXL")
    data = saved(Image.fromarray(PICTURE), "JXL")
    got = decode(data, FAST)
    assert (got.decoder, got.format) == (JPEG_XL.decoder, "JXL")
    for size in [(8, 8), (320, 240), (256, 256), (1000, 700), (999, 40), (1, 1), (64, 32), (1280, 720)]:
        for container in (False, True):
            image = saved(Image.new("RGB", size, (1, 2, 3)), "JXL", use_container=container)
            assert read_head(image) == JxlHeader(*size, 1)
    assert code(data[: len(data) // 2]) == "truncated"
    monkeypatch.setattr(pillow_jxl.JpegXLImagePlugin, "Decoder", lambda **_: pytest.fail("decoded"))
    assert problem(data, replace(FAST, max_pixels=100)) == problems.MANY_PIXELS


def test_the_head_of_a_jpeg_xl_holds_its_orientation() -> None:
    # small 1, height (0+1)·8, ratio 1:1, not all default, extra fields, orientation 6
    bits = 1 | 0 << 1 | 1 << 6 | 0 << 9 | 1 << 10 | 5 << 11
    assert read_head(b"\xff\x0a" + bits.to_bytes(20, "little")) == JxlHeader(8, 8, 6)
    for broken in (b"", b"\xff\x0a", b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(50)):
        with pytest.raises(ValueError, match="no codestream"):
            read_head(broken)


def test_camera_raw() -> None:
    pytest.importorskip("rawpy", reason="rawpy is not installed: pip install '.[raw]'")
    data = dng(PICTURE)
    got = decode(data, EXACT, b"/photos/IMG_1.DNG")
    assert (got.format, got.width, got.height, got.decoder) == ("RAW", 320, 240, RAW.decoder)
    fast = decode(data, FAST, b"/photos/IMG_1.dng")
    assert (fast.width, fast.scale) == (320, 2)
    assert np.corrcoef(fast.pixels.ravel(), got.pixels.ravel())[0, 1] > 0.99
    assert np.corrcoef(got.pixels.ravel(), SMALL.ravel())[0, 1] > 0.8  # developed: another white balance and gamma
    assert problem_of(data, b"x.dng", replace(FAST, max_pixels=100)) == problems.MANY_PIXELS
    plain = saved(Image.fromarray(PICTURE), "TIFF")
    assert decode(plain, EXACT, b"scan.nef").format == "TIFF"  # a TIFF with a misleading name


def problem_of(data: bytes, name: bytes, options: DecodeOptions = EXACT) -> problems.Problem:
    with pytest.raises(Unreadable) as caught:
        decode(data, options, name)
    return caught.value.problem


HEIC_START = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(40)


@pytest.mark.parametrize(
    ("data", "name", "extra"),
    [
        (HEIC_START, b"a.heic", "heic"),
        (HEIC_START, b"a.jpg", "heic"),
        (b"\xff\x0a" + bytes(40), b"a.jxl", "jxl"),
        (b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(40), b"a.jxl", "jxl"),
        (b"II*\0\x10\0\0\0CR\x02\0" + bytes(40), b"a.cr2", "raw"),
        (b"FUJIFILMCCD-RAW " + bytes(40), b"a.raf", "raw"),
        (b"II*\0\x08\0\0\0" + bytes(40), b"a.NEF", "raw"),
        (b"\0\0\0\x18ftypcrx " + bytes(40), b"a.cr3", "raw"),
    ],
)
def test_the_error_of_a_missing_format_names_the_extra(
    monkeypatch: pytest.MonkeyPatch, data: bytes, name: bytes, extra: str
) -> None:
    monkeypatch.setattr(formats, "version_of", lambda _: None)
    with pytest.raises(Unreadable, match=f"needs the extra {extra}; see fast-diff formats") as caught:
        decode(data, EXACT, name)
    assert caught.value.problem.code == "unsupported"
    library = next(format.library for format in FORMATS if format.extra == extra)
    assert caught.value.decoder == f"{library} missing"


def test_an_avif_under_a_brand_of_heif_is_an_avif() -> None:
    data = EVERY["AVIF"]
    renamed = data[:8] + b"mif1" + data[12:]
    assert b"avif" in renamed[16:64]
    assert decode(renamed, EXACT).format == "AVIF"


def test_drawings_and_documents_are_unsupported() -> None:
    for data in (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", b"%PDF-1.7\n", b"\n<svg xmlns='x'>"):
        assert problem(data) == problems.DRAWING
    assert problem(b"") == problems.EMPTY


def test_photoshop() -> None:
    got = decode(psd(PICTURE), EXACT)
    assert (got.format, got.frames) == ("PSD", 1)
    assert off(got) == 0


def test_jpeg_2000_is_halved_by_its_decoder_where_that_is_enough() -> None:
    large = Image.fromarray(PICTURE).resize((1600, 1200), Image.Resampling.BICUBIC)
    data = saved(large, "JPEG2000")
    fast, exact = decode(data, FAST), decode(data, EXACT)
    assert (fast.scale, exact.scale, fast.width) == (4, 1, 1600)
    assert np.square(fast.pixels.astype(float) - exact.pixels).sum(axis=2).mean() < 5
    shallow = saved(large, "JPEG2000", num_resolutions=2)  # halved once
    assert decode(shallow, FAST).scale == 2


def test_taken() -> None:
    for written, expected in (
        ("2024:05:06 07:08:09", "2024-05-06T07:08:09"),
        ("2024:05:06 07:08:09\0", "2024-05-06T07:08:09"),
        ("    :  :     :  :  ", None),
        ("0000:00:00 00:00:00", None),
        ("yesterday", None),
    ):
        exif = Image.Exif()
        exif[0x010F] = "maker"
        exif.get_ifd(0x8769)[0x9003] = written
        for kind in ("JPEG", "PNG", "WEBP", "AVIF"):
            taken = decode(saved(Image.new("RGB", (8, 8)), kind, exif=exif), EXACT).taken
            assert (taken and taken.isoformat()) == expected, (kind, written)


def test_every_frame_is_counted_and_the_first_is_shown() -> None:
    frames = [Image.new("RGB", (8, 8), (number, 0, 0)) for number in range(50)]
    data = saved(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert decode(data, EXACT).frames == 50
    buffer = io.BytesIO(data[:-200])
    assert decode(buffer.getvalue(), EXACT).pixels.max() == 0


def test_the_list_ends_with_the_command_that_installs_missing_formats(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formats, "version_of", lambda _: None)
    monkeypatch.setattr(command, "install_extra", lambda *extras: f"add {' '.join(extras)}")
    *lines, last = command.lines()
    assert last == "to add extras: add " + " ".join(dict.fromkeys(each.extra for each in FORMATS if each.extra))
    assert any("missing: the extra raw " in line for line in lines)
    monkeypatch.setattr(formats, "version_of", lambda _: "1")
    assert not any(line.startswith("to add") for line in command.lines())
