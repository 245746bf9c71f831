from collections.abc import Callable

import numpy as np
import pytest
from cachetools import LRUCache

from stages.comparing import block_cache
from stages.comparing.block_cache import kept


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(block_cache, "_cache", LRUCache(100, getsizeof=lambda value: value.nbytes))


def counted(made: list[int], size: int) -> Callable[[], np.ndarray]:
    def make() -> np.ndarray:
        made.append(size)
        return np.zeros(size, np.uint8)

    return make


def test_a_value_is_made_once() -> None:
    made: list[int] = []
    first = kept("a", counted(made, 40))
    assert kept("a", counted(made, 40)) is first
    assert made == [40]


def test_the_least_recently_used_value_is_dropped_first() -> None:
    made: list[int] = []
    for key in ("a", "b", "a", "c", "a", "b"):
        kept(key, counted(made, 40))
    assert made == [40] * 4, "b had to go for c"


def test_a_value_that_is_larger_than_the_cache_is_made_again() -> None:
    made: list[int] = []
    for _ in range(2):
        assert len(kept("a", counted(made, 101))) == 101
    assert made == [101, 101]
