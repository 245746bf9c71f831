"""Summarize counts, reclaimable bytes, times and paths of a run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pipeline.messages.words import counted
from pipeline.store.backends.locations import Place
from pipeline.store.backends.storage import exists
from stages.comparing.text import human_bytes, human_seconds


def summary_lines(record: Mapping[str, Any], folder: Place) -> Iterator[str]:
    """Yield the summary of a run from the content of run.json.

    Figures that a failed run did not reach are left out."""
    clusters = record["clusters"] if record["clusters"]["count"] is not None else None
    images = record.get("images")
    if images and images["total"]:
        unreadable = f", {images['failed']:,} of them unreadable" if images["failed"] else ""
        yield f"images      {images['total']:,}{unreadable}"
        if images["failed"]:
            kinds = ", ".join(f"{count:,} {code}" for code, count in record["errors"].items())
            yield f"unreadable  {kinds}  (fast-diff failures {folder})"
    vectors = record.get("vectors")
    if vectors and vectors["failed"]:
        kinds = ", ".join(f"{count:,} {code}" for code, count in vectors["errors"].items())
        yield f"no vector   {kinds}  (fast-diff failures {folder})"
    ledger = record.get("ledger")
    if ledger and (ledger["pairs_total"] or clusters):
        parts = [f"{ledger['decided']:,} compared"]
        parts += [f"{ledger['identical']:,} covered by an identical image"] if ledger["identical"] else []
        parts += [f"{ledger['skipped_by_rule']:,} skipped by rule"] if ledger["skipped_by_rule"] else []
        yield f"pairs       {ledger['pairs_total']:,}  ({', '.join(parts)})"
        yield f"matches     {ledger['matches']:,}"
    if clusters:
        yield f"clusters    {clusters['count']:,}, of {counted(clusters['images'], 'image')}"
        if record["flat"]:
            yield f"flat        {counted(record['flat'], 'image')} under cluster.min_contrast, left out of clusters"
        if record["unmeasured"]:
            count = counted(record["unmeasured"], "image")
            yield f"unmeasured  {count}, for whose clusters the rule sharpness could not decide"
        yield f"reclaimable {human_bytes(clusters['removable_bytes'])} in duplicates"
    stages = record["stages"]
    times = [f"{name} {human_seconds(stage['seconds'])}" for name, stage in stages.items() if stage["seconds"] >= 0.05]
    ran = sum(stage["tasks_run"] for stage in stages.values())
    current = sum(stage["tasks_skipped"] for stage in stages.values())
    yield f"tasks       {ran:,} run, {current:,} up to date"
    if times:
        yield f"time        {', '.join(times)}  (stages overlap)"
    yield f"results     {folder}"
    report = folder / "report" / "index.html"
    if clusters and exists(report):
        yield f"report      {report}"
