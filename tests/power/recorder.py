"""Record the operations on the files below a folder: every write, name and sync, in order.

An in-process layer over `os` and `open`. What Arrow writes comes by here as well, since the project hands it Python's
own files. Nodes - files, folders, symbolic links - are numbered; the folder itself is 0.
"""

from __future__ import annotations

import builtins
import contextlib
import fcntl
import functools
import io
import os
import stat
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias


@dataclass(frozen=True)
class Write:
    """Bytes are written at a position of a file."""

    file: int
    at: int
    data: bytes


@dataclass(frozen=True)
class Cut:
    """A file is truncated or extended to a size."""

    file: int
    size: int


@dataclass(frozen=True)
class Names:
    """Entries of folders change in one step: folder, name, and the name's new node, or None."""

    entries: tuple[tuple[int, str, int | None], ...]


@dataclass(frozen=True)
class Sync:
    """A file's data, or a folder's entries, are on disk from this step on."""

    node: int


@dataclass(frozen=True)
class Mark:
    """The block reports a position."""

    label: str


Step: TypeAlias = Write | Cut | Names | Sync | Mark


@dataclass
class Recording:
    """All steps from a synced state: `entries` of folders, `files`, and `links` with their targets.

    `times`: each file's modification time after a step, by position in `steps`."""

    entries: dict[int, dict[str, int]] = field(default_factory=dict)
    files: dict[int, bytes] = field(default_factory=dict)
    links: dict[int, str] = field(default_factory=dict)
    times: dict[int, list[tuple[int, int]]] = field(default_factory=dict)
    steps: list[Step] = field(default_factory=list)

    @property
    def count(self) -> int:
        """Return the number of nodes."""
        return len(self.entries) + len(self.files) + len(self.links)

    def names(self, node: int) -> set[str]:
        """Return the names that a node has had."""
        first = {name for entries in self.entries.values() for name, there in entries.items() if there == node}
        steps = (entry for step in self.steps if isinstance(step, Names) for entry in step.entries)
        return first | {name for _, name, there in steps if there == node}

    def without(self, gone: Callable[[Sync], bool]) -> Recording:
        """Return the recording of a program that leaves out some syncs."""
        steps = [Mark("") if isinstance(step, Sync) and gone(step) else step for step in self.steps]
        return Recording(self.entries, self.files, self.links, self.times, steps)


class Recorder:
    """A context manager that records in `recording` what this process does below `root`."""

    def __init__(self, root: Path) -> None:
        self._root = os.path.realpath(root)
        self.recording = Recording()
        self._ids: dict[tuple[int, int], int] = {}
        self._lock = threading.RLock()
        self._count = 0
        self._take_in(self._root)

    def mark(self, label: str) -> None:
        """Record a position in the block."""
        self.recording.steps.append(Mark(label))

    @contextlib.contextmanager
    def __call__(self) -> Iterator[Recorder]:
        layer = {
            (os, "open"): self._open_number,
            (os, "write"): self._write,
            (os, "pwrite"): self._pwrite,
            (os, "sendfile"): self._sendfile,
            (os, "copy_file_range"): self._copy_file_range,
            (os, "truncate"): self._truncate,
            (os, "ftruncate"): self._truncate,
            (os, "fsync"): self._sync,
            (os, "fdatasync"): self._sync,
            (os, "rename"): self._rename,
            (os, "replace"): self._rename,
            (os, "link"): self._link,
            (os, "symlink"): self._made,
            (os, "mkdir"): self._made,
            (os, "unlink"): self._gone,
            (os, "remove"): self._gone,
            (os, "rmdir"): self._gone,
            (os, "utime"): self._utime,
            (io, "open"): self._open,
            (builtins, "open"): self._open,
        }
        real = {place: getattr(*place) for place in layer if hasattr(*place)}
        for (module, name), function in real.items():
            setattr(module, name, functools.wraps(function)(functools.partial(layer[module, name], function)))
        try:
            yield self
        finally:
            for (module, name), function in real.items():
                setattr(module, name, function)

    # the initial state

    def _take_in(self, path: str) -> int:
        """Number an existing node, and all nodes below it."""
        found = os.lstat(path)
        known = self._ids.get((found.st_dev, found.st_ino))
        if known is not None:
            return known
        node = self._new(found)
        if stat.S_ISLNK(found.st_mode):
            self.recording.links[node] = os.readlink(path)
        elif stat.S_ISDIR(found.st_mode):
            self.recording.entries[node] = {}
            for name in os.listdir(path):
                self.recording.entries[node][name] = self._take_in(os.path.join(path, name))
        else:
            self.recording.files[node] = Path(path).read_bytes()
            self.recording.times[node] = [(-1, found.st_mtime_ns)]
        return node

    def _new(self, found: os.stat_result) -> int:
        node, self._count = self._count, self._count + 1
        self._ids[found.st_dev, found.st_ino] = node
        return node

    def _forget(self, found: os.stat_result | None) -> None:
        """Forget a name of a node; once the last name is gone, the system may reuse the node's number."""
        if found and (found.st_nlink == 1 or stat.S_ISDIR(found.st_mode)):
            self._ids.pop((found.st_dev, found.st_ino), None)

    # positions of nodes

    def _place(self, path: Any, dir_fd: int | None = None) -> str | None:
        """Return the true path of a name below the root, else None; the last part may be a link."""
        if isinstance(path, int):
            name = os.readlink(f"/proc/self/fd/{path}")
        else:
            name = os.fsdecode(path)
            if dir_fd is not None:
                name = os.path.join(os.readlink(f"/proc/self/fd/{dir_fd}"), name)
            folder, last = os.path.split(os.path.abspath(name))
            name = os.path.join(os.path.realpath(folder), last)
        return name if name == self._root or name.startswith(self._root + os.sep) else None

    def _name(self, place: str) -> tuple[int, str]:
        folder, name = os.path.split(place)
        found = os.stat(folder)
        return self._ids[found.st_dev, found.st_ino], name

    def _node(self, number: int) -> int | None:
        found = os.fstat(number)
        return self._ids.get((found.st_dev, found.st_ino))

    def _step(self, step: Step) -> None:
        self.recording.steps.append(step)

    def _dated(self, node: int, time: int) -> None:
        self.recording.times.setdefault(node, []).append((len(self.recording.steps) - 1, time))

    # names

    def _appeared(self, place: str) -> int:
        """Record the name of a new node."""
        found = os.lstat(place)
        node = self._new(found)
        if stat.S_ISDIR(found.st_mode):
            self.recording.entries[node] = {}
        elif stat.S_ISLNK(found.st_mode):
            self.recording.links[node] = os.readlink(place)
        else:
            self.recording.files[node] = b""
        self._step(Names(((*self._name(place), node),)))
        if not stat.S_ISDIR(found.st_mode):
            self._dated(node, found.st_mtime_ns)
        return node

    def _made(self, real: Any, *given: Any, dir_fd: int | None = None, **more: Any) -> Any:
        """Wrap `mkdir`, whose first argument is the new name, or `symlink`, whose second is."""
        path = given[1] if real.__name__ == "symlink" else given[0]
        with self._lock:
            place = self._place(path, dir_fd)
            result = real(*given, dir_fd=dir_fd, **more)
            if place:
                self._appeared(place)
            return result

    def _gone(self, real: Any, path: Any, *, dir_fd: int | None = None) -> None:
        with self._lock:
            place = self._place(path, dir_fd)
            before = os.lstat(place) if place and os.path.lexists(place) else None
            real(path, dir_fd=dir_fd)
            if place:
                self._step(Names(((*self._name(place), None),)))
                self._forget(before)

    def _rename(
        self, real: Any, source: Any, target: Any, *, src_dir_fd: int | None = None, dst_dir_fd: int | None = None
    ) -> None:
        with self._lock:
            old, new = self._place(source, src_dir_fd), self._place(target, dst_dir_fd)
            before = os.lstat(new) if new and os.path.lexists(new) else None
            same = before and old and os.path.samestat(os.lstat(old), before)
            real(source, target, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)
            if same or not (old or new):
                return
            self._forget(before)
            assert old, f"a rename across the edge of what is recorded: {source} to {target}"
            assert new, f"a rename across the edge of what is recorded: {source} to {target}"
            found = os.lstat(new)
            node = self._ids[found.st_dev, found.st_ino]
            self._step(Names(((*self._name(new), node), (*self._name(old), None))))

    def _link(
        self,
        real: Any,
        source: Any,
        target: Any,
        *,
        src_dir_fd: int | None = None,
        dst_dir_fd: int | None = None,
        follow_symlinks: bool = True,
    ) -> None:
        with self._lock:
            real(source, target, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd, follow_symlinks=follow_symlinks)
            if place := self._place(target, dst_dir_fd):
                found = os.lstat(place)
                self._step(Names(((*self._name(place), self._ids[found.st_dev, found.st_ino]),)))

    # data

    def _wrote(self, number: int, at: int, data: bytes) -> None:
        node = self._node(number)
        if node is not None and data:
            self._step(Write(node, at, data))
            self._dated(node, os.fstat(number).st_mtime_ns)

    def _end_or_place(self, number: int) -> int:
        if fcntl.fcntl(number, fcntl.F_GETFL) & os.O_APPEND:
            return os.fstat(number).st_size
        return os.lseek(number, 0, os.SEEK_CUR)

    def _write(self, real: Any, number: int, data: Any) -> int:
        with self._lock:
            at = self._end_or_place(number) if stat.S_ISREG(os.fstat(number).st_mode) else 0
            count = int(real(number, data))
            self._wrote(number, at, bytes(data)[:count])
            return count

    def _pwrite(self, real: Any, number: int, data: Any, at: int) -> int:
        with self._lock:
            count = int(real(number, data, at))
            self._wrote(number, at, bytes(data)[:count])
            return count

    def _sendfile(self, real: Any, out: int, source: int, offset: int, count: int) -> int:
        with self._lock:
            at = os.lseek(out, 0, os.SEEK_CUR) if stat.S_ISREG(os.fstat(out).st_mode) else 0
            sent = int(real(out, source, offset, count))
            self._wrote(out, at, os.pread(source, sent, offset) if sent else b"")
            return sent

    def _copy_file_range(self, real: Any, source: int, target: int, count: int) -> int:
        with self._lock:
            at, offset = (os.lseek(number, 0, os.SEEK_CUR) for number in (target, source))
            sent = int(real(source, target, count))
            self._wrote(target, at, os.pread(source, sent, offset))
            return sent

    def _truncate(self, real: Any, path: Any, length: int) -> None:
        with self._lock:
            real(path, length)
            found = os.stat(path)
            node = self._ids.get((found.st_dev, found.st_ino))
            if node is not None:
                self._step(Cut(node, length))
                self._dated(node, found.st_mtime_ns)

    def _sync(self, real: Any, file: Any) -> None:
        with self._lock:
            number = file if isinstance(file, int) else file.fileno()  # no test waits for this machine's own disk
            node = self._node(number)
            if node is not None:
                self._step(Sync(node))

    def _utime(self, real: Any, path: Any, *given: Any, dir_fd: int | None = None, **more: Any) -> None:
        with self._lock:
            real(path, *given, dir_fd=dir_fd, **more)
            place = self._place(path, dir_fd)
            if place:
                found = os.lstat(place)
                self._dated(self._ids[found.st_dev, found.st_ino], found.st_mtime_ns)

    # opening

    def _open_number(self, real: Any, path: Any, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        with self._lock:
            place = self._place(path, dir_fd) if flags & (os.O_CREAT | os.O_TRUNC) else None
            there = place is None or os.path.lexists(place)
            number = int(real(path, flags, mode, dir_fd=dir_fd))
            if place:
                self._opened(place, number, new=not there, emptied=bool(flags & os.O_TRUNC))
            return number

    def _opened(self, place: str, number: int, new: bool, emptied: bool) -> None:
        if new:
            self._appeared(os.path.realpath(place))
        elif emptied and (node := self._node(number)) is not None:
            self._step(Cut(node, 0))
            self._dated(node, os.fstat(number).st_mtime_ns)

    def _open(
        self,
        real: Any,
        file: Any,
        mode: str = "r",
        buffering: int = -1,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
        closefd: bool = True,
        opener: Any = None,
    ) -> Any:
        place = None if set("wax+").isdisjoint(mode) else self._place(file)
        if place is None:
            return real(file, mode, buffering, encoding, errors, newline, closefd, opener)
        with self._lock:
            there = os.path.lexists(place)
            raw = _Raw(self, file, mode.replace("b", "").replace("t", ""), closefd, opener)
            if not isinstance(file, int) and opener is None:
                self._opened(place, raw.fileno(), new=not there, emptied="w" in mode)
        if "b" in mode and buffering == 0:
            return raw
        whole: Any = io.BufferedRandom(raw) if "+" in mode else io.BufferedWriter(raw)
        if "b" in mode:
            return whole
        return io.TextIOWrapper(whole, encoding or "locale", errors, newline, line_buffering=buffering == 1)


class _Raw(io.FileIO):
    """A file whose writes are recorded."""

    def __init__(self, recorder: Recorder, file: Any, mode: str, closefd: bool, opener: Any) -> None:
        super().__init__(file, mode, closefd, opener)
        self._recorder = recorder

    def write(self, data: Any) -> int:
        with self._recorder._lock:
            at = self._recorder._end_or_place(self.fileno())
            count = super().write(data)
            self._recorder._wrote(self.fileno(), at, bytes(data)[:count])
            return count

    def truncate(self, size: int | None = None) -> int:
        with self._recorder._lock:
            size = super().truncate(size)
            node = self._recorder._node(self.fileno())
            if node is not None:
                self._recorder._step(Cut(node, size))
                self._recorder._dated(node, os.fstat(self.fileno()).st_mtime_ns)
            return size
