"""Build a file's row of facts, and reuse rows of earlier artifacts."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import pyarrow as pa

from pipeline.machine.installation import version_of
from stages.decoding.formats import registry
from stages.decoding.location import unsized
from stages.decoding.problems import LIMITS, TRANSIENT_CODES

if TYPE_CHECKING:
    from stages.decoding.child import Seen
    from stages.decoding.decode import Facts

REUSE = ("path", "bytes", "stamp")
"""Columns that identify the state of a file."""
FileKey: TypeAlias = tuple[str, int, str]
LIMITED = {problem.code: name for problem, name in LIMITS.items()}
"""Codes of errors that a higher limit may prevent, and the parameter that sets the limit."""


class FileFacts(NamedTuple):
    """The facts about a file, without its pixels; see `thumbnail_schema`.

    bytes  null where the scan knows the size"""

    width: int | None = None
    height: int | None = None
    format: str | None = None
    mode: str | None = None
    digest: str | None = None
    error: str | None = None
    error_detail: str | None = None
    note: str | None = None
    alpha: float | None = None
    frames: int | None = None
    taken: datetime | None = None
    scale: int | None = None
    decoder: str | None = None
    error_limit: float | None = None
    camera: str | None = None
    software: str | None = None
    gps: bool | None = None
    orientation: int | None = None
    quality: int | None = None
    tables: str | None = None
    subsampling: str | None = None
    progressive: bool | None = None
    was_jpeg: bool | None = None
    annotations: str | None = None
    bytes: int | None = None
    box_left: int | None = None
    box_top: int | None = None
    box_right: int | None = None
    box_bottom: int | None = None


ThumbnailRow: TypeAlias = tuple[FileFacts, bytes | None]
"""The facts about a file, and its thumbnail."""


def facts_of(seen: Seen, limits: Mapping[str, float]) -> FileFacts:
    """Return a file's row of facts.

    limits  values of the limits in LIMITED"""
    if (problem := seen.problem) is not None:
        limit = limits[LIMITS[problem]] if problem in LIMITS else None
        return FileFacts(
            digest=seen.digest,
            error=problem.code,
            error_detail=problem.sentence,
            decoder=seen.decoder,
            error_limit=limit,
            bytes=seen.size,
        )
    assert seen.facts is not None
    facts = seen.facts._asdict()
    return FileFacts(**facts | _result_fields(seen, seen.facts))


def _result_fields(seen: Seen, facts: Facts) -> dict[str, Any]:
    return {"digest": seen.digest, "decoder": seen.decoder, "note": facts.note or None, "bytes": seen.size}


def keys_of(table: pa.Table) -> list[FileKey]:
    """Return the path, the size and the stamp of each image.

    The size is 0 where the scan does not know the size."""
    rows = zip(*(table[name].to_pylist() for name in REUSE), strict=True)
    return [(path, 0, stamp) if unsized(stamp) else (path, size, stamp) for path, size, stamp in rows]


def in_order(rows: list[ThumbnailRow | None], found: Iterator[tuple[int, ThumbnailRow]]) -> Iterator[ThumbnailRow]:
    """Yield all rows in order; `found` fills the gaps (None) in `rows`, in any order."""
    for number, row in enumerate(rows):
        while row is None:
            place, rows[place] = next(found)
            row = rows[number]
        rows[number] = None
        yield row


def known_rows(
    keys: Sequence[FileKey], tables: Iterable[pa.Table], distrust: Container[str], limits: Mapping[str, float]
) -> dict[FileKey, ThumbnailRow]:
    """Return the rows of earlier artifacts that are still valid for the files of `keys`.

    tables    earlier artifacts
    distrust  paths whose rows are not reused
    limits    values of the limits in LIMITED"""
    known: dict[FileKey, ThumbnailRow] = {}
    wanted: set[FileKey] = set()
    for earlier in tables:
        wanted = wanted or {key for key in keys if key[0] not in distrust}
        here = [key in wanted and key not in known for key in keys_of(earlier)]
        rows = earlier.filter(pa.array(here, pa.bool_()))
        for key, row in zip(keys_of(rows), rows.to_pylist(), strict=True):
            if not should_retry(row["error"], row["error_limit"], limits) and is_current(row["decoder"]):
                known[key] = FileFacts(*(row.get(name) for name in FileFacts._fields)), row["thumbnail"]
    return known


def should_retry(error: str | None, limit: float | None, limits: Mapping[str, float]) -> bool:
    """Return whether a retry may succeed.

    The error must be transient. If the error came from a limit, the limit must be higher now.

    limit   the limit of the failed attempt
    limits  values of the limits in LIMITED"""
    if error not in TRANSIENT_CODES or limit is None:
        return error in TRANSIENT_CODES
    return limit < limits[LIMITED[error]]


def is_current(decoder: str | None) -> bool:
    """Return whether a decoder has the installed version, or is not a library of EXTRAS."""
    library, _, version = (decoder or "").partition(" ")
    return library not in registry.EXTRAS or (version_of(library) or "missing") == version
