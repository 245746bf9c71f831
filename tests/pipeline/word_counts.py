"""A DAG that has nothing to do with images: count the words of text files.

    files -> counts -> total

`files` lists the texts, `counts` has one task per text, and `total` sums all counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import pyarrow as pa
from pydantic import AfterValidator, ConfigDict, Field
from pydantic.dataclasses import dataclass

from pipeline.messages.errors import ConfigError
from pipeline.stage import (
    CacheKey,
    Inputs,
    Job,
    Output,
    PastRows,
    Preflight,
    Result,
    Section,
    Settings,
    Source,
    Stage,
    Task,
    Upstream,
)
from pipeline.store.backends.locations import absolute


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Texts:
    """Inputs: the folder of the texts."""

    folders: Annotated[tuple[Annotated[str, AfterValidator(absolute)], ...], Field(description="folders")] = ()


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Files:
    """Parameters: which files are texts."""

    ending: str = ".txt"


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Counts:
    """Parameters: what counts as a word."""

    lower: Annotated[bool, Field(description="count Word as word")] = False


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Total:
    """Parameters: which words count in the total."""

    least: Annotated[int, Field(ge=1, description="words that occur so often")] = 1


LISTED = pa.schema([("path", pa.string()), ("bytes", pa.int64()), ("mtime_ns", pa.int64())])
WORDS = pa.schema([("word", pa.string()), ("count", pa.int64())])


def listed(
    params: Files, settings: Settings, report: Callable[[int], None], past: Callable[[], PastRows]
) -> Iterator[tuple[Task, pa.Table]]:
    paths = [path for folder in settings("texts.folders") for path in Path(folder).glob(f"*{params.ending}")]
    if not paths:
        raise ConfigError("texts.folders: no text found")
    for path in sorted(paths):
        row = {"path": str(path), "bytes": path.stat().st_size, "mtime_ns": path.stat().st_mtime_ns}
        report(1)
        yield Task(path.stem, size=row["bytes"]), pa.Table.from_pylist([row], LISTED)


def check(params: Files, settings: Settings) -> Iterator[str]:
    for folder in settings("texts.folders"):
        if not Path(folder).is_dir():
            yield f"texts.folders: {folder} does not exist"


def count_tasks(upstream: Upstream, params: Counts) -> Iterator[Task]:
    return (Task(task.key, (("files", task.key),), size=task.size) for task in upstream.tasks("files"))


def count(inputs: Inputs, params: Counts, job: Job) -> Result:
    words: Counter[str] = Counter()
    for path in inputs.table("files", ["path"])["path"].to_pylist():
        text = Path(path).read_text()
        job.advance(len(text.encode()))
        words.update((text.lower() if params.lower else text).split())
    return Result((_table(words),), summary={"words": words.total()})


def total_tasks(upstream: Upstream, params: Total) -> Iterator[Task]:
    yield Task("total", tuple(("counts", task.key) for task in upstream.tasks("counts")), filename="total.parquet")


def total(inputs: Inputs, params: Total, job: Job) -> Result:
    words: Counter[str] = Counter()
    for row in inputs.table("counts").to_pylist():
        words[row["word"]] += row["count"]
    page = "\n".join(f"{word} {number}" for word, number in sorted(words.items()))
    kept = Counter({word: number for word, number in words.items() if number >= params.least})
    return Result((_table(kept),), files=(job.publish("page/total.txt", page.encode()),))


def _table(words: Counter[str]) -> pa.Table:
    return pa.Table.from_pylist([{"word": word, "count": number} for word, number in sorted(words.items())], WORDS)


def figures(summaries: Iterable[Mapping[str, Any]]) -> Mapping[str, Any]:
    return {"words": sum(summary["words"] for summary in summaries)}


FILES: Stage[Files] = Stage(
    "files",
    version=1,
    needs=(),
    params=Files,
    schema=LISTED,
    source=Source(listed, sections={"texts": Section(Texts, roots=("folders",))}),
    preflight=Preflight(check),
)
COUNTS: Stage[Counts] = Stage(
    "counts",
    version=1,
    needs=("files",),
    params=Counts,
    schema=WORDS,
    tasks=count_tasks,
    compute=count,
    cache_key=CacheKey(libraries=("pyarrow",)),
    output=Output(figures=figures, unit="bytes", seconds=1e-6),
    preflight=Preflight(memory=lambda upstream, params: 1 << 20, remedy="cut large texts"),
)
TOTAL: Stage[Total] = Stage(
    "total",
    version=1,
    needs=("counts",),
    params=Total,
    schema=WORDS,
    tasks=total_tasks,
    compute=total,
    output=Output(files=("page/*.txt",)),
)
STAGES = [FILES, COUNTS, TOTAL]
