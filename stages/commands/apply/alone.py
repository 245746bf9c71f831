"""Lock out a second `apply` or `undo` of the same user.

Each of the two commands might remove a file that the other command keeps."""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from platformdirs import user_state_path

from pipeline.messages.errors import ConfigError

NAME = "acts.lock"


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """Hold the lock of this user's `apply` and `undo` until this process ends.

    The lock lies in the user's state folder, where no other user can write. Raises ConfigError where another command
    holds the lock, or where another user could write to the lock."""
    folder = user_state_path("fast-diff")
    with contextlib.ExitStack() as opened:
        try:
            _lock(folder, opened)
        except BlockingIOError as error:
            raise ConfigError("another `apply` or `undo` of yours is running; wait for it to end") from error
        except OSError as error:
            problem = (
                f"the lock of `apply` and `undo` can't be taken ({error.strerror or error}); expected a writable folder"
            )
            raise ConfigError(f"{folder}: {problem}") from error
        yield


def _lock(folder: Path, opened: contextlib.ExitStack) -> None:
    """Take the lock until `opened` closes.

    Raises ConfigError, OSError; BlockingIOError where the lock is held."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        _check(os.fstat(held), folder)
        number = os.open(NAME, flags, 0o600, dir_fd=held)
    finally:
        os.close(held)
    opened.callback(os.close, number)
    found = os.fstat(number)
    _check(found, folder / NAME)
    if not stat.S_ISREG(found.st_mode) or found.st_nlink > 1:
        raise ConfigError(f"{folder / NAME}: expected a regular file without hard links; remove it")
    fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _check(found: os.stat_result, place: Path) -> None:
    if found.st_uid != os.geteuid() or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise ConfigError(f"{place}: expected to be yours, and writable by you only. Change its owner or mode")
