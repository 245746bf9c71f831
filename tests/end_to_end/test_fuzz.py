"""Ten thousand broken files; `python -m tests.end_to_end.fuzz 100000` runs more."""

from pathlib import Path

import pytest

from tests.end_to_end.fuzz import BOUND, fuzz, mutants

CASES = 10_000


@pytest.mark.slow
def test_every_broken_file_is_accounted_for_within_bounds(tmp_path: Path) -> None:
    outcome = fuzz(CASES, 1, tmp_path)
    assert (outcome.code, sum(outcome.rows.values())) == (0, CASES), outcome.stderr
    assert outcome.peak < BOUND
    codes = {
        "truncated",
        "not-an-image",
        "too-large",
        "unreadable",
        "unsupported",
        "changed",
        "crashed",
        "timeout",
        "memory",
    }
    assert outcome.rows.keys() <= codes | {"readable"}
    assert min(outcome.rows["readable"], outcome.rows["truncated"], outcome.rows["not-an-image"]) > CASES // 20


def test_mutants_are_the_same_for_the_same_seed() -> None:
    assert mutants(50, 7) == mutants(50, 7) != mutants(50, 8)
