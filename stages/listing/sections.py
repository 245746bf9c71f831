"""Sections of the config that the scan adds: where the images are, what belongs to an image, and units of work."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from pipeline.stage import Section, section
from pipeline.store.backends.locations import absolute, inside
from stages.listing import companions

Positive = Annotated[int, Field(gt=0)]


def _root(value: Any) -> Any:
    """Return the path of an input, given as a text or as {path: ..., reference: ...}. Raises ValueError."""
    if isinstance(value, Mapping):
        unknown = [str(key) for key in value if key not in ("path", "reference")]
        if unknown:
            raise ValueError(f"expected a path or {{path: ...}}, got a mapping with the unknown key {unknown[0]!r}")
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
            },
            "required": ["path"],
            "additionalProperties": False,
        },
    ]
}
"""JSON Schema of an input."""
Roots = tuple[Annotated[str, BeforeValidator(_root), AfterValidator(absolute), WithJsonSchema(ROOT)], ...]


@section
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


@section
class MeanSizes:
    """How the images are cut into units of work; the cuts follow from the images' paths."""

    images: Annotated[
        Positive | Literal["auto"], Field(description="mean number of images that are decoded in one task")
    ] = "auto"
    block: Annotated[
        Positive | Literal["auto"], Field(description="mean number of images of a block; a task compares two blocks")
    ] = "auto"


@section
class CompanionPatterns:
    """Which files belong to an image by their names, as sidecars do; `apply` moves these files with the image."""

    patterns: Annotated[
        tuple[Annotated[str, AfterValidator(companions.checked)], ...],
        Field(
            description="names of companions: <name> or <stem> of the image, and an ending, such as <stem>.xmp; "
            ".<raw> stands for each ending of camera RAW; [] for no companions"
        ),
    ] = companions.DEFAULT


def _add_references(data: dict[str, Any]) -> None:
    """Add the inputs that are marked `reference: true` to the key `reference`. Wrong types are left to validation."""
    roots = [root for name in ("a", "b") if isinstance(data.get(name), list) for root in data[name]]
    marked = [root.get("path") for root in roots if isinstance(root, dict) and root.get("reference") is True]
    if marked and isinstance(named := data.get("reference", []), list):
        data["reference"] = [*named, *marked]


def _problems(inputs: ImageSets) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Yield a problem where there is no input, and for each reference that is in no input."""
    if not inputs.a:
        yield ("a",), "expected folders or image files, got none; for example --set inputs.a=[~/Photos]"
    for number, root in enumerate(inputs.reference):
        if not any(inside(root, other) for other in (*inputs.a, *inputs.b)):
            yield ("reference", number), f"{root} is in neither inputs.a nor inputs.b"


SECTIONS = {
    "inputs": Section(ImageSets, prepare=_add_references, check=_problems, roots=("a", "b")),
    "companions": Section(CompanionPatterns),
    "partition": Section(MeanSizes),
}
