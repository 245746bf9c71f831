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
"""Modification time of the images that tests make: not so young that the next run would look twice."""


def make_image(path: Path, seed: int, size: tuple[int, int] = (96, 72)) -> Path:
    """A smooth random picture; equal seeds give equal pixels."""
    grid = np.random.default_rng(seed).integers(0, 256, (5, 6, 3), dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(grid).resize(size, Image.Resampling.BICUBIC).save(path, quality=92)
    os.utime(path, (LONG_AGO + seed, LONG_AGO + seed))
    return path


def make_images(folder: Path, count: int, first: int = 0) -> list[Path]:
    """Different pictures, every tenth of them a copy of another at a lower quality."""
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
    """A config file, and what runs of it said."""

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
        """`fast-diff run` in this process; returns its exit code."""
        sets = [word for override in overrides for word in ("--set", override)]
        return main(["run", str(self.yaml), *options, *sets])

    def command(self, *overrides: str, name: str = "run") -> list[str]:
        """The same as the words of a command for a process of its own."""
        sets = [word for override in overrides for word in ("--set", override)]
        return [sys.executable, "-m", "pipeline.cli.main", name, str(self.yaml), *sets]

    def spawn(self, *overrides: str, **arguments: Any) -> subprocess.CompletedProcess[str]:
        """`fast-diff run` in a process of its own."""
        return subprocess.run(self.command(*overrides), capture_output=True, text=True, timeout=120, **arguments)

    def record(self) -> dict[str, Any]:
        """run.json."""
        return dict(json.loads((self.run_folder / "run.json").read_text()))

    def ran(self) -> dict[str, int]:
        """Tasks that the last run ran, by stage; stages that ran none are left out."""
        stages: Mapping[str, Any] = self.record()["stages"]
        return {name: stage["tasks_run"] for name, stage in stages.items() if stage["tasks_run"]}

    def events(self) -> list[dict[str, Any]]:
        """Events of the last run; it leaves none where it found all done."""
        if not self.ran():
            return []
        events = [json.loads(line) for line in (self.run_folder / ".events.jsonl").read_text().splitlines()]
        last = max(number for number, event in enumerate(events) if event["event"] == "plan")
        return events[last:]

    def decoded(self) -> int:
        """Files that the last run decoded."""
        return sum(event.get("decoded", 0) for event in self.events())

    def reasons(self) -> dict[str, str]:
        """Why the tasks of the last run ran."""
        return {f"{e['stage']}/{e['key']}": e["reason"] for e in self.events() if e.get("how") == "run"}

    def artifacts(self) -> dict[str, bytes]:
        """Everything that a reader of the run's folder can see, but for run.json and the page on how the work went."""
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
    """A run over some images that is done once, and given back as it was when it ended: at the same place, since paths
    are part of every artifact."""

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
        """The run as it was."""
        shutil.rmtree(self.project.folder)
        shutil.copytree(self.saved, self.project.folder)
        return copy.deepcopy(self.project)
