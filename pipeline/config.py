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

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field
from pydantic.dataclasses import dataclass

from pipeline.errors import ConfigError
from pipeline.stage import Stage
from pipeline.validate import unknown_key, validate
from pipeline.yaml_source import Source, read_yaml

FORBID = ConfigDict(extra="forbid")
Positive = Annotated[int, Field(gt=0)]


NAME_BYTES = 200
"""A run's name may be as long as this: file systems allow 255 bytes, and a name may get an ending."""


def _absolute(path: str) -> str:
    """Absolute and normalised, `~` expanded, links unresolved."""
    home = os.path.expanduser(path)  # noqa: PTH111  # as shells do, it takes ~ for a name where there is no such user
    return re.sub("^//+", "/", os.path.normpath(Path.cwd() / home))


def _root(value: Any) -> Any:
    """The path of an input, given as it is or as {path: ...}."""
    if isinstance(value, Mapping):
        unknown = [str(key) for key in value if key != "path"]
        if unknown:
            raise ValueError(f"expected a path or {{path: ...}}, got a mapping with the unknown key {unknown[0]!r}")
        value = value.get("path")
    if not isinstance(value, str) or not value:
        raise ValueError(f"expected the path of a folder or an image file, got {value!r}")
    if "://" in value or "\0" in value:
        raise ValueError(f"expected a folder or an image file of this machine, got {value!r}")
    return value


def _memory(value: str | int) -> str | int:
    size = r"(auto|\d+(\.\d+)?\s*([kmgtp]i?)?b?)"
    if not re.fullmatch(size, str(value), re.IGNORECASE):
        raise ValueError(f"expected auto or a size such as 4GiB, got {value!r}")
    return value


Roots = tuple[Annotated[str, BeforeValidator(_root), AfterValidator(_absolute)], ...]


@dataclass(frozen=True, config=FORBID)
class Inputs:
    """Where the images are; nothing is ever written there."""

    a: Annotated[Roots, Field(description="folders or image files; every image is compared with every other")] = ()
    b: Annotated[Roots, Field(description="if given: only images of a are compared with images of b")] = ()


@dataclass(frozen=True, config=FORBID)
class Partition:
    """How the images are cut into units of work; the cuts follow from the images' paths."""

    images: Annotated[
        Positive | Literal["auto"], Field(description="mean number of images that are decoded in one task")
    ] = "auto"
    block: Annotated[
        Positive | Literal["auto"], Field(description="mean number of images of a block; a task compares two blocks")
    ] = "auto"


@dataclass(frozen=True, config=FORBID)
class Scheduler:
    """Where the tasks run; it never changes a result."""

    kind: Annotated[
        Literal["synchronous", "threads", "local", "address"],
        Field(description="one loop here, threads here, processes here, or a Dask scheduler that is running already"),
    ] = "local"
    address: Annotated[str | None, Field(description="for kind address: where it is, such as tcp://10.0.0.1:8786")] = (
        None
    )
    scheduler_file: Annotated[str | None, Field(description="for kind address: the file it was started with")] = None
    workers: Annotated[Positive | None, Field(description="processes or threads; null: one a core")] = None
    threads: Annotated[Positive, Field(description="for kind local: tasks at a time in one process")] = 1
    memory_limit: Annotated[
        str | int,
        AfterValidator(_memory),
        Field(description="for kind local: memory of one worker, such as 4GiB; auto: an equal share"),
    ] = "auto"
    host: Annotated[str, Field(description="where this run's own scheduler and workers listen")] = "127.0.0.1"
    cluster: Annotated[
        Mapping[str, Any], Field(description="further keyword arguments of Dask's cluster class, passed through")
    ] = dataclasses.field(default_factory=dict)


CORE: dict[str, type] = {"inputs": Inputs, "partition": Partition, "scheduler": Scheduler}
TOP = {
    "run": "name of the run: its artifacts lie in <output>/<run>/; the config's file name unless given",
    "output": "folder that holds the runs",
}


@dataclasses.dataclass(frozen=True)
class Config:
    """A config as resolved: absolute paths, defaults filled in, every value validated."""

    run: str
    output: Path
    inputs: Inputs
    partition: Partition
    scheduler: Scheduler
    params: Mapping[str, Any]

    @property
    def folder(self) -> Path:
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
        """The config as plain data that JSON and YAML can hold."""
        top: dict[str, Any] = {"run": self.run, "output": str(self.output)}
        return top | {name: _plain(dataclasses.asdict(values)) for name, values in self.sections()}


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
    problems = [unknown_key(source, (key,), {**TOP, **kinds}) for key in source.data if key not in {**TOP, **kinds}]
    values = {}
    for name, kind in kinds.items():
        values[name], wrong = validate(kind, name, source, kinds)
        problems += wrong
    run, output = source.data.get("run"), source.data.get("output", "outputs")
    problems += _check_names(run, output, source)
    if not problems:
        problems += _check_together(values["inputs"], values["scheduler"], source)
    if problems:
        raise ConfigError("\n".join(problems))
    core = {name: values.pop(name) for name in CORE}
    config = Config(str(run), Path(_absolute(str(output))), **core, params=values)
    problems += _written_into_inputs(config, source)
    if problems:
        raise ConfigError("\n".join(problems))
    return config


def _check_names(run: Any, output: Any, source: Source) -> Iterator[str]:
    place = source.place(("run",))
    if run is not None and not isinstance(run, str):
        yield f"{place}: run: expected a name, got {run!r}; put it in quotes"
    elif not run or run[0] == "." or "/" in run or not run.isprintable():
        yield f"{place}: run: expected a name that can be a folder's (no slash, no dot in front), got {run!r}"
    elif len(run.encode()) > NAME_BYTES:
        yield f"{place}: run: expected a name of at most {NAME_BYTES} bytes, got {len(run.encode())}"
    if not isinstance(output, str) or not output or "://" in output or "\0" in output:
        yield f"{source.place(('output',))}: output: expected a folder of this machine, got {output!r}"


def _check_together(inputs: Inputs, scheduler: Scheduler, source: Source) -> Iterator[str]:
    if not inputs.a:
        place = source.place(("inputs", "a"))
        yield f"{place}: inputs.a: expected folders or image files, got none; for example --set inputs.a=[~/Photos]"
    given = [key for key in ("address", "scheduler_file") if getattr(scheduler, key)]
    if scheduler.kind == "address" and len(given) != 1:
        place = source.place(("scheduler", *given[:1]))
        yield (
            f"{place}: scheduler.address: kind address expects one of scheduler.address and scheduler.scheduler_file, "
            f"got {'both' if given else 'neither'}; for example --set scheduler.address=tcp://127.0.0.1:8786"
        )


def _written_into_inputs(config: Config, source: Source) -> Iterator[str]:
    """Complaints of a run's folder and an input that lie one inside the other, links resolved."""
    folder = Path(os.path.realpath(config.folder))
    for name, roots in (("a", config.inputs.a), ("b", config.inputs.b)):
        for root in roots:
            real = Path(os.path.realpath(root))
            if folder.is_relative_to(real) or real.is_relative_to(folder):
                yield (
                    f"{source.place(('output',))}: output: {config.folder} and inputs.{name} ({root}) lie one inside "
                    "the other, and nothing is ever written into an input; choose another folder: --set output=FOLDER"
                )


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value
