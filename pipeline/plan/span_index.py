"""Earlier artifacts by the span of what they hold: which of them may hold rows of a task."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from itertools import accumulate


class SpanIndex:
    """Names with the least and the greatest value of each; asked for those that overlap with a span.

    The names lie in order of their least values; beside each stands the greatest value so far. So those that begin no
    later than a span are at the left, and going from there to the left ends where no greater value is to come."""

    def __init__(self, spans: Iterable[tuple[str, tuple[str, str]]]) -> None:
        rows = [(least, most, place, name) for place, (name, (least, most)) in enumerate(spans)]
        self._rows = sorted(rows)
        self._least = [least for least, *_ in self._rows]
        self._most = list(accumulate((most for _, most, *_ in self._rows), max))

    def between(self, least: str, most: str) -> list[str]:
        """Names whose span overlaps with this one, in the order in which they were given."""
        found = []
        place = bisect_right(self._least, most)
        while place and self._most[place - 1] >= least:
            place -= 1
            if self._rows[place][1] >= least:
                found.append(self._rows[place][2:])
        return [name for _, name in sorted(found)]
