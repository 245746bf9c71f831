"""The disks that a power cut may leave, rebuilt from a recording.

What was synced is there. Of everything since, each piece may be on disk or not, whatever came after it:

- names: an entry of a folder that was made, changed or removed is on disk once that folder was synced after it. Else it
  may be lost, alone or with all later ones of its folder, or of the disk. A rename is one step, as on every file system
  with a journal; where only the folder that it leads to was synced, the old name may be there as well.
- data: what was written to a file is on disk once that file was synced after it. Else the file may hold none of it, a
  part, all but a part, half a write, or zeros of the right length; names and times of the file tell nothing of that.

These are the rules of ALICE (Pillai et al., OSDI 2014) and CrashMonkey (Mohan et al., OSDI 2018), which hold for ext4,
XFS and Btrfs; SQLite's tests lose and reorder unsynced writes in the same way.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from tests.power.recorder import Cut, Names, Recording, Sync, Write

PAGE = 4096


@dataclass
class Disk:
    """The state after a power cut: entries of folders, contents of files, targets of links; 0 is the top folder."""

    entries: dict[int, dict[str, int]] = field(default_factory=dict)
    files: dict[int, bytes] = field(default_factory=dict)
    links: dict[int, str] = field(default_factory=dict)
    times: dict[int, int] = field(default_factory=dict)

    def digest(self) -> str:
        """Return a digest, equal for equal disks, however their nodes are numbered."""
        found = hashlib.sha256()
        numbers: dict[int, int] = {}
        for path, node in self.walk():
            content = self.files.get(node, self.links.get(node, "").encode())
            found.update(repr((path, numbers.setdefault(node, len(numbers)), content)).encode())
        return found.hexdigest()

    def walk(self) -> list[tuple[str, int]]:
        """Yield relative paths and nodes, a folder before its entries."""
        found: list[tuple[str, int]] = []
        folders = [("", 0)]
        while folders:
            path, folder = folders.pop()
            for name, node in sorted(self.entries[folder].items()):
                inside = f"{path}{name}"
                found.append((inside, node))
                if node in self.entries:
                    folders.append((f"{inside}/", node))
        return found

    def write(self, top: Path) -> None:
        """Write the disk in place of the recorded folder; existing files are removed."""
        shutil.rmtree(top, ignore_errors=True)
        top.mkdir()
        placed: dict[int, Path] = {}
        for name, node in self.walk():
            path = top / name
            if node in self.entries:
                path.mkdir()
            elif node in self.links:
                path.symlink_to(self.links[node])
            elif node in placed:
                path.hardlink_to(placed[node])
            else:
                path.write_bytes(self.files[node])
                os.utime(path, ns=(self.times[node], self.times[node]))
            placed[node] = path


NAMES = ("none", "all", "all", "until", "until in each folder", "some")
DATA = ("none", "all", "none", "zeros", "torn", "some", "mixed")


def cut(recording: Recording, at: int, random: Random, names: str | None = None, data: str | None = None) -> Disk:
    """A disk that a power cut after `at` steps may leave; what is not synced is kept or lost by `random`.

    `names` and `data`: in which way, see NAMES and DATA."""
    synced = _synced(recording, at)
    entries = _entries(recording, at, synced, random, names or random.choice(NAMES))
    files = _files(recording, at, synced, random, data or random.choice(DATA))
    times = {
        file: next((time for position, time in reversed(times) if position < at), 0)
        for file, times in recording.times.items()
    }
    return Disk(entries, files, recording.links, times)


def _synced(recording: Recording, at: int) -> dict[int, int]:
    """Return the last sync of each node."""
    return {step.node: position for position, step in enumerate(recording.steps[:at]) if isinstance(step, Sync)}


def _entries(
    recording: Recording, at: int, synced: Mapping[int, int], random: Random, how: str
) -> dict[int, dict[str, int]]:
    entries = {folder: dict(names) for folder, names in recording.entries.items()}
    kept = _names_kept(at, random, how)
    for position, step in enumerate(recording.steps[:at]):
        if not isinstance(step, Names):
            continue
        durable = [synced.get(folder, -1) > position for folder, _, _ in step.entries]
        luck = kept(position, step.entries[0][0])
        if not any(durable) and not luck:
            continue
        for place, (folder, name, node) in enumerate(step.entries):
            if node is not None:
                entries[folder][name] = node
            elif luck or any(durable[place:]):
                entries[folder].pop(name, None)
    return entries


def _names_kept(at: int, random: Random, how: str) -> Callable[[int, int], bool]:
    """Return whether an unsynced change of names, at a position and in a folder, is on disk nevertheless."""
    if how == "until":
        end = random.randrange(at + 1)
        return lambda position, folder: position < end
    if how == "until in each folder":
        ends: defaultdict[int, int] = defaultdict(lambda: random.randrange(at + 1))
        return lambda position, folder: position < ends[folder]
    if how == "some":
        return lambda position, folder: random.random() < 0.5
    return lambda position, folder: how == "all"


def _files(recording: Recording, at: int, synced: Mapping[int, int], random: Random, how: str) -> dict[int, bytes]:
    contents = {file: bytearray(data) for file, data in recording.files.items()}
    pending: defaultdict[int, list[Write | Cut]] = defaultdict(list)
    for position, step in enumerate(recording.steps[:at]):
        if isinstance(step, Write | Cut):
            if synced.get(step.file, -1) > position:
                _change(contents[step.file], step)
            else:
                pending[step.file].append(step)
    for file, steps in pending.items():
        _unsynced(contents[file], steps, random, random.choice(DATA[:-1]) if how == "mixed" else how)
    return {file: bytes(content) for file, content in contents.items()}


def _change(content: bytearray, step: Write | Cut) -> None:
    size = step.size if isinstance(step, Cut) else step.at
    content.extend(bytes(max(0, size - len(content))))
    if isinstance(step, Cut):
        del content[size:]
    else:
        content[size : size + len(step.data)] = step.data


def _unsynced(content: bytearray, steps: Sequence[Write | Cut], random: Random, how: str) -> None:
    """Apply to a file a possible remainder of its unsynced steps."""
    if how == "torn":
        steps = steps[: random.randrange(len(steps)) + 1]
        last = steps[-1]
        if isinstance(last, Write):
            steps = [*steps[:-1], Write(last.file, last.at, last.data[: random.randrange(len(last.data) + 1)])]
    if how == "some":
        steps = [step for step in steps if random.random() < 0.5]
    if how == "zeros":  # the file has its size, but some pages are missing
        steps = [
            Write(step.file, step.at, _holed(step.data, random)) if isinstance(step, Write) else step for step in steps
        ]
    for step in steps if how != "none" else ():
        _change(content, step)


def _holed(data: bytes, random: Random) -> bytes:
    """Return the bytes with most pages zeroed."""
    pages = [data[start : start + PAGE] for start in range(0, len(data), PAGE)]
    return b"".join(bytes(len(page)) if random.random() < 0.7 else page for page in pages)
