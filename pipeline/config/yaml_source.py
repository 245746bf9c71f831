"""Read YAML as the data of a config, with the line of each key."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from pipeline.config.rewrite import as_argument, readable
from pipeline.config.source import ConfigSource, KeyPath
from pipeline.messages.errors import ConfigError

REPEATED = 10_000
"""Greatest number of keys and values that aliases may repeat: ten lines of nested aliases can expand to billions."""
TEXT, MERGE = "tag:yaml.org,2002:str", "tag:yaml.org,2002:merge"


class _Loader(yaml.SafeLoader):
    """Safe loader that reads 1e3 as a number, unlike YAML 1.1, and a date as text."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?[0-9]+(?:\.[0-9]*)?[eE][-+]?[0-9]+$"), list("-+0123456789")
)


def override(source: ConfigSource, text: str) -> None:
    """Set one key of a config from the text after `--set`. Raises ConfigError."""
    name, equals, value = text.partition("=")
    keys = tuple(name.strip().split("."))
    place = f"--set {' '.join(text.splitlines())}"
    if not equals:
        raise ConfigError(f"{place}: expected KEY=VALUE, such as --set pairs.threshold=100, or KEY=null")
    if not all(keys):
        raise ConfigError(f"{place}: expected a key before =, such as pairs.threshold, got {name.strip()!r}")
    if not value.strip():
        raise ConfigError(f"{place}: expected a value after =, or null for no value: --set {name.strip()}=null")
    inner = ConfigSource()
    try:
        parsed = _parse(value, keys, lambda mark: place, inner)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ConfigError(f"{place}: {name.strip()}: {_unreadable(name.strip(), value, error)}") from error
    source.put(keys, parsed, place)
    source.places |= inner.places
    source.overrides[keys] = value.strip()


def _unreadable(name: str, value: str, error: Exception) -> str:
    """Return an error message for a value, with an argument that YAML can read."""
    if isinstance(error, yaml.MarkedYAMLError):
        problem = error.problem or error.context or ""
        problem = problem.replace("but found", "got").replace("'<stream end>'", "the end of the argument")
    elif isinstance(error, RecursionError):
        problem = "too many brackets inside each other"
    else:
        problem = " ".join(str(error).split())
    better = next((text for text in readable(value) if _is_yaml(text)), "null")
    return f"expected a YAML value, got {value.strip()!r}: {problem}. Write {as_argument(name, better)}"


def _is_yaml(text: str) -> bool:
    try:
        parse(text)
    except (yaml.YAMLError, ValueError, RecursionError, ConfigError):
        return False
    return True


def parse(text: str) -> Any:
    """Return the data in `text`, {} if empty.

    Raises YAMLError, ValueError, RecursionError."""
    return _parse(text, (), lambda mark: "", ConfigSource())


def read_yaml(path: Path) -> ConfigSource:
    """Read a YAML file whose top level is a mapping.

    Raises ConfigError, which names the file, the line and the expected content."""
    try:
        text = path.read_bytes().decode()
    except FileNotFoundError as error:
        expected = "expected a YAML config, which `fast-diff init FILE` writes, or a run's folder"
        raise ConfigError(f"{path}: no such file; {expected}") from error
    except IsADirectoryError as error:
        raise ConfigError(f"{path}: is a folder; expected a YAML config, which `fast-diff init FILE` writes") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: is not UTF-8 text; expected a YAML config") from error
    except OSError as error:
        raise ConfigError(f"{path}: can't be read ({error.strerror})") from error
    source = ConfigSource(places={(): str(path)})
    try:
        data = _parse(text, (), lambda mark: f"{path}:{mark.line + 1}", source)
    except yaml.MarkedYAMLError as error:
        line = f":{error.problem_mark.line + 1}" if error.problem_mark else ""
        raise ConfigError(f"{path}{line}: is not YAML: {error.problem or error.context}") from error
    except (yaml.YAMLError, ValueError) as error:
        raise ConfigError(f"{path}: is not YAML: {' '.join(str(error).split())}") from error
    except RecursionError as error:
        raise ConfigError(f"{path}: is not YAML that can be read: too many brackets inside each other") from error
    if not isinstance(data, dict):
        kind = "a list" if isinstance(data, list) else "a text" if isinstance(data, str) else "a single value"
        raise ConfigError(f"{path}:1: expected keys and values, such as `run: holiday`, got {kind}")
    source.data = data
    return source


def _parse(text: str, keys: KeyPath, place: Callable[[yaml.Mark], str], source: ConfigSource) -> Any:
    """Return the data in `text`, {} if empty; record the places of keys in `source`.

    The path of each recorded key begins with `keys`."""
    loader = _Loader(text)
    node = loader.get_single_node()
    if node is None:
        return {}
    _Recorder(place, source).add(node, keys)
    return loader.construct_document(node)


@dataclass
class _Recorder:
    """Recorder of the place of every key in `source`.

    `place` turns a mark of the parser into text such as `local.yaml:12`."""

    place: Callable[[yaml.Mark], str]
    source: ConfigSource
    seen: set[yaml.Node] = field(default_factory=set)
    repeated: int = 0

    def add(self, node: yaml.Node, keys: KeyPath, around: tuple[yaml.Node, ...] = ()) -> None:
        """Record the places of all keys in a node; `keys` is the path of the node.

        Raises ConfigError for a repeated key, a key that is not text, an alias inside its own anchor, and too many
        aliases."""
        self._count(node, around)
        around = (*around, node)
        if isinstance(node, yaml.MappingNode):
            lines: dict[str, int] = {}
            for key, value in node.value:
                where = self.place(key.start_mark)
                if key.tag not in (TEXT, MERGE):
                    got = key.value if isinstance(key, yaml.ScalarNode) else "a list or a mapping"
                    raise ConfigError(f"{where}: expected a key that is text, got {got}; put it in quotes")
                if key.value in lines:
                    name = ".".join(map(str, (*keys, key.value)))
                    raise ConfigError(f"{where}: {name} is given here and in line {lines[key.value]}; keep one of them")
                lines[key.value] = key.start_mark.line + 1
                self.source.places[(*keys, key.value)] = where
                self.add(value, (*keys, key.value), around)
        elif isinstance(node, yaml.SequenceNode):
            for number, value in enumerate(node.value):
                self.source.places[(*keys, number)] = self.place(value.start_mark)
                self.add(value, (*keys, number), around)

    def _count(self, node: yaml.Node, around: tuple[yaml.Node, ...]) -> None:
        if node not in self.seen:
            self.seen.add(node)
            return
        if node in around:
            raise ConfigError(
                f"{self.place(node.start_mark)}: expected an alias outside its own anchor; write the value out"
            )
        self.repeated += 1
        if self.repeated > REPEATED:
            raise ConfigError(
                f"{self.place(node.start_mark)}: expected aliases that repeat at most {REPEATED:,} keys and values, "
                "got more; write the values out"
            )
