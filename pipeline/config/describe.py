"""Write the resolved config as YAML that explains each key and loads again."""

from __future__ import annotations

import dataclasses
import math
import re
import textwrap
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from typing import Annotated, Any, Literal, get_args, get_origin

import yaml

from pipeline.config.lists import hints_of
from pipeline.config.settings import TOP, Config, kinds_of, plain
from pipeline.config.validate import validator
from pipeline.stage import Speed, Stage

COLUMN = 30
"""Column where comments begin; the comment of a longer value begins in the next line."""
WIDTH = 115


class _Dumper(yaml.SafeDumper):
    """Dumper of safe YAML, with a representer for text: see `_text`."""


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    # The dumper writes the text 1e3 without quotes, which the loader reads as a number; only double quotes keep a line
    # break on one line.
    quoted = re.fullmatch(r"[-+]?[\d.]+[eE][-+]?\d+", value) or not value.isprintable()
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, '"' if quoted else None)


_Dumper.add_representer(str, _text)


def describe(config: Config, stages: Sequence[Stage[Any]]) -> str:
    """Return YAML of all keys; comments give meanings, valid values, changed defaults."""
    kinds = kinds_of(stages)
    data = config.as_dict()
    lines = ["# The resolved config. Each comment explains a key, and gives the default if the value differs.", ""]
    for key, meaning in TOP.items():
        lines += _entry(f"{key}: {_flow(data[key])}", meaning)
    for section, values in config.sections():
        defaults = validator(kinds[section]).validate_python({})
        lines += ["", *_entry(f"{section}:", first_line(kinds[section]))]
        for name, meaning in meanings(type(values)):
            value = data[section][name]
            default = _flow(plain(getattr(defaults if hasattr(defaults, name) else type(values)(), name)))
            changed = default != "[]" and _flow(value) != default
            lines += _entry(f"  {name}: {_flow(value)}", meaning + _whole(f" (default: {default})") * changed)
    return "\n".join(lines) + "\n"


def first_line(kind: Any) -> str:
    """Return the first line of a dataclass's docstring, or a union's description."""
    if get_origin(kind) is Annotated:
        return _description(kind)
    doc = kind.__doc__ or ""  # without a docstring, `dataclass` sets the signature
    return "" if doc.startswith(f"{kind.__name__}(") else doc.strip().partition("\n")[0]


def meanings(kind: type) -> Iterator[tuple[str, str]]:
    """Yield each field's name and meaning, with valid values and a note on speed."""
    hints = hints_of(kind)
    for field in dataclasses.fields(kind):
        hint = hints[field.name]
        words = _description(hint)
        valid = choices(hint)
        valid = ["a number", *valid] if valid and _is_number(hint) else valid
        if not all(re.search(rf"\b{re.escape(word)}\b", words) for word in valid):
            words += _whole(f" ({' | '.join(valid)})")
        if any(isinstance(mark, Speed) for mark in getattr(hint, "__metadata__", ())):
            words += " (changes speed only)"
        yield field.name, words.strip()


def _description(hint: Any) -> str:
    marks = getattr(hint, "__metadata__", ())
    return next((text for mark in marks if (text := getattr(mark, "description", None))), "")


def choices(hint: Any) -> list[str]:
    """Return the values of every Literal in a type, as text."""
    if get_origin(hint) is Literal:
        return [str(value) for value in get_args(hint)]
    return [word for part in get_args(hint) for word in choices(part)]


def _is_number(hint: Any) -> bool:
    return hint in (int, float) or any(_is_number(part) for part in get_args(hint) if part is not Literal)


def _whole(text: str) -> str:
    """Return `text` that does not wrap: with no-break spaces after the first character."""
    return text[0] + text[1:].replace(" ", "\xa0")


def _flow(value: Any) -> str:
    text = yaml.dump(
        value, Dumper=_Dumper, default_flow_style=True, width=math.inf, allow_unicode=True, sort_keys=False
    )
    return text.removesuffix("...\n").strip()


def _entry(code: str, meaning: str) -> Iterator[str]:
    """Yield lines with the key on the left and its meaning on the right."""
    comments = textwrap.wrap(meaning, WIDTH - COLUMN - 2, break_long_words=False, break_on_hyphens=False)
    beside = len(code) < COLUMN
    for left, right in zip_longest([code], comments if beside or not comments else ["", *comments], fillvalue=""):
        yield f"{left:<{COLUMN}}# " + right.replace("\xa0", " ") if right else left
