"""Find the rows that the last run listed, to avoid opening unchanged files again.

Either all rows of the last run are found, or none: run.json holds a digest of the parameters and of the names of the
artifacts. The digest differs if a run was stopped while listing, or if an artifact was deleted or added."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from pipeline.plan import racy
from pipeline.plan.fingerprint import digest, recipe
from pipeline.stage import PastRows, Settings, Stage
from pipeline.store.artifact import StoredArtifact
from pipeline.store.store import RECORD, Store

LISTED = "listed"
"""Key of run.json with the digests of listings, by source stage."""


def listing_digest(made_by: Mapping[str, Any], names: Iterable[str]) -> str:
    """Return a digest of a stage's recipe and of the names of the stage's artifacts."""
    return digest([made_by, sorted(names)])


def past_rows(store: Store, stage: Stage[Any], params: Any, settings: Settings) -> PastRows:
    """Return all rows of the last run, or no rows if some may be missing or differ."""
    names = store.names(stage.name)
    racy_paths = racy.read(store) if names else None
    if racy_paths is None or _digests(store).get(stage.name) != listing_digest(recipe(stage, params, settings), names):
        return PastRows()
    tables = (StoredArtifact(stage.name, name, store.path(stage.name, name)).table() for name in names)
    return PastRows(tables, frozenset(racy_paths))


def _digests(store: Store) -> Mapping[str, Any]:
    if store.files.size(RECORD) is None:
        return {}
    try:
        found = json.loads(store.files.read(RECORD))[LISTED]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):  # damaged, or written by an earlier version
        return {}
    return found if isinstance(found, dict) else {}
