"""Count the pairs left after each filter, from ledgers and the run's event log.

A ledger does not depend on tiles or devices, so the artifact holds the ledger. The number of pairs that passed each
filter, and the time, do depend on tiles and devices, so the event log holds both, under the artifact's name. The
filters of an artifact without an event are unknown: the log was deleted, or the run was killed before it wrote the
event.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any, NamedTuple

from pipeline.messages.words import verb
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

    block_pairs  number of block pairs
    unknown      number of block pairs without an event in the log; `unknown_pairs`: number of their pairs of images
    ledger       pairs of images in all block pairs; `decided` counts pairs of representatives
    known        decided pairs of representatives, in block pairs with an event
    levels       pairs of representatives left at each level, in block pairs with an event; see `Levels`
    seconds      time of the tasks of block pairs with an event
    devices      number of block pairs by device
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
        """Return pairs of representatives decided per second of task time.

        Returns None if no time is known."""
        return self.known / self.seconds if self.seconds else None

    def as_dict(self) -> dict[str, Any]:
        """Return plain data for machines."""
        rate = self.pairs_per_second
        return {
            **{name: getattr(self, name) for name in ("block_pairs", "unknown", "unknown_pairs", "known")},
            **self.ledger,
            **self.levels,
            "seconds": round(self.seconds, 4),
            "pairs_per_second": None if rate is None else round(rate, 1),
            "devices": dict(self.devices),
        }


def recorded(folder: Place) -> dict[str, Event]:
    """Return the last event of each block pair by the name of the artifact."""
    return {name: event for name, event in computed(folder, STAGE).items() if _complete(event)}


def _complete(event: Event) -> bool:
    levels, spent = event.get("levels"), event.get("seconds")
    if not isinstance(levels, dict) or not isinstance(spent, int | float) or not math.isfinite(spent):
        return False
    return all(isinstance(levels.get(name), int) for name in LEVELS) and isinstance(levels.get("device"), str)


def summed(store: Store, names: Collection[str], events: Mapping[str, Event]) -> Work:
    """Return the sums over some artifacts of a run.

    Raises ArtifactDamaged where one can't be read."""
    ledger, levels = dict.fromkeys(LEDGER, 0), dict.fromkeys(LEVELS, 0)
    devices: Counter[str] = Counter()
    unknown, unknown_pairs, known, seconds = 0, 0, 0, 0.0
    with Footers(store, read_only=True) as footers:
        for name in names:
            summary = footers.record(STAGE, name, name.rpartition("-")[0]).summary
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


class LevelRow(NamedTuple):
    """A row of the table.

    `left`: whether the pairs are undecided; `level`: whether the row is a filter's, not the
    ledger's; `share`: percentage of the pairs to compare, of block pairs with an event."""

    name: str
    pairs: int
    meaning: str
    left: bool = True
    level: bool = False
    share: str = ""


def rows(work: Work) -> Iterator[LevelRow]:
    """Yield a row for each filter that got a pair, from the first filter to the last."""
    ledger = work.ledger
    yield LevelRow("pairs of images", ledger["pairs_total"], "every pair of readable images")
    if ledger["skipped_by_rule"]:
        yield LevelRow("skipped by rule", ledger["skipped_by_rule"], "excluded by a rule of the config", False)
    if ledger["identical"]:
        yield LevelRow("identical", ledger["identical"], "covered by an identical image", False)
    whole = share(ledger["decided"], ledger["decided"])
    yield LevelRow("to compare", ledger["decided"], "each thumbnail once, however many images have it", share=whole)
    for row in _cascade(work.levels) if work.known else ():
        yield row._replace(level=True, share=share(row.pairs, work.known))
    yield LevelRow("matches", ledger["matches"], "pairs of images within the threshold, identical ones included")


def _cascade(levels: Mapping[str, int]) -> Iterator[LevelRow]:
    if levels["order"] or levels["compared"]:
        why = "excluded by the order along the leading direction, or by boxes"
        yield LevelRow("skipped by order", levels["order"], why, False)
        yield LevelRow("comparisons", levels["compared"], "made along the leading directions of their coarse sums")
        yield LevelRow("after directions", levels["directions"], "left after the leading directions")
        yield LevelRow("after coarse sums", levels["sums"], "left after the coarse-sum bound, any rotation")
    if levels["finer"]:
        why = "left after sums over finer grids, in tiles with many pairs left"
        yield LevelRow("after finer sums", levels["finer"], why)
    if levels["copied"]:
        yield LevelRow("copied", levels["copied"], "taken from an earlier run", False)
    if levels["checked"] or not levels["products"]:
        yield LevelRow("checked one by one", levels["checked"], "measured exactly, pair by pair")
    if levels["products"]:
        yield LevelRow(
            "by whole products", levels["products"], "measured exactly, together with all pairs of their tile"
        )


def share(part: int, whole: int) -> str:
    """Return a part of the whole as a percentage with two digits."""
    if not whole:
        return ""
    percent = 100 * part / whole
    magnitude = int(f"{percent:.1e}".partition("e")[2])
    return f"{percent:,.{max(0, 1 - magnitude) if part else 0}f} %"


def unknown(work: Work) -> str:
    """Return a note on block pairs without an event, empty if there are none."""
    if not work.unknown:
        return ""
    of = f"{work.unknown:,} of {work.block_pairs:,} block pairs ({work.unknown_pairs:,} pairs)"
    be = verb(work.unknown, "is", "are")
    return f"the filters of {of} {be} unknown and not counted: the event log has no record of them"


def computed_on(work: Work, wanted: str) -> str:
    """Return the devices as text; `wanted` is `pairs.device`."""
    if list(work.devices) == [CPU.name] and wanted == "auto":
        return f"{CPU.name}; no GPU found"
    known = work.block_pairs - work.unknown
    alone = len(work.devices) == 1
    return ", ".join(name if alone else f"{name} ({count:,} of {known:,})" for name, count in work.devices.items())


def took(work: Work) -> str:
    """Return the time of all tasks, added up."""
    return human_seconds(work.seconds) if work.seconds >= 1 else f"{1000 * work.seconds:.0f} ms"


def rate(work: Work) -> str:
    """Return the speed as text; empty where unknown."""
    per_second = work.pairs_per_second
    return f"{per_second:,.0f} pairs a second" if per_second else ""


def caution(work: Work) -> str:
    """Return a note if a filter counts more pairs than there are, else an empty text."""
    if max(work.levels.values()) <= work.known:
        return ""
    why = "in several rotations or in both halves of a square"
    return f"a pair that is compared more than once, {why}, counts each time"


def lines(work: Work, wanted: str) -> Iterator[str]:
    """Yield the table for a terminal; nothing where no block pair was computed."""
    if not work.block_pairs:
        return
    yield "pairs left after each filter"
    for row in rows(work):
        yield f"  {row.name:<20}{row.pairs:>20,}  {row.share:>12}".rstrip()
    if work.block_pairs > work.unknown:
        yield f"  {'time in tasks':<20}{took(work):>20}  {rate(work):>12}".rstrip()
        yield f"  {'computed on':<20}{computed_on(work, wanted):>20}"
    for note in filter(None, (caution(work), unknown(work))):
        yield f"  {note}"
