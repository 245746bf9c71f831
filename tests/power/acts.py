"""Files for a plan, and the commands that are cut: `apply` and `undo`."""

from __future__ import annotations

import contextlib
import errno
import functools
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

from pipeline.cli.main import main
from stages.commands.apply import exiftool
from stages.commands.plan.plan_file import FORMAT, VERSION
from tests.power.recorder import Recorder
from tests.stages.commands.apply.acting import EXIFTOOL

LONG_AGO = 1_600_000_000 * 10**9
BYTES = b"\xff\xd8 one picture " * 700
"""Content of more than a page, so that a write may be torn."""
FILES = {"a/kept.jpg": BYTES, "b/same.jpg": BYTES, "b/too.jpg": BYTES, "c/d/deep.jpg": BYTES}
COMPANIONS = {"a/kept.xmp": b"a sidecar" * 700, "b/too.xmp": b"a sidecar" * 700, "c/d/deep.xmp": b"other words" * 600}
"""Companions; where metadata are merged, the last companion's metadata change the first."""
ALIKE = {"e/kept.jpg": BYTES + b" sharper", "e/alike.jpg": BYTES + b" paler"}
OTHERS = {"e/kept.mov": b"a film" * 900, "e/alike.MOV": b"another film" * 900}
"""A file that differs from its keeper, so no link can replace it."""
TO_ANOTHER_DISK = "move to another disk"
WITH_METADATA = "move with metadata"
LINKS = ("hardlink", "symlink")


def files_for(action: str) -> dict[str, bytes]:
    """Return the initial files by path below the photos."""
    return FILES | COMPANIONS if action in LINKS else FILES | ALIKE | COMPANIONS | OTHERS


def before(top: Path) -> None:
    """Write the files and a plan for them."""
    photos = top / "disk" / "photos"
    groups: dict[bool, dict[str, list[object]]] = {}
    for name, data in files_for(top.name).items():
        path = photos / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        os.utime(path, ns=(LONG_AGO, LONG_AGO))
        if path.suffix != ".jpg":
            continue
        file = {"path": str(path), "bytes": len(data), "digest": hashlib.sha256(data).hexdigest(), "mtime_ns": LONG_AGO}
        group = groups.setdefault(name.startswith("e"), {"keep": [], "remove": []})
        group["keep" if "kept" in name else "remove"].append(file)
    clusters = [{"cluster": number, **group} for number, group in enumerate(groups.values())]
    plan = {FORMAT: VERSION, "run": "", "references": [], "clusters": clusters}
    (top / "plan.json").write_text(json.dumps(plan))


def apply(top: Path) -> int:
    """Run `fast-diff apply` with the action that the folder is named after; return the exit code."""
    action = top.name.split()[0]
    to = ["--to", str(top / "disk" / "far" / "away")] if action == "move" else []
    more = ["--merge-metadata"] if top.name == WITH_METADATA else []
    journal = str(top / "disk" / "journal.jsonl")
    return main(["apply", str(top / "plan.json"), "--action", action, *to, *more, "--yes", "--journal", journal])


def undo(top: Path) -> int:
    """Run `fast-diff undo`; return the exit code."""
    return main(["undo", str(top / "disk" / "journal.jsonl")])


def recorded(recorder: Recorder, top: Path) -> None:
    """Run the commands that are cut."""
    with surroundings(top):
        assert apply(top) == 0
        recorder.mark("applied")
        if top.name != "delete":
            assert undo(top) == 0
            recorder.mark("undone")


@contextlib.contextmanager
def surroundings(top: Path) -> Iterator[None]:
    """Put the trash on the disk that is cut and the lock elsewhere; optionally make one folder another disk."""
    changes = [patch.dict(os.environ, XDG_DATA_HOME=str(top / "disk" / "data"), XDG_STATE_HOME=str(top / "state"))]
    if top.name == TO_ANOTHER_DISK:
        changes += [patch.object(os, name, functools.partial(_within_a_disk, getattr(os, name))) for name in CROSSING]
    if top.name == WITH_METADATA:
        changes += [patch.object(exiftool, name, kind) for name, kind in EXIFTOOL.items()]
    with contextlib.ExitStack() as stack:
        for change in changes:
            stack.enter_context(change)
        yield


CROSSING = ("link", "rename")


def _within_a_disk(real: Any, old: Any, new: Any, **more: Any) -> None:
    """Wrap `os.link` or `os.rename` so that files in `far` are on another disk."""
    folders = [more[name] for name in ("src_dir_fd", "dst_dir_fd") if name in more]
    if len({"/far" in os.readlink(f"/proc/self/fd/{number}") for number in folders}) > 1:
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), old)
    real(old, new, **more)
