"""Make a config from the arguments of `fast-diff run`."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.cli.targets import CONFIGS, RECORD, WORK, read_record
from pipeline.config.settings import NAME_BYTES, Config, Given, from_mapping, load
from pipeline.messages.errors import ConfigError, one_line
from pipeline.messages.say import say_on_stderr
from pipeline.plan import discovery
from pipeline.store.backends.locations import mask, protocol_of
from pipeline.store.backends.storage import exists
from stages.listing.path_text import show
from stages.listing.patterns import expanded, has_pattern

if TYPE_CHECKING:
    from pipeline.stage import Stage
    from pipeline.store.backends.locations import Place

SUFFIX_BYTES = 20
"""Bytes of a run's name that are reserved for a number after the folder's name."""


def run_config(
    places: Sequence[str], sets: Sequence[str], threshold: float | None, keep: Sequence[str], output: str | None
) -> tuple[Config, list[Stage[Any]]]:
    """Return the config of a run, and the stages. Raises ConfigError."""
    stages = discovery.discover()
    file, inputs = _split(places)
    given: list[Given] = []
    if inputs:
        given.append(("inputs.a", [_input(name) for name in inputs], "command line"))
    if threshold is not None:
        given.append(("pairs.threshold", threshold, "--threshold"))
    if keep:
        rules = [rule for text in keep for rule in text.split(",")]
        given.append(("cluster.keep", rules, "--keep"))
    if output is not None:
        given.append(("output", str(output), "--output"))
    if file is not None:
        return load(file, stages, sets, given), stages
    named = from_mapping({"run": name_of(inputs[0])}, stages, sets, given, place="command line")
    if any(text.partition("=")[0].strip() == "run" for text in sets):
        return named, stages
    return _unshared(named), stages


def _split(places: Sequence[str]) -> tuple[str | None, list[str]]:
    """Return the config among the arguments, if any, and the inputs."""
    files = [name for name in places if _is_config(name)]
    if len(files) > 1:
        raise ConfigError(f"run: expected one config, got {one_line(', '.join(files))}; run them one after the other")
    return (files[0] if files else None), [name for name in places if name not in files]


def _is_config(name: str) -> bool:
    """Return whether an argument names a config.

    A config is a YAML file, or a text, pipe or device without a suffix."""
    path = Path(name)
    if protocol_of(name) is not None or path.is_dir():
        return False
    return path.suffix in CONFIGS or (not path.suffix and path.exists() and (not path.is_file() or _is_text(path)))


def _is_text(path: Path) -> bool:
    """Return whether a file begins as text does.

    An image without an ending holds bytes that are no text."""
    with contextlib.suppress(OSError), path.open("rb") as file:
        head = file.read(512)
        return bool(head) and not any(byte < 32 and byte not in b"\t\n\r" for byte in head)
    return False


def _input(name: str) -> str:
    """Return an input in the form of the config.

    Raises ConfigError where no such input exists."""
    if protocol_of(name) is not None:
        return name
    if show(os.fsencode(name)) != name:
        shown = one_line(show(os.fsencode(name)))
        raise ConfigError(f"{shown}: a name that is not UTF-8 can't be an argument; name the file's folder instead")
    if not os.path.lexists(name) and name.startswith("~"):
        return name  # the shell expands no ~ in quotes
    if not os.path.exists(name):  # noqa: PTH110  # False for a name that is too long
        if expanded(name) != [name]:
            return os.path.abspath(name)  # noqa: PTH100  # a pattern in quotes
        raise ConfigError(
            f"{one_line(name) or repr(name)}: not found: expected a folder, an image, a URL or a YAML config"
        )
    return os.path.abspath(name)  # noqa: PTH100  # links stay


def name_of(name: str) -> str:
    """Return the name of a run over a folder: the folder's name in a valid form."""
    url = protocol_of(name) is not None
    text = name.partition("?")[0].rpartition("://")[2].rpartition("@")[2] if url else os.path.abspath(name)  # noqa: PTH100
    if not url and os.path.lexists(text):
        parts = [text.rpartition("/")[2]]
    else:  # a pattern is named after the folder around it
        parts = [part for part in reversed(text.rstrip("/").split("/")) if not has_pattern(part)]
    last = next(iter(parts), "")
    safe = "".join(letter if letter.isprintable() else "_" for letter in last).lstrip(".").removesuffix(WORK)
    return safe.encode()[: NAME_BYTES - SUFFIX_BYTES].decode(errors="ignore") or "images"


def _unshared(config: Config) -> Config:
    """Return the config under a name that no run of another folder has.

    The name is NAME, NAME-2, ...

    A run belongs to its first input: the same first input with further folders continues the run."""
    number, name, folder = 1, config.run, config.settings("inputs.a")[0]
    while (other := _first_input(config.folder)) is not None and other != folder:
        number += 1
        config = dataclasses.replace(config, run=f"{name}-{number}")
    if number > 1:
        first = config.folder.with_name(name)
        say_on_stderr(mask(f"{first} is a run over another folder; the results of this run are in {config.folder}"))
    return config


def _first_input(folder: Place) -> str | None:
    """Return the first input of the run in a folder.

    Returns None without a run, or where run.json is damaged."""
    try:
        return str(read_record(folder)["config"]["inputs"]["a"][0]) if exists(folder / RECORD) else None
    except (ConfigError, OSError, LookupError, TypeError):
        return None
