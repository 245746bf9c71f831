"""A section that is a union of dataclasses: the key `kind` chooses which keys are valid."""

from typing import Annotated, Any, Literal

import pyarrow as pa
import pytest
from pydantic import ConfigDict, Discriminator, Field, Tag
from pydantic.dataclasses import dataclass

from pipeline.config.describe import describe
from pipeline.config.schema import json_schema
from pipeline.config.settings import from_mapping
from pipeline.config.unions import member, members
from pipeline.messages.errors import ConfigError
from pipeline.stage import Source, Stage
from tests.pipeline.toy import SECTIONS

FORBID = ConfigDict(extra="forbid")


@dataclass(frozen=True, config=FORBID)
class Square:
    kind: Annotated[Literal["square"], Field(description="shape")] = "square"
    side: Annotated[int, Field(gt=0, description="length of a side")] = 1


@dataclass(frozen=True, config=FORBID)
class Circle:
    kind: Annotated[Literal["circle"], Field(description="shape")] = "circle"
    circle: Annotated[int, Field(gt=0, description="radius")] = 3
    marks: Annotated[tuple[str, ...], Field(description="names of points")] = ()


SHAPE: Any = Annotated[
    Annotated[Square, Tag("square")] | Annotated[Circle, Tag("circle")],
    Discriminator(lambda data: data.get("kind", "square") if isinstance(data, dict) else "square"),
    Field(description="What is drawn."),
]
STAGES = [Stage("shape", 1, (), SHAPE, pa.schema([]), source=Source(lambda *given: (), sections=SECTIONS))]


def shape(data: Any, *overrides: str) -> Any:
    return from_mapping({"run": "x", "inputs": {"a": ["/photos"]}, "shape": data}, STAGES, overrides).params["shape"]


def refused(data: Any, *overrides: str) -> str:
    with pytest.raises(ConfigError) as caught:
        shape(data, *overrides)
    return str(caught.value)


def test_members_are_found_by_tag() -> None:
    assert members(SHAPE) == {"square": Square, "circle": Circle}
    assert member(SHAPE, {"kind": "circle"}) is Circle
    assert member(SHAPE, {}) is Square
    assert (members(Square), member(Square, {})) == ({}, None)


def test_the_kind_chooses_the_dataclass() -> None:
    assert shape(None) == Square()
    assert shape({"kind": "circle", "circle": 5, "marks": "top"}) == Circle(circle=5, marks=("top",))
    assert shape({"side": 4, "circle": 3, "marks": []}) == Square(side=4), "defaults of another kind"
    assert shape({"kind": "square", "side": 4}, "shape.kind=circle", "shape.circle=2") == Circle(circle=2)


@pytest.mark.parametrize(
    ("data", "overrides", "message"),
    [
        (
            {"circle": 4},
            (),
            "config: shape.circle: kind square has no such key; kinds with it: circle. Leave it out.",
        ),
        (
            {"circle": 1},
            ("shape.kind=circle", "shape.side=4"),
            "--set shape.side=4: shape.side: kind circle has no such key; kinds with it: square. Leave it out.",
        ),
        ({"kind": "circle", "circle": 0}, (), "config: shape.circle: expected a number above 0, got 0"),
        ({"sides": 4}, (), "config: shape.sides: unknown key; did you mean shape.side?"),
        (5, (), "config: shape: expected keys and values, got 5"),
    ],
)
def test_keys_of_another_kind_are_refused(data: Any, overrides: tuple[str, ...], message: str) -> None:
    assert refused(data, *overrides) == message


def test_only_the_keys_of_the_kind_are_described() -> None:
    config = from_mapping({"run": "x", "inputs": {"a": ["/x"]}, "shape": {"kind": "circle"}}, STAGES)
    lines = [line.split("#") for line in describe(config, STAGES).partition("shape:")[2].splitlines()[:4]]
    assert [[part.strip() for part in line] for line in lines] == [
        ["", "What is drawn."],
        ["kind: circle", "shape (circle) (default: square)"],
        ["circle: 3", "radius"],
        ["marks: []", "names of points"],
    ]


def test_the_schema_has_a_branch_for_each_kind() -> None:
    schema = json_schema(STAGES)
    square, circle = (schema["$defs"][f"shape.{name}"] for name in ("Square", "Circle"))
    assert {"$ref": "#/$defs/shape.Square"} in schema["properties"]["shape"]["oneOf"]
    assert "required" not in square, "the kind of a section that names none"
    assert circle["required"] == ["kind"]
    assert set(circle["properties"]) == {"kind", "circle", "marks"}
