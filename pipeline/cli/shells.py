"""Complete command lines in shells.

A shell's script requests completions by click's protocol."""

from __future__ import annotations

import shlex

import click
from click.shell_completion import BashComplete, add_completion_class, get_completion_class, shell_complete

PROGRAM = "fast-diff"
VARIABLE = "_FAST_DIFF_COMPLETE"
"""Environment variable that holds a shell's request, such as `bash_complete`; click derives its name from PROGRAM."""


class Bash(BashComplete):
    """Completion for Bash with quoted names: Bash's script inserts words unchanged."""

    key = ""
    """The part of the current word up to `=`, such as `pairs.metric=`; Bash splits words at `=`."""
    source_template = BashComplete.source_template.replace("read type", "read -r type")

    def get_completion_args(self) -> tuple[list[str], str]:
        args, incomplete = super().get_completion_args()
        args, incomplete = ([*args, "="], "") if incomplete == "=" else (args, incomplete)
        if args[1:] and args[-1] == "=":
            *args, key, _ = args
            self.key = f"{key}="
        return args, self.key + incomplete

    def format_completion(self, item: object) -> str:
        kind, value = getattr(item, "type", "plain"), getattr(item, "value", "").removeprefix(self.key)
        return f"{kind},{shlex.quote(value) if kind == 'plain' and not value.startswith('-') else value}"


def script(shell: str) -> str:
    """Return the script by which a shell completes this program's command lines."""
    add_completion_class(Bash)
    found = get_completion_class(shell)
    assert found is not None
    return found(click.Command(PROGRAM), {}, PROGRAM, VARIABLE).source()


def answer(command: click.Command, instruction: str) -> int:
    """Print completions for a shell that set `VARIABLE`; return the exit code."""
    add_completion_class(Bash)
    return shell_complete(command, {}, PROGRAM, VARIABLE, instruction)
