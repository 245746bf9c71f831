"""Turn each image into a thumbnail, its coarse sums and facts, or an error; one task per partition."""

from __future__ import annotations

import importlib.util
import itertools
import math
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Literal, NamedTuple, TypeAlias, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from PIL import ImageColor
from pydantic import ConfigDict, Field, field_validator
from pydantic.dataclasses import dataclass

from pipeline.stage import (
    SPEED,
    Artifact,
    CacheKey,
    Inputs,
    Job,
    Output,
    Preflight,
    Result,
    Reuse,
    Settings,
    Stage,
    Task,
    Upstream,
)
from stages.comparing.thumbnails import CHANNELS, coarse_type
from stages.decoding.child import Limits, Seen
from stages.decoding.decode import Options
from stages.decoding.formats import registry as formats
from stages.decoding.lanes import Lanes
from stages.decoding.problems import LIMITS, PASSING, Unreadable
from stages.decoding.reading import Expected, read
from stages.kernels.bounds.coarse import coarse, contrast

MODES = {"grey": "L", "rgb": "RGB", "rgba": "RGBA"}
UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "ki": 2**10, "mi": 2**20, "gi": 2**30}
Side = Annotated[int, Field(ge=4, le=1024)]
Count = int | str
Key: TypeAlias = tuple[str, int, str]


class Found(NamedTuple):
    """What was found out about a file, but its pixels; see `schema`."""

    width: int | None = None
    height: int | None = None
    format: str | None = None
    mode: str | None = None
    digest: str | None = None
    error: str | None = None
    error_detail: str | None = None
    note: str | None = None
    alpha: float | None = None
    frames: int | None = None
    taken: datetime | None = None
    scale: int | None = None
    decoder: str | None = None
    error_limit: float | None = None
    camera: str | None = None
    software: str | None = None
    gps: bool | None = None
    orientation: int | None = None
    quality: int | None = None
    tables: str | None = None
    subsampling: str | None = None
    progressive: bool | None = None
    was_jpeg: bool | None = None


Row: TypeAlias = tuple[Found, bytes | None]
LIMITED = {problem.code: name for problem, name in LIMITS.items()}
"""Codes of errors that a higher limit may spare an image, and the parameter that sets it."""


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Params:
    """What changes the pixels; how fast they are made is the scheduler's business."""

    size: Annotated[tuple[Side, Side], Field(description="width and height of a thumbnail, 4 to 1024 each")] = (64, 64)
    channels: Annotated[Literal["grey", "rgb", "rgba"], Field(description="what is compared of each pixel")] = "rgb"
    decode: Annotated[
        Literal["fast", "exact"],
        Field(description="fast: JPEG decoded at a reduced scale of at least four thumbnails; exact: every pixel"),
    ] = "fast"
    background: Annotated[str, Field(description="colour under transparent pixels: a name, or #rrggbb")] = "white"
    orientation: Annotated[
        Literal["exif", "ignore"], Field(description="turn images as their EXIF orientation says, or not")
    ] = "exif"
    colour: Annotated[
        Literal["srgb", "raw"],
        Field(description="srgb: colours converted to sRGB where an image has an ICC profile; raw: as they are stored"),
    ] = "srgb"
    truncated: Annotated[
        Literal["reject", "accept"],
        Field(description="accept: a JPEG, PNG or BMP that was cut short counts if at least half its picture is there"),
    ] = "reject"
    max_bytes: Annotated[Count, Field(description="a larger file is not read; a number, or such as 256MiB")] = 2**28
    max_pixels: Annotated[Count, Field(description="a larger image is not decoded; a number, or such as 500M")] = (
        500_000_000
    )
    max_memory: Annotated[
        Count, Field(description="memory that decoding one image may take; a number, or such as 3GiB"), SPEED
    ] = 3 * 2**30
    timeout: Annotated[
        float, Field(gt=0, le=86_400, description="seconds that reading and decoding one image may take"), SPEED
    ] = 120.0
    plugins: Annotated[
        tuple[str, ...], Field(description="modules to import that teach Pillow further formats; see fast-diff formats")
    ] = ()

    @field_validator("max_bytes", "max_pixels", "max_memory")
    @classmethod
    def _count(cls, value: int | str) -> int:
        match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmg]?i?)b?", str(value).strip().lower())
        count = float(match[1]) * UNITS[match[2]] if match and match[2] in UNITS else 0
        if not 1 <= count < 2**63:
            raise ValueError(
                f"expected a number of 1 to 2**63, or one with a unit such as 256MiB, got {str(value)[:80]!r}"
            )
        return int(count)

    @field_validator("background")
    @classmethod
    def _colour(cls, value: str) -> str:
        try:
            colour = ImageColor.getrgb(value)
        except ValueError as error:
            raise ValueError(f"expected a colour such as white or #ff8800, got {value!r}") from error
        if len(colour) != 3:
            raise ValueError(f"expected a colour without transparency such as white or #ff8800, got {value!r}")
        return value

    def options(self, trust: str) -> Options:
        """These parameters for the decoder."""
        red, green, blue, *_ = ImageColor.getrgb(self.background)
        return Options(
            self.size,
            MODES[self.channels],
            self.decode == "fast",
            (red, green, blue),
            self.orientation == "exif",
            int(self.max_bytes),
            int(self.max_pixels),
            trust,
            self.colour == "srgb",
            self.truncated == "accept",
        )

    @property
    def limits(self) -> Limits:
        """What a process that decodes may take."""
        return Limits(int(self.max_memory), self.timeout, self.plugins)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width and channels."""
        return self.size[1], self.size[0], CHANNELS[self.channels]


def schema(params: Params, settings: Settings) -> pa.Schema:
    """Return the artifact's schema.

    width, height                   of the upright image
    contrast                        standard deviation of the thumbnail's values
    alpha                           share of the image that is transparent
    scale                           the image was decoded at 1/scale of its width (`decode: fast`)
    decoder                         library that decoded the image, or the missing one
    error_limit                     bytes of memory, or seconds, that were not enough
    camera, software                of EXIF; software is Adobe where only an Adobe marker says so
    gps                             whether EXIF has a location
    orientation                     EXIF's orientation
    quality, tables, subsampling, progressive  of a JPEG: quality in libjpeg's terms, tables `standard` or `own`
    was_jpeg                        whether a lossless image has the pixels of a decoded JPEG; null: undecided
    thumbnail                       bytes in C order"""
    height, width, channels = params.shape
    return pa.schema(
        [
            ("path", pa.string()),
            ("path_bytes", pa.binary()),
            ("set", pa.string()),
            ("width", pa.int32()),
            ("height", pa.int32()),
            ("format", pa.string()),
            ("mode", pa.string()),
            ("digest", pa.string()),
            ("error", pa.string()),
            ("error_detail", pa.string()),
            ("note", pa.string()),
            ("contrast", pa.float32()),
            ("alpha", pa.float32()),
            ("frames", pa.int32()),
            ("taken", pa.timestamp("ms")),
            ("scale", pa.int8()),
            ("decoder", pa.string()),
            ("error_limit", pa.float64()),
            ("camera", pa.string()),
            ("software", pa.string()),
            ("gps", pa.bool_()),
            ("orientation", pa.int8()),
            ("quality", pa.int8()),
            ("tables", pa.string()),
            ("subsampling", pa.string()),
            ("progressive", pa.bool_()),
            ("was_jpeg", pa.bool_()),
            ("thumbnail", pa.binary(height * width * channels)),
            ("coarse", coarse_type(params.shape)),
            ("bytes", pa.int64()),
            ("stamp", pa.string()),
        ]
    )


SCAN = ("path", "path_bytes", "set", "bytes", "stamp")
REUSE = ("path", "bytes", "stamp")
ROWS = 128
"""Rows that are written together."""


def check(params: Params, settings: Settings) -> Iterator[str]:
    """Plugins must be there; whether they can be imported is found out where they are."""
    for module in params.plugins:
        if importlib.util.find_spec(module.partition(".")[0]) is None:
            yield f"thumbnail.plugins: {module} is not installed here; install it, or leave it out"


def tasks(upstream: Upstream, params: Params) -> Iterator[Task]:
    """One per partition."""
    return (Task(task.key, (("scan", task.key),), notes=task.notes) for task in upstream.tasks("scan"))


def compute(inputs: Inputs, params: Params, job: Job) -> Result:
    """Rows in the order of the scan, each group written while what follows it is decoded; rows of unchanged files are
    copied from earlier artifacts. Raises TaskError where there is no process to decode in."""
    scan = inputs.table("scan", SCAN).combine_chunks()
    keys = _keys(scan)
    known = _known(keys, params, job)
    rows: list[Row | None] = [known.get(key) for key in keys] if known else [None] * len(keys)
    unknown = [number for number, row in enumerate(rows) if row is None]
    names = _names(scan)
    expected = [Expected(names[n], *keys[n][1:]) for n in unknown]
    options = params.options(job.settings("scan.trust"))
    errors: Counter[str] = Counter()
    summary = {"images": len(keys), "readable": 0, "failed": 0, "errors": errors}
    limits: dict[str, float] = {}
    stats = {"decoded": 0, "reused": len(keys) - len(unknown)}

    def found() -> Iterator[tuple[int, Row]]:
        for place, seen, thumbnail in Lanes(expected, options, params.limits, job.spare_core):
            stats["decoded"] += seen.fresh
            yield unknown[place], (_found(seen, params), thumbnail)

    def tables() -> Iterator[pa.Table]:
        form = schema(params, job.settings)
        ordered = _in_order(rows, found())
        for start in range(0, len(keys), ROWS):
            group = list(itertools.islice(ordered, ROWS))
            errors.update(row.error for row, _ in group if row.error)
            for row, _ in group:
                if row.error in LIMITED:
                    limits[row.error] = min(row.error_limit or 0.0, limits.get(row.error, math.inf))
            yield _table(scan.slice(start, ROWS), group, params.shape, form)
        summary["failed"] = errors.total()
        summary["readable"] = len(keys) - errors.total()
        summary["errors"] = dict(sorted(errors.items()))
        if limits:
            summary["limits"] = limits

    return Result(tables(), summary=summary, stats=stats)


def _keys(table: pa.Table) -> list[Key]:
    """What identifies the state of each file."""
    return list(zip(*(table[name].to_pylist() for name in REUSE), strict=True))


def _names(table: pa.Table) -> list[bytes]:
    """The true name of each file."""
    return cast("list[bytes]", pc.coalesce(table["path_bytes"], table["path"].cast(pa.binary())).to_pylist())


def _in_order(rows: list[Row | None], found: Iterator[tuple[int, Row]]) -> Iterator[Row]:
    """All the rows, each as soon as it is known and all before it have been given."""
    for number, row in enumerate(rows):
        while row is None:
            place, rows[place] = next(found)
            row = rows[number]
        rows[number] = None
        yield row


def _found(seen: Seen, params: Params) -> Found:
    """Return the columns of a file's row that do not follow from the thumbnail's pixels."""
    if (problem := seen.problem) is not None:
        limit = getattr(params, LIMITS[problem]) if problem in LIMITS else None
        code, said = problem.code, problem.sentence
        return Found(digest=seen.digest, error=code, error_detail=said, decoder=seen.decoder, error_limit=limit)
    assert seen.facts is not None
    facts = seen.facts._asdict()
    return Found(**facts | {"digest": seen.digest, "decoder": seen.decoder, "note": seen.facts.note or None})


def _table(scan: pa.Table, rows: Sequence[Row], shape: tuple[int, int, int], form: pa.Schema) -> pa.Table:
    """Some rows: what the scan knows of them, what was found, and what follows from the pixels, computed here for all
    of them at a time."""
    nothing = bytes(math.prod(shape))
    data = b"".join(thumbnail or nothing for _, thumbnail in rows)
    pixels = np.frombuffer(data, np.uint8).reshape(-1, *shape)
    missing = np.array([thumbnail is None for _, thumbnail in rows])
    sums = coarse(pixels)
    kind = form.field("coarse").type
    # Lists of nulls, and no null lists: pyarrow before 26 can't read null lists of a fixed size.
    values = pa.array(sums.ravel().astype(kind.value_type.to_pandas_dtype()), mask=np.repeat(missing, kind.list_size))
    found = pa.array([row for row, _ in rows], pa.struct([form.field(name) for name in Found._fields]))
    known = {name: scan.column(name) for name in SCAN} | {
        "thumbnail": pa.Array.from_buffers(
            form.field("thumbnail").type, len(rows), [pa.array(~missing).buffers()[1], pa.py_buffer(data)]
        ),
        "coarse": pa.FixedSizeListArray.from_arrays(values, type=kind),
        "contrast": pa.array(contrast(pixels, sums), mask=missing),
        **dict(zip(Found._fields, found.flatten(), strict=True)),
    }
    return pa.table([known[field.name] for field in form], schema=form)


def _known(keys: Sequence[Key], params: Params, job: Job) -> dict[Key, Row]:
    """Rows of earlier artifacts that are still true, by what identifies the state of a file."""
    known: dict[Key, Row] = {}
    wanted: set[Key] = set()
    for earlier in job.earlier():
        wanted = wanted or {key for key in keys if key[0] not in job.distrust}
        here = [key in wanted and key not in known for key in _keys(earlier)]
        rows = earlier.filter(pa.array(here, pa.bool_()))
        for key, row in zip(_keys(rows), rows.to_pylist(), strict=True):
            if not _may_pass(row["error"], row["error_limit"], params) and _as_now(row["decoder"]):
                known[key] = Found(*(row[name] for name in Found._fields)), row["thumbnail"]
    return known


def _may_pass(error: str | None, limit: float | None, params: Params) -> bool:
    """Return whether an error may be gone on a retry: it is transient, or its limit is higher now."""
    if error not in PASSING or limit is None:
        return error in PASSING
    return limit < getattr(params, LIMITED[error])


def retry(summary: Mapping[str, Any], params: Params) -> bool:
    """Return whether any image of a partition has an error that may be gone on a retry."""
    limits = summary.get("limits", {})
    return any(_may_pass(error, limits.get(error), params) for error in summary["errors"])


def _as_now(decoder: str | None) -> bool:
    """Whether this machine's libraries would give the same row."""
    library, _, version = (decoder or "").partition(" ")
    return library not in formats.EXTRAS or (formats.installed(library) or "missing") == version


def recheck(artifact: Artifact, paths: Collection[str]) -> Collection[str]:
    """Those of `paths` whose bytes are no longer the ones that the artifact was made from."""
    rows = artifact.table(["path", "path_bytes", "digest", "error", "bytes", "stamp"])
    changed = []
    racy = pc.is_in(rows["path"], pa.array(list(paths), pa.string()))
    rows = rows.filter(pc.and_(racy, pc.is_valid(rows["digest"])))
    for name, row in zip(_names(rows), rows.to_pylist(), strict=True):
        try:
            _, digest = read(Expected(name, row["bytes"], row["digest"]), "bytes", row["bytes"])
        except Unreadable:
            digest = None
        if digest != row["digest"]:
            changed.append(row["path"])
    return changed


def reads(params: Params, settings: Settings) -> Mapping[str, Sequence[str]]:
    """Which folder a file was found in, or its partition, does not matter."""
    return {"scan": SCAN}


def figures(summaries: Iterable[Mapping[str, Any]]) -> Mapping[str, Any]:
    """The sections `images` and `errors` (unreadable images by code) of run.json."""
    total: dict[str, Any] = {"total": 0, "readable": 0, "failed": 0}
    errors: Counter[str] = Counter()
    for summary in summaries:
        total["total"] += summary["images"]
        total["readable"] += summary["readable"]
        total["failed"] += summary["failed"]
        errors.update(summary["errors"])
    return {"images": total, "errors": dict(sorted(errors.items()))}


STAGE: Stage[Params] = Stage(
    "thumbnail",
    version=6,
    needs=("scan",),
    params=Params,
    schema=schema,
    tasks=tasks,
    compute=compute,
    cache_key=CacheKey(reads, ("scan.trust",), libraries=("Pillow",), optional=formats.EXTRAS),
    reuse=Reuse(REUSE, recheck, retry=retry),
    output=Output(row_group=ROWS, figures=figures, work=lambda summary: (summary["images"], "images")),
    preflight=Preflight(check),
)
