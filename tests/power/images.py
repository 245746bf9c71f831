"""Real runs on a few images, which are cut."""

from __future__ import annotations

from pathlib import Path

from tests.end_to_end.driver import Project, make_images
from tests.power.recorder import Recorder

THRESHOLDS = ("pairs.threshold=200", "pairs.threshold=5000")


def project(top: Path, output: str) -> Project:
    """Return a project of some images whose results go to a folder of this name."""
    plot = {"pairs": 2, "clusters": 2}
    return Project(top, {"output": str(top / output), "inputs": {"a": [str(top / "images")]}, "plot": plot})


def before(top: Path) -> None:
    """Make images, one of them a copy."""
    make_images(top / "images", 10)


def recorded(recorder: Recorder, top: Path) -> None:
    """Run once, and again with another threshold."""
    for threshold in THRESHOLDS:
        recorder.mark(f"begin {threshold}")
        assert project(top, "disk").run(threshold) == 0
        recorder.mark(f"end {threshold}")
