"""The contract of a stage: few fields, and functions whose types agree with the stage's parameters."""

import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.stage import Inputs, Output, Stage
from tests.in_memory import MemoryArtifact
from tests.pipeline.toy import WORDS

ROOT = Path(__file__).parents[2]
DECLARED = """
from collections.abc import Iterator
from dataclasses import dataclass
import pyarrow as pa
from pipeline.stage import CacheKey, Inputs, Job, Preflight, Reuse, Settings, Stage, Task, Upstream

@dataclass(frozen=True)
class Params:
    times: int = 1

@dataclass(frozen=True)
class Others:
    pass

def tasks(upstream: Upstream, params: {tasks}) -> Iterator[Task]:
    yield Task("one")

def compute(inputs: Inputs, params: {compute}, job: Job) -> pa.Table:
    return inputs.table("words")

def check(params: {check}, settings: Settings) -> Iterator[str]:
    yield "no"

STAGE: Stage[Params] = Stage("toy", 1, (), Params, pa.schema([]), tasks, compute, preflight=Preflight(check))
"""


def test_a_stage_has_at_most_twelve_fields() -> None:
    assert len(dataclasses.fields(Stage)) <= 12


def test_artifacts_are_given_by_stage_and_their_rows_one_after_the_other() -> None:
    first, second = (MemoryArtifact("words", key, WORDS.empty_table()) for key in "ab")
    inputs = Inputs((first, MemoryArtifact("letters", "a", WORDS.empty_table()), second))
    assert inputs.of("words") == [first, second]
    assert inputs.table("words").schema == WORDS


@pytest.mark.parametrize(
    ("name", "owned"),
    [("page/a.txt", True), ("page/sub/a.txt", False), ("page/a.jpg", False), ("a.txt", False)],
)
def test_a_stage_owns_the_files_that_its_globs_name(name: str, owned: bool) -> None:
    assert Output(files=("page/*.txt",)).owns(name) == owned


@pytest.mark.slow
@pytest.mark.parametrize("wrong", [None, "tasks", "compute", "check"])
def test_a_type_checker_compares_functions_with_the_parameters(tmp_path: Path, wrong: str | None) -> None:
    kinds = {name: "Others" if name == wrong else "Params" for name in ("tasks", "compute", "check")}
    (tmp_path / "declared.py").write_text(DECLARED.format(**kinds))
    command = [sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent", str(tmp_path / "declared.py")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode == 0) == (wrong is None), done.stdout
    assert wrong is None or "Others" in done.stdout
