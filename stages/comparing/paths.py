"""Files that a stage's parameters name."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator


def _absolute(path: str) -> str:
    return str(Path.cwd() / Path(path).expanduser())


FileName = Annotated[str, AfterValidator(_absolute)]
"""Absolute, however it is written, so that it means the same wherever a task runs."""
