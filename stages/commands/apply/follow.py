"""Apply a plan: each file is checked again before an act, and each act is recorded in a journal."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline.messages.errors import ConfigError
from pipeline.messages.words import counted
from stages.commands.apply.actions import LINKS, REPORT, WITH
from stages.commands.apply.acts import act_of
from stages.commands.apply.acts.act import Act
from stages.commands.apply.acts.errors import Cannot
from stages.commands.apply.acts.folders import Folders, version
from stages.commands.apply.acts.forecast import DryRunChecks
from stages.commands.apply.acts.steps import do
from stages.commands.apply.companions import Companion, Companions
from stages.commands.apply.journal import Journal
from stages.commands.apply.stays import StayingImage, Stays, look
from stages.commands.apply.tally import DONE, Tally
from stages.commands.plan.plan_file import (
    PlannedFile,
    RemovalPlan,
    container_of,
    inputs_of,
    is_local,
    is_path,
    name_of,
    path_of,
    reference_of,
)
from stages.comparing.text import one_line
from stages.listing.files import show


def check_options(plan: RemovalPlan, action: str, to: Path | None) -> None:
    """Raise ConfigError where the options don't go together."""
    if (action == "move") != (to is not None):
        raise ConfigError("--to: expected with --action move, such as --to ~/duplicates, and with no other action")
    if to is None:
        return
    true = Path(os.path.realpath(to))
    for root in filter(is_path, plan.references):
        if true.is_relative_to(os.path.realpath(root)):
            raise ConfigError(f"--to: {to} lies in the reference {root}, which is never touched; choose another folder")
    if is_path(plan.run) and true.is_relative_to(os.path.realpath(plan.run)):
        raise ConfigError(f"--to: {to} lies in the run's own folder {plan.run}; choose another folder")
    if os.path.lexists(to) and not to.is_dir():
        raise ConfigError(f"--to: {to} is not a folder; choose another name")
    for group in plan.clusters:
        for file in (*group.remove, *group.keep) if group.remove else ():
            if is_local(file) and any(path_of(file).is_relative_to(folder) for folder in (to.absolute(), true)):
                what = "is to go" if file in group.remove else "is to stay"
                raise ConfigError(f"--to: {one_line(file.path)}, which {what}, lies in {to}; choose another folder")


def warning(plan: RemovalPlan, to: Path) -> str:
    """Return a warning where `to` lies in one of the run's inputs, else an empty text."""
    inputs = inputs_of(plan.run)
    for root in filter(is_path, (*inputs.get("a", []), *inputs.get("b", []))):
        if Path(os.path.realpath(to)).is_relative_to(os.path.realpath(root)):
            return f"--to: {to} lies in the input {root}: the next run will find the moved files there"
    return ""


GROUP = 100
"""Files in a group of acts; the changes of a group are synced together."""
GROUP_BYTES = 256 << 20
"""Bytes in a group: while a group is copied to another disk, its files are set aside."""


@dataclass
class _Planned:
    """A file that is to go, and the results of its checks."""

    file: PlannedFile
    stays: Stays
    why: str = ""
    """Why the file is left alone; empty while no check has failed."""
    detail: str = ""
    """Names that `why` is about, if any."""
    seen: os.stat_result | None = None
    keeper: StayingImage | None = None
    entry: dict[str, Any] = field(default_factory=dict)
    companions: list[tuple[Companion, dict[str, Any]]] = field(default_factory=list)
    """Companions that go with the file, and their journal entries."""

    def refuse(self, error: Cannot | OSError) -> None:
        """Leave the file alone."""
        self.why, self.detail = why(error), error.detail if isinstance(error, Cannot) else ""


def apply(
    plan: RemovalPlan, action: str, to: Path | None, journal: Journal | None, tally: Tally, companions: str = WITH
) -> Iterator[str]:
    """Apply a plan, or without a journal do a dry run; yield a line per file. `companions`: one of CHOICES.

    Raises OSError where the journal can't be written."""
    forecast, beside = DryRunChecks(action, to), Companions(plan, companions, action)
    tally.total = sum(len(cluster.remove) for cluster in plan.clusters)
    with Folders() as folders:
        for group in _groups(plan):
            for planned in group:
                _prepare(planned, plan, action, forecast, folders, beside)
            if journal and action != REPORT:
                _act([planned for planned in group if not planned.why], journal, folders)
            folders.close()
            for planned in group:
                yield _line(planned, action, bool(journal), tally)


def _groups(plan: RemovalPlan) -> Iterator[list[_Planned]]:
    """Yield the files that are to go in groups, sorted by folder, so that few folders are synced per group."""
    planned = []
    for cluster in plan.clusters:
        stays = Stays(cluster)
        planned += [_Planned(file, stays) for file in cluster.remove]
    planned.sort(key=lambda one: name_of(one.file).rpartition(b"/")[0])
    group: list[_Planned] = []
    size = 0
    for one in planned:
        group.append(one)
        size += one.file.bytes
        if len(group) >= GROUP or size >= GROUP_BYTES:
            yield group
            group, size = [], 0
    yield group


def _prepare(
    planned: _Planned,
    plan: RemovalPlan,
    action: str,
    forecast: DryRunChecks,
    folders: Folders,
    companions: Companions,
) -> None:
    """Check a file, its companions and the images that stay, and make the journal entries of file and companions."""
    file, stays = planned.file, planned.stays
    try:
        if not is_local(file):
            raise Cannot("it is on an object store; apply works on this machine's disks only")
        if container_of(file) is not None:
            raise Cannot("it is inside a container; make the container again without the image")
        path = path_of(file)
        folder = folders.find(path.parent)
        if folder is None:
            raise Cannot("it is gone")
        keeper = planned.keeper = stays.find()
        found = planned.seen = look(file, folder, path.name)
        stays.refuse(path, found)
        if (root := reference_of(file, plan.references)) is not None:
            raise Cannot(f"it lies in the reference {root}, which is never touched")
        if action in LINKS:
            if keeper.digest != file.digest:
                raise Cannot("it differs from its keeper, and a link would lose its content")
            if (found.st_dev, found.st_ino) == keeper.version[:2]:
                raise Cannot("it is linked to its keeper already")
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
    except (Cannot, OSError) as error:
        planned.refuse(error)


def _act(group: Sequence[_Planned], journal: Journal, folders: Folders) -> None:
    """Do a group of acts. Raises OSError where the journal can't be written."""
    acts: dict[Act, tuple[int, _Planned]] = {}
    for planned in group:
        assert planned.seen is not None
        mine = [act_of(planned.entry, folders, version(planned.seen), planned.keeper)]
        mine += [act_of(entry, folders, version(each.seen), each.keeper) for each, entry in planned.companions]
        for act in mine:
            act.together = mine
            acts[act] = journal.begin(act.entry), planned
    journal.sync()
    failed = do(list(acts), folders)
    for act, (number, planned) in acts.items():
        if act not in failed:
            journal.end(number, "done")
            continue
        origin = next(each for each in failed if each in act.together and failed[each] is failed[act])
        if act is act.together[0]:
            planned.refuse(failed[act])
            if origin is not act:
                planned.why, planned.detail = f"a companion can't go: {planned.why}", one_line(origin.path.name)
        if act.is_settled():
            journal.end(number, "failed", why=planned.why)
        elif act is act.together[0]:
            planned.why += "; it is gone already" if act.dropped else "; fast-diff undo puts it back"
        else:
            what = f"its companion {one_line(act.path.name)}"
            planned.why += f"; {what} is gone already" if act.dropped else f"; fast-diff undo puts {what} back"
    journal.sync()


def _line(planned: _Planned, action: str, done: bool, tally: Tally) -> str:
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
    return f"{would}{DONE[action]}  {shown}  (stays: {one_line(show(os.fsencode(planned.keeper.path)))})"


def why(error: Cannot | OSError) -> str:
    """Return an error as text; an OSError is followed by the name of its file."""
    if isinstance(error, Cannot):
        return str(error)
    where = error.filename2 or error.filename
    name = show(os.fsencode(where)) if isinstance(where, str | bytes | os.PathLike) else ""
    return f"{error.strerror or error}{f' ({one_line(name)})' if name else ''}"
