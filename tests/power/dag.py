"""A small DAG with all that the real one asks of the disk, and the runs of it that are cut.

names -> texts -> total        names: the files of a folder, two to a task; those called `young` are racy
                               texts: what is in them; looked at again where they were racy
                               total: one artifact with a name of its own, and files published beside it
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
from pydantic import ConfigDict
from pydantic.dataclasses import dataclass as validated

from pipeline.config.settings import from_mapping
from pipeline.execution.reporter import Reporter
from pipeline.run import run
from pipeline.stage import Artifact, Inputs, Job, Output, Result, Reuse, Settings, Source, Stage, Task, Upstream
from pipeline.store.artifact import StoredArtifact
from pipeline.store.store import Store
from tests.pipeline.toy import SECTIONS
from tests.power.recorder import Recorder

LONG_AGO = 1_600_000_000 * 10**9


@validated(frozen=True, config=ConfigDict(extra="forbid"))
class Nothing:
    pass


@validated(frozen=True, config=ConfigDict(extra="forbid"))
class Texts:
    times: int = 1


NAMES = pa.schema([("name", pa.string()), ("bytes", pa.int64()), ("mtime_ns", pa.int64())])
TEXTS = pa.schema([("name", pa.string()), ("text", pa.string())])


def names(params: Nothing, settings: Settings, *given: Any) -> Iterator[tuple[Task, pa.Table]]:
    found = sorted(Path(settings("inputs.a")[0]).iterdir())
    for number in range(0, len(found), 2):
        files = [(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in found[number : number + 2]]
        yield Task(f"n{number}"), pa.table(list(zip(*files, strict=True)), schema=NAMES)


def racy(table: pa.Table) -> list[str]:
    return [name for name in table["name"].to_pylist() if name.endswith("young")]


def texts_tasks(upstream: Upstream, params: Texts) -> Iterator[Task]:
    return (Task(task.key, (("names", task.key),)) for task in upstream.tasks("names"))


def texts(inputs: Inputs, params: Texts, job: Job) -> pa.Table:
    found = inputs.table("names")["name"].to_pylist()
    return pa.table([found, [Path(name).read_text() * params.times for name in found]], schema=TEXTS)


def changed(artifact: Artifact, rows: Collection[str]) -> Collection[str]:
    """Return the racy files whose content has changed."""
    table = artifact.table()
    known = dict(zip(table["name"].to_pylist(), table["text"].to_pylist(), strict=True))
    return [name for name in rows if not known[name].startswith(Path(name).read_text())]


def total_tasks(upstream: Upstream, params: Nothing) -> Iterator[Task]:
    yield Task("total", tuple(("texts", task.key) for task in upstream.tasks("texts")), filename="total.parquet")


def total(inputs: Inputs, params: Nothing, job: Job) -> Result:
    """Return all texts as one table, a page for each and a page for all, all pages of equal size."""
    table = inputs.table("texts")
    pages = {Path(name).name: _page(text) for name, text in zip(*table.to_pydict().values(), strict=True)}
    pages["all"] = _page("".join(pages.values()))
    files = tuple(job.publish(f"page/{name}.txt", page.encode()) for name, page in pages.items())
    return Result((table,), {"files": len(files)}, files=files)


def _page(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


STAGES = (
    Stage("names", 1, (), Nothing, NAMES, source=Source(names, racy, SECTIONS)),
    Stage("texts", 1, ("names",), Texts, TEXTS, texts_tasks, texts, reuse=Reuse(recheck=changed)),
    Stage("total", 1, ("texts",), Nothing, TEXTS, total_tasks, total, output=Output(files=("page/*.txt",))),
)


@dataclass(frozen=True)
class Phase:
    """One run: the content of the files, the files with a new time, and the parameter."""

    label: str
    files: Mapping[str, str]
    touched: Collection[str] = field(default=())
    times: int = 1


FIRST = {"a": "a1", "b": "b1", "c": "c1", "young": "y1"}
PHASES = (
    Phase("first", FIRST),
    Phase("a racy file changes unnoticed", FIRST | {"young": "y2"}),
    Phase("a file changes", FIRST | {"young": "y2", "a": "a2"}, ("a",)),
    Phase("another parameter", FIRST | {"young": "y2", "a": "a2"}, ("a",), times=2),
    Phase("and back", FIRST | {"young": "y2", "a": "a2"}, ("a",)),
)


def prepare(phase: Phase, inputs: Path) -> None:
    """Write the files of a phase."""
    inputs.mkdir(exist_ok=True)
    for name, text in phase.files.items():
        (inputs / name).write_text(text)
        time = LONG_AGO + (name in phase.touched)
        os.utime(inputs / name, ns=(time, time))


def run_phase(phase: Phase, inputs: Path, output: Path) -> None:
    """Run a phase to its end."""
    prepare(phase, inputs)
    data = {
        "run": "run",
        "output": str(output),
        "inputs": {"a": [str(inputs)]},
        "texts": {"times": phase.times},
        "scheduler": {"kind": "synchronous"},
    }
    record = run(from_mapping(data, STAGES), STAGES, Reporter())
    assert record.exit_code == 0, record.record["failures"]


def results(folder: Path) -> dict[str, Any]:
    """Return what a reader of a run's folder finds: rows of each artifact, and other visible files."""
    store = Store(folder)
    found: dict[str, Any] = {}
    for stage in STAGES:
        for name in store.names(stage.name):
            artifact = StoredArtifact(stage.name, name, store.path(stage.name, name))
            found[f"{stage.name}/{name}"] = artifact.table().to_pylist(), dict(artifact.content)
    for path in sorted(folder.glob("page/*")):
        if path.is_file():
            found[f"page/{path.name}"] = path.read_text()
    return found


def before(top: Path) -> None:
    """Leave the disk empty."""


def recorded(recorder: Recorder, top: Path) -> None:
    """Run the phases that are cut."""
    for number, phase in enumerate(PHASES):
        recorder.mark(f"begin {phase.label}")
        run_phase(phase, top / "inputs", top / "disk")
        recorder.mark(f"end {phase.label}")
        shutil.copy(top / "disk" / "run" / "run.json", top / f"{number}.json")
