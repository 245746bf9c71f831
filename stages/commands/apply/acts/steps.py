"""Do or undo a group of acts, step by step.

Names are synced between steps."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from typing import TypeAlias

from stages.commands.apply.acts.act import Act
from stages.commands.apply.acts.errors import ActRefused
from stages.commands.apply.acts.folders import Folders

StepError: TypeAlias = ActRefused | OSError


def do(acts: Sequence[Act], folders: Folders) -> dict[Act, StepError]:
    """Do the acts; return the error of each act that failed.

    The files of failed acts are put back.

    On any other exception, KeyboardInterrupt included, all files are put back where that is still possible."""
    failed: dict[Act, StepError] = {}
    try:
        _walk(acts, ("lift",), failed)
        _synced(acts, folders, failed, stale=False)
        _walk(acts, ("drop", "name"), failed)
        _synced(acts, folders, failed)
        _walk(acts, ("clear",), failed)
    except BaseException:
        for act in acts:
            take_back([act], folders)
        raise
    for act in failed:
        take_back([act], folders)
    if failed:
        with contextlib.suppress(OSError):
            folders.sync()
    return failed


def take_back(acts: Sequence[Act], folders: Folders) -> dict[Act, StepError]:
    """Put files back after any step of their acts; return the error of each failure."""
    failed: dict[Act, StepError] = {}
    for step in ("fetch", "release", "restore"):
        _walk(acts, (step,), failed, forward=False)
        _synced(acts, folders, failed)
    for act in acts:
        try:
            act.tidy()
        except (ActRefused, OSError) as error:
            failed.setdefault(act, error)
    return failed


def _walk(acts: Iterable[Act], steps: Iterable[str], failed: dict[Act, StepError], forward: bool = True) -> None:
    """Do steps of acts that have not failed.

    If an act fails in a forward step, the other acts on the same image fail, too."""
    for step in steps:
        for act in acts:
            if act not in failed:
                try:
                    getattr(act, step)()
                except (ActRefused, OSError) as error:
                    failed[act] = error
                    for other in act.together if forward else ():
                        failed.setdefault(other, error)


def _synced(acts: Iterable[Act], folders: Folders, failed: dict[Act, StepError], stale: bool = True) -> None:
    """Sync names; where a disk fails, every act that has not failed yet fails."""
    try:
        folders.sync(stale)
    except OSError as error:
        failed |= {act: error for act in acts if act not in failed}
