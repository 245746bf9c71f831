"""Compute the vectors of images with the model or function of `pairs.embedding`.

There is one task per partition, and no task without `pairs.embedding`."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
import pyarrow.compute as pc
from pydantic import Field

from pipeline.machine.installation import install_extra
from pipeline.messages.errors import ConfigError
from pipeline.stage import (
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
from stages.comparing.functions import model_file
from stages.comparing.thumbnails import BOUNDS, PIXELS, limits, pixels, thumbnail_shape
from stages.decoding.formats import registry as formats
from stages.decoding.problems import TRANSIENT_CODES
from stages.decoding.rows import LIMITED
from stages.vectors.columns import READ, SCHEMA
from stages.vectors.model import INPUT_SIDE, ChannelValues, ModelOptions

if TYPE_CHECKING:
    from stages.vectors.network import Network
    from stages.vectors.rows import VectorRow

LOADED = 600 << 20
"""Bytes of a process that runs onnxruntime, without the model."""


@section
class Params:
    """Input of the model or function of pairs.embedding.

    A YAML file beside a model may hold these keys, too."""

    size: Annotated[
        tuple[INPUT_SIDE, INPUT_SIDE] | None,
        Field(description="width and height of the images; null: the model's own size, and a function gets thumbnails"),
    ] = None
    layout: Annotated[
        Literal["nchw", "nhwc"] | None, Field(description="order of a model's axes; null: found from the model")
    ] = None
    mean: Annotated[
        ChannelValues | None,
        Field(description="a model gets (value - mean) x scale of values 0 to 255; one number, or one per channel"),
    ] = None
    scale: Annotated[ChannelValues | None, Field(description="see mean; null: 1/255")] = None
    output: Annotated[str | None, Field(description="a model's output with the vectors; null: the first output")] = None
    batch: Annotated[int, Field(ge=1, le=4096, description="images per call of a model")] = 8
    device: Annotated[
        Literal["auto", "cpu", "gpu"],
        Field(description="device of a model; auto: a GPU if onnxruntime finds one"),
        SPEED,
    ] = "auto"

    @property
    def options(self) -> ModelOptions:
        """Return the options of a model that the config sets."""
        return ModelOptions(self.size, self.layout, self.mean, self.scale, self.output)


def check(params: Params, settings: Settings) -> Iterator[str]:
    """Yield problems: keys without a model, an unusable model, a missing library."""
    model, size = model_file(settings("pairs.embedding")), params.size
    if model is None:
        given = [name for name in ("layout", "mean", "scale", "output") if getattr(params, name) is not None]
        if given:
            yield f"embed.{given[0]}: is for pairs.embedding onnx:FILE; remove the key, or set pairs.embedding"
    else:
        try:
            size = _loaded(model, params).size
        except ConfigError as error:
            yield from error.lines
    if size is not None and size[0] != size[1] and settings("pairs.rotations"):
        yield (
            f"pairs.rotations: quarter turns need square images, got {list(size)} for pairs.embedding; "
            "set pairs.rotations=false, or a square size"
        )


def tasks(upstream: Upstream, params: Params) -> Iterator[Task]:
    """Yield one task per partition, with the identity of the model."""
    embedding = upstream.settings("pairs.embedding")
    if embedding is None:
        return
    model = model_file(embedding)
    spec, notes = {}, {}
    if model:
        from stages.vectors.network import identity

        spec, notes = {"model": identity(_loaded(model, params), model)}, {"file": str(model)}
    for task in upstream.tasks("thumbnail"):
        # Rows of earlier artifacts are found by the paths of the scan.
        inputs = (("scan", task.key), ("thumbnail", task.key))
        yield Task(task.key, inputs, spec, notes={**task.notes, **notes}, size=task.size)


def _loaded(model: Path, params: Params) -> Network:
    """Return a model. Raises ConfigError if the model can't be used."""
    from stages.vectors.network import NoModel, is_installed, network

    if not is_installed():
        raise ConfigError(f"pairs.embedding: onnx:FILE needs onnxruntime: {install_extra('onnx')}")
    try:
        return network(model, params.options, params.batch, params.device)
    except OSError as error:
        problem = f"{model} can't be read ({error.strerror}); expected the file of an ONNX model"
    except NoModel as error:
        problem = f"{model}: {error}"
    except ValueError as error:
        problem = str(error)
    raise ConfigError(f"pairs.embedding: {problem}")


def own_code(params: Params, settings: Settings) -> bool:
    """Return whether the user's own function computes vectors."""
    return settings("pairs.embedding") is not None and model_file(settings("pairs.embedding")) is None


def memory(upstream: Upstream, params: Params) -> int:
    """Return the memory of a task with a model in bytes; 0 without a model."""
    model = model_file(upstream.settings("pairs.embedding"))
    return LOADED + 3 * model.stat().st_size if model and model.exists() else 0


def compute(inputs: Inputs, params: Params, job: Job) -> Result:
    """Return the vectors of the images with readable thumbnails, in path order.

    Vectors of unchanged files are copied from earlier artifacts, unless they are vectors of thumbnails.

    Raises:
        TaskError: the function or the model fails, or no decoding process can be started."""
    from stages.vectors.embedder import Embedder
    from stages.vectors.rows import VectorRow, contents_of, decoded, known_vectors, vector_table

    embedder = Embedder(job, params.options, params.batch, params.device)
    table = inputs.table("thumbnail", [*READ, *(["thumbnail"] if embedder.thumbnails else [])])
    table = table.filter(pc.is_null(table["error"])).combine_chunks()
    paths, keys = table["path"].to_pylist(), contents_of(table)
    if embedder.thumbnails:
        rows = embedder(pixels(table["thumbnail"], thumbnail_shape(job.settings)), paths)
        job.advance(len(rows))
        return Result((vector_table(table, rows, ""),), _summary(rows), {"decoded": 0, "reused": len(rows)})
    known = known_vectors(set(keys), job.reusable_tables(), embedder.model, limits(job.settings).recurring)
    rows = [known.get(key, VectorRow()) for key in keys]
    wanted = [number for number, key in enumerate(keys) if key not in known]
    job.advance(len(keys) - len(wanted))
    arriving = decoded(job, table, wanted, embedder.size, embedder.channels)
    while some := list(itertools.islice(arriving, embedder.together)):
        for each in some:
            rows[each.number] = each.row
        numbers = [each.number for each in some if each.pixels is not None]
        if numbers:
            images = np.stack([each.pixels for each in some if each.pixels is not None])
            found = embedder(images, [paths[number] for number in numbers])
            for number, row in zip(numbers, found, strict=True):
                rows[number] = row._replace(decoder=rows[number].decoder)
        job.advance(len(some))
    stats = {"decoded": len(wanted), "reused": len(keys) - len(wanted)}
    return Result((vector_table(table, rows, embedder.model),), _summary(rows), stats)


def _summary(rows: Sequence[VectorRow]) -> dict[str, Any]:
    errors = Counter(row.error for row in rows if row.error)
    return {"images": len(rows), "failed": errors.total(), "errors": dict(sorted(errors.items()))}


def retry(summary: Mapping[str, Any], params: Params) -> bool:
    """Return whether a partition has a transient error that no limit caused."""
    return bool(summary["errors"].keys() & (TRANSIENT_CODES - LIMITED.keys()))


def reads(params: Params, settings: Settings) -> Mapping[str, Sequence[str]]:
    """Return the columns that determine vectors.

    The thumbnails themselves are included only if a function gets thumbnails."""
    return {"scan": (), "thumbnail": (*READ, *(["thumbnail"] if _of_thumbnails(settings) else []))}


def _of_thumbnails(settings: Settings) -> bool:
    return model_file(settings("pairs.embedding")) is None and settings("embed.size") is None


def uses(settings: Settings) -> Sequence[str]:
    """Return the config keys that determine vectors.

    A model is identified by the digest of its file (`Task.spec`), not by its path."""
    if settings("pairs.embedding") is None:
        return ()
    if model_file(settings("pairs.embedding")):
        return ("pairs.rotations", *PIXELS)
    more = ("thumbnail.size",) if _of_thumbnails(settings) else PIXELS
    return ("pairs.rotations", "pairs.embedding", "thumbnail.channels", *more)


def figures(summaries: Iterable[Mapping[str, Any]]) -> Mapping[str, Any]:
    """Return the section `vectors` of run.json; empty for a run without vectors."""
    errors: Counter[str] = Counter()
    images = tasks_done = 0
    for summary in summaries:
        images += summary["images"]
        tasks_done += 1
        errors.update(summary["errors"])
    if not tasks_done:
        return {}
    return {"vectors": {"images": images, "failed": errors.total(), "errors": dict(sorted(errors.items()))}}


STAGE: Stage[Params] = Stage(
    "embed",
    version=1,
    needs=("scan", "thumbnail"),
    params=Params,
    schema=SCHEMA,
    tasks=tasks,
    compute=compute,
    cache_key=CacheKey(reads, uses, {"pairs.mirror": False}, BOUNDS, libraries=("Pillow",), optional=formats.EXTRAS),
    reuse=Reuse(("path",), retry=retry),
    output=Output(figures=figures, unit="images", seconds=0.02),
    preflight=Preflight(
        check,
        memory,
        remedy="choose a smaller model",
        own_code=own_code,
    ),
)
