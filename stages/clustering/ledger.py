"""Check that every pair of images was accounted for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pipeline.messages.errors import TaskError
from pipeline.stage import Artifact


def check_ledger(thumbnails: Sequence[Artifact], pairs: Sequence[Artifact]) -> None:
    """Raise TaskError unless each pair of readable images is counted once.

    Images are counted from the thumbnails, independently of the pairs stage."""
    closing = {key for pair in pairs for key in pair.key.split(".")}
    blocks: dict[str, int] = {}
    waiting = 0
    for partition in thumbnails:
        waiting += partition.summary["readable"]
        if partition.key in closing:
            blocks[partition.key], waiting = waiting, 0
    sets = {name: [key for key in blocks if key.startswith(f"{name}-")] for name in ("a", "b")}
    if sets["b"]:
        expected = {f"{a}.{b}": blocks[a] * blocks[b] for a in sets["a"] for b in sets["b"]}
    else:
        expected = {
            f"{a}.{b}": blocks[a] * (blocks[a] - 1) // 2 if a == b else blocks[a] * blocks[b]
            for number, a in enumerate(sets["a"])
            for b in sets["a"][number:]
        }
    account(expected, pairs, waiting)


def account(expected: Mapping[str, int], pairs: Sequence[Artifact], left_over: int = 0) -> None:
    """Raise TaskError unless the block pairs and their counts are as expected.

    expected   number of pairs of images by key of the block pair
    left_over  number of images that belong to no block"""
    got = {pair.key: _accounted(pair.summary) for pair in pairs}
    short = sorted(key for key in expected.keys() | got.keys() if expected.get(key, -1) != got.get(key, -2))
    if short:
        some = ", ".join(f"{key}: {got.get(key, 0):,} of {expected.get(key, 0):,}" for key in short[:5])
        raise TaskError(
            f"the ledger is short: {len(short):,} of {len(expected):,} block pairs have wrong counts "
            f"({some}); delete these files from the run's folder pairs/ and run again"
        )
    if left_over:
        raise TaskError(f"the ledger is short: {left_over:,} images belong to no block; run the same command again")


def _accounted(ledger: Mapping[str, int]) -> int:
    total = ledger["decided"] + ledger["skipped_by_rule"] + ledger["identical"]
    return total if total == ledger["pairs_total"] else -1
