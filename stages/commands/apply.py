"""Follow a plan: each file is looked at once more before it is touched, and every act is written down."""

from __future__ import annotations

import contextlib
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from pipeline.errors import ConfigError
from stages.commands.acts import Cannot, digest_of, do, foresee, is_whole, prepared, undo
from stages.commands.choices import LINKS, REPORT
from stages.commands.journal import Journal, read_journal
from stages.commands.plan import File, Group, Plan, inputs_of, name_of, path_of, reference_of
from stages.decoding.reading import in_range
from stages.listing import show
from stages.text import human_bytes, one_line

DONE = {"move": "moved", "trash": "to the trash", "delete": "deleted", REPORT: "to go"} | dict.fromkeys(LINKS, "linked")


@dataclass
class Tally:
    """What came of the files of a plan or a journal."""

    done: int = 0
    bytes: int = 0
    refused: Counter[str] = field(default_factory=Counter)

    @property
    def ok(self) -> bool:
        """Whether nothing was refused."""
        return not self.refused


def check_options(plan: Plan, action: str, to: Path | None) -> None:
    """Raises ConfigError where the options don't go together."""
    if (action == "move") != (to is not None):
        raise ConfigError("--to: --action move needs it, and no other action has one; such as --to ~/duplicates")
    if to is None:
        return
    true = Path(os.path.realpath(to))
    for root in plan.references:
        if true.is_relative_to(os.path.realpath(root)):
            raise ConfigError(f"--to: {to} lies in the reference {root}, which is never touched; choose another folder")
    if plan.run and true.is_relative_to(os.path.realpath(plan.run)):
        raise ConfigError(f"--to: {to} lies in the run's own folder {plan.run}; choose another folder")
    if os.path.lexists(to) and not to.is_dir():
        raise ConfigError(f"--to: {to} is no folder; choose another name")
    for group in plan.clusters:
        for file in (*group.remove, *group.keep) if group.remove else ():
            if any(path_of(file).is_relative_to(folder) for folder in (to.absolute(), true)):
                what = "is to go" if file in group.remove else "is to stay"
                raise ConfigError(f"--to: {one_line(file.path)}, which {what}, lies in {to}; choose another folder")


def warning(plan: Plan, to: Path) -> str:
    """What to think of before files are moved there; empty if nothing."""
    inputs = inputs_of(plan.run)
    for root in (*inputs.get("a", []), *inputs.get("b", [])):
        if Path(os.path.realpath(to)).is_relative_to(os.path.realpath(root)):
            return f"--to: {to} lies in the input {root}: the next run will find there what was moved"
    return ""


def apply(plan: Plan, action: str, to: Path | None, journal: Journal | None, tally: Tally) -> Iterator[str]:
    """Do it, or with no journal say what would be done; a line per file. Raises OSError where the journal fails."""
    for group in plan.clusters:
        stays = _Stays(group)
        for file in group.remove:
            path = path_of(file)
            try:
                keeper = stays.path()
                _look(file, path, keeper, stays, action)
                if (root := reference_of(file, plan.references)) is not None:
                    raise Cannot(f"it lies in the reference {root}, which is never touched")
                if action != REPORT:
                    foresee(action, path, keeper, to)
                    if journal:
                        _act(journal, action, file, path, keeper, to)
            except Cannot as error:
                tally.refused[str(error)] += 1
                yield f"left alone  {one_line(file.path)}: {one_line(str(error))}"
                continue
            tally.done += 1
            tally.bytes += file.bytes
            would = "" if journal or action == REPORT else "would be "
            yield f"{would}{DONE[action]}  {one_line(file.path)}  (stays: {one_line(show(os.fsencode(keeper)))})"


class _Stays:
    """The image of a cluster for whose sake others may go: looked at before each of them."""

    def __init__(self, group: Group) -> None:
        self._group = group
        self._path: Path | None = None
        self._state: tuple[int, ...] = ()

    def path(self) -> Path:
        """The first of those that stay which is there and whole. Raises Cannot where there is none."""
        if self._path and _state(self._path) == self._state:
            return self._path
        for file in self._group.keep:
            path = path_of(file)
            state = _state(path)
            if is_whole(path, {"bytes": file.bytes, "digest": file.digest}):
                self._path, self._state = path, state
                return path
        raise Cannot("no image that is to stay is there and as it was")

    def has(self, path: Path) -> bool:
        """Whether a path leads to one of those that stay, and not only to the same data by another name: a link or a
        mount on the way, or another case of its letters. Raises OSError."""
        found = path.lstat()
        for other in self._by_inode.get((found.st_dev, found.st_ino), ()):
            if found.st_nlink == 1 or path.resolve() == other.resolve():
                return True
            if path.parent.samefile(other.parent) and path.name.casefold() == other.name.casefold():
                return True
        return False

    @cached_property
    def _by_inode(self) -> dict[tuple[int, int], list[Path]]:
        found: dict[tuple[int, int], list[Path]] = {}
        for path in map(path_of, self._group.keep):
            with contextlib.suppress(OSError):
                stat = path.stat()
                found.setdefault((stat.st_dev, stat.st_ino), []).append(path)
        return found


def _state(path: Path) -> tuple[int, ...]:
    """What changes where a file is replaced or written to; its bytes are read where this is another one."""
    try:
        stat = path.lstat()
    except OSError:
        return ()
    return stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns


def _look(file: File, path: Path, keeper: Path, stays: _Stays, action: str) -> None:
    """Raises Cannot unless the file is the one that was compared."""
    if not name_of(file).startswith(b"/"):
        raise Cannot("it lies on an object store; plans are followed on this machine's disks alone")
    try:
        stat = path.lstat()
        if path.is_symlink() or not path.is_file():
            raise Cannot("it is no regular file any more")
        touched = file.mtime_ns not in (None, in_range(stat.st_mtime_ns))
        if stat.st_size != file.bytes or touched or digest_of(path) != file.digest:
            raise Cannot("it was changed after the run")
        if stays.has(path):
            raise Cannot("it is one that is to stay, by another path")
        if action in LINKS:
            if digest_of(keeper) != file.digest:
                raise Cannot("it is not equal to its keeper, byte for byte, and a link would lose it")
            if path.samefile(keeper):
                raise Cannot("it is linked to its keeper already")
    except FileNotFoundError as error:
        raise Cannot("it is gone") from error
    except OSError as error:
        raise Cannot(f"it can't be read ({error.strerror})") from error


def _act(journal: Journal, action: str, file: File, path: Path, keeper: Path, to: Path | None) -> None:
    what: dict[str, Any] = {
        "shown": file.path,
        "path": os.fsencode(path).hex(),
        "bytes": file.bytes,
        "digest": file.digest,
    }
    try:
        what["mtime_ns"] = path.lstat().st_mtime_ns
        act: dict[str, Any] = what | prepared(action, path, keeper, to and to.absolute())
    except OSError as error:
        raise Cannot(_why(error)) from error
    number = journal.begin(act)
    try:
        do(act)
    except (Cannot, OSError) as error:
        journal.end(number, "failed", why=_why(error))
        raise Cannot(_why(error)) from error
    journal.end(number, "done")


def _why(error: Cannot | OSError) -> str:
    """What went wrong, and with which file, where that is another one."""
    if isinstance(error, Cannot):
        return str(error)
    where = error.filename2 or error.filename
    name = show(os.fsencode(where)) if isinstance(where, str | bytes) else ""
    return f"{error.strerror or error}{f' ({one_line(name)})' if name else ''}"


def take_back(path: Path, tally: Tally) -> Iterator[str]:
    """Undo what a journal tells, the last act first; a line per file. Raises ConfigError where it is none."""
    acts = read_journal(path)
    for act in acts:  # what is told is what is touched, whatever a line says for people
        act["shown"] = show(bytes.fromhex(act["path"]))
    with Journal(path) as log:
        for act in reversed(acts):
            if act["state"] == "undone":
                continue
            try:
                changed = undo(act)
            except (Cannot, OSError) as error:
                if act["state"] == "failed":
                    continue  # it was never done, and what stands there now is somebody else's
                why = _why(error)
                tally.refused[why] += 1
                yield f"not taken back  {one_line(act['shown'])}: {one_line(why)}"
                continue
            log.end(act["n"], "undone")
            if changed:
                tally.done += 1
                tally.bytes += act["bytes"]
                yield f"taken back  {one_line(act['shown'])}"


def summary(tally: Tally, action: str, journal: Path | None) -> Iterator[str]:
    """The lines in the end."""
    said = DONE[action] if journal or action == REPORT else f"would be {DONE[action]}"
    yield f"{tally.done:,} files, {human_bytes(tally.bytes)} {said}; {tally.refused.total():,} left alone"
    if journal and not tally.done:
        yield f"journal     {journal}"
    elif journal and action == "delete":
        yield f"journal     {journal}  (what was deleted can't be taken back)"
    elif journal:
        yield f"journal     {journal}  (take it back: fast-diff undo {journal})"
    elif action != REPORT:
        yield "nothing was touched; the same command with --yes does it"
