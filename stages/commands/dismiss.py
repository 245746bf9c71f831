"""Say of images that they are no duplicates, so that no later run joins them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from math import comb
from pathlib import Path

from pipeline.errors import ConfigError
from stages.commands.results import Results
from stages.dismissed import append
from stages.text import one_line


def dismiss(results: Results, file: Path, paths: Sequence[str], cluster: int | None) -> tuple[int, int]:
    """Add every two of some images, or of a cluster's, to a file; how many pairs there are, and how many were new.

    Raises ConfigError where the run does not know them."""
    images = results.images().set_index("path")["digest"]
    if cluster is not None and paths:
        raise ConfigError("--cluster: stands in place of paths; leave one of them out")
    if cluster is not None:
        members = results.clusters().query("cluster == @cluster")["path"].tolist()
        if not members:
            raise ConfigError(f"--cluster: the run has no cluster {cluster}; see fast-diff show {results.folder}")
    else:
        members = list(dict.fromkeys(results.name_of(path) for path in paths))
        if len(members) < 2:
            raise ConfigError("expected two images or more, or --cluster N")
    first: dict[str, str] = {}  # of each content, the first image: pairs are known by their bytes
    rows = []
    for path, digest in zip(members, images[members], strict=True):
        if digest is None:
            raise ConfigError(f"{one_line(path)} could not be read; its bytes are not known")
        if first.setdefault(digest, path) != path:
            rows.append((digest, digest, first[digest], path))
    rows += [(a, b, first[a], first[b]) for a, b in combinations(first, 2)]
    try:
        return comb(len(members), 2), append(file, rows)
    except (ValueError, OSError) as error:
        said = f"{file} can't be written ({error.strerror})" if isinstance(error, OSError) else str(error)
        raise ConfigError(said) from error
