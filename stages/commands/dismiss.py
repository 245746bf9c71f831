"""Say of images that they are no duplicates, so that no later run joins them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

from pipeline.errors import ConfigError
from stages.commands.results import Results
from stages.dismissed import append
from stages.text import one_line


def dismiss(results: Results, file: Path, paths: Sequence[str], cluster: int | None) -> tuple[int, int]:
    """Add every two of some images, or of a cluster's, to a file; how many pairs there are, and how many were new.

    Raises ConfigError where the run does not know them."""
    images = results.images().set_index("path")["digest"]
    if cluster is not None:
        members = results.clusters().query("cluster == @cluster")["path"].tolist()
        if not members:
            raise ConfigError(f"--cluster: the run has no cluster {cluster}; see fast-diff show {results.folder}")
    else:
        members = [_known(path, set(images.index)) for path in paths]
        if len(members) < 2:
            raise ConfigError("expected two images or more, or --cluster N")
    rows = [(images[a], images[b], a, b) for a, b in combinations(members, 2)]
    if any(digest is None for row in rows for digest in row[:2]):
        raise ConfigError("one of these images could not be read; its bytes are not known")
    try:
        return len(rows), append(file, rows)
    except (ValueError, OSError) as error:
        said = f"{file} can't be written ({error.strerror})" if isinstance(error, OSError) else str(error)
        raise ConfigError(said) from error


def _known(path: str, known: set[str]) -> str:
    name = next((each for each in (path, os.path.normpath(Path.cwd() / path)) if each in known), None)
    if name is None:
        raise ConfigError(f"{one_line(path)} is no image of this run; expected a path as `fast-diff show RUN` has it")
    return name
