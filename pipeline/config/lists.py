"""Accept a single value in place of a list of one."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from dataclasses import is_dataclass
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from pipeline.config.source import ConfigSource


def accept_single_values(source: ConfigSource, kinds: Mapping[str, Any]) -> None:
    """Wrap a single value in a list if the type of its key is a list."""
    for section, kind in kinds.items():
        data = source.data.get(section)
        if isinstance(data, dict):
            hints = {key: hint for model in dataclasses_in(kind) for key, hint in hints_of(model).items()}
            data |= {key: [value] for key, value in data.items() if key in hints and _is_single(hints[key], value)}


def _is_single(hint: Any, value: Any) -> bool:
    """Return whether `hint` expects a list and `value` is a single item."""
    if value is None or isinstance(value, list):
        return False
    kinds = list(_alternatives(hint))
    lists = [kind for kind in kinds if get_args(kind)[1:] == (...,)]
    others = [kind for kind in kinds if kind not in lists and kind is not NoneType]
    return bool(lists) and all(get_origin(kind) is Literal and value not in get_args(kind) for kind in others)


def _alternatives(hint: Any) -> Iterator[Any]:
    """Yield the types of a union, without their annotations."""
    if get_origin(hint) is Annotated:
        yield from _alternatives(get_args(hint)[0])
    elif get_origin(hint) in (Union, UnionType):
        for part in get_args(hint):
            yield from _alternatives(part)
    else:
        yield hint


@functools.cache
def hints_of(model: type) -> Mapping[str, Any]:
    """Return the types of a dataclass's fields, with their annotations."""
    return get_type_hints(model, include_extras=True)


def dataclasses_in(hint: Any) -> Iterator[type]:
    """Yield the dataclasses among the types that a value may have."""
    if isinstance(hint, type) and is_dataclass(hint):
        yield hint
    for part in get_args(hint):
        yield from dataclasses_in(part)
