"""Write a copy of the data of a run without removed images.

sources.py   the sources of a run: containers, lists, loose images, files of data sets
write.py     write the copies, and continue an earlier call
options.py   check where the target folder lies"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pipeline.cli.command import Command
from pipeline.cli.parameters import JSON, VERBOSE, FolderOrUrl, run_argument
from pipeline.cli.targets import results_of
from pipeline.messages.say import answer, say
from pipeline.messages.words import counted
from stages.commands.plan.options import removal_options

if TYPE_CHECKING:
    from stages.commands.filter.write import Writer


def filter_run(
    run: str | None, out: str, leak_from: str | None, plan: Path | None, copy: bool, verbose: bool, as_json: bool
) -> int:
    """Write the filtered data, print the counts, and return the exit code."""
    from stages.commands.apply.output import with_bar
    from stages.commands.filter.options import checked_target
    from stages.commands.filter.sources import sources_of
    from stages.commands.filter.write import Writer
    from stages.commands.plan.removals import removals
    from stages.filtering.manifest import opened_manifest

    results = results_of(run)
    folder = checked_target(out, results)
    removed = frozenset(removals(results, leak_from, plan)["path"].to_pylist())
    sources = sources_of(results, removed, leak_from)
    linked = not copy and sources.trust != "ctime"  # a hard link changes the source's ctime
    place = results.folder.absolute() if isinstance(results.folder, Path) else results.folder
    with opened_manifest(folder, str(place)) as manifest:
        writer = Writer(folder, sources, manifest, linked, say if verbose and not as_json else lambda line: None)
        count = writer.steps
        deque(with_bar(writer.write(), lambda: count, "sources"), maxlen=0)
    tally = writer.tally
    answer(as_json, {"out": str(folder), **tally.as_dict(), "left": sources.left}, _summary(writer))
    return 1 if tally.refused else 0


def _summary(writer: Writer) -> Iterator[str]:
    from stages.commands.filter.write import summed

    tally = writer.tally
    if count := tally.containers + tally.finished:
        before = f" ({tally.finished:,} finished before)" if tally.finished else ""
        yield f"containers  {count:,}{before}: {summed(tally.members, 'member')}"
    if tally.lists:
        yield f"lists       {tally.lists:,}: {summed(tally.rows, 'row')}"
    if tally.files or tally.gone_files:
        companions = f" and {counted(tally.gone_beside, 'companion')}" if tally.gone_beside else ""
        yield f"files       {tally.files:,} kept, {counted(tally.gone_files, 'image')}{companions} removed"
    if writer.sources.left:
        yield f"left        {counted(writer.sources.left, 'image')} of references or of the other set, not written"
    yield from (f"note        {note}" for note in tally.notes)
    if tally.refused:
        yield f"refused     {counted(len(tally.refused), 'source')}: --json names all"
    yield f"out         {writer.out}"


COMMAND = Command(
    "filter",
    "clean up",
    does="write tar, zip, Parquet and other data to a new folder, without duplicates",
    help="Write the data of a finished run to a new folder, without the images to remove: containers with the other "
    "members in the same order, lists with the other rows, and the other loose images as hard links. Files that belong "
    "to a removed image, such as .cls and .json of a WebDataset sample, are removed, too. The inputs are not changed; "
    "references are not written. The members of each result are counted before the result gets its name. "
    "After an interruption, the same command continues; a container that has changed since the run is left out.",
    examples={
        "fast-diff filter outputs/Pictures --out clean": "without duplicates",
        "fast-diff filter outputs/two-sets --out clean --leak-from b": "set b without the images that match set a",
    },
    arguments=(
        run_argument(),
        click.Option(
            ["--out"],
            type=FolderOrUrl(),
            required=True,
            metavar="FOLDER",
            help="Folder to write to, outside of all inputs: new, empty, or of an earlier call.",
        ),
        *removal_options(),
        click.Option(["--copy"], is_flag=True, help="Copy loose files instead of making hard links."),
        VERBOSE,
        JSON,
    ),
    function=filter_run,
    exits={
        0: "done",
        1: "a container or file was left out, or nothing more can be written",
        2: "bad usage or config",
        130: "interrupted; the same command continues",
    },
)
