"""YAML as data that remembers where each key stood."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from pipeline.errors import ConfigError

Keys = tuple[str | int, ...]
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
        section = self.data
        for length, key in enumerate(keys[:-1], 1):
            self.places.setdefault(keys[:length], place)
            if not isinstance(section.get(key), dict):
                section[key] = {}
                self.places[keys[:length]] = place
            section = section[key]
        section[keys[-1]] = parsed
        self.places = {at: where for at, where in self.places.items() if at[: len(keys)] != keys}
        self.places |= {**inner.places, keys: place}


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
        raise ConfigError(f"{path}:1: expected keys and values, such as `inputs: {{a: [~/Pictures]}}`, got {kind}")
    source.data = data
    return source


def _parse(text: str, keys: Keys, place: Callable[[yaml.Mark], str], source: Source) -> Any:
    """The data in `text`, {} where there is none; the places of its keys, which stand below `keys`, go to `source`."""
    loader = _Loader(text)
    node = loader.get_single_node()
    if node is None:
        return {}
    _note(node, keys, place, source, ())
    return loader.construct_document(node)


def _note(
    node: yaml.Node, keys: Keys, place: Callable[[yaml.Mark], str], source: Source, around: tuple[yaml.Node, ...]
) -> None:
    """Remember where every key stands; refuse one that stands twice, one that is no text, and an anchor in itself."""
    if node in around:
        raise ConfigError(f"{place(node.start_mark)}: the anchor around this line holds itself")
    around = (*around, node)
    if isinstance(node, yaml.MappingNode):
        seen: dict[str, str] = {}
        for key, value in node.value:
            where = place(key.start_mark)
            if key.tag not in (TEXT, MERGE):
                raise ConfigError(f"{where}: expected a key that is text, got {_shown(key)}; put it in quotes")
            if key.value in seen:
                name = ".".join(map(str, (*keys, key.value)))
                raise ConfigError(f"{where}: {name} stands here and in {seen[key.value]}; keep one of them")
            seen[key.value] = f"line {key.start_mark.line + 1}"
            source.places[(*keys, key.value)] = where
            _note(value, (*keys, key.value), place, source, around)
    elif isinstance(node, yaml.SequenceNode):
        for number, value in enumerate(node.value):
            source.places[(*keys, number)] = place(value.start_mark)
            _note(value, (*keys, number), place, source, around)


def _shown(key: yaml.Node) -> str:
    return str(key.value) if isinstance(key, yaml.ScalarNode) else "a list or a mapping"
