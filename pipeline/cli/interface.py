"""Build click commands from `Command` declarations.

The module of a command is imported when the command is called."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from functools import cached_property

import click

from pipeline.cli import colour
from pipeline.cli.command import GROUPS, Command
from pipeline.cli.discovery import command, modules, packages
from pipeline.cli.parameters import Argument, OneOf
from pipeline.machine.installation import installed
from pipeline.messages.words import did_you_mean

WIDTH = 100
SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": WIDTH}


def call(words: Sequence[str] | None) -> int:
    """Run a command line, and return the exit code. Raises click.UsageError."""
    program = _Program("fast-diff", params=[VERSION, _colour()], no_args_is_help=False, context_settings=SETTINGS)
    if instruction := os.environ.get("_FAST_DIFF_COMPLETE"):  # a shell asks for completions
        from pipeline.cli.shells import answer

        return answer(program, instruction)
    try:
        with program.make_context("fast-diff", list(sys.argv[1:] if words is None else words)) as ctx:
            return int(program.invoke(ctx) or 0)
    except click.exceptions.Exit as ended:  # --help, --version
        return ended.exit_code


def _print_version(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        distribution = installed()
        click.echo(distribution.version if distribution else "not installed")
        ctx.exit()


VERSION = click.Option(
    ["--version"],
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_version,
    help="Print the version and exit.",
)


def _colour(hidden: bool = False) -> click.Option:
    return click.Option(
        ["--color"],
        type=OneOf(colour.WHEN),
        is_eager=True,
        expose_value=False,
        callback=lambda ctx, param, value: colour.choose(value or "auto"),
        hidden=hidden,
        help="When to use colours: auto (the default: on a terminal), always or never; NO_COLOR=1 means never.",
    )


class _Called(click.Command):
    """A declared command; its help has examples and exit codes."""

    def __init__(self, declared: Command) -> None:
        super().__init__(
            declared.name,
            params=[*declared.arguments, _colour(hidden=True)],
            help=declared.help,
            short_help=declared.does,
            context_settings=SETTINGS,
        )
        self.declared = declared

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        try:
            return super().parse_args(ctx, args)
        except click.UsageError as error:
            error.ctx = error.ctx or ctx  # click sets no context if an option lacks its value
            raise

    def invoke(self, ctx: click.Context) -> int:
        import logging

        logging.getLogger("fast_diff").addHandler(logging.NullHandler())
        return self.declared.function(**ctx.params)

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        ctx.color = colour.wanted(sys.stdout)
        self.format_usage(ctx, formatter)
        self.format_help_text(ctx, formatter)
        arguments = [param for param in self.params if isinstance(param, Argument)]
        _section(formatter, "Arguments", {each.make_metavar(ctx): each.text for each in arguments})
        records = (param.get_help_record(ctx) for param in self.get_params(ctx) if isinstance(param, click.Option))
        _section(formatter, "Options", dict(record for record in records if record))
        _examples(formatter, self.declared.examples)
        _section(formatter, "Exit codes", {str(code): text for code, text in self.declared.exits.items()})


class _Program(click.Group):
    """The group `fast-diff`: a call imports one command's module, help imports all."""

    @cached_property
    def _modules(self) -> Mapping[str, str]:
        return modules()

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self._declared)

    @cached_property
    def _declared(self) -> dict[str, Command]:
        found = (command(module) for module in self._modules.values())
        return {each.name: each for each in found if each}

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        found = command(self._modules[name]) if name in self._modules else None
        return _Called(found) if found else None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name, *rest = args
        if (found := self.get_command(ctx, name)) is None:
            if ctx.resilient_parsing:
                return None, None, rest
            hint = did_you_mean(name, self._declared) or f"; expected one of {', '.join(self._declared)}"
            raise click.UsageError(f"{name}: unknown command{hint}", ctx)
        return name, found, rest

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        ctx.color = colour.wanted(sys.stdout)
        self.format_usage(ctx, formatter)
        formatter.write_paragraph()
        for package in packages():
            with formatter.indentation():
                formatter.write_text(package.ABOUT)
            _examples(formatter, package.EXAMPLES)
        for group, heading in GROUPS.items():
            rows = {each.name: each.does for each in self._declared.values() if each.group == group}
            _section(formatter, heading, rows)
        records = (param.get_help_record(ctx) for param in self.get_params(ctx))
        _section(formatter, "Options", dict(record for record in records if record))


def _examples(formatter: click.HelpFormatter, examples: Mapping[str, str]) -> None:
    """Write examples, with each description beside its command line.

    If any line would be too long, descriptions are above the command lines."""
    formatter.write_paragraph()
    formatter.write_heading(_heading("Examples"))
    width = max(map(len, examples)) + 2
    beside = 4 + width + max(map(len, examples.values())) <= formatter.width
    for line, does in examples.items():
        formatter.write(f"  {line:<{width}}# {does}\n" if beside else f"  # {does}\n  {line}\n")


def _section(formatter: click.HelpFormatter, heading: str, rows: Mapping[str, str]) -> None:
    if rows:
        formatter.write_paragraph()
        formatter.write_heading(_heading(heading))
        with formatter.indentation():
            formatter.write_dl(list(rows.items()), col_max=26)


def _heading(text: str) -> str:
    return click.style(text, bold=True) if colour.wanted(sys.stdout) else text
