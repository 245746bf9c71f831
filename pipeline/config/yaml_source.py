"""YAML as data that remembers where each key stood."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from pipeline.messages.errors import ConfigError

Keys = tuple[str | int, ...]
REPEATED = 10_000
"""Keys and values that aliases may repeat: ten lines of aliases of aliases can stand for billions."""
TEXT, MERGE = "tag:yaml.org,2002:str", "tag:yaml.org,2002:merge"


class _Loader(yaml.SafeLoader):
    """The safe loader, with numbers like 1e3, which YAML 1.1 takes for text, and dates as the text that they are."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?[0-9]+(?:\.[0-9]*)?[eE][-+]?[0-9]+$"), list("-+0123456789")
)


@dataclass
class Source:
    """Data, and for each key's path the words that say where it came from, such as `local.yaml:12`."""

    data: dict[str, Any] = field(default_factory=dict)
    places: dict[Keys, str] = field(default_factory=dict)

    def place(self, keys: Keys) -> str:
        """Where a key stands, or the nearest section around it that stands somewhere."""
        for length in range(len(keys), 0, -1):
            if keys[:length] in self.places:
                return self.places[keys[:length]]
        return self.places.get((), "config")

    def override(self, text: str) -> None:
        """Take in one `key.path=value` of the command line. Raises ConfigError."""
        name, equals, value = text.partition("=")
        keys = tuple(name.strip().split("."))
        place = f"--set {' '.join(text.splitlines())}"
        if not equals or not all(keys) or not value.strip():
            raise ConfigError(f"{place}: expected KEY=VALUE, such as --set pairs.threshold=100, or KEY=null")
        inner = Source()
        try:
            parsed = _parse(value, keys, lambda mark: place, inner)
        except (yaml.YAMLError, ValueError, RecursionError) as error:
            raise ConfigError(f"{place}: the value is not YAML; quote it, or write a list as [x, y]") from error
        self.put(keys, parsed, place)
        self.places |= inner.places

    def put(self, keys: tuple[str, ...], value: Any, place: str) -> None:
        """Set a value by its key's path, whatever stood there; `place` says where the value comes from."""
        section = self.data
        for length, key in enumerate(keys[:-1], 1):
            self.places.setdefault(keys[:length], place)
            if not isinstance(section.get(key), dict):
                section[key] = {}
                self.places[keys[:length]] = place
            section = section[key]
        section[keys[-1]] = value
        self.places = {at: where for at, where in self.places.items() if at[: len(keys)] != keys} | {keys: place}


def read_yaml(path: Path) -> Source:
    """A YAML file whose top level is a mapping. Raises ConfigError with the file, the line and what was expected."""
    try:
        text = path.read_bytes().decode()
    except FileNotFoundError as error:
        raise ConfigError(f"{path}: no such file; expected a YAML config (see configs/local.yaml)") from error
    except IsADirectoryError as error:
        raise ConfigError(f"{path}: is a folder; expected a YAML config (see configs/local.yaml)") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: is not UTF-8 text; expected a YAML config") from error
    except OSError as error:
        raise ConfigError(f"{path}: can't be read ({error.strerror})") from error
    source = Source(places={(): str(path)})
    try:
        data = _parse(text, (), lambda mark: f"{path}:{mark.line + 1}", source)
    except yaml.MarkedYAMLError as error:
        line = f":{error.problem_mark.line + 1}" if error.problem_mark else ""
        raise ConfigError(f"{path}{line}: is not YAML: {error.problem or error.context}") from error
    except (yaml.YAMLError, ValueError) as error:
        raise ConfigError(f"{path}: is not YAML: {' '.join(str(error).split())}") from error
    except RecursionError as error:
        raise ConfigError(f"{path}: is not YAML that can be read: too many brackets one inside the other") from error
    if not isinstance(data, dict):
        kind = "a list" if isinstance(data, list) else "a text" if isinstance(data, str) else "a single value"
        raise ConfigError(f"{path}:1: expected keys and values, such as `run: holiday`, got {kind}")
    source.data = data
    return source


def _parse(text: str, keys: Keys, place: Callable[[yaml.Mark], str], source: Source) -> Any:
    """The data in `text`, {} where there is none; the places of its keys, which stand below `keys`, go to `source`."""
    loader = _Loader(text)
    node = loader.get_single_node()
    if node is None:
        return {}
    _Notes(place, source).add(node, keys)
    return loader.construct_document(node)


@dataclass
class _Notes:
    """Remembers in `source` where every key stands, by the words that `place` makes of a mark."""

    place: Callable[[yaml.Mark], str]
    source: Source
    seen: set[yaml.Node] = field(default_factory=set)
    repeated: int = 0

    def add(self, node: yaml.Node, keys: Keys, around: tuple[yaml.Node, ...] = ()) -> None:
        """Note a node below `keys` and all in it.

        Raises ConfigError for a key that stands twice or is no text, an anchor in itself, and too many aliases."""
        self._count(node, around)
        around = (*around, node)
        if isinstance(node, yaml.MappingNode):
            lines: dict[str, int] = {}
            for key, value in node.value:
                where = self.place(key.start_mark)
                if key.tag not in (TEXT, MERGE):
                    raise ConfigError(f"{where}: expected a key that is text, got {_shown(key)}; put it in quotes")
                if key.value in lines:
                    name = ".".join(map(str, (*keys, key.value)))
                    raise ConfigError(f"{where}: {name} stands here and in line {lines[key.value]}; keep one of them")
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
            raise ConfigError(f"{self.place(node.start_mark)}: the anchor around this line holds itself")
        self.repeated += 1
        if self.repeated > REPEATED:
            raise ConfigError(
                f"{self.place(node.start_mark)}: expected aliases that repeat at most {REPEATED:,} keys and values, "
                "got more; write out what is meant"
            )


def _shown(key: yaml.Node) -> str:
    return str(key.value) if isinstance(key, yaml.ScalarNode) else "a list or a mapping"
