"""Images are decoded in separate processes: a crash, a hang or too much memory costs one file."""

import hashlib
import os
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.messages.errors import TaskError
from stages.decoding import children, problems
from stages.decoding import lanes as module
from stages.decoding.child import Seen
from stages.decoding.lanes import Lanes, decode_one
from stages.decoding.options import DecodeOptions, Limits
from stages.decoding.sources import Expected
from stages.decoding.tray import Tray
from tests.stages.decoding.hostile import MAGIC
from tests.stages.decoding.samples import dng, smooth

OPTIONS = DecodeOptions((8, 6), "RGB", False, (255, 255, 255), True, 1 << 28, 500_000_000, "mtime")
LIMITS = Limits(memory=400 << 20, seconds=60.0, plugins=("tests.stages.decoding.hostile",))
BRIEF = 1.5
"""Timeout in seconds for files that never end."""


def nobody() -> None:
    return None


def made(folder: Path, *deeds: bytes) -> list[Expected]:
    """Make files that behave as their content says; no two are equal."""
    files = []
    for number, deed in enumerate(deeds):
        path = folder / f"{number:03}"
        path.write_bytes(MAGIC + deed + b" " * (1 + number))
        files.append(expected(path))
    return files


def expected(path: Path) -> Expected:
    found = path.stat()
    return Expected(os.fsencode(path), found.st_size, str(found.st_mtime_ns))


def decoded(
    files: Sequence[Expected], limits: Limits = LIMITS, options: DecodeOptions = OPTIONS
) -> list[tuple[Seen, bytes | None]]:
    """Return the outcome of each file, in order; each file exactly once."""
    found = {}
    for number, seen, thumbnail in Lanes(files, options, limits, nobody):
        assert number not in found
        found[number] = seen, thumbnail
    return [found[number] for number in range(len(files))]


@pytest.mark.quick(1)
@pytest.mark.parametrize(
    ("deed", "problem"),
    [
        (b"crash", problems.CRASHED),
        (b"abort", problems.CRASHED),
        (b"exit", problems.CRASHED),
        (b"kill", problems.CRASHED),
        (b"eat", problems.MEMORY),
        (b"sleep", problems.TIMEOUT),
    ],
)
def test_a_faulty_decoder_costs_one_file(tmp_path: Path, deed: bytes, problem: problems.Problem) -> None:
    files = made(tmp_path, *[b"fine"] * 20, deed, *[b"fine"] * 20, deed, b"fine")
    limits = replace(LIMITS, seconds=BRIEF) if problem is problems.TIMEOUT else LIMITS
    results = decoded(files, limits)
    wild = {20, 41}
    for number, (seen, thumbnail) in enumerate(results):
        if number in wild:
            assert (seen.problem, seen.facts, thumbnail) == (problem, None, None)
        else:
            assert seen.problem is None
            assert thumbnail == bytes([99]) * 8 * 6 * 3
            assert seen.digest == hashlib.sha256(Path(os.fsdecode(files[number].path)).read_bytes()).hexdigest()


def test_a_child_that_does_not_heed_its_alarm_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(children, "PATIENCE", 0.5)
    results = decoded(made(tmp_path, b"fine", b"deaf", b"fine"), replace(LIMITS, seconds=1.0))
    assert [seen.problem for seen, _ in results] == [None, problems.TIMEOUT, None]


def test_a_child_that_closes_its_connection_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(children, "LINGER", 0.2)
    results = decoded(made(tmp_path, b"fine", b"leave", b"fine"))
    assert [seen.problem for seen, _ in results] == [None, problems.CRASHED, None]


def test_one_crash_alone_is_tried_once_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (file,) = made(tmp_path, b"fine")
    killed = []
    receive = children.Child.receive

    def die_first(child: children.Child, size: int) -> list[tuple[Seen, bytes | None]]:
        if not killed:
            killed.append(child)
            child.end()
            child._process.wait()
        return receive(child, size)

    monkeypatch.setattr(children.Child, "receive", die_first)
    ((seen, _),) = decoded([file])
    assert seen.problem is None
    assert killed


def test_a_warning_is_a_note_without_text_that_differs_between_runs(tmp_path: Path) -> None:
    ((seen, _), (plain, _)) = decoded(made(tmp_path, b"warn", b"fine"))
    assert seen.facts is not None
    assert seen.facts.note == "an odd thing at 0x…, named � and �[1m"
    assert plain.facts is not None
    assert plain.facts.note == ""


def pictures(folder: Path, count: int, size: tuple[int, int] = (40, 30)) -> list[Path]:
    paths = []
    for seed in range(count):
        pixels = np.random.default_rng(seed).integers(0, 256, (*size[::-1], 3), dtype=np.uint8)
        paths.append(folder / f"{seed:04}.bmp")
        Image.fromarray(pixels).save(paths[-1])
    return paths


def test_equal_bytes_are_decoded_once(tmp_path: Path) -> None:
    first, second = pictures(tmp_path, 2)
    copies = [tmp_path / f"copy-{number}.bmp" for number in range(5)]
    for copy in copies:
        copy.write_bytes(first.read_bytes())
    results = decoded([expected(path) for path in [copies[0], first, second, *copies[1:]]])
    assert sum(seen.fresh for seen, _ in results) == 2
    assert len({(seen.digest, thumbnail) for seen, thumbnail in results}) == 2
    again = decoded([expected(first), expected(copies[0])], options=replace(OPTIONS, mode="L"))
    assert [len(thumbnail or b"") for _, thumbnail in again] == [48, 48]  # the other batch has other thumbnails


@pytest.mark.slow
def test_thumbnails_without_room_in_the_tray_arrive(tmp_path: Path) -> None:
    files = [expected(path) for path in pictures(tmp_path, 40)]
    large = replace(OPTIONS, size=(512, 512))  # each 0.75 MiB
    huge = replace(OPTIONS, size=(1024, 1024))  # more than half of a tray
    for options in (large, huge):
        for file, (_, thumbnail) in zip(files, decoded(files, options=options), strict=True):
            with Image.open(os.fsdecode(file.path)) as image:
                small = image.resize(options.size, Image.Resampling.BICUBIC)
            assert thumbnail == small.tobytes()


def test_idle_cores_are_used_and_given_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WORTH", 0)
    files = [expected(path) for path in pictures(tmp_path, 600)]
    given, returned = [], []

    class Core:
        def close(self) -> None:
            returned.append(threading.current_thread())

    def spare() -> Core | None:
        if len(given) - len(returned) < 2:
            given.append(threading.current_thread())
            return Core()
        return None

    limits = Limits()
    found = {number: thumbnail for number, _, thumbnail in Lanes(files, OPTIONS, limits, spare)}
    assert len(found) == 600
    assert len(given) == len(returned) >= 1
    alone = decoded(files, limits)
    assert [found[number] for number in range(600)] == [thumbnail for _, thumbnail in alone]


@pytest.mark.quick(3)
@pytest.mark.parametrize(
    ("code", "said"),
    [
        (None, "plug is not installed on this machine; fix or remove the plugin"),
        ("import no_such_module", "plug: the required module no_such_module is not installed on this machine; fix"),
        ("1 / 0", r"plug can't be imported \(ZeroDivisionError: division by zero\); fix or"),
        ("exit(3)", r"plug can't be imported \(SystemExit: 3\); fix or"),
        ("def", r"plug can't be imported \(SyntaxError: "),
        ("import time; time.sleep(1000)", "importing plug took longer than thumbnail.timeout; remove the plugin"),
        ("import os; os._exit(7)", "the decoding process ended with exit code 7 before its first file"),
    ],
)
def test_a_plugin_that_does_not_load_is_one_line(
    code: str | None, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if code:
        (tmp_path / "plug.py").write_text(code)
        monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(TaskError, match=said):
        decode_one(Expected(b"x", 0, ""), OPTIONS, Limits(seconds=2.0, plugins=("plug",)))


def test_an_early_stop_leaves_no_child_behind(tmp_path: Path) -> None:
    files = made(tmp_path, *[b"fine"] * module.CHUNK_FILES, *[b"sleep"] * 3)
    lanes = Lanes(files, OPTIONS, replace(LIMITS, seconds=600.0), nobody)
    before = set(threading.enumerate())
    iterator = iter(lanes)
    next(iterator)
    (child,) = lanes._busy
    started = time.monotonic()
    iterator.close()
    assert child._process.poll() is not None
    assert time.monotonic() - started < 60
    assert set(threading.enumerate()) <= before


def test_idle_children_with_other_limits_give_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker of a long-lived cluster sees runs with many limits; the last run starts no child for each task."""
    idle, started = children.Idle(), []

    class Stub:
        alive = True

        def __init__(self, limits: Limits) -> None:
            self.limits, self.killed = limits, False
            started.append(self)

        def kill(self) -> None:
            self.killed = True

    monkeypatch.setattr(children, "Child", Stub)
    for seconds in (1.0, 2.0, 3.0, 4.0, 4.0, 4.0, 3.0):
        with idle.batch():
            idle.give(idle.take(Limits(seconds=seconds)))
    assert [child.limits.seconds for child in started] == [1.0, 2.0, 3.0, 4.0]
    assert [child.killed for child in started] == [True, True, False, False]


def test_the_decoding_of_a_file_does_not_depend_on_equal_files(tmp_path: Path) -> None:
    names = ("a.tif", "b.NEF", "c.tif", "d.nef", "e.tif")
    for name in names:
        (tmp_path / name).write_bytes(dng(smooth(64, 48)))

    def became(seen: Seen) -> tuple[object, ...]:
        return seen.problem, seen.facts

    as_tiff, as_raw = (became(decode_one(expected(tmp_path / name), OPTIONS, Limits())[0]) for name in names[:2])
    assert as_tiff != as_raw
    for order in (names, names[::-1]):
        for name, (seen, _) in zip(order, decoded([expected(tmp_path / n) for n in order], Limits()), strict=True):
            assert became(seen) == (as_tiff if name.endswith("tif") else as_raw), order


@pytest.mark.quick(1)
@pytest.mark.parametrize(("phase", "problem"), [("read", problems.SLOW), ("decode", problems.TIMEOUT)])
def test_slow_storage_is_distinguished_from_a_slow_decoder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, phase: str, problem: problems.Problem
) -> None:
    tray, taken = Tray.new(), []
    child = Tray(tray)
    for begun, finished in ((1, True), (2, phase == "decode")):
        child.begin_file(begun)
        child.begin_decoding() if finished else None
        taken.append(child.decoding)
    assert taken == [True, phase == "decode"]
    if phase == "decode":
        ((seen, _),) = decoded(made(tmp_path, b"sleep"), replace(LIMITS, seconds=1.0))
        assert seen.problem == problem
        return
    (tmp_path / "slow.py").write_text(SLOW_READING)
    monkeypatch.syspath_prepend(str(tmp_path))
    ((seen, _),) = decoded(made(tmp_path, b"fine"), Limits(seconds=3.0, plugins=("slow",)))
    assert seen.problem == problem


SLOW_READING = """
import time
from stages.decoding import child
child.read = lambda *_: time.sleep(1000)
"""
