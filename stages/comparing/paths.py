"""Make the paths of files that a config names absolute."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator


def absolute(path: str) -> str:
    """Return a path as absolute, with `~` expanded."""
    return str(Path.cwd() / Path(path).expanduser())


FileName = Annotated[str, AfterValidator(absolute)]
"""A file's path, made absolute so that every worker opens the same file."""
