"""A DAG of four toy stages with the shape of the real one: words -> letters -> pairs -> total.

Words stand in lines of a file, three to a partition. Nothing here knows of images."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import pyarrow as pa
from pydantic import AfterValidator

from pipeline.execution.executor import Executor, SynchronousExecutor
from pipeline.execution.reporter import Reporter
from pipeline.execution.runner import Runner
from pipeline.execution.task import Outcome
from pipeline.messages.errors import TaskError
from pipeline.plan.resolve import Resolver
from pipeline.plan.tasks import Plan, make_plan
from pipeline.stage import Address, CacheKey, Inputs, Job, Section, Settings, Source, Stage, Task, Upstream
from pipeline.store.backends.locations import absolute
from pipeline.store.footers import Footers
from pipeline.store.store import Store


@dataclass(frozen=True)
class Nothing:
    pass


@dataclass(frozen=True)
class Letters:
    times: int = 1


@dataclass(frozen=True)
class Pairs:
    fail: str = ""
    """Key of a pair that fails; `flaky`: only the first attempt fails; `sleep`: the pair takes a moment."""
    flaky: bool = False
    sleep: float = 0.0


@dataclass(frozen=True)
class Texts:
    a: tuple[Annotated[str, AfterValidator(absolute)], ...] = ()


SECTIONS = {"inputs": Section(Texts, roots=("a",))}
WORDS = pa.schema([("word", pa.string())])
LETTERS = pa.schema([("word", pa.string()), ("letters", pa.int64())])
TOTAL = pa.schema([("product", pa.int64())])


def words_source(params: Nothing, settings: Settings, *given: Any) -> Iterator[tuple[Task, pa.Table]]:
    words = Path(settings("inputs.a")[0]).read_text().split()
    for number in range(0, len(words), 3):
        yield Task(f"w{number // 3:02}"), pa.table({"word": words[number : number + 3]}, WORDS)


def letters_tasks(upstream: Upstream, params: Letters) -> Iterator[Task]:
    return (Task(task.key, (("words", task.key),)) for task in upstream.tasks("words"))


def letters(inputs: Inputs, params: Letters, job: Job) -> pa.Table:
    words = inputs.table("words")["word"].to_pylist()
    return pa.table({"word": words, "letters": [len(word) * params.times for word in words]}, LETTERS)


def pairs_tasks(upstream: Upstream, params: Pairs) -> Iterator[Task]:
    keys = [task.key for task in upstream.tasks("letters")]
    for second, key in enumerate(keys):
        for other in keys[: second + 1]:
            yield Task(f"{other}.{key}", tuple(dict.fromkeys([("letters", other), ("letters", key)])))


def pairs(inputs: Inputs, params: Pairs, job: Job) -> pa.Table:
    time.sleep(params.sleep)
    if job.task.key == params.fail:
        marker = job.folder / "tried"
        if not (params.flaky and marker.exists()):
            marker.touch()
            raise TaskError("told to fail")
    tables = [artifact.table(["letters"]) for artifact in inputs.of("letters")]
    sums = [sum(table["letters"].to_pylist()) for table in tables]
    return pa.table({"product": [sums[0] * sums[-1]]}, TOTAL)


def pairs_reads(params: Pairs, settings: Settings) -> Mapping[str, Sequence[str]]:
    return {"letters": ("letters",)}


def total_tasks(upstream: Upstream, params: Nothing) -> Iterator[Task]:
    yield Task("total", tuple(("pairs", task.key) for task in upstream.tasks("pairs")), filename="total.parquet")


def total(inputs: Inputs, params: Nothing, job: Job) -> pa.Table:
    return pa.table({"product": [sum(inputs.table("pairs")["product"].to_pylist())]}, TOTAL)


STAGES = [
    Stage("words", 1, (), Nothing, WORDS, source=Source(words_source, sections=SECTIONS)),
    Stage("letters", 1, ("words",), Letters, LETTERS, letters_tasks, letters),
    Stage("pairs", 1, ("letters",), Pairs, TOTAL, pairs_tasks, pairs, CacheKey(pairs_reads)),
    Stage("total", 1, ("pairs",), Nothing, TOTAL, total_tasks, total),
]


class Heard(Reporter):
    """Records how each task ended, in order."""

    def __init__(self) -> None:
        self.events: list[tuple[Address, str, str]] = []

    def task(self, address: Address, how: str, reason: str, outcome: Outcome | None) -> None:
        self.events.append((address, how, reason))

    def did(self, how: str) -> list[str]:
        return ["/".join(address) for address, ended, _ in self.events if ended == how]


def toy_plan(folder: Path, **params: Any) -> tuple[Plan, Resolver]:
    """Return the plan for `folder`/words.txt; artifacts go to `folder`/run."""
    by_stage = {"words": Nothing(), "letters": Letters(), "pairs": Pairs(), "total": Nothing()} | params
    settings = {"inputs.a": (str(folder / "words.txt"),)}.__getitem__
    plan = make_plan(STAGES, by_stage, settings)
    return plan, Resolver(plan, Store(folder / "run"), Footers(Store(folder / "run")), by_stage, settings)


def toy_run(folder: Path, executor: Executor | None = None, **params: Any) -> tuple[Runner, Heard]:
    """Run the missing tasks."""
    plan, resolver = toy_plan(folder, **params)
    heard = Heard()
    runner = Runner(plan, resolver, lambda: executor or SynchronousExecutor(), heard)
    with resolver.footers:
        runner.run()
    return runner, heard
