"""Whatever is damaged in a run's folder, the next run repairs it, or says in one line what prevents that.

Every hidden file and every kind of artifact is attacked at random: bits flipped, bytes cut off, zeroed or replaced,
JSON of wrong types, a folder or a FIFO in a file's place, with a new time or the old one."""

import json
import os
import random
import re
import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline import load_run
from pipeline.cli.main import main
from pipeline.messages.errors import ArtifactDamaged, ConfigError
from pipeline.plan.fingerprint import content
from pipeline.plan.racy import RACY_LIST
from pipeline.store.artifact import StoredArtifact
from pipeline.store.events import LOG
from pipeline.store.footers import INDEX
from pipeline.store.owner import identity
from pipeline.store.store import RETIRED
from tests.end_to_end.driver import LONG_AGO, Kept, Project, make_image

HIDDEN = (LOG, INDEX, RACY_LIST, ".lock", ".lock.guard", "run.json")
STAGES = ("scan", "thumbnail", "hash", "index", "pairs", "cluster", "plot", "report")
SMALL = {
    "thumbnail": {"size": [8, 8]},
    "partition": {"images": 3, "block": 6},
    "plot": {"pairs": 1, "clusters": 1, "page": 5},
}
PROGRESS = r"(\w+) +\d+ of \d+ tasks"
OTHER = "pairs.threshold=150"
DEEP = b"[" * 100_000
JSON = (
    *(b"5", b"null", b"true", b'"text"', b"[1, 2]", b"[[[]]]", b"{}"),
    *(b'{"config": {}}', b'{"token": [], "pid": "x"}', DEEP, b"[" + DEEP),
)
LINES = (
    b'{"event": "task", "how": "run", "stage": [], "artifact": {}, "seconds": "long"}',
    b'{"event": "task", "how": "run", "stage": "pairs", "artifact": "%s", "seconds": [], "levels": 5}',
    b'{"event": "task", "how": "run", "stage": "pairs", "artifact": "%s", "seconds": NaN, "levels": {"device": 1}}',
    b"00000000\tpairs\t%s\t5\t5\t[]",
)


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Kept:
    """Make a run with every kind of file: retired artifacts, a list of racy files, and the lock of a killed run."""
    made = Kept.of(tmp_path_factory.mktemp("spoilt"), 10, SMALL)
    project = made.project
    assert project.run(OTHER) == 0
    assert project.run() == 0
    (project.run_folder / ".lock").write_text(json.dumps(identity("t") | {"started": "1"}))
    (project.run_folder / ".lock.guard").touch()
    (project.run_folder / RACY_LIST).write_text(json.dumps(sorted(map(str, (project.folder / "images").iterdir()))[:3]))
    shutil.rmtree(made.saved)
    shutil.copytree(project.folder, made.saved)
    return made


def flip(data: bytes, chance: random.Random) -> bytes:
    bit = chance.randrange(8 * len(data))
    return data[: bit // 8] + bytes([data[bit // 8] ^ 1 << bit % 8]) + data[bit // 8 + 1 :]


def cut(data: bytes, chance: random.Random) -> bytes:
    return data[: chance.randrange(len(data))]


def zero(data: bytes, chance: random.Random) -> bytes:
    start = chance.randrange(len(data))
    end = min(len(data), start + chance.choice((1, 16, 4096)))
    return data[:start] + bytes(end - start) + data[end:]


def garbage(data: bytes, chance: random.Random) -> bytes:
    return chance.randbytes(chance.choice((1, len(data), 5_000)))


def other_json(data: bytes, chance: random.Random) -> bytes:
    return chance.choice(JSON)


def other_line(data: bytes, chance: random.Random) -> bytes:
    return data + chance.choice((*LINES, *JSON)) + b"\n" + data[: chance.randrange(len(data))]


CHANGES: tuple[Callable[[bytes, random.Random], bytes], ...] = (flip, flip, cut, zero, garbage, other_json, other_line)


def spoil(path: Path, chance: random.Random) -> str:
    """Damage a file; return a description of the damage."""
    stat, data = path.stat(), path.read_bytes()
    how = chance.random()
    if how < 0.1:
        path.unlink()
        if how < 0.05:
            os.mkfifo(path)
            return "fifo"
        path.mkdir()
        (path / "of the user").write_text("precious")
        return "folder"
    change = chance.choice(CHANGES)
    path.write_bytes(change(data, chance) if data else garbage(b"x", chance))
    if chance.random() < 0.5:
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
        return f"{change.__name__}, same time"
    return change.__name__


def target(folder: Path, chance: random.Random) -> Path:
    """Return a file to damage: a hidden file, or an artifact of any stage, current or retired."""
    if chance.random() < 0.4:
        return folder / chance.choice(HIDDEN)
    files = sorted(path for path in (folder / chance.choice(STAGES)).rglob("*") if path.is_file())
    return chance.choice(files)


def contents(folder: Path) -> dict[str, Any]:
    """Return digests of the content of each artifact of a run, as readers see the content. Raises ConfigError."""
    run = load_run(folder)
    found: dict[str, Any] = {}
    for stage in STAGES[:-1]:
        for artifact, table in zip(run.artifacts(stage), run.tables(stage), strict=True):
            found[f"{stage}/{artifact.path.name}"] = content(table), artifact.summary
    return found | {"ledger": run.ledger().to_dict()}


def shown(folder: Path) -> dict[str, int]:
    """Return the files of the report with their sizes; a page's text may tell of times."""
    files = [path for path in (folder / "report").rglob("*.*") if path.is_file()]
    return {path.name: 0 if path.name.startswith("work") else path.stat().st_size for path in files}


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    said = capsys.readouterr().err.splitlines()
    assert all(line.startswith(("fast-diff: ", "warning: ")) for line in said), said
    return said


@dataclass
class Attack:
    """One spoilt file of a run, and how the attack ended."""

    project: Project
    path: Path
    how: str
    capsys: pytest.CaptureFixture[str]
    ended: str = "healed"

    def run(self, *overrides: str) -> None:
        """Run; if the output names the damaged file, remove the file and run again."""
        code = self.project.run(*overrides, options=())
        said = [line for line in self.capsys.readouterr().err.splitlines() if not re.match(PROGRESS, line)]
        assert len(said) == len(set(said)) <= 4, (self.how, said)
        unread = self.path.name == LOG or RETIRED in self.path.parts  # by a run that has nothing to do
        in_the_way = self.path.is_dir() and not unread
        if code or in_the_way:
            named = (
                self.path.parent if self.path.name == ".lock" else self.path
            )  # the lock names an owner that may be alive
            assert str(named) in "\n".join(said), (self.how, said)
            self.remove()
            assert self.project.run(*overrides) == 0, self.how

    def remove(self) -> None:
        """Remove the file that a command named as damaged."""
        self.ended = "named"
        if self.path.is_dir():
            assert (self.path / "of the user").read_text() == "precious"
            shutil.rmtree(self.path)
        else:
            self.path.unlink()

    def contents(self) -> dict[str, Any]:
        """Return the content of the run, after removing and making again each file that a reader names as damaged."""
        try:
            return contents(self.project.run_folder)
        except ConfigError as error:
            said = str(error)
        assert said == f"{self.path} is damaged; delete it, and the next run makes it again", self.how
        self.remove()
        self.run()
        return contents(self.project.run_folder)


def attack(kept: Kept, expected: Any, seed: int, capsys: pytest.CaptureFixture[str]) -> str:
    """Do one attack; return how it ended: healed, or named."""
    chance = random.Random(seed)
    project = kept.again()
    path = target(project.run_folder, chance)
    how = f"seed {seed}: {path.relative_to(project.run_folder)}: {spoil(path, chance)}"
    command = chance.choice(("status", "explain", "show", "failures"))
    of = str(project.yaml) if command in ("status", "explain") else str(project.run_folder)
    assert main([command, of]) in (0, 1, 2), how
    lines(capsys)
    attacked = Attack(project, path, how, capsys)
    attacked.run()
    assert (attacked.contents(), shown(project.run_folder)) == expected, how
    if RETIRED in path.parts:
        attacked.run(OTHER)
        attacked.contents()
    lines(capsys)
    return attacked.ended


def attacks(kept: Kept, seeds: range, capsys: pytest.CaptureFixture[str]) -> Counter[str]:
    folder = kept.again().run_folder
    expected = contents(folder), shown(folder)
    return Counter(attack(kept, expected, seed, capsys) for seed in seeds)


def damage_page(path: Path, column: str) -> None:
    """Flip the last bits of a column's page; footer, size and time stay."""
    stat, whole, group = path.stat(), path.read_bytes(), pq.read_metadata(path).row_group(0)
    (chunk,) = [each for each in map(group.column, range(group.num_columns)) if each.path_in_schema == column]
    end = (chunk.dictionary_page_offset or chunk.data_page_offset) + chunk.total_compressed_size - 1
    path.write_bytes(whole[:end] + bytes([whole[end] ^ 255]) + whole[end + 1 :])
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


@pytest.mark.parametrize(("stage", "column"), [("scan", "path"), ("cluster", "path")])
def test_a_damaged_page_that_the_dates_are_read_from_is_made_again(kept: Kept, stage: str, column: str) -> None:
    """The next run makes the artifact with the damaged page again, and succeeds."""
    project = kept.again()
    before = project.artifacts()
    damage_page(sorted((project.run_folder / stage).glob("*.parquet"))[0], column)
    (project.run_folder / "report/dates.js").unlink()
    assert project.run() == 0
    assert project.ran() == {stage: 1}
    assert list(project.reasons().values()) == ["unreadable"]
    assert project.artifacts() == before


def test_an_artifact_that_is_damaged_each_time_is_named(
    kept: Kept, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An artifact that is damaged each time it is made, as on a failing disk, is named in one line."""
    project = kept.again()
    (project.run_folder / "report/dates.js").unlink()
    real = StoredArtifact.table

    def fails(self: StoredArtifact, columns: Sequence[str] | None = None) -> pa.Table:
        if self.stage == "scan":
            raise ArtifactDamaged(self.stage, self.key, f"{self.path} is missing or damaged")
        return real(self, columns)

    monkeypatch.setattr(StoredArtifact, "table", fails)
    assert project.run() == 1
    (said,) = lines(capsys)
    assert "is missing or damaged" in said


@pytest.mark.slow
@pytest.mark.parametrize("text", ["5", "null", "true", "[1, 2]", '{"a": 1}', "[" * 100_000, "", None])
def test_a_spoilt_list_of_racy_files_has_all_files_compared(
    kept: Kept, text: str | None, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """Any file may have been in the list, so a file that was rewritten with equal size and time is found."""
    project = kept.again()
    image = project.folder / "images" / "racy.bmp"
    for seed in (1, 2):
        make_image(image, seed)
        os.utime(image, ns=(LONG_AGO, LONG_AGO))
        if seed == 1:
            assert project.run() == 0
    path = project.run_folder / RACY_LIST
    os.mkfifo(path) if text is None else path.write_text(text)
    assert main(["explain", str(project.yaml)]) == 0
    assert "input changed, with equal size and time: 1" in capsys.readouterr().out
    caplog.clear()
    assert project.run() == 0
    assert [record.getMessage().split(":")[0] for record in caplog.records] == [f"{path} is damaged"]
    assert project.decoded() == 1
    assert not path.exists()
    caplog.clear()
    assert project.run() == 0
    assert (project.ran(), caplog.records) == ({}, [])


@pytest.mark.slow
def test_spoilt_files_are_healed_or_named(kept: Kept, capsys: pytest.CaptureFixture[str]) -> None:
    assert attacks(kept, range(40), capsys)["healed"] > 20


@pytest.mark.slow
@pytest.mark.timeout(1_200)
def test_five_hundred_spoilt_files_are_healed_or_named(kept: Kept, capsys: pytest.CaptureFixture[str]) -> None:
    assert attacks(kept, range(1_000, 1_500), capsys)["healed"] > 250
