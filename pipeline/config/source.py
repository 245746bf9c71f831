"""Hold the data of a config with the origin of each key: line or argument."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

KeyPath = tuple[str | int, ...]


@dataclass
class ConfigSource:
    """Data of a config, with the origin of each key.

    `places` maps the path of a key to text such as `local.yaml:12`. `overrides` maps the path of a key that `--set` has
    set to the text of the value on the command line."""

    data: dict[str, Any] = field(default_factory=dict)
    places: dict[KeyPath, str] = field(default_factory=dict)
    overrides: dict[KeyPath, str] = field(default_factory=dict)

    def place(self, keys: KeyPath) -> str:
        """Return where a key, or else the nearest section around the key, was given."""
        for length in range(len(keys), 0, -1):
            if keys[:length] in self.places:
                return self.places[keys[:length]]
        return self.places.get((), "config")

    def put(self, keys: tuple[str, ...], value: Any, place: str) -> None:
        """Set or replace a value by its key's path; `place` is the value's origin."""
        section = self.data
        for length, key in enumerate(keys[:-1], 1):
            self.places.setdefault(keys[:length], place)
            if not isinstance(section.get(key), dict):
                section[key] = {}
                self.places[keys[:length]] = place
            section = section[key]
        section[keys[-1]] = value
        self.places = {at: where for at, where in self.places.items() if at[: len(keys)] != keys} | {keys: place}
        self.overrides = {at: given for at, given in self.overrides.items() if at[: len(keys)] != keys}
