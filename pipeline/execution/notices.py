"""Forward log records to the reporter and to run.json."""

from __future__ import annotations

import logging

from pipeline.execution.reporter import Reporter
from pipeline.messages.errors import one_line


class Warnings(logging.Handler):
    """Log handler that is active inside a `with` statement.

    Records of the logger `fast_diff` (stages) go to the reporter and to `lines`, for run.json; records of loggers below
    that name (cluster, files) go to the reporter only."""

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
