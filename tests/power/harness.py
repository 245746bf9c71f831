"""Cut a recording at many places, check each disk state that may result, and collect the errors."""

from __future__ import annotations

import importlib
import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import TypeAlias

from tests.power.disk import DATA, NAMES, Disk, cut
from tests.power.recorder import Mark, Recorder, Recording

ROOT = Path(__file__).parents[2]
Look: TypeAlias = Callable[[Disk, Sequence[str], Random], str]
"""Return what is wrong with a disk, in one line, if the cut came after this mark; empty if nothing is wrong."""


@dataclass
class Cuts:
    """Number of distinct disks that were checked, and the problems."""

    states: int = 0
    wrong: list[str] = field(default_factory=list)


def record(module: str, *tops: Path) -> list[Recording]:
    """What `recorded(recorder, top)` of a module does below each `top`/disk, after what `before(top)` does.

    It runs in a process of its own: after a power cut no process is left, and no owner of a lock."""
    command = [sys.executable, "-m", "tests.power.harness", module, *map(str, tops)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}  # an earlier command may have set PYTHONSAFEPATH
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment)
    assert done.returncode == 0, done.stderr
    return [pickle.loads((top / "recording").read_bytes()) for top in tops]


def cuts(recording: Recording, states: int, seed: int, look: Look, enough: int = 3) -> Cuts:
    """Check up to this many distinct disks, or until `enough` are wrong."""
    random, found = Random(seed), Cuts()
    seen: set[tuple[str, int]] = set()
    for _ in range(100 * states):
        if found.states == states or len(found.wrong) == enough:
            break
        at = random.randrange(1, len(recording.steps) + 1)
        names, data = random.choice(NAMES), random.choice(DATA)
        disk = cut(recording, at, random, names, data)
        done = [step.label for step in recording.steps[:at] if isinstance(step, Mark) and step.label]
        state = disk.digest(), len(done)
        if state in seen:
            continue
        seen.add(state)
        found.states += 1
        if wrong := look(disk, done, random):
            found.wrong.append(f"cut after step {at}, {done[-1:]}, names kept: {names}, data kept: {data}: {wrong}")
    return found


if __name__ == "__main__":
    module = importlib.import_module(sys.argv[1])
    for top in map(Path, sys.argv[2:]):
        (top / "disk").mkdir(parents=True)
        module.before(top)
        recorder = Recorder(top / "disk")
        with recorder():
            module.recorded(recorder, top)
        (top / "recording").write_bytes(pickle.dumps(recorder.recording))
