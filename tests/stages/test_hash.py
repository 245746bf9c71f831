"""Hashes of shifted thumbnails in four turns, and which thumbnails are identical."""

import hashlib
import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from blake3 import blake3
from PIL import Image
from pydantic import TypeAdapter, ValidationError
from xxhash import xxh3_128_hexdigest

from pipeline.messages.errors import TaskError
from stages.hash import STAGE, Params
from stages.kernels.measure.identity import digest as digest_of
from stages.kernels.measure.identity import shift_bits
from tests.in_memory import MemoryArtifact, compute
from tests.stages.kernels.plain import form

HERE = __name__


def run(
    images: np.ndarray, folder: Path, errors: Any = None, mirror: bool = False, rotations: bool = True, **params: Any
) -> list[dict[str, Any]]:
    """Return the rows of thumbnails, uint8 (n, H, W, C), for settings of `pairs.mirror` and `pairs.rotations`."""
    count, height, width, channels = images.shape
    table = pa.table(
        {
            "path": [f"/{number}.png" for number in range(count)],
            "set": ["a"] * count,
            "error": pa.array(errors or [None] * count, pa.string()),
            "thumbnail": pa.array([image.tobytes() for image in images], pa.binary(height * width * channels)),
        }
    )
    settings = {"thumbnail.size": (width, height), "thumbnail.channels": {1: "grey", 3: "rgb", 4: "rgba"}[channels]}
    settings |= {"pairs.mirror": mirror, "pairs.rotations": rotations}
    artifact, _ = compute(STAGE, [MemoryArtifact("thumbnail", "a-end", table)], Params(**params), settings, folder)
    assert artifact.rows_.schema == STAGE.schema_for(Params(**params), settings.__getitem__)
    assert ("unchanged" in artifact.rows_.column_names) == mirror
    return list(artifact.rows_.to_pylist())


def random(count: int, height: int, width: int, channels: int = 3) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (count, height, width, channels), dtype=np.uint8)


@pytest.mark.parametrize("shift", [-7, -3, 0, 4, 7])
@pytest.mark.parametrize("shape", [(6, 6, 3), (5, 8, 1)])
def test_hashes_are_of_the_shifted_thumbnail_turned(shape: tuple[int, int, int], shift: int, tmp_path: Path) -> None:
    images = random(3, *shape)
    for image, row in zip(images, run(images, tmp_path, shift=shift, function="md5"), strict=True):
        values = image.astype(int)
        shifted = (values >> shift if shift >= 0 else values << -shift & 255).astype(np.uint8)
        for turn in range(4):
            turned = np.rot90(shifted, turn)
            assert row[f"hash_{90 * turn}"] == hashlib.md5(turned.tobytes()).hexdigest()


@pytest.mark.parametrize(
    ("value", "shift", "expected"), [(0b10110111, 4, 0b1011), (0b10110111, -4, 0b01110000), (255, -7, 128)]
)
def test_bits_shifted_out_are_dropped(value: int, shift: int, expected: int) -> None:
    assert shift_bits(np.array([value], np.uint8), shift).tolist() == [expected]


def test_identity_is_of_the_stored_thumbnail_for_every_hash_function(tmp_path: Path) -> None:
    images = random(2, 6, 6)
    images[1] = images[0] ^ 1  # equal in the upper four bits
    first, second = run(images, tmp_path)
    assert first["hash_0"] == second["hash_0"]
    assert first["identity"] == digest_of(images[0]) == blake3(images[0].tobytes()).hexdigest(16)
    assert second["identity"] == digest_of(images[1]) != digest_of(images[0])


def test_turned_copies_share_identity_turned_and_turn_leads_to_it(tmp_path: Path) -> None:
    image = random(1, 6, 6)[0]
    copies = np.stack([np.rot90(image, k) for k in range(4)])
    rows = run(copies, tmp_path)
    assert len({row["identity"] for row in rows}) == 4
    assert {row["identity_turned"] for row in rows} == {digest_of(min(copies, key=np.ndarray.tobytes))}
    for copy, row in zip(copies, rows, strict=True):
        assert digest_of(np.rot90(copy, row["turn"])) == row["identity_turned"]
        assert row["symmetry"] == 1


def test_symmetry_counts_the_turns_that_change_nothing_and_turn_is_the_smallest(tmp_path: Path) -> None:
    half = random(1, 6, 6)[0]
    half[3:] = np.rot90(half, 2)[3:]
    whole = np.zeros((6, 6, 3), np.uint8)
    whole[2:4, 2:4] = 9
    rows = run(np.stack([half, np.rot90(half), whole]), tmp_path)
    assert [row["symmetry"] for row in rows] == [2, 2, 4]
    assert sorted(row["turn"] for row in rows[:2]) == [0, 1]
    assert rows[2]["turn"] == 0


@pytest.mark.parametrize(("shape", "rotations"), [((6, 6, 3), True), ((6, 6, 1), False), ((5, 8, 3), False)], ids=str)
def test_with_the_mirror_hashes_and_identities_are_of_all_compared_turns(
    shape: tuple[int, int, int], rotations: bool, tmp_path: Path
) -> None:
    turns = range(8) if rotations else (0, 4)
    image = random(1, *shape)[0]
    folded = image // 2 + image[:, ::-1] // 2
    copies = [form(each, turn) for each in (image, folded) for turn in turns]
    rows = run(np.stack(copies), tmp_path, mirror=True, rotations=rotations, function="md5", shift=0)
    for copy, row in zip(copies, rows, strict=True):
        for turn in range(8):
            name = f"hash_{'mirrored_' if turn >= 4 else ''}{turn % 4 * 90}"
            assert row[name] == hashlib.md5(form(copy, turn).tobytes()).hexdigest()
        forms = {turn: form(copy, turn).tobytes() for turn in turns}
        assert row["turn"] == min(turn for turn in turns if forms[turn] == min(forms.values()))
        assert row["unchanged"] == sum(1 << turn for turn in turns if forms[turn] == forms[0])
        assert row["symmetry"] == row["unchanged"].bit_count()
        assert digest_of(form(copy, row["turn"])) == row["identity_turned"]
    assert len({row["identity_turned"] for row in rows}) == 2
    assert {row["symmetry"] for row in rows} == {1, 2}


def test_a_thumbnail_that_is_not_square_turns_by_half_only(tmp_path: Path) -> None:
    image = random(1, 4, 9)[0]
    mirrored = image.copy()
    mirrored[2:] = np.rot90(image, 2)[2:]
    rows = run(np.stack([image, np.rot90(image, 2), mirrored, np.full_like(image, 3)]), tmp_path)
    assert {row["identity_turned"] for row in rows[:2]} == {
        digest_of(min(image, np.rot90(image, 2), key=lambda turned: turned.tobytes()))
    }
    assert sorted(row["turn"] for row in rows[:2]) == [0, 2]
    assert [row["symmetry"] for row in rows] == [1, 1, 2, 2]


def test_unreadable_images_have_no_row(tmp_path: Path) -> None:
    images = random(3, 6, 6)
    rows = run(images, tmp_path, errors=[None, "truncated", None])
    assert [row["path"] for row in rows] == ["/0.png", "/2.png"]
    assert rows[1]["identity"] == digest_of(images[2])
    assert run(images, tmp_path, errors=["io"] * 3) == []


def shape_and_corner(image: np.ndarray) -> str:
    return f"{image.shape} {image.dtype} {image.flags.writeable} {image.flags.c_contiguous} {image[0, 0, 0]}"


class Hash:
    """An object that has a text but is not a text, as ImageHash's functions return."""

    def __str__(self) -> str:
        return "ff00"


def hash_object(image: np.ndarray) -> Hash:
    return Hash()


def number(image: np.ndarray) -> int:
    return 7


def forgets(image: np.ndarray) -> None:
    """Return nothing."""


def digest(image: np.ndarray) -> bytes:
    return hashlib.md5(image.tobytes()).digest()


def bits(image: np.ndarray) -> np.ndarray:
    return image[:, :, 0] > 9


def nameless(image: np.ndarray) -> object:
    return object()


def surrogate(image: np.ndarray) -> str:
    return "\ud800"


def writes(image: np.ndarray) -> str:
    image[0] = 0
    return ""


def fails(image: np.ndarray) -> str:
    raise RuntimeError("two\nlines")


def test_a_function_of_the_users_gets_each_turn_read_only(tmp_path: Path) -> None:
    images = random(1, 5, 8)
    row = run(images, tmp_path, function=f"{HERE}:shape_and_corner", shift=0)[0]
    assert row["hash_0"] == f"(5, 8, 3) uint8 False True {images[0, 0, 0, 0]}"
    assert row["hash_90"] == f"(8, 5, 3) uint8 False True {images[0, 0, -1, 0]}"


@pytest.mark.parametrize(("function", "text"), [("hash_object", "ff00"), ("number", "7")])
def test_results_that_are_not_text_are_converted_by_str(function: str, text: str, tmp_path: Path) -> None:
    assert run(random(1, 5, 5), tmp_path, function=f"{HERE}:{function}")[0]["hash_0"] == text


def seen(image: Image.Image) -> str:
    return f"{image.mode} {image.size} {hashlib.md5(image.tobytes()).hexdigest()}"


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (3, "RGB"), (4, "RGBA")])
def test_takes_image_gives_pillow_images_shifted_and_turned(channels: int, mode: str, tmp_path: Path) -> None:
    images = random(1, 5, 8, channels)
    row = run(images, tmp_path, function=f"{HERE}:seen", takes="image", shift=3)[0]
    for turn, size in enumerate([(8, 5), (5, 8)] * 2):
        pixels = hashlib.md5(np.rot90(images[0] >> 3, turn).tobytes()).hexdigest()
        assert row[f"hash_{90 * turn}"] == f"{mode} {size} {pixels}"


def test_functions_of_hashlib_take_no_image() -> None:
    (problem,) = STAGE.preflight.check(Params(takes="image"), lambda key: None)
    assert problem.startswith("hash.takes: image needs a package.module:function, got xxh3_128, which takes bytes")
    assert list(STAGE.preflight.check(Params(takes="image", function=f"{HERE}:seen"), lambda key: None)) == []


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("forgets", "expected text, got NoneType for /0.png"),
        ("digest", "expected text, got bytes for /0.png"),
        ("bits", "expected text, got ndarray for /0.png"),
        ("nameless", "expected text, got object for /0.png"),
        ("surrogate", "expected text, got text with lone surrogates for /0.png"),
        ("writes", "failed on /0.png: ValueError: assignment destination is read-only"),
        ("fails", "failed on /0.png: RuntimeError: two lines"),
    ],
)
def test_a_function_that_fails_is_named_with_the_image(name: str, what: str, tmp_path: Path) -> None:
    with pytest.raises(TaskError) as caught:
        run(random(1, 5, 5), tmp_path, function=f"{HERE}:{name}")
    assert f"hash.function {HERE}:{name}" in str(caught.value)
    assert str(caught.value).endswith(what)


@pytest.mark.parametrize(
    ("function", "words"),
    [
        ("sha265", "did you mean sha256?"),
        ("shake_128", "expected xxh3_128, blake3 or a hash of hashlib, got 'shake_128'"),
        ("", "expected xxh3_128, blake3 or a hash of hashlib"),
        ("no.such.module:f", "which can't be imported"),
        (f"{HERE}:nothing", "which can't be imported"),
        (f"{HERE}:HERE", "which is not a function"),
    ],
)
def test_functions_that_do_not_exist_are_refused(function: str, words: str) -> None:
    with pytest.raises(ValidationError, match=re.escape(words)):
        TypeAdapter(Params).validate_python({"function": function})


def test_hashes_that_hashlib_lacks(tmp_path: Path) -> None:
    (image,) = pixels = random(1, 4, 4)
    for function, expected in (("xxh3_128", xxh3_128_hexdigest), ("blake3", lambda data: blake3(data).hexdigest())):
        row = run(pixels, tmp_path, function=function, shift=0)[0]
        assert row["hash_90"] == expected(np.rot90(image).tobytes())
    assert run(pixels, tmp_path)[0] == run(pixels, tmp_path, function="xxh3_128")[0]


@pytest.mark.parametrize("function", sorted(hashlib.algorithms_guaranteed))
def test_every_guaranteed_algorithm_works_or_needs_a_length(function: str, tmp_path: Path) -> None:
    if function.startswith("shake"):
        with pytest.raises(ValidationError):
            TypeAdapter(Params).validate_python({"function": function})
    else:
        pixels = random(1, 4, 4)
        assert (
            run(pixels, tmp_path, function=function, shift=0)[0]["hash_0"]
            == hashlib.new(function, pixels.tobytes()).hexdigest()
        )


@pytest.mark.parametrize("shift", [-8, 8])
def test_a_shift_of_a_whole_byte_is_refused(shift: int) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Params).validate_python({"shift": shift})


def test_a_users_function_counts_as_own_code() -> None:
    assert STAGE.preflight.own_code(Params(function=f"{HERE}:seen"), lambda key: None)
    assert not STAGE.preflight.own_code(Params(), lambda key: None)
