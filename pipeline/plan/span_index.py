"""Index artifacts by the span of their rows.

The index finds the artifacts that may hold rows of a task."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from itertools import accumulate


class SpanIndex:
    """Intervals (least, greatest) by name, searched for overlaps with an interval.

    Intervals are sorted by their least value, with a running maximum of the greatest values. A search starts at the
    last interval that begins before the wanted interval ends, and goes left until the running maximum is below the
    start of the wanted interval."""

    def __init__(self, spans: Iterable[tuple[str, tuple[str, str]]]) -> None:
        rows = [(least, most, place, name) for place, (name, (least, most)) in enumerate(spans)]
        self._rows = sorted(rows)
        self._least = [least for least, *_ in self._rows]
        self._most = list(accumulate((most for _, most, *_ in self._rows), max))

    def between(self, least: str, most: str) -> list[str]:
        """Return the names of intervals that overlap with [least, most], in given order."""
        found = []
        place = bisect_right(self._least, most)
        while place and self._most[place - 1] >= least:
            place -= 1
            if self._rows[place][1] >= least:
                found.append(self._rows[place][2:])
        return [name for _, name in sorted(found)]
