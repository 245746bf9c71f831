"""Print the config as resolved, each key with its meaning.

With an option, print an example or the schema instead.

examples.py   the commented configs that come with the program
"""

from __future__ import annotations

import json
from collections.abc import Sequence

import click

from pipeline.cli.command import Command
from pipeline.cli.parameters import JSON, SET, run_argument
from pipeline.cli.targets import target_config
from pipeline.messages.errors import ConfigError


def config(config: str | None, sets: Sequence[str], example: str | None, schema: bool, as_json: bool) -> int:
    """Print a config or its schema, and return the exit code."""
    from pipeline.config.describe import describe
    from stages.commands.config.examples import example as text_of

    if [config is not None, example is not None, schema].count(True) != 1 or (config is None and (sets or as_json)):
        raise ConfigError("config: expected one of CONFIG, --example NAME and --schema")
    if schema:
        from pipeline.config.schema import schema_text
        from pipeline.plan import discovery

        print(schema_text(discovery.discover()), end="")
        return 0
    if example:
        print(text_of(example), end="")
        return 0
    resolved, stages = target_config(config, sets)
    if as_json:
        print(json.dumps(resolved.as_dict()))
    else:
        print(describe(resolved, stages), end="")
    return 0


def _names(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    from stages.commands.config.examples import examples

    return [name for name in examples() if name.startswith(incomplete)]


COMMAND = Command(
    "config",
    "set up",
    does="print a config as resolved, each key with its meaning",
    help="Print a config as resolved, defaults filled in, each key with its meaning: the output is itself a config. "
    "With --example, print one of the commented configs that come with the program; with --schema, a JSON Schema by "
    "which editors complete and check configs.",
    examples={
        "fast-diff config holiday.yaml": "every key, its value and its meaning",
        "fast-diff config --example slurm > cluster.yaml": "a config to begin with",
        "fast-diff config --schema > fast-diff.schema.json": "for an editor",
    },
    arguments=(
        run_argument("config", "CONFIG", text="A YAML config, or a run's folder."),
        SET,
        click.Option(
            ["--example"],
            metavar="NAME",
            help="Print an example: all-pairs, local, s3, slurm, ...",
            shell_complete=_names,
        ),
        click.Option(["--schema"], is_flag=True, help="Print the JSON Schema of a config."),
        JSON,
    ),
    function=config,
)
