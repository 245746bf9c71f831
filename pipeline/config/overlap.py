"""Check that no input overlaps the run's folder: a run never writes to inputs."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence

from pipeline.config.source import ConfigSource
from pipeline.store.backends import locations


def overlaps(folder: str, inputs: Mapping[str, Sequence[str]], source: ConfigSource) -> Iterator[str]:
    """Yield a problem for each input that contains the run's folder or lies inside.

    inputs  folders, files and URLs that the run reads, by dotted key"""
    own = _comparable(folder)
    for key, roots in inputs.items():
        for root in roots:
            other = _comparable(root)
            if locations.inside(own, other) or locations.inside(other, own):
                yield (
                    f"{source.place(('output',))}: output: {folder} overlaps {key} ({root}); "
                    "expected a folder outside the inputs, which are never written to. Choose another with --output"
                )


def _comparable(place: str) -> str:
    """Return a path with links resolved, or a URL with the common name of its protocol: s3a:// becomes s3://."""
    protocol = locations.protocol_of(place)
    if protocol is None:
        return os.path.realpath(place).rstrip("/")
    return locations.EXTRAS.get(protocol, protocol) + place[len(protocol) :]
