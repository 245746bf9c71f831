"""The config: YAML in, validated settings out, and errors that a user can act on.

The sections of the stages come from the stages themselves (`Stage.params`); this module adds what belongs to a run
as such. An error names the file and line, the key's path, what was expected and what came, and the nearest valid key.
"""

from __future__ import annotations

import copy
import dataclasses
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, WithJsonSchema
from pydantic.dataclasses import dataclass

from pipeline.cluster.checks import complaints
from pipeline.cluster.deployment import UNION
from pipeline.cluster.keys import Scheduler
from pipeline.config.lists import accept_single_values
from pipeline.config.unions import drop_keys_of_others
from pipeline.config.validate import text_expected, unknown_key, validate
from pipeline.config.yaml_source import Source, read_yaml
from pipeline.messages.errors import ConfigError
from pipeline.stage import Stage
from pipeline.store.backends import locations
from pipeline.store.backends.locations import Options, Place
from pipeline.store.backends.urls import Urls

FORBID = ConfigDict(extra="forbid")
Positive = Annotated[int, Field(gt=0)]


SECRET = re.compile("pass|secret|token|key|credential|^env|prologue|directives|extra_args|command", re.IGNORECASE)
"""Names of arguments whose values are not for every eye."""
NAME_BYTES = 200
"""A run's name may be as long as this: file systems allow 255 bytes, and a name may get an ending."""


def _absolute(path: str) -> str:
    """Absolute and normalised, `~` expanded, links unresolved; of a URL its canonical form. Raises ValueError."""
    path = locations.canonical(path)
    if locations.protocol_of(path):
        return path
    home = os.path.expanduser(path)  # noqa: PTH111  # as shells do, it takes ~ for a name where there is no such user
    return re.sub("^//+", "/", os.path.normpath(Path.cwd() / home))


def _root(value: Any) -> Any:
    """The path of an input, given as it is or as {path: ..., reference: ...}."""
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
Roots = tuple[Annotated[str, BeforeValidator(_root), AfterValidator(_absolute), WithJsonSchema(ROOT)], ...]


@dataclass(frozen=True, config=FORBID)
class Inputs:
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


@dataclass(frozen=True, config=FORBID)
class Partition:
    """How the images are cut into units of work; the cuts follow from the images' paths."""

    images: Annotated[
        Positive | Literal["auto"], Field(description="mean number of images that are decoded in one task")
    ] = "auto"
    block: Annotated[
        Positive | Literal["auto"], Field(description="mean number of images of a block; a task compares two blocks")
    ] = "auto"


CORE: dict[str, Any] = {"inputs": Inputs, "partition": Partition, "scheduler": UNION}
TOP = {
    "run": "name of the run: its artifacts lie in <output>/<run>/; the config's file name unless given",
    "output": "folder that holds the runs, or its URL on an object store, such as s3://bucket/folder",
    "storage": "for URLs: fsspec's keyword arguments by protocol, such as {s3: {endpoint_url: ...}}; never shown",
}


@dataclasses.dataclass(frozen=True)
class Config:
    """A config as resolved: absolute paths, defaults filled in, every value validated."""

    run: str
    output: Place
    inputs: Inputs
    partition: Partition
    scheduler: Scheduler
    params: Mapping[str, Any]
    storage: Options = dataclasses.field(default_factory=dict, repr=False)

    @property
    def folder(self) -> Place:
        """The run's folder."""
        return self.output / self.run

    def settings(self, key: str) -> Any:
        """A value by its dotted key, such as `thumbnail.size`. Raises KeyError."""
        return self._by_key[key]

    @cached_property
    def _by_key(self) -> dict[str, Any]:
        by_key: dict[str, Any] = {"run": self.run, "output": str(self.output)}
        for section, values in self.sections():
            by_key |= {f"{section}.{f.name}": getattr(values, f.name) for f in dataclasses.fields(values)}
        return by_key

    def sections(self) -> Iterator[tuple[str, Any]]:
        """Name and values of every section, in the order in which a reader meets them."""
        yield "inputs", self.inputs
        yield from ((name, params) for name, params in self.params.items() if dataclasses.fields(params))
        yield "partition", self.partition
        yield "scheduler", self.scheduler

    def as_dict(self) -> dict[str, Any]:
        """The config as plain data that JSON and YAML can hold; what may be secret is masked: values of `storage`, of
        Dask's settings, and of arguments of a cluster that are named like secrets."""
        top: dict[str, Any] = {"run": self.run, "output": str(self.output), "storage": locations.masked(self.storage)}
        plain = top | {name: _plain(dataclasses.asdict(values)) for name, values in self.sections()}
        for name in plain["scheduler"].keys() & {"dask_config", "cluster"}:
            plain["scheduler"][name] = _masked(plain["scheduler"][name], everything=name == "dask_config")
        return plain


def load(path: str | Path, stages: Sequence[Stage], overrides: Sequence[str] = ()) -> Config:
    """Read a YAML config; `overrides` are texts like "pairs.threshold=100". Raises ConfigError, a line per mistake.

    A run without a name is named after the file: `holiday.yaml` makes the run `holiday`."""
    source = read_yaml(Path(path))
    source.data.setdefault("run", Path(path).stem)
    return _resolve(source, stages, overrides)


def from_mapping(data: Mapping[str, Any], stages: Sequence[Stage], overrides: Sequence[str] = ()) -> Config:
    """The same from plain data, in which `run` is required. Raises ConfigError."""
    return _resolve(Source(copy.deepcopy(dict(data)), {(): "config"}), stages, overrides)


def _resolve(source: Source, stages: Sequence[Stage], overrides: Sequence[str]) -> Config:
    for override in overrides:
        source.override(override)
    kinds = CORE | {stage.name: stage.params for stage in stages}
    drop_keys_of_others(source, kinds)
    accept_single_values(source, kinds)
    _name_references(source.data.get("inputs"))
    problems = [unknown_key(source, (key,), {**TOP, **kinds}) for key in source.data if key not in {**TOP, **kinds}]
    values = {}
    for name, kind in kinds.items():
        values[name], wrong = validate(kind, name, source, kinds)
        problems += wrong
    run, output = source.data.get("run"), source.data.get("output", "outputs")
    problems += _check_names(run, output, source)
    _refuse(problems)
    problems += _check_together(values["inputs"], values["scheduler"], source)
    urls = Urls(source)
    values["inputs"] = urls.inputs(values["inputs"])
    output = urls.output(_absolute(output), values["scheduler"].kind)
    _refuse(problems + urls.problems)
    core = {name: values.pop(name) for name in CORE}
    config = Config(str(run), locations.place(output), **core, params=values, storage=urls.options)
    _refuse([*_written_into_inputs(config, source)])
    return config


def _name_references(inputs: Any) -> None:
    """Inputs that are marked as references are named among them, too. What is no input is complained of elsewhere."""
    if not isinstance(inputs, dict):
        return
    roots = [root for name in ("a", "b") if isinstance(inputs.get(name), list) for root in inputs[name]]
    marked = [root.get("path") for root in roots if isinstance(root, dict) and root.get("reference") is True]
    if marked and isinstance(named := inputs.get("reference", []), list):
        inputs["reference"] = [*named, *marked]


def _refuse(problems: Sequence[str]) -> None:
    if problems:
        raise ConfigError(*map(locations.mask, problems))


def _check_names(run: Any, output: Any, source: Source) -> Iterator[str]:
    place = source.place(("run",))
    if run is not None and not isinstance(run, str):
        yield text_expected("run", "a name", source)
    elif not run or run[0] == "." or "/" in run or not run.isprintable():
        yield f"{place}: run: expected a name that can be a folder's (no slash, no dot in front), got {run!r}"
    elif len(run.encode()) > NAME_BYTES:
        yield f"{place}: run: expected a name of at most {NAME_BYTES} bytes, got {len(run.encode())}"
    place = source.place(("output",))
    if not isinstance(output, str):
        yield text_expected("output", "a folder, or the URL of one", source)
        return
    if not output or "\0" in output:
        yield f"{place}: output: expected a folder, or the URL of one, got {output!r}"
        return
    try:
        locations.canonical(output)
    except ValueError as error:
        yield f"{place}: output: {error}"


def _check_together(inputs: Inputs, scheduler: Scheduler, source: Source) -> Iterator[str]:
    if not inputs.a:
        place = source.place(("inputs", "a"))
        yield f"{place}: inputs.a: expected folders or image files, got none; for example --set inputs.a=[~/Photos]"
    for number, root in enumerate(inputs.reference):
        if not any(locations.inside(root, other) for other in (*inputs.a, *inputs.b)):
            keys = ("inputs", "reference", number)
            yield f"{source.place(keys)}: inputs.reference[{number}]: {root} is in neither inputs.a nor inputs.b"
    for key, complaint in complaints(scheduler):
        yield f"{source.place(('scheduler', *key.split('.')))}: scheduler.{key}: {complaint}"


def _written_into_inputs(config: Config, source: Source) -> Iterator[str]:
    """Complaints of a run's folder and an input that lie one inside the other, links resolved."""
    folder = _real(str(config.folder))
    for name, roots in (("a", config.inputs.a), ("b", config.inputs.b)):
        for root in roots:
            real = _real(root)
            if locations.inside(folder, real) or locations.inside(real, folder):
                yield (
                    f"{source.place(('output',))}: output: {config.folder} and inputs.{name} ({root}) lie one inside "
                    "the other, and nothing is ever written into an input; choose another folder: --set output=FOLDER"
                )


def _real(place: str) -> str:
    """A place as text by which places are told apart: links resolved, one word for all names of a protocol."""
    protocol = locations.protocol_of(place)
    if protocol is None:
        return os.path.realpath(place).rstrip("/")
    return locations.EXTRAS.get(protocol, protocol) + place[len(protocol) :]


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def _masked(value: Any, everything: bool) -> Any:
    """A value without its secrets: those under a name that says so, or every one."""
    if isinstance(value, Mapping):
        return {key: _masked(item, everything or bool(SECRET.search(str(key)))) for key, item in value.items()}
    if isinstance(value, list):
        return [_masked(item, everything) for item in value]
    return locations.MASK if everything and value is not None else value
