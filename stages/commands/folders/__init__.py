"""List folders whose images are also in other folders.

lines.py   contained folders and pairs of folders, as text
"""

from __future__ import annotations

import click

from pipeline.cli.command import Command
from pipeline.cli.parameters import JSON, VERBOSE, Argument, run_argument
from pipeline.cli.targets import results_of
from pipeline.messages.say import answer_paged


def folders(run: str | None, a: str | None, b: str | None, verbose: bool, as_json: bool) -> int:
    """Print pairs of folders, and return the exit code."""
    from stages.commands.folders.lines import as_dict, chosen, lines

    found = chosen(results_of(run), a, b)
    return answer_paged(as_json, as_dict(found), lines(found, verbose))


def _folder(name: str) -> click.Parameter:
    text = "A folder with images of the run, or the end of its path." if name == "a" else "Another folder."
    return Argument(name, f"[{name.upper()}]", text, required=False)


COMMAND = Command(
    "folders",
    "review",
    does="tell which folder's images are in which other folder",
    help="List the folders whose images are all in another folder, then the pairs of folders that share the most "
    "images. A folder includes its subfolders. An image is in another folder if the image matches an image there. With "
    "A: pairs with A or a folder in A; with B: pairs of A and B, or of folders in A and in B.",
    examples={
        "fast-diff folders": "of the last run here",
        "fast-diff folders outputs/Pictures Backup": "what is in the folder Backup and also elsewhere",
        "fast-diff folders outputs/Pictures Backup Phone/DCIM --json": "two folders, for a script",
    },
    arguments=(run_argument(), _folder("a"), _folder("b"), VERBOSE, JSON),
    function=folders,
)
