"""Values of one section against its dataclass, by pydantic; every complaint in words of our own."""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from pipeline.config.yaml_source import Keys, Source

WHOLE, NUMBER, TEXT, LIST = "a whole number", "a number", "text", "a list"
EXPECTED: dict[str, str | Callable[[Mapping[str, Any]], str]] = {
    "int_type": WHOLE,
    "int_parsing": WHOLE,
    "int_from_float": WHOLE,
    "float_type": NUMBER,
    "float_parsing": NUMBER,
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "string_type": TEXT,
    "none_required": "null",
    "list_type": LIST,
    "tuple_type": LIST,
    "dict_type": "keys and values",
    "mapping_type": "keys and values",
    "dataclass_type": "keys and values",
    "missing": "a value",
    "json_invalid": "text that UTF-8 can hold",
    "too_short": lambda ctx: f"at least {ctx['min_length']} items",
    "too_long": lambda ctx: f"at most {ctx['max_length']} items",
    "string_too_short": "text that is not empty",
    "literal_error": lambda ctx: ctx["expected"].replace("'", ""),
    "greater_than": lambda ctx: f"a number above {ctx['gt']:g}",
    "greater_than_equal": lambda ctx: f"a number of at least {ctx['ge']:g}",
    "less_than": lambda ctx: f"a number below {ctx['lt']:g}",
    "less_than_equal": lambda ctx: f"a number of at most {ctx['le']:g}",
}
UNKNOWN = ("unexpected_keyword_argument", "extra_forbidden")


def validate(kind: type, section: str, source: Source, kinds: Mapping[str, type]) -> tuple[Any, list[str]]:
    """The section as an instance of `kind`, or None; and a line per complaint.

    The data passes as JSON, where pydantic's strict mode takes a list for a tuple but no text for a number."""
    data = source.data.get(section)
    data = {} if data is None else data
    try:
        return TypeAdapter(kind).validate_json(json.dumps(data, default=str), strict=True), []
    except ValidationError as error:
        return None, list(_complaints(error, data, section, source, kinds))


def accept_single_values(source: Source, kinds: Mapping[str, Any]) -> None:
    """Put each single value where the type of its key is a list into a list of one."""
    for section, kind in kinds.items():
        data = source.data.get(section)
        if isinstance(data, dict):
            hints = {key: hint for model in dataclasses_in(kind) for key, hint in _hints(model).items()}
            data |= {key: [value] for key, value in data.items() if key in hints and _is_single(hints[key], value)}


def _hints(model: type) -> dict[str, Any]:
    return get_type_hints(model, include_extras=True)


def _is_single(hint: Any, value: Any) -> bool:
    """Return whether `value` is one item of the list that `hint` expects, and no value in its own right."""
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


def unknown_key(source: Source, keys: Keys, kinds: Mapping[str, Any]) -> str:
    """The line for a key that does not exist, with the nearest one that does."""
    name = ".".join(map(str, keys))
    return f"{source.place(keys)}: {name}: unknown key; {_nearest(name, list(_valid_keys(kinds)))}"


def _valid_keys(kinds: Mapping[str, Any]) -> Iterator[str]:
    for section, kind in kinds.items():
        if isinstance(kind, type):
            yield from (f"{section}.{field.name}" for field in fields(kind))
            for name, hint in get_type_hints(kind).items():
                yield from (
                    f"{section}.{name}.{field.name}" for inner in dataclasses_in(hint) for field in fields(inner)
                )
        yield section


def dataclasses_in(hint: Any) -> Iterator[type]:
    """Yield the dataclasses among the types that a value may have."""
    if isinstance(hint, type) and is_dataclass(hint):
        yield hint
    for part in get_args(hint):
        yield from dataclasses_in(part)


def _nearest(name: str, valid: list[str]) -> str:
    section, _, last = name.rpartition(".")
    beside = {_leaf(key): key for key in valid if key.rpartition(".")[0] == section}
    anywhere = {_leaf(key): key for key in reversed(valid) if "." in key}
    looks = ((beside, 0.75), (anywhere, 0.99), (beside, 0.6), (anywhere, 0.75))
    near = next((key for keys, similarity in looks if (key := _close(last, keys, similarity))), None)
    return f"did you mean {near}?" if near else f"valid keys: {', '.join(beside)}"


def _leaf(key: str) -> str:
    return key.rpartition(".")[2]


def _close(word: str, keys: Mapping[str, str], similarity: float) -> str | None:
    """The key whose last part is nearest to `word`."""
    near = difflib.get_close_matches(word.lower(), keys, 1, similarity)
    return keys[near[0]] if near else None


def _complaints(
    error: ValidationError, data: Any, section: str, source: Source, kinds: Mapping[str, type]
) -> Iterator[str]:
    by_key: dict[Keys, list[ErrorDetails]] = {}
    for detail in error.errors(include_url=False):
        by_key.setdefault(_real_keys(detail["loc"], data), []).append(detail)
    for keys, details in by_key.items():
        whole = (section, *keys)
        if isinstance(_value(data, keys), dict) and (missing := _missing(details)):
            if not any(other[: len(keys)] == keys and len(other) > len(keys) for other in by_key):
                yield f"{source.place(whole)}: {dotted(whole)}: {missing} missing; expected a value"
            continue
        if details[0]["type"] in UNKNOWN:
            yield unknown_key(source, whole, kinds)
            continue
        expected = list(dict.fromkeys(_expected(detail) for detail in details))
        got = _value(data, keys)
        yield f"{source.place(whole)}: {dotted(whole)}: {_sentence(expected, got)}{_near_value(details, got)}"


def _missing(details: list[ErrorDetails]) -> str:
    """Keys that a mapping lacks, in words."""
    names = [str(d["loc"][-1]) for d in details if d["type"] == "missing" and isinstance(d["loc"][-1], str)]
    return f"{', '.join(names)} {'are' if len(names) > 1 else 'is'}" if names else ""


def _real_keys(loc: tuple[str | int, ...], data: Any) -> Keys:
    """A location without the names of the union members that pydantic puts into it."""
    keys: list[str | int] = []
    for step in loc:
        inside = isinstance(step, int) and isinstance(data, list) and step < len(data)
        if inside or (isinstance(data, dict) and step in data):
            keys.append(step)
            data = data[step]
    return tuple(keys)


def _value(data: Any, keys: Keys) -> Any:
    for key in keys:
        data = data[key]
    return data


def _expected(detail: ErrorDetails) -> str:
    if detail["type"] == "value_error":
        return str(detail["ctx"]["error"])
    if detail["type"] == "missing" and isinstance(detail["loc"][-1], int):
        return "a longer list"
    words = EXPECTED.get(detail["type"], detail["msg"])
    return words if isinstance(words, str) else words(detail.get("ctx", {}))


def _sentence(expected: list[str], got: Any) -> str:
    if any(word.startswith("expected ") or "; " in word for word in expected):
        return next(word for word in expected if word.startswith("expected ") or "; " in word)
    return f"expected {' or '.join(expected)}, got {_show(got)}"


def _near_value(details: list[ErrorDetails], got: Any) -> str:
    choices = [
        word.strip("' ")
        for detail in details
        if detail["type"] == "literal_error"
        for word in detail["ctx"]["expected"].replace(" or ", ", ").split(",")
    ]
    close = difflib.get_close_matches(got, choices, 1) if isinstance(got, str) else []
    return f"; did you mean {close[0]}?" if close else ""


def _show(value: Any) -> str:
    text = repr(value) if isinstance(value, str | float) else json.dumps(value, default=str, ensure_ascii=False)
    return ("the text " if isinstance(value, str) else "") + (text if len(text) <= 80 else f"{text[:77]}...")


def dotted(keys: Keys) -> str:
    """Return the path of a key as text, such as `inputs.a[0]`."""
    text = ""
    for key in keys:
        text += f"[{key}]" if isinstance(key, int) else f".{key}" if text else key
    return text
