"""Numbers and turns as text, and numbers with units."""

import pytest

from stages.comparing import text


@pytest.mark.parametrize(
    ("count", "said"),
    [
        (0, "0 bytes"),
        (999, "999 bytes"),
        (1000, "1.0 kB"),
        (999_949, "999.9 kB"),
        (999_950, "1.0 MB"),
        (10**18, "1000.0 PB"),
    ],
)
def test_bytes(count: int, said: str) -> None:
    assert text.human_bytes(count) == said


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(1.26, "1.3 s"), (59.9, "59.9 s"), (60, "1 min 00 s"), (3599.4, "59 min 59 s"), (3661, "1 h 01 min")],
)
def test_seconds(seconds: float, said: str) -> None:
    assert text.human_seconds(seconds) == said


@pytest.mark.parametrize(
    ("mse", "said"), [(0, "0.0"), (0.123, "0.12"), (9.96, "10"), (10, "10.0"), (1234.56, "1,234.6")]
)
def test_distances(mse: float, said: str) -> None:
    assert text.human_mse(mse) == said


@pytest.mark.parametrize(("number", "said"), [(3.0, "3"), (12345.0, "12,345"), (0.1234, "0.123"), (1234.5, "1,234")])
def test_numbers(number: float, said: str) -> None:
    assert text.human_number(number) == said


@pytest.mark.parametrize(
    ("turn", "said"),
    [(0, ""), (1, "turned 90°"), (3, "turned 270°"), (4, "mirrored"), (6, "mirrored and turned 180°")],
)
def test_turns(turn: int, said: str) -> None:
    assert text.human_turn(turn) == said


@pytest.mark.parametrize(("value", "number"), [("256MiB", 256 << 20), ("1.5k", 1500), (7, 7), ("2 GB", 2 * 10**9)])
def test_numbers_with_units(value: str | int, number: int) -> None:
    assert text.whole_number(value) == number


@pytest.mark.parametrize("value", ["", "0", "-1", "1x", "9e9", 2**63, "10000000000Gi"])
def test_values_that_are_not_numbers(value: str | int) -> None:
    with pytest.raises(ValueError, match=r"^expected a number of 1 to 2\*\*63"):
        text.whole_number(value)
