"""Write a commented config to begin with."""

from __future__ import annotations

from pathlib import Path

import click

from pipeline.cli.command import Command
from pipeline.cli.parameters import Argument, PathName
from pipeline.messages.errors import ConfigError
from pipeline.messages.say import say


def init(file: Path, example: str) -> int:
    """Write the config, and return the exit code."""
    from pipeline.store.atomic import atomic_write
    from stages.commands.config.examples import example as text_of

    text = text_of(example)
    if file.suffix not in (".yaml", ".yml"):
        raise ConfigError(f"{file}: expected a name that ends in .yaml")
    if file.exists() or file.is_symlink():
        raise ConfigError(f"{file} exists; choose another name, or delete that file")
    if not file.absolute().parent.is_dir():
        raise ConfigError(f"{file}: its folder does not exist")
    with atomic_write(file) as written:
        written.write(text.replace(f"{example}.yaml", file.name).encode())
    say(f"config      {file}")
    say(f"next        fast-diff run {file} ~/Pictures")
    return 0


COMMAND = Command(
    "init",
    "set up",
    does="write a commented config to begin with",
    help="Write a commented config: the common keys, each with its meaning. `fast-diff config` prints every key. A "
    "file that exists is never overwritten.",
    examples={
        "fast-diff init holiday.yaml": "a config for this machine",
        "fast-diff init cluster.yaml --example slurm": "a config for a cluster",
    },
    arguments=(
        Argument("file", "FILE", "Config to write, such as holiday.yaml.", type=PathName()),
        click.Option(
            ["--example"],
            default="local",
            metavar="NAME",
            help="Example to copy (default: local); see fast-diff config --help.",
        ),
    ),
    function=init,
)
