"""Do acts together, or take them back: step by step, with all names on disk between two steps."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Sequence
from operator import methodcaller
from typing import Any, TypeAlias

from stages.commands.acts.act import Act
from stages.commands.acts.errors import Cannot
from stages.commands.acts.folders import Folders

Failure: TypeAlias = Cannot | OSError

FORWARD = tuple(map(methodcaller, ("lift", "drop", "name", "clear")))
BACK = tuple(map(methodcaller, ("fetch", "release", "restore", "tidy")))


def do(acts: Sequence[Act], folders: Folders) -> dict[Act, Failure]:
    """Do the acts; return why those failed that did, whose files are put back.

    What ends it otherwise, KeyboardInterrupt included, puts all files back that still can be."""
    try:
        failed = _walk(acts, FORWARD, folders)
    except BaseException:
        for act in acts:
            take_back([act], folders)
        raise
    for act in failed:
        take_back([act], folders)
    return failed


def take_back(acts: Sequence[Act], folders: Folders) -> dict[Act, Failure]:
    """Put files back, however far their acts came; return why those stay away that do."""
    failed = _walk(acts, BACK[:-1], folders)
    for act in acts:
        try:
            act.tidy()
        except (Cannot, OSError) as error:
            failed.setdefault(act, error)
    with contextlib.suppress(OSError):
        folders.sync()
    return failed


def _walk(acts: Iterable[Act], steps: Iterable[Callable[[Any], Any]], folders: Folders) -> dict[Act, Failure]:
    failed: dict[Act, Failure] = {}
    for step in steps:
        for act in acts:
            if act not in failed:
                try:
                    step(act)
                except (Cannot, OSError) as error:
                    failed[act] = error
        try:
            folders.sync()
        except OSError as error:
            failed |= {act: error for act in acts if act not in failed}
    return failed
