"""Hash each shifted thumbnail at four turns, and tell which thumbnails are identical; one task per partition."""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from PIL import Image
from pydantic import ConfigDict, Field, field_validator
from pydantic.dataclasses import dataclass

from pipeline.messages.errors import TaskError
from pipeline.stage import CacheKey, Inputs, Job, Preflight, Settings, Stage, Task, Upstream
from stages.comparing.functions import RAISED, imported, said
from stages.comparing.thumbnails import pixels, thumbnail_shape
from stages.kernels.measure.exact import turned
from stages.kernels.measure.identity import identities, shift_bits

Function = Callable[[Any], object]
"""From an array (H, W, C), or from a PIL.Image."""
MODES = {1: "L", 3: "RGB", 4: "RGBA"}
NO_TEXT = (type(None), bytes, bytearray, np.ndarray)
"""What has a text that tells nothing, or not all, of it."""


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Params:
    """What is hashed, and how."""

    function: Annotated[
        str,
        Field(description="a name of hashlib, or package.module:function to text, or to what str() makes text of"),
    ] = "sha256"
    takes: Annotated[
        Literal["array", "image"],
        Field(description="what package.module:function is given: an array of bytes (H, W, C), or a PIL.Image"),
    ] = "array"
    shift: Annotated[
        int,
        Field(
            ge=-7, le=7, description="bits that each value is shifted by before, right if positive; 4 keeps 16 levels"
        ),
    ] = 4

    @field_validator("function")
    @classmethod
    def _exists(cls, value: str) -> str:
        hash_function(value)
        return value


def hash_function(name: str) -> Function:
    """The function of that name. Raises ValueError that says what was expected."""
    if ":" in name:
        return imported(name)
    fixed = sorted(filter(_gives_text, hashlib.algorithms_available))
    if name not in fixed:
        near = difflib.get_close_matches(name, fixed, 1)
        hint = f"; did you mean {near[0]}?" if near else f": {', '.join(fixed)}; or package.module:function"
        raise ValueError(f"expected a hash of hashlib, got {name!r}{hint}")
    return lambda image: hashlib.new(name, image, usedforsecurity=False).hexdigest()


def _gives_text(name: str) -> bool:
    """Whether hashlib makes a hash of this name: some need a length, others the system lists but refuses."""
    try:
        return bool(hashlib.new(name, usedforsecurity=False).hexdigest())
    except (TypeError, ValueError):
        return False


def check(params: Params, settings: Settings) -> Iterator[str]:
    """Functions of hashlib take bytes."""
    if params.takes == "image" and ":" not in params.function:
        yield (
            f"hash.takes: {params.function} of hashlib takes no image; name a package.module:function in "
            "hash.function, such as imagehash:phash, or set hash.takes=array"
        )


SCHEMA = pa.schema(
    [
        ("path", pa.string()),
        ("set", pa.string()),
        *((f"hash_{turn}", pa.string()) for turn in (0, 90, 180, 270)),
        ("identity", pa.string()),
        ("identity_turned", pa.string()),
        ("turn", pa.int8()),
        ("symmetry", pa.int8()),
    ]
)


def tasks(upstream: Upstream, params: Params) -> Iterator[Task]:
    """One per partition."""
    return (Task(task.key, (("thumbnail", task.key),)) for task in upstream.tasks("thumbnail"))


def compute(inputs: Inputs, params: Params, job: Job) -> pa.Table:
    """Rows for the readable images, in order. Raises TaskError where the user's function fails."""
    rows = inputs.table("thumbnail", ["path", "set", "error", "thumbnail"])
    rows = rows.filter(pc.is_null(rows["error"]))
    thumbnails = pixels(rows["thumbnail"], thumbnail_shape(job.settings))
    function = hash_function(params.function)
    shifted = shift_bits(thumbnails, params.shift)
    paths = rows["path"].to_pylist()
    hashes = [
        [_hash(function, image, path, params) for image, path in zip(turned(shifted, turn), paths, strict=True)]
        for turn in range(4)
    ]
    return pa.table([rows["path"], rows["set"], *hashes, *identities(thumbnails)], schema=SCHEMA)


def _hash(function: Function, image: NDArray[np.uint8], path: str, params: Params) -> str:
    image.flags.writeable = False
    try:
        given = function(as_image(image) if params.takes == "image" else image)
        text = None if _says_nothing(given) else str(given)
    except RAISED as error:
        raise TaskError(f"hash.function {params.function} failed on {path}: {said(error)}") from error
    if text is None or not _is_unicode(text):
        came = type(given).__name__ if text is None else "text that is no Unicode"
        raise TaskError(f"hash.function {params.function}: expected text, got {came} for {path}")
    return text


def as_image(pixels: NDArray[np.uint8]) -> Image.Image:
    """A thumbnail, uint8 (H, W, C), as Pillow has it: L, RGB or RGBA by its channels."""
    height, width, channels = pixels.shape
    return Image.frombytes(MODES[channels], (width, height), pixels.tobytes())


def _says_nothing(given: object) -> bool:
    """Whether str() would leave something out, or tell where in memory an object lies."""
    kind = type(given)
    return isinstance(given, NO_TEXT) or (kind.__str__ is object.__str__ and kind.__repr__ is object.__repr__)


def _is_unicode(text: str) -> bool:
    """Whether a column of text can hold it: lone surrogates can't be stored."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def reads(params: Params, settings: Settings) -> Mapping[str, Sequence[str]]:
    """What a file is called by its format does not matter; its pixels do."""
    return {"thumbnail": ("path", "set", "error", "thumbnail")}


STAGE: Stage[Params] = Stage(
    "hash",
    version=2,
    needs=("thumbnail",),
    params=Params,
    schema=SCHEMA,
    tasks=tasks,
    compute=compute,
    cache_key=CacheKey(reads, ("thumbnail.size", "thumbnail.channels")),
    preflight=Preflight(check),
)
