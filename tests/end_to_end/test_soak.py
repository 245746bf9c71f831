"""A minute of faults, each kind at least once; `python -m tests.end_to_end.soak 30` takes 30 minutes."""

from pathlib import Path

import pytest

from tests.end_to_end.soak import KINDS, soaked

pytestmark = [pytest.mark.drawn, pytest.mark.slow, pytest.mark.timeout(900)]
MINUTES = 1


def test_no_file_is_lost_after_any_events(tmp_path: Path) -> None:
    soak = soaked(MINUTES, 1, tmp_path)
    print(f"done: {dict(soak.did)}; runs ended with: {dict(soak.ended)}")
    assert len(soak.did) == KINDS, "each of the faults at least once"
    assert soak.ended["0"]
