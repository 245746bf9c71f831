"""Complete the results of runs of earlier versions: later columns are null, later keys of the config have defaults."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
from pydantic import TypeAdapter

from stages import cluster, hash, pairs, scan, thumbnail
from stages.comparing.rows import thumbnail_schema

FIRST = {
    "scan": {"path", "path_bytes", "set", "root", "bytes", "mtime_ns", "stamp", "partition"},
    "thumbnail": {"path", "set", "width", "height", "format", "mode", "digest", "error", "error_detail", "contrast"}
    | {"thumbnail", "coarse", "bytes", "stamp"},
    "cluster": {"cluster", "path", "keeper", "mse_to_keeper", "width", "height", "bytes"},
}
"""Columns of the first version, by stage; a table without one of these is not completed."""
SCHEMAS = {"scan": scan.SCHEMA, "thumbnail": thumbnail_schema((1, 1, 1), trim=True), "cluster": cluster.SCHEMA}
LATER: Mapping[str, pa.Schema] = {
    **{name: pa.schema([each for each in form if each.name not in FIRST[name]]) for name, form in SCHEMAS.items()},
    "pairs": pa.schema([("borderline", pa.bool_())]),
}
"""Columns that came after the first version, by stage."""
SECTIONS = {"cluster": cluster.Params, "hash": hash.Params, "pairs": pairs.Params, "thumbnail": thumbnail.Params}
INPUTS: Mapping[str, list[str]] = {"a": [], "b": [], "reference": []}


def completed(stage: str, table: pa.Table, columns: Sequence[str] | None) -> pa.Table:
    """Return a table of a stage with nulls for the later columns that the table lacks.

    columns  names of the columns that the reader asked for; None for all"""
    wanted = [each for each in LATER.get(stage, ()) if columns is None or each.name in columns]
    lacking = [each for each in wanted if each.name not in table.column_names]
    for each in lacking:
        table = table.append_column(each, pa.nulls(len(table), each.type))
    if not lacking:
        return table
    names = columns or SCHEMAS.get(stage, table.schema).names
    order = {name: place for place, name in enumerate(names)}
    return table.select(sorted(table.column_names, key=lambda name: order.get(name, len(order))))


def completed_section(name: str, section: Mapping[str, Any]) -> dict[str, Any]:
    """Return a section of a run's config with the defaults of the keys that it lacks."""
    if name not in SECTIONS:
        return {**(INPUTS if name == "inputs" else {}), **section}
    kind = SECTIONS[name]
    defaults: dict[str, Any] = json.loads(TypeAdapter(kind).dump_json(kind()))
    return {**defaults, **section}
