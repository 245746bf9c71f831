"""Declare the config sections of the scan: inputs, companions and partition."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import field
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from pipeline.stage import Section, section
from pipeline.store.backends.locations import absolute, inside
from stages.listing import companions
from stages.listing.lists import is_list
from stages.listing.patterns import expanded, has_pattern

Positive = Annotated[int, Field(gt=0)]


def _root(value: Any) -> Any:
    """Return the path of an input: a text, or a mapping such as {path: ..., reference: ...}. Raises ValueError."""
    if isinstance(value, Mapping):
        unknown = [str(key) for key in value if key not in ("path", "list", "reference", "column", "folder")]
        if unknown:
            raise ValueError(f"expected a path or {{path: ...}}, got a mapping with the unknown key {unknown[0]!r}")
        if "list" in value:
            if "path" in value:
                raise ValueError("expected path or list, got both")
            name = value["list"]
            if not isinstance(name, str) or not is_list(name.encode("utf-8", "surrogateescape")):
                raise ValueError(f"expected a list that ends in .csv, .tsv, .jsonl, .json or .txt, got {name!r}")
        if not isinstance(value.get("folder") or "", str):
            raise ValueError(f"expected the folder of relative paths, got {value['folder']!r}")
        if (column := value.get("column")) is not None and not (isinstance(column, str) and column):
            raise ValueError(f"expected the name of a column, got {column!r}")
        if not isinstance(value.get("reference", False), bool):
            raise ValueError(f"expected reference: true or false, got {value['reference']!r}")
        value = value.get("path", value.get("list"))
    if not isinstance(value, str) or not value:
        raise ValueError(f"expected the path of a folder or an image file, got {value!r}")
    if "\0" in value:
        raise ValueError(f"expected a folder or an image file of this machine, got {value!r}")
    return value


Path = Annotated[str, AfterValidator(absolute)]
ROOT = {
    "anyOf": [
        {"type": "string", "minLength": 1},
        {
            "type": "object",
            "properties": {
                "path": {"type": "string", "minLength": 1, "description": "folder, image or URL"},
                "list": {"type": "string", "minLength": 1, "description": "CSV, JSON lines, JSON of COCO, or text"},
                "folder": {
                    "type": ["string", "null"],
                    "default": None,
                    "description": "folder of the relative paths in a list; null: the folder of the list",
                },
                "reference": {
                    "type": "boolean",
                    "default": False,
                    "description": "never propose images below this path for removal",
                },
                "column": {
                    "type": ["string", "null"],
                    "minLength": 1,
                    "default": None,
                    "description": "column of a table or a list that holds the images; null: detected",
                },
            },
            "oneOf": [{"required": ["path"]}, {"required": ["list"]}],
            "additionalProperties": False,
        },
    ]
}
"""JSON Schema of an input."""
Roots = tuple[Annotated[str, BeforeValidator(_root), AfterValidator(absolute), WithJsonSchema(ROOT)], ...]


def _by_input(values: str, example: str) -> Any:
    """Return pydantic's field of a key that holds a value for some inputs.

    `example` is an input with such a value."""
    return Field(description=f"{values}, by input; the same as giving an input as {{{example}}}")


@section
class ImageSets:
    """Where the images are; inputs are never written to."""

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
        dict[Path, str], _by_input("columns that hold the images of tables and lists", "path: ..., column: ...")
    ] = field(default_factory=dict)
    folders: Annotated[
        dict[Path, Path], _by_input("folders of the relative paths in lists", "list: ..., folder: ...")
    ] = field(default_factory=dict)


@section
class MeanSizes:
    """Mean sizes of the units of work.

    The paths of the images determine where a unit ends."""

    images: Annotated[
        Positive | Literal["auto"], Field(description="mean number of images that are decoded in one task")
    ] = "auto"
    block: Annotated[
        Positive | Literal["auto"], Field(description="mean number of images of a block; a task compares two blocks")
    ] = "auto"


@section
class CompanionPatterns:
    """Names of files that belong to an image, such as sidecars.

    `fast-diff apply` moves or removes these files with the image."""

    patterns: Annotated[
        tuple[Annotated[str, AfterValidator(companions.checked)], ...],
        Field(
            description="names of companions: <name> or <stem> of the image, and an ending, such as <stem>.xmp; "
            ".<raw> stands for each ending of camera RAW, <takeout>.json for all names of Google Takeout; [] for no "
            "companions"
        ),
    ] = companions.DEFAULT


def _add_marks(data: dict[str, Any]) -> None:
    """Expand patterns, and copy marks of inputs to the keys `reference`, `columns` and `folders`.

    Values of a wrong type stay as they are: validation reports them."""
    for name in ("a", "b", "reference"):
        if isinstance(data.get(name), list):
            data[name] = [each for root in data[name] for each in _expanded(root)]
    roots = [root for name in ("a", "b") if isinstance(data.get(name), list) for root in data[name]]
    marked = [root for root in roots if isinstance(root, dict) and isinstance(_root_of(root), str)]
    references = [_root_of(root) for root in marked if root.get("reference") is True]
    if references and isinstance(named := data.get("reference", []), list):
        data["reference"] = [*named, *references]
    for mark, key in (("column", "columns"), ("folder", "folders")):
        values = {_root_of(root): root[mark] for root in marked if root.get(mark)}
        if values and isinstance(known := data.get(key, {}), dict):
            data[key] = {**known, **values}


def _root_of(root: Mapping[str, Any]) -> Any:
    return root.get("path", root.get("list"))


def _expanded(root: Any) -> Iterator[Any]:
    """Yield the inputs that a pattern names, each with the marks of the pattern."""
    text = _root_of(root) if isinstance(root, dict) else root
    if not isinstance(text, str) or not has_pattern(text) or "\0" in text:
        yield root
        return
    for name in expanded(text):
        yield name if root is text else {**root, "path" if "path" in root else "list": name}


def _problems(inputs: ImageSets) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Yield a problem if there are no inputs, and a problem for each reference outside all inputs."""
    if not inputs.a:
        yield ("a",), "expected folders or image files, got none; for example --set inputs.a=[~/Photos]"
    for number, root in enumerate(inputs.reference):
        if not any(inside(root, other) for other in (*inputs.a, *inputs.b)):
            yield ("reference", number), f"{root} is in neither inputs.a nor inputs.b"


SECTIONS = {
    "inputs": Section(ImageSets, prepare=_add_marks, check=_problems, roots=("a", "b")),
    "companions": Section(CompanionPatterns),
    "partition": Section(MeanSizes),
}
