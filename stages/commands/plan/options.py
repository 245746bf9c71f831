"""Options of several commands that choose the images to remove."""

from __future__ import annotations

import click

from pipeline.cli.parameters import OneOf, PathName

LEAK_FROM = (
    "In a run of two sets: remove only the images of this set that match an image of the other set. A match has a "
    "distance of at most pairs.threshold, and is not dismissed."
)
PLAN = (
    "Plan of this run that `fast-diff plan` or the report's page wrote: remove only the images that the plan removes. "
    "Default: remove all images of clusters but keepers, references and dismissed images."
)


def removal_options(when: str = "") -> tuple[click.Option, click.Option]:
    """Return the options `--leak-from` and `--plan`; `when`: the beginning of each help text."""
    return (
        click.Option(["--leak-from"], type=OneOf(("a", "b")), help=f"{when}{LEAK_FROM}"),
        click.Option(["--plan"], type=PathName(), metavar="FILE", help=f"{when}{PLAN}"),
    )
