"""Describe problems of a command line, with the nearest valid word."""

from __future__ import annotations

import click

from pipeline.messages.words import did_you_mean


def line(error: click.UsageError) -> str:
    """Return the message for an error of click."""
    command = error.ctx.command_path if error.ctx else "fast-diff"
    _, _, name = command.partition(" ")
    message = f"{name}: {_message_of(error)}" if name else _message_of(error)
    return f"{message} See {command} --help" if message.endswith("?") else f"{message}; see {command} --help"


def _message_of(error: click.UsageError) -> str:
    if isinstance(error, click.NoSuchOption):
        options = error.ctx.command.params if error.ctx else ()
        valid = [text for option in options for text in option.opts if text.startswith("--")] + ["--help"]
        return f"{error.option_name}: unknown option{did_you_mean(error.option_name, valid)}"
    if isinstance(error, click.MissingParameter) and error.param:
        return f"expected {_hint(error)}"
    if isinstance(error, click.BadParameter) and error.param:
        return f"{_hint(error)}: {_lower(error.message).replace('is not a valid float', 'is not a number')}"
    if isinstance(error, click.BadOptionUsage):
        takes = "requires an argument" in error.message
        return f"{error.option_name}: expected a value" if takes else _lower(error.message)
    return _lower(error.message)


def _hint(error: click.BadParameter) -> str:
    """Return the name of an option or an argument, as in the help."""
    assert error.param is not None
    if isinstance(error.param, click.Option):
        return max(error.param.opts, key=len)
    return error.param.human_readable_name


def _lower(text: str) -> str:
    return (text[:1].lower() + text[1:]).rstrip(".")
