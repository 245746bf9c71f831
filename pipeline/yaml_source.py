"""YAML as data that remembers where each key stood."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from pipeline.errors import ConfigError

Keys = tuple[str | int, ...]


class _Loader(yaml.SafeLoader):
    """The safe loader, with numbers like 1e3, which YAML 1.1 takes for text."""


_Loader.yaml_implicit_resolvers = {k: list(v) for k, v in yaml.SafeLoader.yaml_implicit_resolvers.items()}
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
        if not equals or not all(keys):
            raise ConfigError(f"--set {text}: expected KEY=VALUE, such as --set pairs.threshold=100")
        try:
            parsed = yaml.load(value, _Loader)  # a subclass of the safe loader
        except yaml.YAMLError as error:
            raise ConfigError(f"--set {text}: the value is not YAML; quote it, or write a list as [x, y]") from error
        section = self.data
        for key in keys[:-1]:
            if not isinstance(section.get(key), dict):
                section[key] = {}
            section = section[key]
        section[keys[-1]] = parsed
        self.places[keys] = f"--set {text}"


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
        loader = _Loader(text)
        node = loader.get_single_node()
        if node is not None:
            _note(node, (), path, source)
            source.data = loader.construct_document(node)
    except yaml.MarkedYAMLError as error:
        line = f":{error.problem_mark.line + 1}" if error.problem_mark else ""
        raise ConfigError(f"{path}{line}: is not YAML: {error.problem or error.context}") from error
    except (yaml.YAMLError, ValueError) as error:
        raise ConfigError(f"{path}: is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(source.data, dict):
        kind = {list: "a list", str: "a text"}.get(type(source.data), "a single value")
        raise ConfigError(f"{path}:1: expected keys and values, such as `inputs: {{a: [~/Pictures]}}`, got {kind}")
    return source


def _note(node: yaml.Node, keys: Keys, path: Path, source: Source) -> None:
    """Remember the line of every key; refuse a key that stands twice."""
    if isinstance(node, yaml.MappingNode):
        seen: dict[str, int] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            if key.value in seen:
                where = ".".join(map(str, (*keys, key.value)))
                raise ConfigError(f"{path}:{line}: {where} stands here and in line {seen[key.value]}; keep one of them")
            seen[key.value] = line
            source.places[(*keys, key.value)] = f"{path}:{line}"
            _note(value, (*keys, key.value), path, source)
    elif isinstance(node, yaml.SequenceNode):
        for number, value in enumerate(node.value):
            source.places[(*keys, number)] = f"{path}:{value.start_mark.line + 1}"
            _note(value, (*keys, number), path, source)
