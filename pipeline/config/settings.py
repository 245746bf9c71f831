"""Resolve a config: YAML in, validated settings out.

Stages declare their own sections (`Stage.params`, `Source.sections`); this module adds the keys of every run. An error
names the file and line, the key's path, the expected and the given value, and the nearest valid key.
"""

from __future__ import annotations

import copy
import dataclasses
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias

from pipeline.cluster.checks import section_problems
from pipeline.cluster.deployment import UNION
from pipeline.cluster.keys import Scheduler
from pipeline.config.lists import accept_single_values
from pipeline.config.overlap import overlaps
from pipeline.config.source import ConfigSource
from pipeline.config.unions import drop_keys_of_other_kinds
from pipeline.config.validate import dotted, text_expected, unknown_key, validate
from pipeline.messages.errors import ConfigError
from pipeline.stage import Section, Stage
from pipeline.store.backends import locations
from pipeline.store.backends.locations import Place, StorageOptions
from pipeline.store.backends.urls import Urls

SECRET = re.compile("pass|secret|token|key|credential|^env|prologue|directives|extra_args|command", re.IGNORECASE)
"""Names of arguments whose values are secret."""
NAME_BYTES = 200
"""Greatest length of a run's name in bytes: file systems allow 255, and names get suffixes."""


CORE: dict[str, Any] = {"scheduler": UNION}
"""Sections of every config; stages add the others."""
TOP = {
    "run": "name of the run, whose artifacts lie in <output>/<run>/; by default the name of the config file",
    "output": "folder that holds the runs, or its URL on an object store, such as s3://bucket/folder",
    "storage": "for URLs: fsspec's keyword arguments by protocol, such as {s3: {endpoint_url: ...}}; values are masked",
}
"""Keys outside the sections, with descriptions."""


@dataclasses.dataclass(frozen=True)
class Config:
    """A resolved config: absolute paths, defaults filled in, every value validated."""

    run: str
    output: Place
    scheduler: Scheduler
    params: Mapping[str, Any]
    """Values of the sections that stages add, by section."""
    storage: StorageOptions = dataclasses.field(default_factory=dict, repr=False)
    root_keys: Sequence[str] = ()
    """Dotted keys of the inputs, which the run never writes to."""

    @property
    def folder(self) -> Place:
        """Return the run's folder."""
        return self.output / self.run

    @property
    def roots(self) -> dict[str, Sequence[str]]:
        """Return the folders, files and URLs that the run reads, by dotted key."""
        return {key: self.settings(key) for key in self.root_keys}

    def settings(self, key: str) -> Any:
        """Return a value by its dotted key, such as `scheduler.kind`. Raises KeyError."""
        return self._by_key[key]

    @cached_property
    def _by_key(self) -> dict[str, Any]:
        by_key: dict[str, Any] = {"run": self.run, "output": str(self.output)}
        for section, values in self.sections():
            by_key |= {f"{section}.{f.name}": getattr(values, f.name) for f in dataclasses.fields(values)}
        return by_key

    def sections(self) -> Iterator[tuple[str, Any]]:
        """Yield name and values of every section, in the order of display."""
        yield from ((name, params) for name, params in self.params.items() if dataclasses.fields(params))
        yield "scheduler", self.scheduler

    def as_dict(self) -> dict[str, Any]:
        """Return the config as data for JSON and YAML, with secrets masked.

        The values of `storage`, of `dask_config`, and of cluster arguments with secret-like names are masked."""
        top: dict[str, Any] = {"run": self.run, "output": str(self.output), "storage": locations.masked(self.storage)}
        data = top | {name: plain(dataclasses.asdict(values)) for name, values in self.sections()}
        for name in data["scheduler"].keys() & {"dask_config", "cluster"}:
            data["scheduler"][name] = _masked(data["scheduler"][name], everything=name == "dask_config")
        return data


Given: TypeAlias = tuple[str, Any, str]
"""A dotted key, its value as plain data, and the origin of the value for error messages."""


def load(
    path: str | Path, stages: Sequence[Stage[Any]], overrides: Sequence[str] = (), given: Sequence[Given] = ()
) -> Config:
    """Read a YAML config; `overrides` are strings such as "pairs.threshold=100".

    A run without a name is named after the file: `holiday.yaml` makes the run `holiday`. Values of `given` replace the
    values of the file and are plain data, not YAML. Raises ConfigError, with a line for each problem."""
    from pipeline.config.yaml_source import read_yaml

    source = read_yaml(Path(path))
    source.data.setdefault("run", Path(path).stem)
    return _resolve(source, stages, overrides, given)


def from_mapping(
    data: Mapping[str, Any],
    stages: Sequence[Stage[Any]],
    overrides: Sequence[str] = (),
    given: Sequence[Given] = (),
    place: str = "config",
) -> Config:
    """Read a config from a mapping that has the key `run`.

    Raises ConfigError, with a line for each problem; each line names `place` as the origin."""
    return _resolve(ConfigSource(copy.deepcopy(dict(data)), {(): place}), stages, overrides, given)


def sections_of(stages: Sequence[Stage[Any]]) -> dict[str, Section]:
    """Return the sections that stages add, by name; those of `Source.sections` first."""
    sections: dict[str, Section] = {}
    for stage in stages:
        sections |= stage.source.sections if stage.source else {}
    return sections | {stage.name: Section(stage.params) for stage in stages}


def kinds_of(stages: Sequence[Stage[Any]]) -> dict[str, Any]:
    """Return the type of every section by name: a dataclass or a union."""
    return {name: section.kind for name, section in sections_of(stages).items()} | CORE


def _resolve(
    source: ConfigSource, stages: Sequence[Stage[Any]], overrides: Sequence[str], given: Sequence[Given]
) -> Config:
    for key, value, place in given:
        source.put(tuple(key.split(".")), value, place)
    for text in overrides:
        from pipeline.config.yaml_source import override

        override(source, text)
    sections, kinds = sections_of(stages), kinds_of(stages)
    drop_keys_of_other_kinds(source, kinds)
    accept_single_values(source, kinds)
    for name, section in sections.items():
        if isinstance(source.data.get(name), dict):
            section.prepare(source.data[name])
    problems = [unknown_key(source, (key,), {**TOP, **kinds}) for key in source.data if key not in {**TOP, **kinds}]
    values = {}
    for name, kind in kinds.items():
        values[name], wrong = validate(kind, name, source, kinds)
        problems += wrong
    run, output = source.data.get("run"), source.data.get("output", "outputs")
    problems += _check_names(run, output, source)
    _refuse(problems)
    scheduler = values.pop("scheduler")
    for name, section in sections.items():
        problems += _problem_lines(source, name, section.check(values[name]))
    problems += _problem_lines(
        source, "scheduler", ((key.split("."), text) for key, text in section_problems(scheduler))
    )
    urls = Urls(source)
    for stage in stages:
        for name in stage.source.sections if stage.source else ():
            values[name] = urls.section(name, values[name])
    output = urls.output(locations.absolute(output), scheduler.kind)
    _refuse(problems + urls.problems)
    roots = [f"{name}.{key}" for name, section in sections.items() for key in section.roots]
    config = Config(str(run), locations.place(output), scheduler, values, urls.options, roots)
    _refuse([*overlaps(str(config.folder), config.roots, source)])
    return config


def _problem_lines(
    source: ConfigSource, section: str, found: Iterable[tuple[Sequence[str | int], str]]
) -> Iterator[str]:
    """Yield a line for each pair (key below the section, problem)."""
    for keys, problem in found:
        yield f"{source.place((section, *keys))}: {dotted((section, *keys))}: {problem}"


def _refuse(problems: Sequence[str]) -> None:
    if problems:
        raise ConfigError(*map(locations.mask, problems))


def _check_names(run: Any, output: Any, source: ConfigSource) -> Iterator[str]:
    place = source.place(("run",))
    if run is not None and not isinstance(run, str):
        yield text_expected("run", "a name", source)
    elif not run or run[0] == "." or "/" in run or not run.isprintable():
        yield f"{place}: run: expected a name that a folder can have (no slash, no dot in front), got {run!r}"
    elif len(run.encode()) > NAME_BYTES:
        yield f"{place}: run: expected a name of at most {NAME_BYTES} bytes, got {len(run.encode())}"
    place = source.place(("output",))
    if not isinstance(output, str):
        yield text_expected("output", "a folder, or the URL of one", source)
    elif not output or "\0" in output:
        yield f"{place}: output: expected a folder, or the URL of one, got {output!r}"
    else:
        try:
            locations.canonical(output)
        except ValueError as error:
            yield f"{place}: output: {error}"


def plain(value: Any) -> Any:
    """Return a value as JSON data, with lists in place of tuples."""
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list | tuple) else value


def _masked(value: Any, everything: bool) -> Any:
    """Return a value with masked secrets: under secret-like names, or everywhere."""
    if isinstance(value, Mapping):
        return {key: _masked(item, everything or bool(SECRET.search(str(key)))) for key, item in value.items()}
    if isinstance(value, list):
        return [_masked(item, everything) for item in value]
    return locations.MASK if everything and value is not None else value
