"""How the work of comparing fell away, level by level: the ledgers of block pairs, and what the event log says of them.

A ledger does not depend on tiles or devices, so it stands in the artifact. How many pairs each level of the cascade let
pass, and how long that took, does; it stands in the run's event log, under the name of the artifact that was computed.
Where the log does not know an artifact (it was deleted, or the run was killed between the two) its levels are unknown.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, NamedTuple

from pipeline.store.backends.locations import Place
from pipeline.store.events import Event, computed
from pipeline.store.footers import Footers
from pipeline.store.store import Store
from stages.comparing.text import human_seconds
from stages.kernels.arrays import CPU
from stages.kernels.bounds.space import Levels

STAGE = "pairs"
LEDGER = ("pairs_total", "decided", "skipped_by_rule", "identical", "matches")
LEVELS = tuple(field.name for field in fields(Levels))


@dataclass(frozen=True)
class Work:
    """Sums over block pairs.

    block_pairs  how many there are
    unknown      how many of them have no event in the log, and the pairs of images in these
    ledger       of all of them, pairs of images; `decided` counts pairs of representatives
    known        of those with an event, the pairs of representatives that were decided
    levels       of those with an event, pairs of representatives; see `Levels`
    seconds      that their tasks took, added up
    devices      how many of them were computed on which device
    """

    block_pairs: int
    unknown: int
    unknown_pairs: int
    ledger: Mapping[str, int]
    known: int
    levels: Mapping[str, int]
    seconds: float
    devices: Mapping[str, int]

    @property
    def pairs_per_second(self) -> float | None:
        """Pairs of representatives decided per second of a task; None where it took no time that was noticed."""
        return self.known / self.seconds if self.seconds else None

    def as_dict(self) -> dict[str, Any]:
        """Plain data for machines."""
        rate = self.pairs_per_second
        fallen = asdict(self)
        return {
            **{name: fallen[name] for name in ("block_pairs", "unknown", "unknown_pairs", "known")},
            **fallen["ledger"],
            **fallen["levels"],
            "seconds": round(self.seconds, 4),
            "pairs_per_second": None if rate is None else round(rate, 1),
            "devices": fallen["devices"],
        }


def recorded(folder: Place) -> dict[str, Event]:
    """By name of its artifact, the event in which a block pair was last computed, with its levels."""
    return {name: event for name, event in computed(folder, STAGE).items() if _complete(event)}


def _complete(event: Event) -> bool:
    levels = event.get("levels")
    spent = event.get("seconds")
    if not isinstance(levels, dict) or not isinstance(spent, int | float) or not math.isfinite(spent):
        return False
    return all(isinstance(levels.get(name), int) for name in LEVELS) and isinstance(levels.get("device"), str)


def summed(store: Store, names: Collection[str], events: Mapping[str, Event]) -> Work:
    """The work behind some artifacts of a run. Raises ArtifactDamaged where one can't be read."""
    ledger, levels = dict.fromkeys(LEDGER, 0), dict.fromkeys(LEVELS, 0)
    devices: Counter[str] = Counter()
    unknown, unknown_pairs, known, seconds = 0, 0, 0, 0.0
    for name, summary in _summaries(store, names):
        for column in LEDGER:
            ledger[column] += summary[column]
        if name not in events:
            unknown += 1
            unknown_pairs += summary["pairs_total"]
            continue
        event = events[name]
        known += summary["decided"]
        for level in LEVELS:
            levels[level] += event["levels"][level]
        seconds += event["seconds"]
        devices[event["levels"]["device"]] += 1
    return Work(len(names), unknown, unknown_pairs, ledger, known, levels, seconds, dict(sorted(devices.items())))


def _summaries(store: Store, names: Collection[str]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    with Footers(store, read_only=True) as footers:
        yield from ((name, footers.record(STAGE, name, name.rpartition("-")[0]).summary) for name in names)


class Row(NamedTuple):
    """One number of the table. `left`: so many pairs are still in question here; else they fell away. `level`: of the
    cascade; else of the ledger. `share` is of the pairs to compare, as far as levels are known."""

    name: str
    pairs: int
    meaning: str
    left: bool = True
    level: bool = False
    share: str = ""


def rows(work: Work) -> Iterator[Row]:
    """What became of all the pairs, from the first level to the last; levels that nothing came to are left out."""
    ledger = work.ledger
    yield Row("pairs of images", ledger["pairs_total"], "every pair of readable images that there was to decide")
    if ledger["skipped_by_rule"]:
        yield Row("skipped by rule", ledger["skipped_by_rule"], "a rule of the config keeps them apart", False)
    if ledger["identical"]:
        yield Row("known as identical", ledger["identical"], "another image with the same thumbnail stands in", False)
    yield Row(
        "to compare",
        ledger["decided"],
        "one image stands for all with its thumbnail",
        share=share(ledger["decided"], ledger["decided"]),
    )
    for row in _cascade(work.levels) if work.known else ():
        yield row._replace(level=True, share=share(row.pairs, work.known))
    yield Row("matches", ledger["matches"], "pairs of images within the threshold, identical ones included")


def _cascade(levels: Mapping[str, int]) -> Iterator[Row]:
    if levels["order"] or levels["compared"]:
        yield Row("skipped by order", levels["order"], "too far apart in order, or in boxes, to be looked at", False)
        yield Row("compared", levels["compared"], "looked at along the leading directions of their coarse sums")
        yield Row("after directions", levels["directions"], "not told apart by these")
        yield Row("after coarse sums", levels["sums"], "nor by all the coarse sums, in some turn")
    if levels["finer"]:
        yield Row("after finer sums", levels["finer"], "of tiles in which many are left: nor by sums over finer grids")
    if levels["copied"]:
        yield Row("copied", levels["copied"], "measured by an earlier run", False)
    if levels["checked"] or not levels["products"]:
        yield Row("checked one by one", levels["checked"], "measured exactly, pair by pair")
    if levels["products"]:
        yield Row("by whole products", levels["products"], "measured exactly, with all the pairs of their tile")


def share(part: int, whole: int) -> str:
    """A part of the whole as a percentage of two digits."""
    if not whole:
        return ""
    percent = 100 * part / whole
    magnitude = int(f"{percent:.1e}".partition("e")[2])
    return f"{percent:,.{max(0, 1 - magnitude) if part else 0}f} %"


def unknown(work: Work) -> str:
    """What the log does not tell, in words; nothing where it tells all."""
    if not work.unknown:
        return ""
    of = f"{work.unknown:,} of {work.block_pairs:,} block pairs ({work.unknown_pairs:,} pairs)"
    return f"levels of {of} are unknown and not counted: the event log does not tell how they were computed"


def computed_on(work: Work, wanted: str) -> str:
    """The devices, in words; `wanted` is `pairs.device`."""
    if list(work.devices) == [CPU.name] and wanted == "auto":
        return f"{CPU.name}; no GPU found"
    known = work.block_pairs - work.unknown
    alone = len(work.devices) == 1
    return ", ".join(name if alone else f"{name} ({count:,} of {known:,})" for name, count in work.devices.items())


def took(work: Work) -> str:
    """How long all the tasks took, those beside each other counted one after the other."""
    return human_seconds(work.seconds) if work.seconds >= 1 else f"{1000 * work.seconds:.0f} ms"


def rate(work: Work) -> str:
    """How fast it went, in words."""
    per_second = work.pairs_per_second
    return f"{per_second:,.0f} pairs a second" if per_second else ""


def caution(work: Work) -> str:
    """How a level can have more pairs than there are; nothing where none has."""
    if max(work.levels.values()) <= work.known:
        return ""
    return "a pair that is looked at more than once, in another turn or as both halves of a square, counts each time"


def lines(work: Work, wanted: str) -> Iterator[str]:
    """The table for a terminal; nothing where nothing was compared."""
    if not work.block_pairs:
        return
    yield "how the work fell away"
    for row in rows(work):
        yield f"  {row.name:<20}{row.pairs:>20,}  {row.share:>12}".rstrip()
    if work.block_pairs > work.unknown:
        yield f"  {'time in tasks':<20}{took(work):>20}  {rate(work):>12}".rstrip()
        yield f"  {'computed on':<20}{computed_on(work, wanted):>20}"
    for note in filter(None, (caution(work), unknown(work))):
        yield f"  {note}"
