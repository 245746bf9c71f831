"""Print the script by which a shell completes command lines of this program."""

from __future__ import annotations

from pipeline.cli.command import Command
from pipeline.cli.parameters import Argument, OneOf

SHELLS = ("bash", "zsh", "fish")


def completion(shell: str) -> int:
    """Print the script, and return the exit code."""
    from pipeline.cli.shells import script

    print(script(shell), end="")
    return 0


COMMAND = Command(
    "completion",
    "set up",
    does="print the script for completion in bash, zsh or fish",
    help="Print the script that makes a shell complete commands, options, runs in ./outputs, configs, folders, "
    "config keys and their valid words after --set, and rules after --keep. Bash needs version 4.4.",
    examples={
        'eval "$(fast-diff completion bash)"': "a line for ~/.bashrc",
        'eval "$(fast-diff completion zsh)"': "a line for ~/.zshrc",
        "fast-diff completion fish > ~/.config/fish/completions/fast-diff.fish": "for fish",
    },
    arguments=(Argument("shell", "SHELL", f"{', '.join(SHELLS)}.", type=OneOf(SHELLS)),),
    function=completion,
)
