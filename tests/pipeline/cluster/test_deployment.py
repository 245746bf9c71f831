"""Kinds of scheduler: each accepts its own keys alone."""

from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from pipeline.cli.main import main
from pipeline.cluster.deployment import CUSTOM, KINDS, MODELS
from pipeline.messages.errors import ConfigError
from tests.pipeline.cluster.sections import section

NEEDED: dict[str, dict[str, Any]] = {
    "address": {"address": "tcp://h:1"},
    "ssh": {"cluster": {"hosts": ["a", "b"]}},
    **{kind: {"scale": 2} for kind in ("slurm", "pbs", "lsf", "sge", "kubernetes")},
}
"""Keys without which a kind is refused."""
VALUES: dict[str, Any] = {
    "address": "tcp://h:1",
    "scheduler_file": "/x",
    "workers": 2,
    "threads": 2,
    "memory_limit": "1GiB",
    "host": "127.0.0.1",
    "scale": 3,
    "adapt": {"maximum": 3},
    "min_workers": 2,
    "wait_timeout": 5,
    "patience": 5,
    "tls": {"ca_file": "a", "cert": "b", "key": "c"},
    "dask_config": {"a.b": 1},
    "cluster": {"name": "x"},
}
"""A value other than the default for every key."""
KEYS = {field.name for model in MODELS.values() for field in fields(model)} - {"kind"}


def test_every_key_is_tried() -> None:
    assert set(VALUES) == KEYS


@pytest.mark.parametrize("key", sorted(VALUES))
@pytest.mark.parametrize("kind", [*KINDS, "mine:Cluster"])
def test_a_key_of_another_kind_is_refused_with_the_kinds_that_have_it(kind: str, key: str) -> None:
    having = [name for name, model in MODELS.items() if key in {field.name for field in fields(model)}]
    given = {"kind": kind, **NEEDED.get(kind, {}), key: VALUES[key]}
    if (kind if kind in KINDS else CUSTOM) not in having:
        with pytest.raises(ConfigError) as caught:
            section(**given)
        expected = f"kind {kind} has no such key; kinds with it: {', '.join(having)}. Leave it out."
        assert str(caught.value) == f"config: scheduler.{key}: {expected}"
    elif key not in ("adapt", "scheduler_file", "tls", "cluster"):  # which contradict other keys that are needed
        assert getattr(section(**given), key) == VALUES[key]


@pytest.mark.parametrize("kind", [*KINDS, "mine:Cluster"])
def test_defaults_of_keys_of_other_kinds_are_accepted_as_earlier_versions_printed_them(kind: str) -> None:
    printed = dict.fromkeys(("address", "scheduler_file", "workers", "host", "scale", "adapt", "tls"))
    printed |= {"threads": 1, "memory_limit": "auto", "min_workers": 1, "wait_timeout": 300.0, "patience": 900.0}
    printed |= {"dask_config": {}, "cluster": {}}
    needed = NEEDED.get(kind, {})
    assert section(**{"kind": kind, **printed, **needed}) == section(kind=kind, **needed)


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        (
            {"kind": "slum", "workers": 3},
            "scheduler.kind: expected one of auto, synchronous, .* text 'slum'",
        ),
        ({"kind": 3}, "scheduler.kind: expected text, got 3"),
        ({"kind": "a b:C"}, "scheduler.kind: expected one of"),
        ({"kind": "slurm", "scale": 1, "adapt": {"maximun": 3}}, "scheduler.adapt.maximun: unknown key; did you mean"),
        ({"wokers": 3}, "scheduler.wokers: unknown key; did you mean scheduler.workers?"),
        ({"kind": "ssh", "tls": "temporary"}, "scheduler.tls: expected {ca_file: …, cert: …, key: …}, got temporary"),
        ({"tls": "sometimes"}, "scheduler.tls: expected temporary"),
        ({"wait_timeout": 0}, "scheduler.wait_timeout: expected a number above 0"),
        (
            {"kind": "address", "address": "tcp://h:1", "min_workers": 0},
            "scheduler.min_workers: expected a number above 0",
        ),
    ],
)
def test_wrong_keys_and_values_are_named(values: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigError, match=f"^config: {problem}") as caught:
        section(**values)
    assert len(str(caught.value).splitlines()) == 1


def test_a_class_of_ones_own_needs_a_flag(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "c.yaml").write_text(
        f"inputs: {{a: [{tmp_path}/images]}}\noutput: {tmp_path}/out\n"
        "scheduler: {kind: 'antigravity:Cluster', scale: 1}\n"
    )
    assert main(["run", str(tmp_path / "c.yaml")]) == 2
    assert "antigravity:Cluster is a class of yours, whose code would run; allow that with" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("values", "beyond"),
    [
        ({"kind": "local"}, False),
        ({"kind": "local", "host": "0.0.0.0"}, True),
        ({"kind": "local", "host": "localhost"}, False),
        ({"kind": "ssh", "host": "127.0.0.1", "cluster": {"hosts": ["h", "h"]}}, False),
        ({"kind": "slurm", "scale": 1}, True),
    ],
)
def test_sockets_beyond_loopback(values: dict[str, Any], beyond: bool) -> None:
    assert section(**values).listens_beyond_loopback is beyond


@pytest.mark.parametrize(
    ("values", "cores"),
    [
        ({"kind": "synchronous"}, 1),
        ({"kind": "threads"}, 8),
        ({"kind": "threads", "workers": 3}, 3),
        ({"kind": "local", "workers": 3, "threads": 2}, 6),
        ({"kind": "local", "workers": 30}, 8),
        ({"kind": "cuda", "min_workers": 2}, 2),
        ({"kind": "address", "address": "tcp://h:1", "min_workers": 3}, 3),
        *(({"kind": kind, "scale": 40}, 40) for kind in ("slurm", "kubernetes", "mine:Cluster")),
        ({"kind": "kubernetes", "adapt": {"minimum": 5, "maximum": 9}, "min_workers": 5}, 5),
    ],
)
def test_cores_follow_from_the_section(values: dict[str, Any], cores: int) -> None:
    assert section(**values).cores(8) == cores
