"""A job of the page: a dry run, an apply or an undo, and what the page shows of it."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from pipeline.messages.errors import FastDiffError
from stages.commands.apply.tally import Tally

Lines: TypeAlias = Generator[str, None, None]
LINES = 500
"""Number of lines of a job that the page can show: the last lines."""


class Stale(FastDiffError):
    """A request was made from a page that shows an earlier state."""


@dataclass
class PageJob:
    """A dry run, an apply or an undo, which runs in a thread of its own."""

    name: str
    total: int
    digest: str = ""
    tally: Tally = field(default_factory=Tally)
    lines: deque[str] = field(default_factory=lambda: deque(maxlen=LINES))
    done: int = 0
    of_acts: bool = False
    """Whether `done` and `total` count acts, companions and sidecars included, and not images alone."""
    ended: bool = False
    error: str = ""
    summary: list[str] = field(default_factory=list)
    details: list[str] = field(default_factory=list)
    outcome: dict[str, Any] = field(default_factory=dict)
    stop: threading.Event = field(default_factory=threading.Event)

    def add(self, line: str) -> None:
        """Take a line of the job. A line about a sidecar or a conflict counts for no image."""
        self.lines.append(line)
        self.done = self.done + 1 if self.of_acts else self.tally.done + self.tally.refused.total()

    def shown(self) -> dict[str, Any]:
        """Return what the page shows."""
        return {
            "name": self.name,
            "digest": self.digest,
            "done": self.done,
            "total": self.total,
            "ended": self.ended,
            "lines": list(self.lines),
            "error": self.error,
            "summary": self.summary,
            "details": self.details,
            "outcome": self.outcome,
        }
