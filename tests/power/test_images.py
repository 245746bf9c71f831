"""Real runs end with the same artifacts after a power cut, byte for byte."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from random import Random

import pytest

from tests.power.disk import Disk
from tests.power.harness import cuts, record
from tests.power.images import THRESHOLDS, project


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_the_next_run_comes_to_the_same_byte_for_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda number: None)
    (recording,) = record("tests.power.images", tmp_path)
    clean = []
    for threshold in THRESHOLDS:
        other = project(tmp_path, threshold)
        assert other.run(threshold) == 0
        clean.append(other.artifacts())

    def look(disk: Disk, done: Sequence[str], random: Random) -> str:
        disk.write(tmp_path / "disk")
        again, number = project(tmp_path, "disk"), random.randrange(2)
        if code := again.run(THRESHOLDS[number]):
            return f"the run ends with {code}"
        found = again.artifacts()
        wrong = sorted(name for name in found | clean[number] if found.get(name) != clean[number].get(name))
        return f"differ: {', '.join(wrong)}" if wrong else ""

    assert cuts(recording, 20, 1, look).wrong == []
