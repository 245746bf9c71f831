"""Handle sections that are a union of dataclasses, one for each value of `kind`.

The type of such a section is a tagged union of pydantic:
`Annotated[Annotated[Model, Tag(kind)] | ..., Discriminator(function)]`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import MISSING, Field, fields
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import Discriminator, Tag

from pipeline.config.source import ConfigSource

KIND = "kind"


def members(section_type: Any) -> dict[str, type]:
    """Return a union's dataclasses by tag; an empty dict for other types."""
    parts = (part for union in _unions(section_type) for part in get_args(union) if get_origin(part) is Annotated)
    return {mark.tag: get_args(part)[0] for part in parts for mark in get_args(part)[1:] if isinstance(mark, Tag)}


def _unions(hint: Any) -> Iterator[Any]:
    if get_origin(hint) in (Union, UnionType):
        yield hint
    elif get_origin(hint) is Annotated:
        yield from _unions(get_args(hint)[0])


def member(section_type: Any, data: Any) -> type | None:
    """Return the dataclass of a union that `data` selects; None for other types."""
    marks = get_args(section_type)[1:] if get_origin(section_type) is Annotated else ()
    choose = next((mark.discriminator for mark in marks if isinstance(mark, Discriminator)), None)
    return members(section_type)[str(choose(data))] if callable(choose) else None


def drop_keys_of_other_kinds(source: ConfigSource, section_types: Mapping[str, Any]) -> None:
    """Drop harmless keys that other kinds have and the chosen kind does not.

    A key with its default value is harmless: earlier versions printed the keys of all kinds. If the command line sets
    the kind, every such key in the file is harmless."""
    for section, section_type in section_types.items():
        data, own = source.data.get(section), member(section_type, source.data.get(section))
        if own is None or not isinstance(data, dict):
            continue
        known = {field.name for field in fields(own)}
        others = {field.name: field for model in members(section_type).values() for field in fields(model)}
        given = set(data)
        if (section, KIND) in source.overrides:
            given = {str(keys[1]) for keys in source.overrides if keys[0] == section and len(keys) > 1}
        wrong = {key for key in others.keys() & given - known if data[key] != _default(others[key])}
        source.data[section] = {key: value for key, value in data.items() if key not in others.keys() - known - wrong}


def _default(field: Field[Any]) -> Any:
    """Return the default of a field in YAML's types: a list for a tuple."""
    value = field.default if field.default_factory is MISSING else field.default_factory()
    return list(value) if isinstance(value, tuple) else value


def foreign_key(section: str, key: str, section_type: Any, source: ConfigSource) -> str | None:
    """Return the error for a key of other kinds only; None if no kind has the key."""
    holders = [tag for tag, model in members(section_type).items() if key in {field.name for field in fields(model)}]
    if not holders:
        return None
    data = source.data[section]
    kind = data.get(KIND) or next(
        tag for tag, model in members(section_type).items() if model is member(section_type, {})
    )
    return f"kind {kind} has no such key; kinds with it: {', '.join(holders)}. Leave it out."
