"""Anything in any order: files and settings change, runs are killed, artifacts are spoilt, duplicates moved away and
taken back. After each run that succeeds the results are those of a first run over the same files in another folder;
after each undo the files are as they were, byte for byte and to the nanosecond.

A killed command is a fork of this process that ends at once, as by SIGKILL, at one of its operations on files. Where
no process of its own draws, charts are left out: Matplotlib takes two thirds of the time of so small a run."""

import contextlib
import errno
import io
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test
from PIL import Image, ImageOps

from pipeline.cli.main import main
from pipeline.execution import attempts
from pipeline.messages.errors import ArtifactDamaged
from pipeline.store.artifact import StoredArtifact
from stages.decoding import children, lanes
from tests.end_to_end.driver import LONG_AGO, Project, make_image

pytestmark = [pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning"), pytest.mark.drawn]
NAMES = tuple(f"{folder}/{name}" for folder in ("a", "a/ü $x$", "b") for name in ("1.png", "2.jpg", "3.png", "\n.png"))
OPERATIONS = ("replace", "rename", "unlink", "fsync", "mkdir", "rmdir", "link", "utime")
"""Functions of `os` before or after which a command may be killed."""
CHOICES: dict[str, list[Any]] = {
    "thumbnail.size": [[8, 8], [6, 6]],
    "pairs.threshold": [200, 30, 3000],
    "pairs.rotations": [True, False],
    "pairs.mirror": [False, True],
    "pairs.exposure": ["compare", "ignore"],
    "pairs.normalize": ["pixel", "value"],
    "pairs.identical": ["group", "all"],
    "cluster.keep": [["resolution", "bytes", "oldest"], ["newest"], [{"path": "shortest"}]],
    "cluster.linkage": ["components", "complete", "star"],
    "partition.images": [2, 4],
    "plot.clusters": [1, 0],
    "scan.ignore_names": [[], ["?.jpg"]],
}
KILLED, UNTIL_THEN = -signal.SIGKILL, 60


def _contents() -> list[bytes]:
    """Three pictures, each with a copy, a paler, a turned and a mirrored copy; and files that are not images."""
    found = [b"", b"no image", b"\x89PNG\r\n\x1a\n"]
    for seed in range(3):
        grid = np.random.default_rng(seed).integers(0, 256, (3, 3, 3), dtype=np.uint8)
        picture = Image.fromarray(grid).resize((16, 16), Image.Resampling.BICUBIC)
        paler = Image.fromarray((np.asarray(picture) * 0.97).astype(np.uint8))
        for image, kind in (
            (picture, "PNG"),
            (paler, "PNG"),
            (picture.rotate(90), "PNG"),
            (ImageOps.mirror(picture), "JPEG"),
        ):
            buffer = io.BytesIO()
            image.save(buffer, kind)
            found.append(buffer.getvalue())
    return found


CONTENTS = _contents()
names, contents = st.sampled_from(NAMES), st.sampled_from(CONTENTS)
moments = st.integers(1, 120)


class Library(RuleBasedStateMachine):
    """Images in a folder, a run over the images, and events that may happen to both."""

    kinds = ("synchronous",) * 30 + ("threads",)
    folder: Path

    def __init__(self) -> None:
        super().__init__()
        self.top = Path(tempfile.mkdtemp(dir=self.folder))
        self.project = Project(self.top / "project", {"plot": {"pairs": 1, "clusters": 1, "previews": 2}})
        self.images = self.project.folder / "images"
        self.images.mkdir()
        self.clock = self.serial = 0
        self.damaged: set[str] = set()
        self.clean: dict[str, tuple[int, dict[str, bytes]]] = {}
        self.fresh = False
        self.before: dict[str, tuple[bytes, int]] | None = None  # the files that an undo restores
        self.journals: Path | None = None

    def teardown(self) -> None:
        try:
            if sys.exc_info()[0] is None:  # whatever happened last, a run repairs it
                self.run_by("synchronous")
        finally:
            shutil.rmtree(self.top)

    # Files

    @initialize(files=st.dictionaries(names, contents, min_size=3, max_size=8))
    def begin(self, files: dict[str, bytes]) -> None:
        for name, content in files.items():
            self.write(name, content)

    def write(self, name: str, content: bytes) -> None:
        path = self.images / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        self.stamp(path)

    def stamp(self, path: Path) -> None:
        """Give each change its own old time, so that runs that trust times see the change, and no file is digested
        twice."""
        self.clock += 1
        os.utime(path, (LONG_AGO + self.clock, LONG_AGO + self.clock))
        self.fresh = False

    def there(self) -> list[Path]:
        return sorted(path for path in self.images.rglob("*") if path.is_file())

    def files(self) -> dict[str, tuple[bytes, int]]:
        return {
            str(path.relative_to(self.images)): (path.read_bytes(), path.stat().st_mtime_ns) for path in self.there()
        }

    def chosen(self, number: int) -> Path | None:
        found = self.there()
        return found[number % len(found)] if found else None

    @precondition(lambda self: self.before is None)
    @rule(files=st.dictionaries(names, contents, min_size=1, max_size=3))
    def add_or_edit(self, files: dict[str, bytes]) -> None:
        for name, content in files.items():
            self.write(name, content)

    @precondition(lambda self: self.before is None)
    @rule(
        number=st.integers(0, 11),
        how=st.sampled_from(("remove", "touch", "spoil", "twin", "just now", "rename")),
        name=names,
    )
    def change(self, number: int, how: str, name: str) -> None:
        if (path := self.chosen(number)) is None:
            return
        self.fresh = False
        match how:
            case "remove":
                path.unlink()
            case "touch":
                self.stamp(path)
            case "spoil":
                data = path.read_bytes()
                path.write_bytes(data[: len(data) // 2])
                self.stamp(path)
            case "twin":
                self.serial += 1
                shutil.copy2(path, path.with_name(f"{self.serial} {path.name[-5:]}"))
            case "just now":
                os.utime(path)
            case "rename":
                target = self.images / name
                target.parent.mkdir(parents=True, exist_ok=True)
                path.replace(target)

    # Settings

    @rule(data=st.data(), key=st.sampled_from(sorted(CHOICES)))
    def configure(self, data: st.DataObject, key: str) -> None:
        section, _, name = key.partition(".")
        value = data.draw(st.sampled_from(CHOICES[key]))
        self.project.config.setdefault(section, {})[name] = value
        self.fresh = False

    # Runs

    @rule(data=st.data())
    def run(self, data: st.DataObject) -> None:
        self.run_by(data.draw(st.sampled_from(self.kinds)))

    def run_by(self, kind: str) -> None:
        code = self.project.run(f"scheduler.kind={kind}")
        expected, artifacts = self.first_run()
        assert code == expected
        if code == 0:
            self.compare(artifacts)
            self.fresh = True

    run_again = run_once_more = (
        run  # rules are chosen with equal probability, and the effect of other events is visible in a run
    )

    def first_run(self) -> tuple[int, dict[str, bytes]]:
        """Return the exit code and the artifacts of a run into a new folder."""
        key = repr((sorted(self.files().items()), self.project.config))
        if key not in self.clean:
            self.serial += 1
            output = self.top / f"clean {self.serial}"
            other = Project(self.top / "clean", self.project.config | {"output": str(output)})
            self.clean[key] = other.run(), other.artifacts() if other.run_folder.exists() else {}
            shutil.rmtree(output, ignore_errors=True)
        return self.clean[key]

    def compare(self, expected: dict[str, bytes]) -> None:
        """Assert the expected artifacts, except unread artifacts with a flipped bit, which must be unreadable."""
        found = self.project.artifacts()
        assert found.keys() == expected.keys()
        for name in found:
            if found[name] != expected[name]:
                assert name in self.damaged, name
                with pytest.raises(ArtifactDamaged):
                    StoredArtifact(*name.split("/"), self.project.run_folder / name).table()
                (self.project.run_folder / name).unlink()
                self.fresh = False

    @rule(at=moments, error=st.sampled_from([OSError(errno.ENOSPC, "No space left"), KeyboardInterrupt()]))
    def run_that_meets_an_error(self, at: int, error: BaseException) -> None:
        def fail() -> NoReturn:
            raise error

        with ended(at, fail):
            assert self.project.run() in (0, 1, 2, 130)
        (self.project.run_folder / ".lock").unlink(missing_ok=True)  # the owner would have ended, but lives on here
        self.fresh = False

    @rule(at=moments)
    def run_that_is_killed(self, at: int) -> None:
        killed(["run", str(self.project.yaml), "--quiet"], at)
        self.fresh = False

    @rule()
    def prune(self) -> None:
        if self.project.run_folder.exists():
            assert main(["prune", str(self.project.yaml)]) == 0

    @rule(number=st.integers(0, 200), how=st.sampled_from(("delete", "cut", "empty", "flip", "garbage")))
    def damage(self, number: int, how: str) -> None:
        """Damage a file; report pages and previews also change in size, since runs check only their size."""
        found = sorted(path for path in self.project.run_folder.rglob("*") if path.is_file() and path.name != ".lock")
        if not found:
            return
        path = found[number % len(found)]
        data = path.read_bytes()
        if how == "flip" and (path.suffix != ".parquet" or not data):
            how = "cut"
        match how:
            case "delete":
                path.unlink()
            case "cut":
                path.write_bytes(data[: len(data) // 2])
            case "empty":
                path.write_bytes(b"")
            case "flip":
                at = number * 7919 % len(data)
                path.write_bytes(data[:at] + bytes([data[at] ^ 1 << number % 8]) + data[at + 1 :])
                self.damaged.add(str(path.relative_to(self.project.run_folder)))
            case "garbage":
                path.write_bytes(os.urandom(len(data) + 1))
        self.fresh = False

    # Clean up

    @precondition(lambda self: self.fresh and self.before is None)
    @rule(at=st.none() | moments)
    def apply(self, at: int | None) -> None:
        self.serial += 1
        self.journals = self.top / f"plan {self.serial}"
        self.journals.mkdir()
        plan, to = self.journals / "plan.json", self.top / f"moved {self.serial}"
        assert main(["plan", str(self.project.run_folder), str(plan)]) == 0
        self.before = self.files()
        words = ["apply", str(plan), "--action", "move", "--to", str(to), "--yes"]
        code = main(words) if at is None else killed(words, at)
        assert code in (0, KILLED)
        moved = [path for path in to.rglob("*") if path.is_file() and path.name[0] != "."]
        kept = Counter(content for content, _ in self.before.values())
        left = Counter([path.read_bytes() for path in [*self.there(), *moved]])
        assert left == kept if code == 0 else set(left) >= set(kept)
        self.fresh = False

    @precondition(lambda self: self.before is not None)
    @rule(at=st.none() | moments)
    def undo(self, at: int | None) -> None:
        assert self.journals
        for journal in self.journals.glob("*.jsonl"):
            if at is not None:
                assert killed(["undo", str(journal)], at) in (0, KILLED)
            assert main(["undo", str(journal)]) == 0
        assert self.files() == self.before
        self.before = None


class Thorough(Library):
    """The same state machine with more schedulers, and with kills of processes at any moment."""

    kinds = ("synchronous",) * 10 + ("threads", "threads", "local")

    @rule(after=st.floats(0.5, 8), kind=st.sampled_from(("synchronous", "local")))
    def run_in_a_process_that_is_killed(self, after: float, kind: str) -> None:
        command = self.project.command(f"scheduler.kind={kind}")
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        with subprocess.Popen(command, **quiet, start_new_session=True) as process:  # type: ignore[call-overload]
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(after)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        self.fresh = False


@contextlib.contextmanager
def ended(at: int, end: Callable[[], NoReturn]) -> Iterator[None]:
    """Call `end` in place of the operation on files that is the `at`-th from here on; after it, where `at` is even."""
    left = at

    def guarded(operation: Callable[..., Any]) -> Callable[..., Any]:
        def do(*arguments: Any, **named: Any) -> Any:
            nonlocal left
            left -= 1
            if left == 0 and at % 2:
                end()
            returned = operation(*arguments, **named)
            if left == 0:
                end()
            return returned

        return do

    with pytest.MonkeyPatch.context() as patched:
        for name in OPERATIONS:
            patched.setattr(os, name, guarded(getattr(os, name)))
        yield


def killed(words: list[str], at: int) -> int:
    """Return the exit code of a command in a separate process, which is killed at its `at`-th operation on files."""
    if child := os.fork():
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    code = 70
    try:
        signal.alarm(UNTIL_THEN)  # a fork may inherit a lock that nobody will open: the fork then dies
        null = os.open(os.devnull, os.O_RDWR)
        for number in (1, 2):
            os.dup2(null, number)
        children.idle = lanes.idle = children.Idle()  # children of the parent answer only to the parent
        with ended(at, lambda: os.kill(os.getpid(), signal.SIGKILL) or time.sleep(9) or os._exit(71)):
            code = main(words)
    finally:
        os._exit(code)


@pytest.fixture(scope="module")
def warm(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Import the modules that commands need; otherwise each fork would import them."""
    project = Project(tmp_path_factory.mktemp("warm"))
    plan = project.folder / "plan.json"
    for name in ("1.png", "2.png"):
        make_image(project.folder / "images" / name, 1)
    assert project.run() == 0
    assert main(["plan", str(project.run_folder), str(plan)]) == 0
    assert main(["apply", str(plan), "--action", "move", "--to", str(project.folder / "to"), "--yes"]) == 0
    for journal in project.folder.glob("*.jsonl"):
        assert main(["undo", str(journal)]) == 0


@pytest.fixture
def quick(warm: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(attempts, "PAUSE", 0.0)
    monkeypatch.setattr(Library, "folder", tmp_path, raising=False)


def play(machine: type[Library], examples: int, steps: int, **more: Any) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.explicit, Phase.reuse, Phase.generate],  # shrinking an example takes longer than CI has
            **more,
        ),
    )


@pytest.mark.slow
@pytest.mark.usefixtures("quick", "undrawn")
def test_results_equal_those_of_a_first_run_after_any_history() -> None:
    play(Library, examples=3, steps=25, derandomize=True)


@pytest.mark.slow
@pytest.mark.timeout(3_600)
@pytest.mark.usefixtures("quick")
def test_the_same_for_longer_with_other_schedulers_and_kills_of_processes() -> None:
    play(Thorough, examples=6, steps=40, print_blob=True)
