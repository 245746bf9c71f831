"""Fixtures of whole runs."""

import contextlib
import functools
import os
from collections.abc import Iterator
from typing import Any

import pytest

from pipeline.machine import side_process
from stages.report import charts


def blank(pdf: bool, *arguments: Any) -> list[bytes]:
    """Return an empty chart in each file format."""
    return [b'<svg xmlns="http://www.w3.org/2000/svg"/>'] * 2 + [b"%PDF-"] * pdf


@contextlib.contextmanager
def blank_charts() -> Iterator[None]:
    """Draw no charts: drawing takes longer than the rest of a small run.

    Charts are part of an artifact: a test must not compare such a run with a run in another process."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(charts, "forms", blank)
        patched.setattr(side_process, "submit", functools.partial)
        yield


@pytest.fixture(scope="module", autouse=True)
def charts_where_marked(request: pytest.FixtureRequest) -> Iterator[None]:
    """In this process, draw charts only for modules that are marked `drawn`."""
    if next(request.node.iter_markers("drawn"), None):
        yield
    else:
        with blank_charts():
            yield


@pytest.fixture(scope="module", autouse=True)
def never_synced() -> Iterator[None]:
    """Sync no files of runs in this process: syncing takes a fifth of the time of a run.

    `tests/power` and the tests of `pipeline/store` test the syncs."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(os, "fsync", lambda number: None)
        yield


@pytest.fixture
def undrawn() -> Iterator[None]:
    with blank_charts():
        yield
