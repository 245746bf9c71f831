"""Change the `Tuning` of block pairs, so that a few images take many tiles and runs, or reach any other branch."""

from __future__ import annotations

import dataclasses

import pytest

from stages.kernels import compare


def tuned(patch: pytest.MonkeyPatch, **values: float) -> None:
    """Change some fields of the `Tuning` of all block pairs until `patch` is undone."""
    patch.setattr(compare, "TUNING", dataclasses.replace(compare.TUNING, **values))
