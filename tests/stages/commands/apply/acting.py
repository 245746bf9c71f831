"""Folders and plans for the tests of `apply` and `undo`, and functions that follow and undo a plan."""

import contextlib
import errno
import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from stages.commands.apply import exiftool
from stages.commands.apply.actions import ACTIONS
from stages.commands.apply.follow import apply
from stages.commands.apply.journal import Journal
from stages.commands.apply.take_back import undo
from stages.commands.apply.tally import Tally
from stages.commands.plan.plan_file import FORMAT, VERSION, RemovalPlan, checked

ODD = os.fsencode("b\udce9 \"'<img src=x onerror=alert(1)>\n😀--yes.jpg")


def entry(path: Path) -> dict[str, Any]:
    """Return a plan's entry about a file."""
    data, stat, name = path.read_bytes(), path.stat(), os.fsencode(path)
    said = {"path": name.decode("utf-8", "backslashreplace"), "bytes": stat.st_size, "mtime_ns": stat.st_mtime_ns}
    odd = {"path_bytes": name.hex()} if b"\xe9" in name else {}
    return said | {"digest": hashlib.sha256(data).hexdigest()} | odd


def state(folder: Path) -> dict[str, tuple[bytes, int, int]]:
    """Return names, bytes, time stamps and kinds of all files below a folder."""
    return {
        str(path.relative_to(folder)): (path.read_bytes(), path.lstat().st_mtime_ns, path.lstat().st_mode)
        for path in folder.rglob("*")
        if path.is_file()
    }


def odd(photos: Path) -> Path:
    return Path(os.fsdecode(os.fsencode(photos / "b") + b"/" + ODD))


def plan_for(photos: Path, **more: Any) -> dict[str, Any]:
    groups = [
        {"cluster": 0, "keep": [photos / "a/1.jpg"], "remove": [photos / "b/1.jpg", odd(photos)]},
        {"cluster": 1, "keep": [photos / "c/x.jpg"], "remove": [photos / "c/y.jpg"]},
    ]
    clusters = [
        {name: [entry(path) for path in value] if isinstance(value, list) else value for name, value in group.items()}
        for group in groups
    ]
    return {FORMAT: VERSION, "run": "", "clusters": clusters, **more}


def one(keep: Path, remove: Path, **more: Any) -> Any:
    """Return a plan for two files."""
    group = {"cluster": 0, "keep": [entry(keep)], "remove": [entry(remove)]}
    return checked({FORMAT: VERSION, "clusters": [group], **more}, "plan")


def accompany(photos: Path) -> None:
    """Add companions to all images but one: some equal the keeper's companions; and a file that belongs to no image."""
    names = [("a/1.xmp", b"sidecar"), ("b/1.XMP", b"sidecar"), ("a/1.jpg.json", b"an album"), ("a/1.aae", b"edits")]
    names += [
        ("b/1.jpg.json", b"another album"),
        ("c/x.mov", b"a film"),
        ("c/y.MOV", b"a film, too"),
        ("b/notes.xmp", b""),
    ]
    paths = [photos / name for name, _ in names]
    for path, (_, data) in zip(paths, names, strict=True):
        path.write_bytes(data)
    paths.append(odd(photos).with_suffix(".AAE"))
    paths[-1].write_bytes(b"edits")
    for number, path in enumerate(paths):
        os.utime(path, ns=(10**18 + number, 10**18 + number))


def followed(
    plan: RemovalPlan, action: str, folder: Path, yes: bool = True, companions: str = "with", merge: bool = False
) -> tuple[list[str], Tally, Path]:
    """Follow a plan; return the lines, the tally and the journal."""
    tally, path = Tally(), folder / f"{action}.jsonl"
    to = folder / "moved" if action == "move" else None
    with Journal(path) if yes else contextlib.nullcontext() as journal:
        lines = list(apply(plan, action, to, journal, tally, companions, merge))
    return lines, tally, path


def _read(paths: Sequence[Path]) -> list[dict[str, Any]]:
    return [{"XMP-dc:Subject": path.read_bytes().decode("latin-1").split("+")} for path in paths]


def _written(before: bytes | None, tags: Mapping[str, Any]) -> bytes:
    return b"+".join([before or b"new", *(each.encode("latin-1") for each in tags["XMP-dc:Subject"])]) * 3


EXIFTOOL = {"read": _read, "written": _written, "check_installed": lambda: None}
"""A stand-in for exiftool: a file's bytes are its keyword, and keywords are appended to a sidecar."""


def merging_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pretend that exiftool is not needed."""
    for name, function in EXIFTOOL.items():
        monkeypatch.setattr(exiftool, name, function)


def undone(journal: Path) -> Tally:
    tally = Tally()
    list(undo(journal, tally))
    return tally


WORKING = [action for action in ACTIONS if action != "reflink"]


def other_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make links between two folders fail, as if the folders were on two disks."""
    link = os.link

    def across(source: str, target: str, **more: Any) -> None:
        if "src_dir_fd" in more and not os.path.samestat(os.fstat(more["src_dir_fd"]), os.fstat(more["dst_dir_fd"])):
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        link(source, target, **more)

    monkeypatch.setattr(os, "link", across)


def leftovers(folder: Path) -> list[Path]:
    return list(folder.rglob(".fast-diff*"))


def folder_of(number: int | None) -> Path:
    """Return the path of an open file or folder."""
    return Path() if number is None else Path(f"/proc/self/fd/{number}").readlink()


def syncs(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Record, in order, what is synced, and which names are added and removed."""
    happened: list[str] = []

    def noted(name: str) -> Any:
        call = getattr(os, name)

        def done(*given: Any, **more: Any) -> Any:
            result = call(*given, **more)
            if name == "fsync":
                happened.append(f"sync {folder_of(given[0])}")
            else:
                folder = folder_of(more.get("dst_dir_fd", more.get("dir_fd")))
                happened.append(f"{name} {folder / os.fspath(given[1] if len(given) > 1 else given[0])}")
            return result

        return done

    for name in ("fsync", "link", "unlink", "rename"):
        monkeypatch.setattr(os, name, noted(name))
    return happened


def tampered(journal: Path, **change: Any) -> None:
    lines = [json.loads(line) for line in journal.read_text().splitlines()]
    lines[1] |= {name: os.fsencode(value).hex() if isinstance(value, Path) else value for name, value in change.items()}
    journal.write_text("".join(json.dumps(line) + "\n" for line in lines))


def stat_with(found: os.stat_result, **changed: int) -> os.stat_result:
    """Return a stat result with some values changed, times in nanoseconds included."""
    names = ("st_mode", "st_ino", "st_dev", "st_nlink", "st_uid", "st_gid", "st_size")
    values = {name: getattr(found, name) for name in dir(found) if name.startswith("st_")} | changed
    return type(found)([values.pop(name) for name in names] + list(found[len(names) :]), values)
