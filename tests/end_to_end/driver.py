"""Run the command line on small folders of images that the tests make."""

from __future__ import annotations

import copy
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from PIL import Image

from pipeline.cli.main import main
from stages.commands.run.work import PAGE

LONG_AGO = 1_600_000_000
"""Modification time of the images that tests make: old enough that the next run does not recheck the images."""


def make_image(path: Path, seed: int, size: tuple[int, int] = (96, 72)) -> Path:
    """Return a smooth random picture; equal seeds give equal pixels."""
    grid = np.random.default_rng(seed).integers(0, 256, (5, 6, 3), dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(grid).resize(size, Image.Resampling.BICUBIC).save(path, quality=92)
    os.utime(path, (LONG_AGO + seed, LONG_AGO + seed))
    return path


def make_images(folder: Path, count: int, first: int = 0) -> list[Path]:
    """Make different pictures; every tenth picture is a copy of another picture at a lower quality."""
    paths = []
    for seed in range(first, first + count):
        path = make_image(folder / f"{seed * 7919 % 1000:03}-{seed}.jpg", seed - 5 if seed % 10 == 9 else seed)
        if seed % 10 == 9:
            Image.open(path).save(path, quality=60)
            os.utime(path, (LONG_AGO, LONG_AGO))
        paths.append(path)
    return paths


@dataclass
class Project:
    """A config file, and the results of its runs."""

    folder: Path
    config: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.config = {
            "run": "test",
            "output": str(self.folder / "outputs"),
            "inputs": {"a": [str(self.folder / "images")]},
            "partition": {"images": 4, "block": 8},
            "plot": {"pairs": 2, "clusters": 2},
            "scheduler": {"kind": "synchronous"},
        } | self.config

    @property
    def run_folder(self) -> Path:
        return Path(self.config["output"]) / self.config["run"]

    @property
    def yaml(self) -> Path:
        path = self.folder / "config.yaml"
        path.write_text(yaml.safe_dump(self.config))
        return path

    def run(self, *overrides: str, options: Iterable[str] = ("--quiet",)) -> int:
        """Run `fast-diff run` in this process; return the exit code."""
        sets = [word for override in overrides for word in ("--set", override)]
        return main(["run", str(self.yaml), *options, *sets])

    def command(self, *overrides: str, name: str = "run") -> list[str]:
        """Return the command line of `run`, or of the command `name`, for a process of its own."""
        sets = [word for override in overrides for word in ("--set", override)]
        return [sys.executable, "-m", "pipeline.cli.main", name, str(self.yaml), *sets]

    def spawn(self, *overrides: str, **arguments: Any) -> subprocess.CompletedProcess[str]:
        """Run `fast-diff run` in a process of its own."""
        return subprocess.run(self.command(*overrides), capture_output=True, text=True, timeout=120, **arguments)

    def record(self) -> dict[str, Any]:
        """Return the content of run.json."""
        return dict(json.loads((self.run_folder / "run.json").read_text()))

    def ran(self) -> dict[str, int]:
        """Return the number of tasks that the last run ran, by stage, without stages that ran no task."""
        stages: Mapping[str, Any] = self.record()["stages"]
        return {name: stage["tasks_run"] for name, stage in stages.items() if stage["tasks_run"]}

    def events(self) -> list[dict[str, Any]]:
        """Return the events of the last run; empty if the run had nothing to do."""
        if not self.ran():
            return []
        events = [json.loads(line) for line in (self.run_folder / ".events.jsonl").read_text().splitlines()]
        last = max(number for number, event in enumerate(events) if event["event"] == "plan")
        return events[last:]

    def decoded(self) -> int:
        """Return the number of files that the last run decoded."""
        return sum(event.get("decoded", 0) for event in self.events())

    def reasons(self) -> dict[str, str]:
        """Return the reason of each task that the last run ran."""
        return {f"{e['stage']}/{e['key']}": e["reason"] for e in self.events() if e.get("how") == "run"}

    def artifacts(self) -> dict[str, bytes]:
        """Return the files of the run's folder, without dot names, run.json and the page on the work."""
        return {
            str(path.relative_to(self.run_folder)): path.read_bytes()
            for path in sorted(self.run_folder.rglob("*"))
            if path.is_file()
            and path.name != "run.json"
            and str(path.relative_to(self.run_folder)) != PAGE
            and not any(part[0] == "." for part in path.relative_to(self.run_folder).parts)
        }


@dataclass
class Kept:
    """A finished run that several tests use; `again` restores the run's folder.

    The folder is restored at the same path, since paths are part of every artifact."""

    project: Project
    saved: Path

    @classmethod
    def of(cls, folder: Path, images: int, config: dict[str, Any] | None = None) -> Kept:
        project = Project(folder / "project", config or {})
        make_images(project.folder / "images", images)
        return cls.finished(project)

    @classmethod
    def finished(cls, project: Project) -> Kept:
        """Run a project, and keep a copy of its folder."""
        assert project.run() == 0
        saved = project.folder.with_name("copy")
        shutil.copytree(project.folder, saved)
        return cls(project, saved)

    def again(self) -> Project:
        """Restore the finished run; return the project."""
        shutil.rmtree(self.project.folder)
        shutil.copytree(self.saved, self.project.folder)
        return copy.deepcopy(self.project)
