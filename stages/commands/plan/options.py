"""Options of several commands that say which images go."""

from __future__ import annotations

import click

from pipeline.cli.parameters import OneOf, PathName

LEAK_FROM = (
    "In a run of two sets: the images of this set go that match an image of the other set, and no others. A match is a "
    "row of the pairs: at or under pairs.threshold, and not dismissed."
)
PLAN = (
    "Plan of this run that `fast-diff plan` or the report's page wrote: the images that the plan removes go, and no "
    "others. Default: in each cluster, all images without a reason to stay."
)


def going_options(when: str = "") -> tuple[click.Option, click.Option]:
    """Return the options `--leak-from` and `--plan`; `when`: the beginning of each help text."""
    return (
        click.Option(["--leak-from"], type=OneOf(("a", "b")), help=f"{when}{LEAK_FROM}"),
        click.Option(["--plan"], type=PathName(), metavar="FILE", help=f"{when}{PLAN}"),
    )
