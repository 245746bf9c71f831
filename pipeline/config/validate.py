"""Validate one section with pydantic, and write a message for each error."""

from __future__ import annotations

import contextlib
import difflib
import functools
import json
import operator
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from pipeline.config.lists import accept_single_values, dataclasses_in, hints_of
from pipeline.config.rewrite import as_argument, quoted, retyped
from pipeline.config.source import ConfigSource, KeyPath
from pipeline.config.unions import KIND, foreign_key, member, members
from pipeline.messages.errors import ConfigError
from pipeline.messages.words import did_you_mean

EXPECTED: dict[str, str | Callable[[Mapping[str, Any]], str]] = {
    **dict.fromkeys(("int_type", "int_parsing", "int_from_float"), "a whole number"),
    **dict.fromkeys(("float_type", "float_parsing"), "a number"),
    "finite_number": "a finite number",
    **dict.fromkeys(("bool_type", "bool_parsing"), "true or false"),
    "string_type": "text",
    "none_required": "null",
    **dict.fromkeys(("list_type", "tuple_type"), "a list"),
    **dict.fromkeys(("dict_type", "mapping_type", "dataclass_type"), "keys and values"),
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
UNKNOWN_KEY = ("unexpected_keyword_argument", "extra_forbidden")


def validate(kind: Any, section: str, source: ConfigSource, kinds: Mapping[str, Any]) -> tuple[Any, list[str]]:
    """Return the section as an instance of `kind`, or None, and the error lines.

    Pydantic validates the data as JSON: strict mode then accepts a list for a tuple, but no text for a number."""
    data = source.data.get(section)
    data = {} if data is None else data
    try:
        return _validated(kind, data), []
    except ValidationError as error:
        return None, list(_problems(error, data, section, source, kinds))


def _validated(kind: Any, data: Any) -> Any:
    text = json.dumps(data, default=str)
    model = member(kind, data)
    if data == {}:
        with contextlib.suppress(TypeError):  # a key without a default is missing
            return (model or kind)()  # defaults need no validator, which takes long to build
    if model:  # builds one validator only; on errors, the whole union gives fuller messages
        with contextlib.suppress(ValidationError):
            return validator(model).validate_json(text, strict=True)
    return validator(kind).validate_json(text, strict=True)


@functools.cache
def validator(kind: Any) -> TypeAdapter[Any]:
    """Return pydantic's validator for a section's type.

    Validators are cached: the validator of the scheduler union takes 50 ms to build."""
    return TypeAdapter(kind)


def unknown_key(source: ConfigSource, keys: KeyPath, kinds: Mapping[str, Any]) -> str:
    """Return the error line for an unknown key, with the nearest valid key."""
    name = ".".join(map(str, keys))
    if len(keys) == 2 and (problem := foreign_key(str(keys[0]), str(keys[1]), kinds[str(keys[0])], source)):
        return f"{source.place(keys)}: {name}: {problem}"
    return f"{source.place(keys)}: {name}: unknown key; {_nearest(name, list(_valid_keys(kinds)))}"


def _valid_keys(kinds: Mapping[str, Any]) -> Iterator[str]:
    for section, kind in kinds.items():
        for model in dataclasses_in(kind):
            yield from (f"{section}.{field.name}" for field in fields(model))
            for name, hint in hints_of(model).items():
                inside = [field.name for inner in dataclasses_in(hint) for field in fields(inner)]
                yield from (f"{section}.{name}.{field}" for field in inside)
        yield section


def _nearest(name: str, valid: list[str]) -> str:
    section, _, last = name.rpartition(".")
    beside = {key.rpartition(".")[2]: key for key in valid if key.rpartition(".")[0] == section}
    anywhere = {key.rpartition(".")[2]: key for key in reversed(valid) if "." in key}
    for keys, similarity in ((beside, 0.75), (anywhere, 0.99), (beside, 0.6), (anywhere, 0.75)):
        if near := difflib.get_close_matches(last.lower(), keys, 1, similarity):
            return f"did you mean {keys[near[0]]}?"
    return f"valid keys: {', '.join(beside)}"


def _problems(
    error: ValidationError, data: Any, section: str, source: ConfigSource, kinds: Mapping[str, Any]
) -> Iterator[str]:
    by_key: dict[KeyPath, list[ErrorDetails]] = {}
    tagged = bool(members(kinds[section]))
    for detail in error.errors(include_url=False):
        by_key.setdefault(_real_keys(detail["loc"][tagged:], data), []).append(detail)
    if tagged and (KIND,) in by_key:  # which keys are valid depends on the kind
        by_key = {(KIND,): by_key[KIND,]}
    for keys, details in by_key.items():
        whole = (section, *keys)
        got = functools.reduce(operator.getitem, keys, data)
        if isinstance(got, dict) and (missing := _missing(details)):
            if not any(other[: len(keys)] == keys and len(other) > len(keys) for other in by_key):
                yield f"{source.place(whole)}: {dotted(whole)}: {missing} missing; expected a value"
            continue
        if details[0]["type"] in UNKNOWN_KEY:
            yield unknown_key(source, whole, kinds)
            continue
        expected = list(dict.fromkeys(_expected(detail) for detail in details))
        problem = f"{_sentence(expected, got, _read_by(source, whole))}{_near_value(details, got)}"
        if better := _better(kinds[section], data, whole, source):
            problem += f"{'' if problem.endswith('?') else '.'} Write {better}"
        yield f"{source.place(whole)}: {dotted(whole)}: {problem}"


def text_expected(key: str, expected: str, source: ConfigSource) -> str:
    """Return the error line for a top-level key whose value is not text."""
    value = source.data[key]
    problem = _sentence([expected], value, _read_by(source, (key,)))
    given = source.overrides.get((key,))
    how = f". Write {as_argument(key, quoted(given))}" if given else "; put it in quotes"
    return f"{source.place((key,))}: {key}: {problem}{how}"


def _read_by(source: ConfigSource, keys: KeyPath) -> str:
    """Return the words before a wrong value: "YAML read" for `--set`, else "got"."""
    return "YAML read" if keys[:2] in source.overrides or keys[:1] in source.overrides else "got"


def _better(kind: Any, data: Any, keys: KeyPath, source: ConfigSource) -> str:
    """Return a valid way to write a value of the command line; "" if none is known."""
    given = source.overrides.get(keys[:2])
    if given is None or len(keys) < 2:
        return ""
    from yaml import YAMLError

    from pipeline.config.yaml_source import parse

    section, key = str(keys[0]), keys[1]
    for text in retyped(given):
        try:
            trial = ConfigSource({section: {**data, key: parse(text)}})
            accept_single_values(trial, {section: kind})
            _validated(kind, trial.data[section])
        except (YAMLError, ValueError, RecursionError, ConfigError):
            continue
        return as_argument(f"{section}.{key}", text)
    return ""


def _missing(details: list[ErrorDetails]) -> str:
    """Return the missing keys of a mapping and "is" or "are"; "" if none is missing."""
    names = [str(d["loc"][-1]) for d in details if d["type"] == "missing" and isinstance(d["loc"][-1], str)]
    return f"{', '.join(names)} {'are' if len(names) > 1 else 'is'}" if names else ""


def _real_keys(loc: tuple[str | int, ...], data: Any) -> KeyPath:
    """Return a key's path: pydantic's location without the names of union members."""
    keys: list[str | int] = []
    for step in loc:
        inside = isinstance(step, int) and isinstance(data, list) and step < len(data)
        if inside or (isinstance(data, dict) and step in data):
            keys.append(step)
            data = data[step]
    return tuple(keys)


def _expected(detail: ErrorDetails) -> str:
    if detail["type"] == "value_error":
        return str(detail["ctx"]["error"])
    if detail["type"] == "missing" and isinstance(detail["loc"][-1], int):
        return "a longer list"
    words = EXPECTED.get(detail["type"], detail["msg"])
    return words if isinstance(words, str) else words(detail.get("ctx", {}))


def _sentence(expected: list[str], got: Any, read_by: str) -> str:
    if whole := next((word for word in expected if word.startswith("expected ") or "; " in word), None):
        return whole
    number = read_by != "got" and isinstance(got, int | float) and not isinstance(got, bool)
    return f"expected {' or '.join(expected)}, {read_by} {'the number ' * number}{_show(got)}"


def _near_value(details: list[ErrorDetails], got: Any) -> str:
    expected = (detail["ctx"]["expected"] for detail in details if detail["type"] == "literal_error")
    choices = [word.strip("' ") for words in expected for word in words.replace(" or ", ", ").split(",")]
    return did_you_mean(got, choices) if isinstance(got, str) else ""


def _show(value: Any) -> str:
    text = repr(value) if isinstance(value, str | float) else json.dumps(value, default=str, ensure_ascii=False)
    return ("the text " if isinstance(value, str) else "") + (text if len(text) <= 80 else f"{text[:77]}...")


def dotted(keys: KeyPath) -> str:
    """Return the path of a key as text, such as `inputs.a[0]`."""
    text = ""
    for key in keys:
        text += f"[{key}]" if isinstance(key, int) else f".{key}" if text else key
    return text
