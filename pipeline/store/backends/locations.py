"""Handle local paths and URLs of fsspec, and mask secrets in texts for users.

A local place is a `pathlib.Path`, and needs no import of fsspec. A URL is a `UPath`; fsspec takes the keyword arguments
of its file systems from the environment, the user's fsspec config, and the config's section `storage`. Stored URLs hold
no user name, password or query. Messages with URLs pass through `mask`.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from pipeline.machine.installation import install_extra
from pipeline.messages.errors import ConfigError

if TYPE_CHECKING:
    from upath import UPath

Place: TypeAlias = "Path | UPath"
"""A path object: `Path` for a local path, `UPath` for a URL."""
StorageOptions: TypeAlias = Mapping[str, Mapping[str, Any]]
"""Keyword arguments of fsspec's file systems, by protocol."""

URL = re.compile(r"([A-Za-z][A-Za-z0-9+.:-]*)://(.*)", re.DOTALL)
"""URL; the protocol may contain colons, since fsspec chains protocols by `::`."""
LOCAL_PROTOCOLS = frozenset({"file", "local"})
MEMORY = "memory"
"""A protocol of fsspec for tests: files in the memory of one process."""
EXTRAS = {
    **dict.fromkeys(("s3", "s3a"), "s3"),
    **dict.fromkeys(("gs", "gcs"), "gcs"),
    **dict.fromkeys(("az", "abfs", "abfss"), "azure"),
}
"""Extra of this distribution for each protocol of object stores."""
OBJECT_STORES = frozenset({*EXTRAS, MEMORY})
"""Protocols that an output may have: on these stores an object appears whole, by one put."""
CREDENTIALS = {
    **dict.fromkeys(("s3", "s3a"), ("key", "secret")),
    **dict.fromkeys(("ftp", "sftp", "ssh", "smb"), ("username", "password")),
}
"""fsspec's names of the user name and the password before the @ of a URL."""
MASK = "***"
SHORTEST = 4
"""Least length of a secret that is masked: shorter values occur in ordinary words."""


def protocol_of(text: str) -> str | None:
    """Return the protocol of a URL in lower case; None for a local path."""
    match = URL.match(text)
    return match[1].lower() if match else None


def mask(text: str) -> str:
    """Mask secrets of URLs in a text: all before an @, all after a question mark."""
    text = re.sub(r"([A-Za-z][A-Za-z0-9+.-]*://)[^\s'\"]*@", rf"\1{MASK}@", text)
    return re.sub(r"([A-Za-z][A-Za-z0-9+.-]*://[^\s'\"?]*)\?[^\s'\"]*", rf"\1?{MASK}", text)


def mask_all(text: str) -> str:
    """Mask secrets of URLs and values of the options in use."""
    text = mask(text)
    values = {str(value) for each in _in_use.values() for value in each.values() if isinstance(value, str)}
    for value in sorted(values, key=len, reverse=True):
        text = text.replace(value, MASK) if len(value) >= SHORTEST else text
    return text


def masked(options: StorageOptions) -> dict[str, dict[str, str]]:
    """Return the options with masked values."""
    return {protocol: dict.fromkeys(values, MASK) for protocol, values in options.items()}


def canonical(text: str) -> str:
    """Return a URL with its protocol in lower case and no slash at the end.

    A `file:` URL becomes a path. Raises ValueError, with secrets masked, for an invalid URL."""
    match = URL.match(text)
    if match is None:
        return text
    protocol, rest = match[1].lower(), match[2].rstrip("/")
    if protocol in LOCAL_PROTOCOLS:
        return f"/{match[2].lstrip('/')}"
    if "::" in text or not rest or not rest.isprintable():
        raise ValueError(f"expected a URL such as s3://bucket/folder, got {mask(text)!r}")
    if "?" in rest or "#" in rest:
        raise ValueError(
            f"expected a URL without a query or a fragment, got {mask(text)!r}; keys and tokens belong into "
            f"storage.{protocol}, or into the environment"
        )
    return f"{protocol}://{rest}"


def absolute(path: str) -> str:
    """Return a path as absolute and normalised, or a URL in canonical form.

    `~` is expanded, links are not resolved. Raises ValueError."""
    path = canonical(path)
    if protocol_of(path):
        return path
    return re.sub("^//+", "/", os.path.normpath(Path.cwd() / at_home(path)))


def at_home(path: str) -> str:
    """Return a path with `~` expanded.

    As in shells, ~name stays unchanged if no user has the name."""
    return os.path.expanduser(path)  # noqa: PTH111  # Path.expanduser raises if no user has the name


def without_credentials(url: str, options: dict[str, dict[str, Any]]) -> str:
    """Return a canonical URL without credentials; add the credentials to `options`.

    Raises ValueError if URLs of the protocol may not hold credentials, or if `options` has other credentials."""
    protocol, rest = url.split("://", 1)
    authority, slash, path = rest.partition("/")
    user, at, host = authority.rpartition("@")
    if protocol in OBJECT_STORES and ":" in host:
        raise ValueError(
            f"expected a bucket after ://, got {protocol}://{MASK}; put a key with a slash into storage.{protocol}"
        )
    if not at:
        return url
    names = CREDENTIALS.get(protocol)
    if names is None:
        raise ValueError(f"expected a URL without credentials, got {mask(url)!r}; put them into storage.{protocol}")
    known = options.setdefault(protocol, {})
    for name, value in zip(names, user.split(":", 1), strict=False):
        if known.setdefault(name, value) != value:
            raise ValueError(f"expected the same {name} in every {protocol} URL, got another {name} in {mask(url)!r}")
    return f"{protocol}://{host}{slash}{path}"


def place(text: str) -> Place:
    """Return the path object of a canonical URL or an absolute path."""
    if protocol_of(text) is None:
        return Path(text)
    from upath import UPath

    return UPath(text, use_listings_cache=False)


def check_installed(protocol: str) -> None:
    """Raise ConfigError for a protocol unknown to fsspec, or with a missing package."""
    import fsspec

    try:
        fsspec.get_filesystem_class(protocol)
    except ValueError as error:
        raise ConfigError(f"{protocol}:// is not a protocol of fsspec; expected one such as s3, gs or az") from error
    except ImportError as error:
        missing = f"install {error.name}" if error.name else str(error)
        how = install_extra(EXTRAS[protocol]) if protocol in EXTRAS else missing
        raise ConfigError(f"{protocol}:// needs a package that is not installed: {how}") from error


def inside(one: str, other: str) -> bool:
    """Return whether the path or URL `one` equals `other` or lies below `other`."""
    return one == other or one.startswith(f"{other}/")


_lock = threading.Lock()
_in_use: StorageOptions = {}
_before: dict[str, Mapping[str, Any] | None] = {}


def use(options: StorageOptions) -> None:
    """Set the options of every file system that this process opens from now on."""
    global _in_use
    with _lock:
        if options == _in_use:
            return
        from fsspec.config import conf

        for protocol, values in _before.items():
            conf.pop(protocol, None)
            if values is not None:
                conf[protocol] = values
        _before.clear()
        for protocol, values in options.items():
            _before[protocol] = conf.get(protocol)
            conf[protocol] = {**conf.get(protocol, {}), **values}
        _in_use = options


def in_use() -> StorageOptions:
    """Return the options that `use` has set, for another process."""
    return _in_use
