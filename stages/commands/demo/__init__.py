"""Make a small folder of images with known duplicates, and find them.

images.py   the images, and a table of what was found
"""

from __future__ import annotations

from pathlib import Path

from pipeline.cli.command import Command
from pipeline.cli.parameters import LOG_FORMAT, QUIET, Argument, PathName
from pipeline.messages.say import say


def demo(folder: Path, quiet: bool, log_format: str) -> int:
    """Make the images, run, show what was found, and return the exit code."""
    from rich.console import Console

    from pipeline import load_run
    from pipeline.config.settings import from_mapping
    from pipeline.plan import discovery
    from stages.commands.demo.images import make_images, show
    from stages.commands.run import run_and_report

    stages = discovery.discover()
    make_images(folder)
    config = from_mapping({"run": "demo", "inputs": {"a": [str(folder)]}}, stages)
    record = run_and_report(config, stages, quiet, log_format)
    if not record.exit_code and not quiet and log_format == "text":
        show(load_run(config.folder), Console())
        say("to find duplicates in your own folder:  fast-diff run ~/Pictures")
    return record.exit_code


COMMAND = Command(
    "demo",
    "set up",
    does="make a few images with known duplicates, and find them",
    help="Make a small folder of images with known duplicates, find the duplicates, and show the clusters. The "
    "results are in ./outputs/demo.",
    examples={"fast-diff demo": "images in ./outputs/demo-images", "fast-diff demo /tmp/images": "images elsewhere"},
    arguments=(
        Argument(
            "folder",
            "[FOLDER]",
            "Folder to make (default: outputs/demo-images).",
            type=PathName(folder=True),
            required=False,
            default="outputs/demo-images",
        ),
        QUIET,
        LOG_FORMAT,
    ),
    function=demo,
    exits={0: "done", 1: "a task failed", 2: "the folder holds other files", 130: "interrupted"},
)
