"""Cover each pair of values of any two options, not each combination of all of them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import pytest
from allpairspy import AllPairs


def pairwise(*, indirect: Collection[str] = (), **options: Sequence[Any]) -> pytest.MarkDecorator:
    """Parametrize a test by `options`, name -> values; those in `indirect` are fixtures that take the value.

    A fault that shows up only where three options meet may be missed: list such a combination as a test of its own."""
    rows = [tuple(row) for row in AllPairs([list(values) for values in options.values()])]
    ids = ["-".join(map(str, row)) for row in rows]
    return pytest.mark.parametrize(tuple(options), rows, indirect=list(indirect), ids=ids)
