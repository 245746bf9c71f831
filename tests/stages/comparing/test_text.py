"""Numbers as text."""

import pytest

from stages.comparing.text import counted


@pytest.mark.parametrize(
    ("count", "words", "text"),
    [
        (0, ("image",), "0 images"),
        (1, ("image",), "1 image"),
        (2_000, ("image",), "2,000 images"),
        (1, ("match", "matches"), "1 match"),
        (2, ("match", "matches"), "2 matches"),
    ],
)
def test_a_noun_agrees_with_its_count(count: int, words: tuple[str, ...], text: str) -> None:
    assert counted(count, *words) == text
