"""Options of several commands that say which images go."""

from __future__ import annotations

import click

from pipeline.cli.parameters import OneOf, PathName

LEAK_FROM = click.Option(
    ["--leak-from"],
    type=OneOf(("a", "b")),
    help="In a run of two sets: the images of this set go that match an image of the other set, and no others. A match "
    "is a row of the pairs: at or under pairs.threshold, and not dismissed.",
)
PLAN = click.Option(
    ["--plan"],
    type=PathName(),
    metavar="FILE",
    help="Plan of this run that `fast-diff plan` or the report's page wrote: the images that the plan removes go, and "
    "no others. Default: in each cluster, all images without a reason to stay.",
)
