"""Hold a folder open.

A name in an open folder means one file from the first check to the last step.

A path may lead to another file at any moment: a folder is swapped for a link, an editor saves a new version. So each
step works on a name in an open folder, and checks the file that it got.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BufferedReader, BufferedWriter
from pathlib import Path
from typing import TypeAlias

from stages.commands.apply.acts.errors import ActRefused

Version: TypeAlias = tuple[int, int, int, int]
"""Device, inode, size and time of a file; a rename changes none of these, a new version of the file does."""

PIECE = 1 << 20
NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)
"""Errors of file systems that can rename files, but can't make hard links, or forbid them."""
NO_SYNC = (errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS, errno.EBADF)
"""Errors of file systems that can't sync folders. A disk that became read-only fails with another error."""
RENAME_NOREPLACE = 1


def version(found: os.stat_result) -> Version:
    """Return the fields that identify one version of a file."""
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


@dataclass(eq=False)
class Folder:
    """An open folder.

    `loose`: a new name may not be on disk yet; `stale`: a removed name may still be on disk, which is harmless until
    the command ends."""

    path: Path
    descriptor: int
    loose: bool = False
    stale: bool = False

    def stat(self, name: str) -> os.stat_result | None:
        """Return the stat result of a name itself, None if the name is free.

        Raises OSError."""
        try:
            return os.stat(name, dir_fd=self.descriptor, follow_symlinks=False)
        except FileNotFoundError:
            return None

    def names(self) -> list[str]:
        """Return the names in the folder. Raises OSError."""
        return os.listdir(self.descriptor)  # noqa: PTH208  # of the open folder, wherever its path leads now

    def is_at_path(self) -> bool:
        """Return whether the folder's path still leads to the folder."""
        with contextlib.suppress(OSError):
            return os.path.samestat(self.path.stat(), os.fstat(self.descriptor))
        return False

    @contextlib.contextmanager
    def opened(self, name: str) -> Iterator[BufferedReader]:
        """Open a regular file to read; follow no link, and never block on a pipe.

        Raises ActRefused, OSError."""
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        try:
            descriptor = os.open(name, flags, dir_fd=self.descriptor)
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.ENXIO):
                raise ActRefused("the path no longer leads to a regular file") from error
            raise
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise ActRefused("the path no longer leads to a regular file")
        with os.fdopen(descriptor, "rb") as file:
            yield file

    @contextlib.contextmanager
    def created(self, name: str, mode: int = 0o600) -> Iterator[BufferedWriter]:
        """Create a file to write, which is on disk when the block ends. Raises OSError."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(name, flags, mode, dir_fd=self.descriptor)
        self.loose = True
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(descriptor)

    def digest(self, name: str) -> tuple[os.stat_result, str]:
        """Return the stat result and the SHA-256 of a regular file.

        Raises ActRefused, OSError."""
        with self.opened(name) as file:
            before = os.fstat(file.fileno())
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            if version(os.fstat(file.fileno())) != version(before):
                raise ActRefused("another program is writing to the file")
        return before, digest

    def is_whole(self, name: str, size: int, digest: str) -> bool:
        """Return whether a regular file with this content has the name."""
        with contextlib.suppress(OSError, ActRefused):
            found = self.stat(name)
            return found is not None and found.st_size == size and self.digest(name)[1] == digest
        return False

    def begins_like(self, name: str, other: Folder, whole: str) -> bool:
        """Return whether a regular file's bytes are a prefix of another file's bytes.

        Zeros count as equal: a power cut leaves zeros where a copy was not on disk. Raises OSError, ActRefused."""
        with self.opened(name) as some, other.opened(whole) as every:
            while got := some.read(PIECE):
                own = every.read(len(got))
                if got != own and (len(got) != len(own) or any(x not in (0, y) for x, y in zip(got, own, strict=True))):
                    return False
        return True

    def rename(self, name: str, new: str) -> None:
        """Rename a file to a free name in this folder. Raises OSError."""
        os.rename(name, new, src_dir_fd=self.descriptor, dst_dir_fd=self.descriptor)
        self.stale = True

    def set_aside(self, name: str, new: str, expected: Version) -> None:
        """Rename a file.

        Raises ActRefused if the file is not the expected version, which then gets its name back; OSError."""
        if self.stat(new) is not None:
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(self.path / new))
        try:
            self.rename(name, new)
        except FileNotFoundError as error:
            raise ActRefused("the file is gone") from error
        found = self.stat(new)
        if found is None or version(found) != expected:
            try:
                self.claim(new, name)
            except FileExistsError as error:
                raise ActRefused(
                    f"the file was changed twice meanwhile; {self.path / new} has the earlier version"
                ) from error
            self.sync()
            self.remove(new)
            raise ActRefused("the file was changed meanwhile")

    def claim(self, name: str, new: str, before: Callable[[], None] = lambda: None) -> None:
        """Give a file a second name, never the name of another file.

        Where the file system has no hard links, call `before`, then rename the file.

        Raises FileExistsError, OSError."""
        self.loose = True
        try:
            os.link(name, new, src_dir_fd=self.descriptor, dst_dir_fd=self.descriptor, follow_symlinks=False)
        except OSError as error:
            if error.errno not in NO_LINKS:
                raise
            before()
            self._rename_to_free(name, new)

    def _rename_to_free(self, name: str, new: str) -> None:
        rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
        if rename is not None:
            if not rename(self.descriptor, os.fsencode(name), self.descriptor, os.fsencode(new), RENAME_NOREPLACE):
                return
            if (code := ctypes.get_errno()) not in (errno.EINVAL, errno.ENOSYS):
                raise OSError(code, os.strerror(code), new)
        if self.stat(new) is not None:
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), new)
        self.rename(name, new)  # another program may take the name in between: no better call exists here

    def remove(self, name: str) -> None:
        """Remove a name, if it exists. Raises OSError."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name, dir_fd=self.descriptor)
            self.stale = True

    def sync(self) -> None:
        """Sync the folder's names, if its file system can.

        Raises OSError where a disk fails."""
        try:
            os.fsync(self.descriptor)
        except OSError as error:
            if error.errno not in NO_SYNC:
                raise
        self.loose = self.stale = False
