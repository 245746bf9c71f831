"""Whatever is spoilt in a run's folder, the next run heals it, or says in one line what stands in the way.

Every hidden file and every kind of artifact is attacked at random: bits flipped, bytes cut off, zeroed or replaced,
JSON of wrong types, a folder or a FIFO in a file's place, with a new time or the old one."""

import functools
import json
import os
import random
import shutil
from collections import Counter
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from pipeline import load_run
from pipeline.cli import main
from pipeline.errors import ConfigError
from pipeline.fingerprint import content
from pipeline.footers import INDEX
from pipeline.owner import identity
from pipeline.racy import DOUBTFUL
from pipeline.store import RETIRED
from tests.end_to_end.driver import Kept

HIDDEN = (".events.jsonl", INDEX, DOUBTFUL, ".lock", ".lock.guard", "run.json")
STAGES = ("scan", "thumbnail", "hash", "index", "pairs", "cluster", "plot", "report")
SMALL = {
    "thumbnail": {"size": [8, 8]},
    "partition": {"images": 3, "block": 6},
    "plot": {"pairs": 1, "clusters": 1, "page": 5},
}
OTHER = "pairs.threshold=150"
DEEP = b"[" * 100_000
JSON = (b"5", b"null", b"true", b"[1, 2]", b"{}", b'"text"', b'{"token": [], "pid": "x"}', b"[[[]]]", DEEP, b"[" + DEEP)
LINES = (
    b'{"event": "task", "how": "run", "stage": [], "artifact": {}, "seconds": "long"}',
    b'{"event": "task", "how": "run", "stage": "pairs", "artifact": "%s", "seconds": [], "levels": 5}',
    b'{"event": "task", "how": "run", "stage": "pairs", "artifact": "%s", "seconds": NaN, "levels": {"device": 1}}',
    b"00000000\tpairs\t%s\t5\t5\t[]",
)


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Kept:
    """A run with every kind of file: retired artifacts, a list of racy files, and the lock of a run that was killed."""
    made = Kept.of(tmp_path_factory.mktemp("spoilt"), 10, SMALL)
    project = made.project
    assert project.run(OTHER) == 0
    assert project.run() == 0
    (project.run_folder / ".lock").write_text(json.dumps(identity("t") | {"started": "1"}))
    (project.run_folder / ".lock.guard").touch()
    (project.run_folder / DOUBTFUL).write_text(json.dumps(sorted(map(str, (project.folder / "images").iterdir()))[:3]))
    shutil.rmtree(made.copy)
    shutil.copytree(project.folder, made.copy)
    return made


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is installed stays the same; half of a run with nothing to do would go into asking for it."""
    monkeypatch.setattr(metadata, "version", functools.lru_cache(metadata.version))


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
    """Spoil a file; returns how, in words."""
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
    """A file to spoil: one of the hidden ones, or an artifact of any stage, in use or retired."""
    if chance.random() < 0.4:
        return folder / chance.choice(HIDDEN)
    files = sorted(path for path in (folder / chance.choice(STAGES)).rglob("*") if path.is_file())
    return chance.choice(files)


def contents(folder: Path) -> dict[str, Any]:
    """What each artifact of a run holds, by digests of what is read of it, as every reader does; raises ConfigError."""
    run = load_run(folder)
    found: dict[str, Any] = {}
    for stage in STAGES[:-1]:
        for artifact, table in zip(run.artifacts(stage), run.tables(stage), strict=True):
            found[f"{stage}/{artifact.path.name}"] = content(table), artifact.summary
    return found | {"ledger": run.ledger().to_dict()}


def shown(folder: Path) -> dict[str, int]:
    """What lies in the report, and its size: a picture that was altered in place is seen by whoever looks at it. The
    page on the work tells of times."""
    files = [path for path in (folder / "report").rglob("*.*") if path.is_file()]
    return {path.name: 0 if path.name.startswith("work") else path.stat().st_size for path in files}


def damaged(folder: Path) -> Path | None:
    """An artifact that a reader of a run names as damaged, in one line."""
    try:
        contents(folder)
    except ConfigError as error:
        return Path(str(error).removesuffix(" is damaged; delete it, and the next run makes it again"))
    return None


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    said = capsys.readouterr().err.splitlines()
    assert all(line.startswith(("fast-diff: ", "warning: ")) for line in said), said
    return said


def remove(path: Path) -> None:
    """Do as one is told to."""
    if path.is_dir():
        assert (path / "of the user").read_text() == "precious"
        shutil.rmtree(path)
    else:
        path.unlink()


def attack(
    kept: Kept, expected: Any, seed: int, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> str:
    """One attack; returns how it ended: healed, or named."""
    chance = random.Random(seed)
    project = kept.again()
    path = target(project.run_folder, chance)
    how = f"seed {seed}: {path.relative_to(project.run_folder)}: {spoil(path, chance)}"
    command = chance.choice(("status", "explain", "show", "failures"))
    of = str(project.yaml) if command in ("status", "explain") else str(project.run_folder)
    assert main([command, of]) in (0, 1, 2), how
    lines(capsys)
    ended = "healed"
    caplog.clear()
    if project.run() or path.is_dir():
        ended, said = "named", [*lines(capsys), *(record.getMessage() for record in caplog.records)]
        assert str(path) in "\n".join(said), (how, said)
        assert len(said) == len(set(said)) <= 4, (how, said)
        remove(path)
        assert project.run() == 0, how
    if wrong := damaged(project.run_folder):
        ended = "named"
        assert wrong == path, how
        remove(path)
        assert project.run() == 0, how
    assert (contents(project.run_folder), shown(project.run_folder)) == expected, how
    if RETIRED in path.parts:
        assert project.run(OTHER) == 0, how
        assert damaged(project.run_folder) is None, how
    lines(capsys)
    return ended


def attacks(
    kept: Kept, seeds: range, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> Counter[str]:
    folder = kept.again().run_folder
    expected = contents(folder), shown(folder)
    return Counter(attack(kept, expected, seed, capsys, caplog) for seed in seeds)


def test_spoilt_files_are_healed_or_named(
    kept: Kept, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    assert attacks(kept, range(40), capsys, caplog)["healed"] > 20


@pytest.mark.slow
def test_five_hundred_spoilt_files_are_healed_or_named(
    kept: Kept, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    assert attacks(kept, range(1_000, 1_500), capsys, caplog)["healed"] > 250
