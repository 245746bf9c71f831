"""The JSON Schema of the config and the loader accept the same configs."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from pipeline.config.describe import describe
from pipeline.config.schema import SCHEMA_FILE, json_schema, schema_text
from pipeline.config.settings import TOP, from_mapping, kinds_of, load
from pipeline.messages.errors import ConfigError
from pipeline.plan.discovery import discover

ROOT = Path(__file__).parents[3]
CONFIGS = sorted((ROOT / "configs").glob("*.yaml"))
STAGES = discover()
SCHEMA = json_schema(STAGES)
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)
A = {"run": "x", "inputs": {"a": ["/photos"]}}


def test_the_schema_is_a_schema_and_the_file_beside_the_configs_holds_it() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    text = (ROOT / "configs" / SCHEMA_FILE).read_text(encoding="utf-8")
    assert text == schema_text(STAGES), f"run: fast-diff config --schema > configs/{SCHEMA_FILE}"


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_config_names_the_schema_and_is_valid(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.startswith(f"# yaml-language-server: $schema={SCHEMA_FILE}\n")
    VALIDATOR.validate(yaml.safe_load(text))
    VALIDATOR.validate(yaml.safe_load(describe(load(path, STAGES), STAGES)))


RIGHT: list[dict[str, Any]] = [
    {"inputs": {"a": "/photos"}},
    {"inputs": {"a": {"path": "/photos", "reference": True}, "b": ["/x", {"path": "/y"}]}},
    {"plot": None, "scheduler": None},
    {"scan": {"extensions": "jpg"}},
    {"scan": {"extensions": "default", "ignore_names": [".git", "x*"]}},
    {"cluster": {"keep": "oldest", "threshold": None}},
    {"cluster": {"keep": [{"path": "shallowest"}, "bytes"]}},
    {"thumbnail": {"size": [32, 32], "max_bytes": "256MiB"}},
    {"pairs": {"threshold": 3}, "partition": {"images": "auto", "block": 5000}},
    {"output": "/data/outputs", "storage": {"file": {"auto_mkdir": False}}},
    {"scheduler": {"workers": 2, "memory_limit": "2GiB"}},
    {"scheduler": {"kind": "slurm", "adapt": {"maximum": 3}, "cluster": {"cores": 1}}},
    {"scheduler": {"kind": "address", "address": "tls://h:1", "tls": {"ca_file": "a", "cert": "b", "key": "c"}}},
]


@pytest.mark.parametrize("data", RIGHT, ids=str)
def test_the_schema_accepts_configs_that_the_loader_accepts(data: dict[str, Any]) -> None:
    from_mapping(A | data, STAGES)
    VALIDATOR.validate(A | data)


WRONG: list[dict[str, Any]] = [
    {"treshold": 1},
    {"run": ""},
    {"run": "a/b"},
    {"run": 2024},
    {"output": 3},
    {"storage": ["s3"]},
    {"storage": {"s3": 1}},
    {"inputs": {"A": ["/photos"]}},
    {"inputs": {"a": [None]}},
    {"inputs": {"a": [{"pth": "/photos"}]}},
    {"inputs": {"a": [{"path": "/photos", "reference": "yes"}]}},
    {"scan": {"recursive": 1}},
    {"scan": {"ignore_names": [3]}},
    {"thumbnail": {"size": [64]}},
    {"thumbnail": {"size": [64, 2]}},
    {"thumbnail": {"size": 64}},
    {"thumbnail": {"channels": "cmyk"}},
    {"hash": {"shift": 8}},
    {"pairs": {"threshold": -1}},
    {"pairs": {"threshold": "200"}},
    {"pairs": {"same": "aspct"}},
    {"pairs": [1]},
    {"plot": {"pairs": "x"}},
    {"partition": {"images": 0}},
    {"scheduler": {"kind": 3}},
    {"scheduler": {"workers": 0}},
    {"scheduler": {"wait_timeout": 0}},
    {"scheduler": {"kind": "slurm", "adapt": {"minimum": 1}}},
    {"scheduler": {"kind": "slurm", "adapt": {"maximun": 3}}},
    {"scheduler": {"tls": "sometimes"}},
    {"scheduler": {"tls": {"ca_file": "a"}}},
]


@pytest.mark.parametrize("data", WRONG, ids=str)
def test_the_schema_refuses_configs_that_the_loader_refuses(data: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        from_mapping(A | data, STAGES)
    with pytest.raises(jsonschema.ValidationError):
        VALIDATOR.validate(A | data)


def keys_of(node: Any, place: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every key of the schema with its own schema, those inside definitions included."""
    if isinstance(node, dict):
        for key, inner in node.get("properties", {}).items():
            yield f"{place}.{key}", inner
            yield from keys_of(inner, f"{place}.{key}")
        for name, inner in node.items():
            if name != "properties":
                yield from keys_of(inner, f"{place}/{name}")
    elif isinstance(node, list):
        for number, inner in enumerate(node):
            yield from keys_of(inner, f"{place}/{number}")


def test_every_key_has_a_meaning_and_all_but_required_ones_a_default() -> None:
    found = dict(keys_of(SCHEMA))
    sections = set(kinds_of(STAGES))
    assert set(SCHEMA["properties"]) == {*TOP, *sections}
    assert {".inputs.a", ".pairs.threshold", ".cluster.keep"} <= set(found)
    for place, node in found.items():
        assert len(node["description"]) > 5, place
        without = place in {".run", *(f".{section}" for section in sections)} or place.endswith(
            ("Tls.ca_file", "Tls.cert", "Tls.key", "Adapt.maximum", ".path", ".list")
        )
        assert without or "default" in node, place
        assert "title" not in node or place.endswith("properties"), place
