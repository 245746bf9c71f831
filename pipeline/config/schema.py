"""Write the JSON Schema of a config, from which editors complete and check keys."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import MISSING, fields
from typing import Any

from pipeline.config.describe import first_line, meanings
from pipeline.config.lists import dataclasses_in, hints_of
from pipeline.config.settings import NAME_BYTES, TOP, kinds_of
from pipeline.config.unions import KIND, member, members
from pipeline.config.validate import validator
from pipeline.stage import Stage

DIALECT = "https://json-schema.org/draft/2020-12/schema"
SCHEMA_FILE = "fast-diff.schema.json"
"""Name of the schema file, given in the first line of each example config; editors look in the config's folder."""
TOP_TYPES: dict[str, dict[str, Any]] = {
    "run": {"type": "string", "pattern": "^[^./][^/]*$", "maxLength": NAME_BYTES},
    "output": {"type": "string", "minLength": 1, "default": "outputs"},
    "storage": {"type": "object", "additionalProperties": {"type": "object"}, "default": {}},
}


def json_schema(stages: Sequence[Stage[Any]]) -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of a config with the sections of these stages.

    Descriptions are the texts that `fast-diff config` prints. The schema, like the loader, accepts a single value in
    place of a list."""
    definitions: dict[str, Any] = {}
    properties = {key: {"description": meaning, **TOP_TYPES[key]} for key, meaning in TOP.items()}
    for section, kind in kinds_of(stages).items():
        properties[section] = _section(section, kind, definitions)
    return {
        "$schema": DIALECT,
        "title": "fast-diff config",
        "type": "object",
        "additionalProperties": False,
        "properties": properties,
        "$defs": definitions,
    }


def schema_text(stages: Sequence[Stage[Any]]) -> str:
    """Return the text of the schema file, which ends in a line break."""
    return json.dumps(json_schema(stages), indent=2, ensure_ascii=False) + "\n"


def _section(section: str, kind: Any, definitions: dict[str, Any]) -> dict[str, Any]:
    """Return a section's schema; schemas of nested models go to `definitions`."""
    schema = _untitled(validator(kind).json_schema(ref_template=f"#/$defs/{section}.{{model}}"))
    inner = schema.pop("$defs", {})
    for model in _models(kind):
        node = inner.get(model.__name__, schema)
        node["description"] = first_line(model)
        for field, (key, meaning) in zip(fields(model), meanings(model), strict=True):
            made = {} if field.default_factory is MISSING else {"default": field.default_factory()}
            node["properties"][key] = made | _entry(node["properties"][key], meaning.replace("\xa0", " "))
    for model in members(kind).values():
        if model is not member(kind, {}):
            inner[model.__name__]["required"] = [KIND]
    definitions |= {f"{section}.{name}": node for name, node in inner.items()}
    if "oneOf" in schema:
        return {**schema, "oneOf": [*schema["oneOf"], {"type": "null"}]}
    return {**schema, "type": ["object", "null"]}


def _models(kind: Any) -> Iterator[type]:
    """Yield the dataclasses in a type and, recursively, in their fields' types."""
    for model in dataclasses_in(kind):
        yield model
        hints = hints_of(model)
        for field in fields(model):
            yield from _models(hints[field.name])


def _entry(node: dict[str, Any], meaning: str) -> dict[str, Any]:
    """Return a key's schema with its meaning; a single item is valid for a list."""
    node = {**node, "description": meaning}
    for branch in node.get("anyOf", [node]):
        if branch.get("type") == "array" and "prefixItems" not in branch:
            items, default = branch["items"], {"default": node["default"]} if "default" in node else {}
            choices = [*node.get("anyOf", [{"type": "array", "items": items}]), items]
            return {"description": meaning, "anyOf": choices, **default}
    return node


def _untitled(node: Any) -> Any:
    """Return a schema without the titles that pydantic derives from Python names."""
    if isinstance(node, dict):
        titled = isinstance(node.get("title"), str)
        return {key: _untitled(value) for key, value in node.items() if not (titled and key == "title")}
    return [_untitled(item) for item in node] if isinstance(node, list) else node
