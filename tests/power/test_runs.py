"""Runs after power cuts: whatever is on disk, the same command gives the same results."""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tests.power.dag import PHASES, results, run_phase
from tests.power.disk import Disk
from tests.power.harness import cuts, record
from tests.power.recorder import Recording


@dataclass
class Runs:
    """The recorded runs, and the result of each without a cut."""

    top: Path
    recording: Recording
    told: list[bytes]
    clean: list[dict[str, Any]]

    def look(self, disk: Disk, done: Sequence[str], random: Random) -> str:
        """Return what is wrong after a cut, before and after the next run with the same config and files, or with
        the next."""
        number, ended = max(len(done) - 1, 0) // 2, len(done) % 2 == 0 and len(done) > 0
        folder = self.top / "disk" / "run"
        disk.write(self.top / "disk")
        try:
            told = (folder / "run.json").exists() and (folder / "run.json").read_bytes() == self.told[number]
            if ended and not told:
                return "the run has ended, and run.json does not say so"
            if told and results(folder) != self.clean[number]:
                return "run.json says that the run has ended, and its results are not there"
            number = min(number + random.randrange(2), len(PHASES) - 1)
            run_phase(PHASES[number], self.top / "inputs", self.top / "disk")
            found = results(folder)
        except (Exception, AssertionError) as error:
            return repr(error)
        wrong = sorted(name for name in found | self.clean[number] if found.get(name) != self.clean[number].get(name))
        return f"after the run of {PHASES[number].label!r} differ: {', '.join(wrong)}" if wrong else ""


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    top = tmp_path_factory.mktemp("power")
    (recording,) = record("tests.power.dag", top)
    clean = []
    for phase in PHASES:
        run_phase(phase, top / "inputs", top / phase.label)
        clean.append(results(top / phase.label / "run"))
    told = [(top / f"{number}.json").read_bytes() for number in range(len(PHASES))]
    return Runs(top, recording, told, clean)


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs on a rebuilt disk need not wait for this machine's disk."""
    monkeypatch.setattr(os, "fsync", lambda number: None)


@pytest.mark.slow
def test_after_any_cut_the_next_run_gives_the_same_results(runs: Runs) -> None:
    assert cuts(runs.recording, 60, 1, runs.look).wrong == []


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("seed", [2, 3])
def test_a_thousand_disks(runs: Runs, seed: int) -> None:
    found = cuts(runs.recording, 500, seed, runs.look)
    assert (found.wrong, found.states) == ([], 500)


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "seed"), [("files", 4), ("folders", 5)])
def test_without_syncs_the_same_disks_are_wrong(runs: Runs, kind: str, seed: int) -> None:
    """The model detects missing syncs."""
    folders = runs.recording.entries
    cut_short = runs.recording.without(lambda sync: (sync.node in folders) == (kind == "folders"))
    assert cuts(cut_short, 300, seed, runs.look, enough=1).wrong


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("name", ["*.parquet", "*.txt", "run.json", "run", "texts", "total", "page"])
def test_no_sync_is_one_too_many(runs: Runs, name: str) -> None:
    """Without the syncs of one kind of file or folder, some disk is wrong."""
    called = {node for node in range(runs.recording.count) if fnmatch.filter(runs.recording.names(node), name)}
    assert called
    assert cuts(runs.recording.without(lambda sync: sync.node in called), 2_000, 1, runs.look, enough=1).wrong
