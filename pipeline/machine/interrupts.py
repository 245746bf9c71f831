"""Ctrl-C, and SIGTERM as batch systems send it: once to stop in good order, twice to leave at once."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from multiprocessing import resource_tracker

INTERRUPTED = 130
SIGNALS = (signal.SIGINT, signal.SIGTERM)


class _State:
    """How far this process has come with it."""

    def __init__(self) -> None:
        self.asked, self.held, self.owed = threading.Event(), 0, False


_state = _State()


@contextlib.contextmanager
def interrupts() -> Iterator[threading.Event]:
    """While this lasts, the first signal sets the event and raises KeyboardInterrupt; a second one ends the process.

    The event stays set: a KeyboardInterrupt alone can get lost, where compiled code that is called at that moment
    swallows it."""
    global _state
    if threading.current_thread() is not threading.main_thread():
        yield threading.Event()
        return
    _state = _State()
    before = {number: signal.signal(number, _interrupt) for number in SIGNALS}
    try:
        yield _state.asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        forget()


def forget() -> None:
    """An interrupt was dealt with. CPython remembers one that went through `exec`, as the making of dataclasses does,
    until the next one begins, and would kill its own process by the same signal in the end."""
    exec("")


@contextlib.contextmanager
def held() -> Iterator[None]:
    """What must not be left half done: KeyboardInterrupt is raised at its end. Children that are started in it, or by
    threads that are, never hear of Ctrl-C, which reaches every process of a terminal's group: they are told to end."""
    state = _state
    resource_tracker.ensure_running()  # else multiprocessing starts it with its first child, and lets signals in again
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    state.held += 1
    try:
        yield
    finally:
        state.held -= 1
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
    if state.owed and not state.held:
        state.owed = False
        raise KeyboardInterrupt


def _interrupt(number: int, frame: object) -> None:
    if _state.asked.is_set():
        sys.stderr.write("\nfast-diff: interrupted again: left at once; run the same command again to go on\n")
        sys.stderr.flush()
        os._exit(INTERRUPTED)
    _state.asked.set()
    if _state.held:
        _state.owed = True
    else:
        raise KeyboardInterrupt
