"""Apply a plan.

Each file is checked again before an act, and each act is recorded in a journal."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from pipeline.messages.words import counted
from stages.commands.apply.actions import LINKS, REPORT, WITH
from stages.commands.apply.acts import act_of
from stages.commands.apply.acts.act import Act
from stages.commands.apply.acts.errors import ActRefused
from stages.commands.apply.acts.folder import version
from stages.commands.apply.acts.folders import Folders
from stages.commands.apply.acts.forecast import DryRunChecks
from stages.commands.apply.acts.steps import do
from stages.commands.apply.companions import Companions
from stages.commands.apply.journal import Journal
from stages.commands.apply.kept_images import KeptImages, look
from stages.commands.apply.merging import UNMERGED, Merge, Merges
from stages.commands.apply.planned import Planned, why
from stages.commands.apply.tally import DONE, Tally
from stages.commands.plan.plan_file import RemovalPlan, container_of, is_local, name_of, path_of, reference_of
from stages.comparing.text import one_line
from stages.listing.path_text import show

GROUP = 100
"""Files in a group of acts; the changes of a group are synced together."""
GROUP_BYTES = 256 << 20
"""Bytes in a group. Files have temporary names while their group is copied to another disk, so a group is small."""


def apply(
    plan: RemovalPlan,
    action: str,
    to: Path | None,
    journal: Journal | None,
    tally: Tally,
    companions: str = WITH,
    merge_metadata: bool = False,
) -> Iterator[str]:
    """Apply a plan, and yield a line per file, sidecar and conflict.

    Without a journal, do a dry run.

    companions      one of CHOICES
    merge_metadata  write metadata of removed images into a sidecar of the kept image

    Raises OSError where the journal can't be written."""
    forecast, companion_files = DryRunChecks(action, to), Companions(plan, companions, action, merge_metadata)
    merging = Merges(plan, companion_files) if merge_metadata else None
    tally.total = sum(len(cluster.remove) for cluster in plan.clusters)
    with Folders() as folders:
        for group in _groups(plan):
            for planned in group:
                _prepare(planned, plan, action, forecast, folders, companion_files)
            acts = journal if action != REPORT else None
            merges = merging.of(group, folders, write=acts is not None) if merging else []
            if acts:
                merges = _act([planned for planned in group if not planned.why], merges, acts, folders)
            folders.close()
            for merge in merges:
                tally.merge(merge.path if merge.tags else None, merge.conflicts)
                companion_files.forget(merge.path.parent)
                yield from merge.lines(acts is not None)
            for planned in group:
                yield _line(planned, action, bool(journal), tally)


def _groups(plan: RemovalPlan) -> Iterator[list[Planned]]:
    """Yield the files to remove in groups, sorted by folder.

    The order by folder lets a group sync few folders."""
    planned = []
    for cluster in plan.clusters:
        kept = KeptImages(cluster)
        planned += [Planned(file, kept) for file in cluster.remove]
    planned.sort(key=lambda one: name_of(one.file).rpartition(b"/")[0])
    group: list[Planned] = []
    size = 0
    for one in planned:
        group.append(one)
        size += one.file.bytes
        if len(group) >= GROUP or size >= GROUP_BYTES:
            yield group
            group, size = [], 0
    yield group


def _prepare(
    planned: Planned,
    plan: RemovalPlan,
    action: str,
    forecast: DryRunChecks,
    folders: Folders,
    companions: Companions,
) -> None:
    """Check a file, its companions and the kept images; make journal entries."""
    file, kept = planned.file, planned.kept
    try:
        if not is_local(file):
            raise ActRefused("the file is on an object store; apply works on this machine's disks only")
        if container_of(file) is not None:
            raise ActRefused(
                "the image is inside a container; fast-diff filter writes a copy of the container without the image"
            )
        path = path_of(file)
        folder = folders.find(path.parent)
        if folder is None:
            raise ActRefused("the file is gone")
        keeper = planned.keeper = kept.find()
        found = planned.seen = look(file, folder, path.name)
        kept.refuse(path, found)
        if (root := reference_of(file, plan.references)) is not None:
            raise ActRefused(f"the file lies in the reference {root}, which is never touched")
        if action in LINKS:
            if keeper.digest != file.digest:
                raise ActRefused("the file differs from the keeper, and a link would lose the content of the file")
            if (found.st_dev, found.st_ino) == keeper.version[:2]:
                raise ActRefused("the file is linked to the keeper already")
        beside = companions.of(file, path, keeper, folders)
        planned.companions = [(each, {}) for each in beside]
        if action != REPORT:
            forecast.check(path, found, keeper.path)
            for each in beside:
                forecast.check(each.path, each.seen, each.keeper.path)
            place, *places = forecast.places([path, *(each.path for each in beside)])
            planned.entry = {
                "shown": file.path,
                "path": os.fsencode(path).hex(),
                "bytes": file.bytes,
                "digest": file.digest,
                "mtime_ns": found.st_mtime_ns,
                **forecast.entry(path, folder, found, keeper.path, place),
            }
            planned.companions = [
                (each, each.entry(path) | forecast.entry(each.path, folder, each.seen, each.keeper.path, place))
                for each, place in zip(beside, places, strict=True)
            ]
    except (ActRefused, OSError) as error:
        planned.refuse(error)


def _act(group: Sequence[Planned], merges: Sequence[Merge], journal: Journal, folders: Folders) -> list[Merge]:
    """Do a group of acts; return the merges that were done.

    Raises OSError where the journal can't be written."""
    acts: dict[Act, int] = {}
    of_images: dict[Planned, list[Act]] = {}
    of_merges: dict[Act, Merge] = {}
    for merge in merges:
        if merge.entry:
            of_merges[act_of(merge.entry, folders, merge.seen, merge.keeper)] = merge
    for planned in group:
        assert planned.seen is not None
        mine = [act_of(planned.entry, folders, version(planned.seen), planned.keeper)]
        mine += [act_of(entry, folders, version(each.seen), each.keeper) for each, entry in planned.companions]
        of_images[planned] = mine
        for act in mine:
            act.together = mine
    for act, merge in of_merges.items():
        act.together = [act, *(each for planned in merge.images for each in of_images[planned])]
    for act in (*of_merges, *(act for mine in of_images.values() for act in mine)):
        acts[act] = journal.begin(act.entry)
    journal.sync()
    failed = do(list(acts), folders)
    for act, number in acts.items():
        if act not in failed:
            journal.end(number, "done")
        elif act.is_settled():
            journal.end(number, "failed", why=why(failed[act]))
    for planned, mine in of_images.items():
        if mine[0] in failed:
            _explain(planned, mine, failed)
    journal.sync()
    lost = [merge for act, merge in of_merges.items() if act in failed]
    return [merge for merge in merges if merge not in lost]


def _explain(planned: Planned, mine: Sequence[Act], failed: Mapping[Act, ActRefused | OSError]) -> None:
    """Record why an image is left alone, and where its files are.

    mine  the acts on the image and its companions"""
    error = failed[mine[0]]
    origin = next(act for act in failed if failed[act] is error and (act in mine or mine[0] in act.together))
    if origin is mine[0]:
        planned.refuse(error)
    elif origin in mine:
        planned.refuse(error, "a companion can't be removed: ", one_line(origin.path.name))
    else:
        planned.refuse(error, UNMERGED, one_line(origin.path.name))
    for act in mine:
        if not act.is_settled():
            what = "the file" if act is mine[0] else f"the companion {one_line(act.path.name)}"
            planned.why += f"; {what} is gone already" if act.dropped else f"; fast-diff undo puts {what} back"


def _line(planned: Planned, action: str, done: bool, tally: Tally) -> str:
    shown = one_line(planned.file.path)
    if planned.why:
        shown += f" ({planned.detail})" if planned.detail else ""
        tally.refused[planned.why] += 1
        tally.first.setdefault(planned.why, shown)
        return f"left alone  {shown}: {one_line(planned.why)}"
    tally.done += 1
    tally.bytes += planned.file.bytes
    tally.companions += len(planned.companions)
    tally.companion_bytes += sum(each.seen.st_size for each, _ in planned.companions)
    folder = planned.file.path.rpartition("/")[0]
    count, size = tally.folders.get(folder, (0, 0))
    tally.folders[folder] = count + 1, size + planned.file.bytes
    assert planned.keeper is not None
    would = "" if done or action == REPORT else "would be "
    shown += f" and {counted(len(planned.companions), 'companion')}" if planned.companions else ""
    return f"{would}{DONE[action]}  {shown}  (kept: {one_line(show(os.fsencode(planned.keeper.path)))})"
