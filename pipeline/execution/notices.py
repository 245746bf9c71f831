"""What a run hears while it works: warnings of its stages, and what is to be said of its cluster."""

from __future__ import annotations

import logging

from pipeline.execution.reporter import Reporter
from pipeline.messages.errors import one_line


class Warnings(logging.Handler):
    """While it is open, what the stages log under the name `fast_diff` reaches the user and run.json; what is logged
    below that name, of the cluster, the user alone."""

    def __init__(self, reporter: Reporter) -> None:
        super().__init__(logging.INFO)
        self.reporter = reporter
        self.lines: list[str] = []
        self._logger = logging.getLogger("fast_diff")

    def emit(self, record: logging.LogRecord) -> None:
        said = one_line(record.getMessage())
        if record.name == self._logger.name:
            self.lines.append(said)
        self.reporter.message("warning: " * (record.levelno >= logging.WARNING) + said)

    def __enter__(self) -> Warnings:
        self._logger.addHandler(self)
        self._level = self._logger.level
        self._logger.setLevel(logging.INFO)
        return self

    def __exit__(self, *error: object) -> None:
        self._logger.removeHandler(self)
        self._logger.setLevel(self._level)
