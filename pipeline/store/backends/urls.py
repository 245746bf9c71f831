"""Check the URLs of a config; move credentials in URLs into options for fsspec."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, TypeVar

from pipeline.config.source import ConfigSource, KeyPath
from pipeline.messages.errors import ConfigError
from pipeline.store.backends import locations

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

T = TypeVar("T", bound="DataclassInstance")


class Urls:
    """The URLs of one config.

    options   the section `storage`, with the credentials from URLs
    problems  messages for the user, without secrets"""

    def __init__(self, source: ConfigSource) -> None:
        self.problems: list[str] = []
        self._source = source
        self.options = self._section(source.data.get("storage"))

    def _add_problem(self, keys: KeyPath, text: str) -> None:
        named = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in keys)
        self.problems.append(f"{self._source.place(keys)}: {named[1:]}: {text}")

    def _section(self, data: Any) -> dict[str, dict[str, Any]]:
        options: dict[str, dict[str, Any]] = {}
        if data is not None and not isinstance(data, dict):
            self._add_problem(("storage",), "expected protocols and their settings, such as {s3: {endpoint_url: ...}}")
            return options
        for protocol, values in (data or {}).items():
            keys = ("storage", str(protocol))
            if not isinstance(values, dict) or not all(isinstance(name, str) for name in values):
                self._add_problem(keys, "expected fsspec's keyword arguments, such as {endpoint_url: ...}")
            elif masked := [name for name, value in values.items() if value == locations.MASK]:
                self._add_problem((*keys, masked[0]), "expected a value, got the mask *** of a secret value")
            elif self._installed(keys, str(protocol)):
                options[str(protocol)] = dict(values)
        return options

    def section(self, name: str, values: T) -> T:
        """Return a section's values without the credentials of URLs in its lists."""
        lists = {
            field.name: tuple(
                self._root((name, field.name, number), item) if isinstance(item, str) else item
                for number, item in enumerate(value)
            )
            for field in dataclasses.fields(values)
            if isinstance(value := getattr(values, field.name), tuple)
        }
        return dataclasses.replace(values, **lists)

    def _root(self, keys: KeyPath, root: str) -> str:
        protocol = locations.protocol_of(root)
        if protocol is None:
            return root
        if protocol == locations.MEMORY:
            self._add_problem(
                keys, "expected a folder or a URL such as s3://, got memory://, which other processes can't read"
            )
            return root
        return self._opened(keys, protocol, root)

    def output(self, output: str, kind: str) -> str:
        """Return the output without credentials, checked; `kind` is `scheduler.kind`."""
        protocol, keys = locations.protocol_of(output), ("output",)
        if protocol is None:
            return output
        if protocol == locations.MEMORY and kind not in ("synchronous", "threads"):
            self._add_problem(keys, f"expected scheduler.kind threads for memory:// of one process, got {kind}")
        elif protocol not in locations.OBJECT_STORES:
            problem = f"expected a folder, or the URL of an object store such as s3, gs or az, got {output!r}"
            self._add_problem(keys, f"{problem}; other places may show unfinished files")
            return output
        return self._opened(keys, protocol, output)

    def _opened(self, keys: KeyPath, protocol: str, url: str) -> str:
        if self._installed(keys, protocol):
            try:
                return locations.without_credentials(url, self.options)
            except ValueError as error:
                self._add_problem(keys, str(error))
        return url

    def _installed(self, keys: KeyPath, protocol: str) -> bool:
        try:
            locations.check_installed(protocol)
        except ConfigError as error:
            self._add_problem(keys, str(error))
            return False
        return True
