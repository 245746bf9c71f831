"""Turn each image into a thumbnail, its coarse sums and facts, or an error; one task per partition."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal

import pyarrow as pa
import pyarrow.compute as pc
from PIL import ImageColor
from pydantic import ConfigDict, Field, field_validator
from pydantic.dataclasses import dataclass

from pipeline.stage import Artifact, Inputs, Job, Result, Settings, Stage, Task, Upstream
from stages.decode import DETAILS, PASSING, Expected, Options, Unreadable, decode, read
from stages.kernels.coarse import coarse
from stages.thumbnails import CHANNELS, coarse_type

MODES = {"grey": "L", "rgb": "RGB", "rgba": "RGBA"}
UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "ki": 2**10, "mi": 2**20, "gi": 2**30}
Side = Annotated[int, Field(ge=4, le=1024)]


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
    max_bytes: Annotated[int | str, Field(description="a larger file is not read; a number, or such as 256MiB")] = 2**28
    max_pixels: Annotated[int | str, Field(description="a larger image is not decoded; a number, or such as 500M")] = (
        500_000_000
    )

    @field_validator("max_bytes", "max_pixels")
    @classmethod
    def _count(cls, value: int | str) -> int:
        match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmg]?i?)b?", str(value).strip().lower())
        count = int(float(match[1]) * UNITS[match[2]]) if match and match[2] in UNITS else 0
        if count <= 0:
            raise ValueError(f"expected a number above 0, or one with a unit such as 256MiB, got {value!r}")
        return count

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
        )

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width and channels."""
        return self.size[1], self.size[0], CHANNELS[self.channels]


def schema(params: Params, settings: Settings) -> pa.Schema:
    """Thumbnails are bytes in C order; width and height are those of the image as it is to be looked at."""
    height, width, channels = params.shape
    return pa.schema(
        [
            ("path", pa.string()),
            ("set", pa.string()),
            ("width", pa.int32()),
            ("height", pa.int32()),
            ("format", pa.string()),
            ("mode", pa.string()),
            ("digest", pa.string()),
            ("error", pa.string()),
            ("error_detail", pa.string()),
            ("contrast", pa.float32()),
            ("thumbnail", pa.binary(height * width * channels)),
            ("coarse", coarse_type(params.shape)),
            ("bytes", pa.int64()),
            ("stamp", pa.string()),
        ]
    )


SCAN = ("path", "path_bytes", "set", "bytes", "stamp")
REUSE = ("path", "bytes", "stamp")


def tasks(upstream: Upstream, params: Params) -> Iterator[Task]:
    """One per partition."""
    return (Task(task.key, (("scan", task.key),), notes=task.notes) for task in upstream.tasks("scan"))


def compute(inputs: Inputs, params: Params, job: Job) -> Result:
    """Rows in the order of the scan; rows of unchanged files are copied from earlier artifacts."""
    files = inputs.table("scan", SCAN)
    options = params.options(job.settings("scan.trust"))
    known = _known(files, job)
    rows, decoded = [], 0
    for file in files.to_pylist():
        row = known.get(tuple(file[name] for name in REUSE))
        if row is None:
            row, decoded = _row(file, options), decoded + 1
        rows.append(row | {"set": file["set"]})  # an earlier run may have had it in the other set
    table = pa.Table.from_pylist(rows, schema(params, job.settings))
    failed = sum(row["error"] is not None for row in rows)
    return Result(
        (table,),
        summary={"images": len(rows), "readable": len(rows) - failed, "failed": failed},
        stats={"decoded": decoded, "reused": len(rows) - decoded},
        retry=sum(row["error"] in PASSING for row in rows),
    )


def _known(files: pa.Table, job: Job) -> dict[tuple[Any, ...], dict[str, Any]]:
    """Rows of earlier artifacts that are still true, by what identifies the state of a file."""
    wanted = {
        key for key in zip(*(files[name].to_pylist() for name in REUSE), strict=True) if key[0] not in job.distrust
    }
    known = {}
    for earlier in job.earlier():
        keys = list(zip(*(earlier[name].to_pylist() for name in REUSE), strict=True))
        here = [key in wanted and key not in known for key in keys]
        for row in earlier.filter(pa.array(here)).to_pylist():
            if row["error"] not in PASSING:
                known[tuple(row[name] for name in REUSE)] = row
    return known


def _row(file: Mapping[str, Any], options: Options) -> dict[str, Any]:
    """One image, opened once."""
    row = {name: file[name] for name in ("path", "set", "bytes", "stamp")}
    row["error"] = None
    try:
        path = file["path_bytes"] if file["path_bytes"] is not None else file["path"].encode()
        data, row["digest"] = read(Expected(path, file["bytes"], file["stamp"]), options)
        image = decode(data, options)
    except Unreadable as error:
        return row | {"error": error.code, "error_detail": DETAILS[error.code]}
    return row | {
        "width": image.width,
        "height": image.height,
        "format": image.format,
        "mode": image.mode,
        "contrast": float(image.pixels.std()),
        "thumbnail": image.pixels.tobytes(),
        "coarse": coarse(image.pixels[None])[0],
    }


def recheck(artifact: Artifact, paths: Collection[str]) -> Collection[str]:
    """Those of `paths` whose bytes are no longer the ones that the artifact was made from."""
    rows = artifact.table(["path", "digest", "error", "bytes", "stamp"])
    changed = []
    doubtful = pc.is_in(rows["path"], pa.array(list(paths), pa.string()))
    for row in rows.filter(pc.and_(doubtful, pc.is_valid(rows["digest"]))).to_pylist():
        try:
            anything = Options((4, 4), "L", True, (0, 0, 0), False, row["bytes"], 1, "bytes")
            _, digest = read(Expected(row["path"].encode(), row["bytes"], row["digest"]), anything)
        except Unreadable:
            digest = None
        if digest != row["digest"]:
            changed.append(row["path"])
    return changed


def reads(params: Params, settings: Settings) -> Mapping[str, Sequence[str]]:
    """Which folder a file was found in, or its partition, does not matter."""
    return {"scan": SCAN}


def figures(summaries: Iterable[Mapping[str, Any]]) -> Mapping[str, Any]:
    """The `images` section of run.json."""
    total = {"total": 0, "readable": 0, "failed": 0}
    for summary in summaries:
        total["total"] += summary["images"]
        total["readable"] += summary["readable"]
        total["failed"] += summary["failed"]
    return {"images": total}


STAGE = Stage(
    "thumbnail",
    version=2,
    needs=("scan",),
    params=Params,
    schema=schema,
    tasks=tasks,
    compute=compute,
    reads=reads,
    uses=("scan.trust",),
    libraries=("Pillow",),
    row_group=64,
    reuse=REUSE,
    figures=figures,
    recheck=recheck,
)
