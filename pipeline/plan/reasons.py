"""Explain why an artifact is stale: compare its recipe and inputs with the task's."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from pipeline.config.settings import plain
from pipeline.store.artifact import Record

if TYPE_CHECKING:
    from pipeline.plan.call import Call

UNREADABLE_ARTIFACT = "unreadable"
"""The reason for replacing a damaged artifact."""


def difference(record: Record, call: Call) -> str:
    """Explain why an earlier artifact of the same task is stale."""
    if said := other_recipe(record.recipe, call.context.recipe):
        return said
    changed = [name for name, value in call.input_digests.items() if record.inputs.get(name) != value]
    return f"input changed: {', '.join(changed)}" if changed else "missing"


def other_recipe(old: Mapping[str, Any], recipe: Mapping[str, Any]) -> str:
    """Explain how two recipes differ; return an empty text for equal recipes."""
    new = plain(recipe)
    if old["version"] != new["version"]:
        return f"version {old['version']} → {new['version']}"
    if old["schema"] != new["schema"] and old["params"] == new["params"]:
        return "version: other columns"
    return _changes("params", old["params"], new["params"]) or _changes("library", old["libraries"], new["libraries"])


def _changes(what: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    keys = [key for key in {**old, **new} if old.get(key) != new.get(key)]
    said = ", ".join(f"{key} {_show(old.get(key))} → {_show(new.get(key))}" for key in keys)
    return f"{what} changed: {said}" if keys else ""


def _show(value: Any) -> str:
    return "null" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def without(recipe: Mapping[str, Any], part: str, names: Collection[str]) -> dict[str, Any]:
    """Return a recipe without some names of a part, `params` or `libraries`."""
    return dict(recipe) | {part: {name: value for name, value in recipe[part].items() if name not in names}}
