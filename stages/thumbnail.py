"""Turn each image into a thumbnail, coarse sums and facts, or an error.

There is one task per partition."""

from __future__ import annotations

import importlib.util
import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal

import pyarrow as pa
from pydantic import Field, field_validator

from pipeline.stage import (
    ADDED,
    SPEED,
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
    section,
)
from stages.comparing.rows import thumbnail_schema, thumbnail_table
from stages.comparing.text import whole_number
from stages.comparing.thumbnails import CHANNELS, MODES
from stages.decoding.counts import ImageCounts, figures, may_succeed
from stages.decoding.formats import registry as formats
from stages.decoding.options import DecodeOptions, Limits
from stages.decoding.recheck import SCAN, names_of, recheck
from stages.decoding.rows import REUSE, ThumbnailRow, facts_of, in_order, keys_of, known_rows
from stages.decoding.sources import Expected

SideLength = Annotated[int, Field(ge=4, le=1024)]
Count = int | str


@section
class Params:
    """Size and colours of thumbnails, and limits of decoding."""

    size: Annotated[
        tuple[SideLength, SideLength], Field(description="width and height of a thumbnail, 4 to 1024 each")
    ] = (64, 64)
    channels: Annotated[Literal["grey", "rgb", "rgba"], Field(description="channels that are compared")] = "rgb"
    decode: Annotated[
        Literal["fast", "exact"],
        Field(
            description="fast: decode JPEG at a reduced scale, at least four times the thumbnail's size; exact: decode "
            "every pixel"
        ),
    ] = "fast"
    background: Annotated[str, Field(description="colour under transparent pixels: a name, or #rrggbb")] = "white"
    orientation: Annotated[
        Literal["exif", "ignore"],
        Field(description="exif: turn images by their EXIF orientation; ignore: leave images as stored"),
    ] = "exif"
    colour: Annotated[
        Literal["srgb", "raw"],
        Field(description="srgb: convert colours to sRGB by the image's ICC profile; raw: leave colours as stored"),
    ] = "srgb"
    trim: Annotated[
        Literal["none", "borders"],
        Field(
            description="borders: cut letterboxes, margins and bars of one colour before scaling; adds columns box_*"
        ),
        ADDED,
    ] = "none"
    truncated: Annotated[
        Literal["reject", "accept"],
        Field(description="accept: use a truncated JPEG, PNG or BMP if at least half of the picture is readable"),
    ] = "reject"
    max_bytes: Annotated[Count, Field(description="skip larger files; a number of bytes, or a text such as 256MiB")] = (
        2**28
    )
    max_pixels: Annotated[
        Count, Field(description="skip images with more pixels; a number, or a text such as 500M")
    ] = 500_000_000
    max_memory: Annotated[
        Count, Field(description="memory for decoding one image; a number of bytes, or a text such as 3GiB"), SPEED
    ] = 3 * 2**30
    timeout: Annotated[
        float, Field(gt=0, le=86_400, description="seconds for reading and decoding one image"), SPEED
    ] = 120.0
    plugins: Annotated[
        tuple[str, ...],
        Field(description="modules to import that register further formats with Pillow; see fast-diff formats"),
    ] = ()

    @field_validator("max_bytes", "max_pixels", "max_memory")
    @classmethod
    def _count(cls, value: int | str) -> int:
        return whole_number(value)

    @field_validator("background")
    @classmethod
    def _colour(cls, value: str) -> str:
        from PIL import ImageColor

        try:
            colour = ImageColor.getrgb(value)
        except ValueError as error:
            raise ValueError(f"expected a colour such as white or #ff8800, got {value!r}") from error
        if len(colour) != 3:
            raise ValueError(f"expected a colour without transparency such as white or #ff8800, got {value!r}")
        return value

    def options(self, trust: str) -> DecodeOptions:
        """Return the parameters of the decoder."""
        from PIL import ImageColor

        red, green, blue, *_ = ImageColor.getrgb(self.background)
        return DecodeOptions(
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
            self.trim == "borders",
        )

    @property
    def limits(self) -> Limits:
        """Return the limits of a decoding process."""
        return Limits(int(self.max_memory), self.timeout, self.plugins)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Return the height, width and channels of a thumbnail."""
        return self.size[1], self.size[0], CHANNELS[self.channels]


def schema(params: Params, settings: Settings) -> pa.Schema:
    """Return the artifact's schema; `thumbnail_schema` explains the columns."""
    return thumbnail_schema(params.shape, params.trim == "borders")


ROWS = 128
"""Number of rows that are written together."""


def check(params: Params, settings: Settings) -> Iterator[str]:
    """Yield problems: plugins that are not installed.

    Only decoding processes import plugins."""
    for module in params.plugins:
        if importlib.util.find_spec(module.partition(".")[0]) is None:
            yield f"thumbnail.plugins: {module} is not installed here; install or remove the plugin"


def tasks(upstream: Upstream, params: Params) -> Iterator[Task]:
    """Yield one task per partition."""
    for task in upstream.tasks("scan"):
        yield Task(task.key, (("scan", task.key),), notes=task.notes, size=task.size)


def compute(inputs: Inputs, params: Params, job: Job) -> Result:
    """Return rows in the order of the scan.

    Each group of rows is written while the next group is decoded. Rows of unchanged files are copied from earlier
    artifacts.

    Raises:
        TaskError: no decoding process can be started."""
    from stages.decoding.lanes import Lanes

    scan = inputs.table("scan", SCAN).combine_chunks()
    keys = keys_of(scan)
    recurring = params.limits.recurring
    known = known_rows(keys, job.reusable_tables(), job.distrust, recurring)
    rows: list[ThumbnailRow | None] = [known.get(key) for key in keys] if known else [None] * len(keys)
    unknown = [number for number, row in enumerate(rows) if row is None]
    names = names_of(scan)
    located = scan["location"].to_pylist()
    expected = [Expected(names[n], *keys[n][1:], located[n] or "") for n in unknown]
    options = params.options(job.settings("scan.trust"))
    counts = ImageCounts(len(keys))
    summary = counts.summary()
    stats = {"decoded": 0, "reused": len(keys) - len(unknown)}

    def found() -> Iterator[tuple[int, ThumbnailRow]]:
        job.advance(stats["reused"])
        for place, seen, thumbnail in Lanes(expected, options, params.limits, job.spare_core):
            stats["decoded"] += seen.fresh
            job.advance(1)
            yield unknown[place], (facts_of(seen, recurring), thumbnail)

    def tables() -> Iterator[pa.Table]:
        form = schema(params, job.settings)
        ordered = in_order(rows, found())
        for start in range(0, len(keys), ROWS):
            group = list(itertools.islice(ordered, ROWS))
            counts.add(row for row, _ in group)
            yield thumbnail_table(scan.slice(start, ROWS), group, params.shape, form)
        summary.update(counts.summary())

    return Result(tables(), summary=summary, stats=stats)


def retry(summary: Mapping[str, Any], params: Params) -> bool:
    """Return whether a partition has an image for which a retry may succeed."""
    return may_succeed(summary, params.limits.recurring)


def reads(params: Params, settings: Settings) -> Mapping[str, Sequence[str]]:
    """Return the columns of the scan that determine thumbnails.

    The columns of folder and partition are left out."""
    return {"scan": SCAN}


STAGE: Stage[Params] = Stage(
    "thumbnail",
    version=7,
    needs=("scan",),
    params=Params,
    schema=schema,
    tasks=tasks,
    compute=compute,
    cache_key=CacheKey(reads, ("scan.trust",), libraries=("Pillow",), optional=formats.EXTRAS),
    reuse=Reuse(REUSE, recheck, retry=retry),
    output=Output(row_group=ROWS, figures=figures, unit="images", seconds=0.01),
    preflight=Preflight(check),
)
