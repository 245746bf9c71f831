"""Hash each shifted thumbnail in several turns, and find identical thumbnails.

There is one task per partition."""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from blake3 import blake3
from numpy.typing import NDArray
from pydantic import Field, field_validator
from xxhash import xxh3_128_hexdigest

from pipeline.messages.errors import TaskError
from pipeline.stage import CacheKey, Inputs, Job, Output, Preflight, Settings, Stage, Task, Upstream, section
from stages.comparing.functions import RAISED, error_text, imported
from stages.comparing.metrics.hamming import HASHES, MIRRORED_HASHES
from stages.comparing.thumbnails import pixels, thumbnail_shape
from stages.kernels.measure.identity import identities, shift_bits
from stages.kernels.measure.turns import COMPARED, turned

if TYPE_CHECKING:
    from PIL import Image

HashFunction = Callable[[Any], object]
"""A function of an array (H, W, C), or of a PIL.Image."""
FAST: Mapping[str, HashFunction] = {
    "xxh3_128": xxh3_128_hexdigest,
    "blake3": lambda image: blake3(image).hexdigest(),
}
"""Hashes that hashlib lacks. xxh3_128 is the fastest, but does not resist forgery: of all results, only
`pairs.same_hash` relies on these hashes."""
MODES = {1: "L", 3: "RGB", 4: "RGBA"}
TOGETHER = 256
"""Number of thumbnails that are turned together."""
NO_TEXT = (type(None), bytes, bytearray, np.ndarray)
"""Types whose text does not hold the whole value."""


@section
class Params:
    """The hash function and its input."""

    function: Annotated[
        str,
        Field(
            description="xxh3_128, blake3, a hash of hashlib, or package.module:function; str() turns its result into "
            "text"
        ),
    ] = "xxh3_128"
    takes: Annotated[
        Literal["array", "image"],
        Field(description="input of package.module:function: an array of bytes (H, W, C), or a PIL.Image"),
    ] = "array"
    shift: Annotated[
        int,
        Field(
            ge=-7,
            le=7,
            description="bits by which each value is shifted before hashing, right if positive; 4 keeps 16 levels",
        ),
    ] = 4

    @field_validator("function")
    @classmethod
    def _exists(cls, value: str) -> str:
        hash_function(value)
        return value


def hash_function(name: str) -> HashFunction:
    """Return the function that `hash.function` names.

    Raises:
        ValueError: the function does not exist; the message states the expected names."""
    if ":" in name:
        return imported(name)
    if name in FAST:
        return FAST[name]
    fixed = sorted([*FAST, *filter(_gives_text, hashlib.algorithms_available)])
    if name not in fixed:
        near = difflib.get_close_matches(name, fixed, 1)
        hint = f"; did you mean {near[0]}?" if near else f": {', '.join(fixed)}; or package.module:function"
        raise ValueError(f"expected xxh3_128, blake3 or a hash of hashlib, got {name!r}{hint}")
    return lambda image: hashlib.new(name, image, usedforsecurity=False).hexdigest()


def _gives_text(name: str) -> bool:
    """Return whether hashlib computes a hash of this name.

    Some hashes need a length, and OpenSSL may refuse hashes that hashlib lists."""
    try:
        return bool(hashlib.new(name, usedforsecurity=False).hexdigest())
    except (TypeError, ValueError):
        return False


def check(params: Params, settings: Settings) -> Iterator[str]:
    """Yield a problem if `takes: image` is set for a function that takes bytes."""
    if params.takes == "image" and ":" not in params.function:
        yield (
            f"hash.takes: image needs a package.module:function, got {params.function}, which takes bytes; set "
            "hash.function to a function such as imagehash:phash, or set hash.takes=array"
        )


def schema(params: Params, settings: Settings) -> pa.Schema:
    """Return the artifact's schema.

    hash_*           hashes of the shifted thumbnail, turned; hash_mirrored_*: mirrored, then turned
    identity         digest of the thumbnail as stored
    identity_turned  digest of the least of the thumbnail's turned forms, in the order of bytes; the turns are the
                     quarter turns that keep the thumbnail's shape, or, with pairs.mirror, the compared turns
    turn             the smallest turn that gives the least form
    symmetry         number of turns that leave the thumbnail unchanged
    unchanged        the turns that leave the thumbnail unchanged, as bits

    Only with pairs.mirror: hash_mirrored_*, unchanged."""
    mirror = settings("pairs.mirror")
    return pa.schema(
        [
            ("path", pa.string()),
            ("set", pa.string()),
            *((name, pa.string()) for name in HASHES),
            *((name, pa.string()) for name in MIRRORED_HASHES if mirror),
            ("identity", pa.string()),
            ("identity_turned", pa.string()),
            ("turn", pa.int8()),
            ("symmetry", pa.int8()),
            *([("unchanged", pa.uint8())] if mirror else []),
        ]
    )


def tasks(upstream: Upstream, params: Params) -> Iterator[Task]:
    """Yield one task per partition."""
    for task in upstream.tasks("thumbnail"):
        yield Task(task.key, (("thumbnail", task.key),), size=task.size)


def compute(inputs: Inputs, params: Params, job: Job) -> pa.Table:
    """Return hashes of the readable images, in path order.

    Raises:
        TaskError: the user's function fails, or does not return text."""
    (thumbnails,) = inputs.of("thumbnail")
    batches = thumbnails.batches(["path", "set", "error", "thumbnail"])
    form = schema(params, job.settings)
    return pa.concat_tables([form.empty_table(), *(_hashed(rows, form, params, job) for rows in batches)])


def _hashed(rows: pa.RecordBatch, form: pa.Schema, params: Params, job: Job) -> pa.Table:
    """Return hashes of the readable images among `rows`, a table of the schema `form`."""
    if rows["error"].null_count < len(rows):  # filtering copies the thumbnails
        rows = rows.filter(pc.is_null(rows["error"]))
    thumbnails, mirror = pixels(rows["thumbnail"], thumbnail_shape(job.settings)), job.settings("pairs.mirror")
    height, width, _ = thumbnail_shape(job.settings)
    kept = COMPARED[4] if height == width else COMPARED[4][::2]
    if mirror:
        kept = COMPARED[8 if job.settings("pairs.rotations") else 2]
    columns: list[list[Any]] = [[] for _ in form.names[2:]]
    for start in range(0, len(thumbnails), TOGETHER):
        some = slice(start, start + TOGETHER)
        paths = rows["path"][some].to_pylist()
        shifted = shift_bits(thumbnails[some], params.shift)
        hashes = [_hashes(turned(shifted, turn), paths, params) for turn in COMPARED[8 if mirror else 4]]
        own, least, turn, unchanged = identities(thumbnails[some], kept)
        found: list[list[Any]] = [*hashes, own, least, turn, [bits.bit_count() for bits in unchanged]]
        found += [unchanged] if mirror else []
        for column, values in zip(columns, found, strict=True):
            column += values
        job.advance(len(paths))
    return pa.table([rows["path"], rows["set"], *columns], schema=form)


def _hashes(images: NDArray[np.uint8], paths: Sequence[str], params: Params) -> list[str]:
    """Return the hash of each image; paths are for error messages."""
    function = hash_function(params.function)
    images.flags.writeable = False
    if params.function in FAST:
        return [str(function(image)) for image in images]
    return [_hash(function, image, path, params) for image, path in zip(images, paths, strict=True)]


def _hash(function: HashFunction, image: NDArray[np.uint8], path: str, params: Params) -> str:
    try:
        given = function(as_image(image) if params.takes == "image" else image)
        text = None if _loses_value(given) else str(given)
    except RAISED as error:
        raise TaskError(f"hash.function {params.function} failed on {path}: {error_text(error)}") from error
    if text is None or not _is_unicode(text):
        came = type(given).__name__ if text is None else "text with lone surrogates"
        raise TaskError(f"hash.function {params.function}: expected text, got {came} for {path}")
    return text


def as_image(pixels: NDArray[np.uint8]) -> Image.Image:
    """Return a thumbnail, uint8 (H, W, C), as a Pillow image.

    The mode is L, RGB or RGBA by the number of channels."""
    from PIL import Image

    height, width, channels = pixels.shape
    return Image.frombytes(MODES[channels], (width, height), pixels.tobytes())


def _loses_value(given: object) -> bool:
    """Return whether str() omits a part of the value, or prints an address."""
    kind = type(given)
    return isinstance(given, NO_TEXT) or (kind.__str__ is object.__str__ and kind.__repr__ is object.__repr__)


def _is_unicode(text: str) -> bool:
    """Return whether a text column can hold the text, which must lack lone surrogates."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def reads(params: Params, settings: Settings) -> Mapping[str, Sequence[str]]:
    """Return the columns that determine hashes; the file's format and size do not."""
    return {"thumbnail": ("path", "set", "error", "thumbnail")}


def uses(settings: Settings) -> Sequence[str]:
    """Return the settings of other sections that determine hashes."""
    return ("thumbnail.size", "thumbnail.channels", *(["pairs.rotations"] if settings("pairs.mirror") else []))


STAGE: Stage[Params] = Stage(
    "hash",
    version=3,
    needs=("thumbnail",),
    params=Params,
    schema=schema,
    tasks=tasks,
    compute=compute,
    cache_key=CacheKey(reads, uses, added={"pairs.mirror": False}),
    output=Output(unit="images", seconds=1e-4),
    preflight=Preflight(check, own_code=lambda params, settings: ":" in params.function),
)
