"""Sections of the config that the scan adds: where the images are, and how they are cut into units of work."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import field
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, WithJsonSchema
from pydantic.dataclasses import dataclass

from pipeline.stage import Section
from pipeline.store.backends.locations import absolute, inside

FORBID = ConfigDict(extra="forbid")
Positive = Annotated[int, Field(gt=0)]


def _root(value: Any) -> Any:
    """Return the path of an input, given as a text or as {path: ..., reference: ...}. Raises ValueError."""
    if isinstance(value, Mapping):
        unknown = [str(key) for key in value if key not in ("path", "reference", "column")]
        if unknown:
            raise ValueError(f"expected a path or {{path: ...}}, got a mapping with the unknown key {unknown[0]!r}")
        if (column := value.get("column")) is not None and not (isinstance(column, str) and column):
            raise ValueError(f"expected the name of a column, got {column!r}")
        if not isinstance(value.get("reference", False), bool):
            raise ValueError(f"expected reference: true or false, got {value['reference']!r}")
        value = value.get("path")
    if not isinstance(value, str) or not value:
        raise ValueError(f"expected the path of a folder or an image file, got {value!r}")
    if "\0" in value:
        raise ValueError(f"expected a folder or an image file of this machine, got {value!r}")
    return value


ROOT = {
    "anyOf": [
        {"type": "string", "minLength": 1},
        {
            "type": "object",
            "properties": {
                "path": {"type": "string", "minLength": 1, "description": "folder, image or URL"},
                "reference": {
                    "type": "boolean",
                    "default": False,
                    "description": "never propose images below this path for removal",
                },
                "column": {
                    "type": ["string", "null"],
                    "minLength": 1,
                    "default": None,
                    "description": "column of a table that holds the images; null: the one that looks like images",
                },
            },
            "required": ["path"],
            "additionalProperties": False,
        },
    ]
}
"""JSON Schema of an input."""
Roots = tuple[Annotated[str, BeforeValidator(_root), AfterValidator(absolute), WithJsonSchema(ROOT)], ...]


@dataclass(frozen=True, config=FORBID)
class ImageSets:
    """Where the images are; nothing is ever written there."""

    a: Annotated[Roots, Field(description="folders, images or URLs; every image is compared with every other")] = ()
    b: Annotated[Roots, Field(description="if given: only images of a are compared with images of b")] = ()
    reference: Annotated[
        Roots,
        Field(
            description="folders or images, inside a or b, that are never proposed for removal; the same as marking an "
            "input {path: ..., reference: true}"
        ),
    ] = ()
    columns: Annotated[
        dict[Annotated[str, AfterValidator(absolute)], str],
        Field(
            description="columns that hold the images of tables, by input; the same as giving an input as "
            "{path: ..., column: ...}"
        ),
    ] = field(default_factory=dict)


@dataclass(frozen=True, config=FORBID)
class MeanSizes:
    """How the images are cut into units of work; the cuts follow from the images' paths."""

    images: Annotated[
        Positive | Literal["auto"], Field(description="mean number of images that are decoded in one task")
    ] = "auto"
    block: Annotated[
        Positive | Literal["auto"], Field(description="mean number of images of a block; a task compares two blocks")
    ] = "auto"


def _add_marks(data: dict[str, Any]) -> None:
    """Add what inputs are marked with to the keys `reference` and `columns`. Wrong types are left to validation."""
    roots = [root for name in ("a", "b") if isinstance(data.get(name), list) for root in data[name]]
    marked = [root.get("path") for root in roots if isinstance(root, dict) and root.get("reference") is True]
    if marked and isinstance(named := data.get("reference", []), list):
        data["reference"] = [*named, *marked]
    columns = {
        root["path"]: root["column"]
        for root in roots
        if isinstance(root, dict) and isinstance(root.get("path"), str) and root.get("column")
    }
    if columns and isinstance(known := data.get("columns", {}), dict):
        data["columns"] = {**known, **columns}


def _problems(inputs: ImageSets) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Yield a problem where there is no input, and for each reference that is in no input."""
    if not inputs.a:
        yield ("a",), "expected folders or image files, got none; for example --set inputs.a=[~/Photos]"
    for number, root in enumerate(inputs.reference):
        if not any(inside(root, other) for other in (*inputs.a, *inputs.b)):
            yield ("reference", number), f"{root} is in neither inputs.a nor inputs.b"


SECTIONS = {
    "inputs": Section(ImageSets, prepare=_add_marks, check=_problems, roots=("a", "b")),
    "partition": Section(MeanSizes),
}
