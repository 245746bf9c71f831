"""The file of decisions against a plain model, after a full disk, and after a crash."""

import json
import os
import random
from pathlib import Path

import pytest

from pipeline.messages.errors import ConfigError
from stages.commands.review.decisions import KINDS, Action, Change, Decisions

IMAGES = [(f"/photos/{n}.jpg", f"{n:064x}") for n in range(6)]


def change(rng: random.Random) -> Change:
    kind = rng.choice(KINDS)
    first, second = sorted(rng.sample(IMAGES, 2))
    return Change(kind, (first, second) if kind == "dismissed" else first, rng.choice((True, False, None)))


def keep(image: int, value: bool | None = True) -> Action:
    return Action("do", f"image {image}", [Change("choice", IMAGES[image], value)])


@pytest.mark.parametrize("seed", range(20))
def test_it_is_a_stack_of_whole_states(tmp_path: Path, seed: int) -> None:
    """The model keeps every state; the file keeps changes, and is reopened from time to time."""
    rng, path = random.Random(seed), tmp_path / "decisions.jsonl"
    states: list[dict[str, dict]] = [{kind: {} for kind in KINDS}]
    now = 0
    decisions = Decisions(path)
    for _ in range(60):
        does = rng.choice(("do", "do", "undo", "redo"))
        changes = [change(rng) for _ in range(rng.randrange(4))] if does == "do" else []
        returned = decisions.write([Action(does, "step", changes)])
        if does == "do":
            state = {kind: dict(states[now][kind]) for kind in KINDS}
            for kind, key, value in changes:
                state[kind].pop(key, None)
                state[kind] |= {} if value is None else {key: value}
            states[now + 1 :] = [state]
            now += 1
        else:
            before = now
            now = max(0, now - 1) if does == "undo" else min(len(states) - 1, now + 1)
            assert bool(returned) <= (before != now)
        if rng.random() < 0.2:
            decisions.close()
            decisions = Decisions(path)
        assert decisions.values == states[now]
        assert (decisions.undoable is None) == (now == 0)
        assert (decisions.redoable is None) == (now == len(states) - 1)
    decisions.close()


def test_a_full_disk_saves_nothing_and_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "decisions.jsonl"
    with Decisions(path) as decisions:
        decisions.write([keep(0)])
        before = path.read_bytes()
        with monkeypatch.context() as patched:
            patched.setattr(os, "fsync", lambda number: (_ for _ in ()).throw(OSError(28, "No space left on device")))
            with pytest.raises(OSError, match="No space"):
                decisions.write([keep(1), Action("undo")])
        assert path.read_bytes() == before
        assert decisions.values["choice"] == {IMAGES[0]: True}
        assert decisions.undoable == "image 0"
        decisions.write([keep(1)])
    with Decisions(path) as decisions:
        assert decisions.values["choice"] == {IMAGES[0]: True, IMAGES[1]: True}


def test_each_batch_is_synced_before_it_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    real = os.fsync
    with Decisions(tmp_path / "decisions.jsonl") as decisions:
        monkeypatch.setattr(os, "fsync", lambda number: (synced.append(os.fstat(number).st_size), real(number)))
        decisions.write([keep(0), keep(1)])
        assert synced == [decisions.path.stat().st_size]


@pytest.mark.parametrize("cut", range(1, 40, 3))
def test_a_torn_last_line_is_cut_off(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "decisions.jsonl"
    with Decisions(path) as decisions:
        decisions.write([keep(0)])
        whole = path.stat().st_size
        decisions.write([keep(0, None)])
    os.truncate(path, max(whole, path.stat().st_size - cut))
    with Decisions(path) as decisions:
        assert decisions.values["choice"] == {IMAGES[0]: True}
        decisions.write([keep(0, False)])
    with Decisions(path) as decisions:
        assert decisions.values["choice"] == {IMAGES[0]: False}


@pytest.mark.parametrize(
    "lines",
    [
        [{"fast-diff-decisions": 2}],
        [{"fast-diff-journal": 1}],
        [{"step": ["", []]}],
        [{"fast-diff-decisions": 1}, {"fast-diff-decisions": 1}],
        [{"fast-diff-decisions": 1}, {"step": ["", [["choice", 0, True]]]}],
        [{"fast-diff-decisions": 1}, {"image": ["a", "b"]}, {"step": ["", [["other", 0, True]]]}],
        [{"fast-diff-decisions": 1}, {"at": 0}],
        [{"fast-diff-decisions": 1}, {"later": 1}],
        [{"fast-diff-decisions": 1}, []],
    ],
)
def test_other_files_are_refused_and_left_as_they_are(tmp_path: Path, lines: list[object]) -> None:
    path = tmp_path / "decisions.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    before = path.read_bytes()
    with pytest.raises(ConfigError, match=r"line \d: expected decisions"):
        Decisions(path)
    assert path.read_bytes() == before


def test_one_process_holds_the_file(tmp_path: Path) -> None:
    path = tmp_path / "decisions.jsonl"
    with Decisions(path), pytest.raises(ConfigError, match="another"):
        Decisions(path)
    with Decisions(path):
        pass


def test_the_place_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "decisions.jsonl"
    with Decisions(path) as decisions:
        decisions.move(IMAGES[3])
        decisions.move(IMAGES[2])
    with Decisions(path) as decisions:
        assert decisions.place == IMAGES[2]
        assert decisions.undoable is None


@pytest.mark.parametrize("content", [b"a letter to a friend", b"{", b'{"fast-diff-dec', b""])
def test_a_file_without_a_line_is_begun_or_another_file(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "decisions.jsonl"
    path.write_bytes(content)
    if content.startswith(b"a letter"):
        with pytest.raises(ConfigError, match="line 1"):
            Decisions(path)
        assert path.read_bytes() == content
    else:
        with Decisions(path) as decisions:
            decisions.write([keep(0)])
        with Decisions(path) as decisions:
            assert decisions.values["choice"] == {IMAGES[0]: True}
