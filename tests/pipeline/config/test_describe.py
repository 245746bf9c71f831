"""`fast-diff config` prints a valid config with a description of each key."""

from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any, Literal

import pyarrow as pa
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import Field
from pydantic.dataclasses import dataclass

from pipeline.cluster.deployment import Local
from pipeline.config.describe import describe
from pipeline.config.settings import from_mapping, kinds_of, load
from pipeline.plan.discovery import discover
from pipeline.stage import SPEED, Source, Stage
from tests.pipeline.toy import SECTIONS

CONFIGS = sorted((Path(__file__).parents[3] / "configs").glob("*.yaml"))


@dataclass(frozen=True)
class Letters:
    """What is counted."""

    alphabet: Annotated[Literal["latin", "greek"], Field(description="letters that count")] = "latin"
    pace: Annotated[int, Field(description="how many at a time"), SPEED] = 1
    names: Annotated[tuple[str, ...], Field(description="whose")] = ()


@dataclass(frozen=True)
class Nothing:
    pass


STAGES = [
    Stage("letters", 1, (), Letters, pa.schema([]), source=Source(lambda *given: (), sections=SECTIONS)),
    Stage("total", 1, (), Nothing, pa.schema([])),
]


def line(text: str, start: str) -> str:
    (found,) = [line for line in text.splitlines() if line.startswith(start)]
    return found


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_the_examples_load_and_describe_themselves(path: Path, tmp_path: Path) -> None:
    stages = discover()
    config = load(path, stages)
    (tmp_path / "again.yaml").write_text(describe(config, stages))
    assert load(tmp_path / "again.yaml", stages) == config


def test_there_are_examples_and_every_key_has_a_meaning() -> None:
    names = {"demo", "local", "two-sets", "all-pairs", "perceptual", "pdq", "embedding", "cluster-address"}
    names |= {"slurm", "ssh", "kubernetes", "address-tls", "s3"}
    assert {path.stem for path in CONFIGS} == names
    stages = discover()
    text = describe(load(CONFIGS[0], stages, ["scheduler={}"]), stages)
    sections = text.split("\n\n")
    for name, kind in (kinds_of(stages) | {"scheduler": Local}).items():
        if not fields(kind):
            continue
        (section,) = [section for section in sections if section.startswith(f"{name}:")]
        entries = section.replace("\n   ", " ").splitlines()[1:]
        assert [entry.split(":")[0].strip() for entry in entries] == [field.name for field in fields(kind)]
        assert all(len(entry.partition("# ")[2]) > 5 for entry in entries)


def test_choices_speed_and_values_other_than_defaults_are_marked() -> None:
    data = {"run": "x", "inputs": {"a": ["/photos"]}, "letters": {"alphabet": "greek"}}
    text = describe(from_mapping(data, STAGES), STAGES)
    assert "what is counted" in line(text, "letters:").lower()
    assert "letters that count (latin | greek)" in line(text, "  alphabet: greek")
    assert "default: latin" in line(text, "  alphabet: greek")
    assert "how many at a time" in line(text, "  pace: 1 ")
    assert line(text, "  pace: 1 ").endswith(("(changes speed only)", "; changes no result"))
    assert "total:" not in text


@pytest.mark.parametrize(
    "value", ["1e3", "1.5E+10", "2024-05-01", "12:30", "null", "yes", "#x", "a: b", "a\nb", "\x85", "é🎉", " ", "\xa0"]
)
def test_text_is_unchanged(value: str, tmp_path: Path) -> None:
    round_trip([value, value], tmp_path)


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.text(st.characters(codec="utf-8")), max_size=4))
def test_any_text_is_unchanged(tmp_path: Path, names: list[str]) -> None:
    round_trip(names, tmp_path)


def round_trip(names: list[str], folder: Path) -> Any:
    data = {"run": "x", "inputs": {"a": ["/photos"]}, "letters": {"names": names}}
    config = from_mapping(data, STAGES)
    text = describe(config, STAGES)
    (folder / "again.yaml").write_text(text, encoding="utf-8")
    assert load(folder / "again.yaml", STAGES) == config
    assert yaml.safe_load(text)["letters"]["pace"] == 1
