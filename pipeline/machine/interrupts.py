"""Ctrl-C, and SIGTERM as batch systems send it: the first signal stops the run in good order, the second at once."""

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
    """Signals of this process: whether one has arrived, and whether its exception waits for `held` to end."""

    def __init__(self) -> None:
        self.interrupted, self.held, self.pending = threading.Event(), 0, False


_state = _State()


@contextlib.contextmanager
def interrupts() -> Iterator[threading.Event]:
    """Handle signals: the first one sets the event and raises KeyboardInterrupt, the second one ends the process.

    The event stays set, since compiled code can swallow a KeyboardInterrupt."""
    global _state
    if threading.current_thread() is not threading.main_thread():
        yield threading.Event()
        return
    _state = _State()
    before = {number: signal.signal(number, _interrupt) for number in SIGNALS}
    try:
        yield _state.interrupted
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        forget()


def forget() -> None:
    """Make CPython forget an interrupt that was handled.

    CPython remembers a KeyboardInterrupt that passed through `exec`, which dataclasses use, until the next `exec`; at
    exit it would kill its own process by the same signal."""
    exec("")


@contextlib.contextmanager
def held() -> Iterator[None]:
    """Raise KeyboardInterrupt only at the end of this block, which must not be left half done.

    Ctrl-C reaches every process of a terminal's group. Children that are started in this block, or by threads that are
    started in this block, ignore the signal: this process ends them."""
    state = _state
    resource_tracker.ensure_running()  # else multiprocessing starts it with its first child, and unblocks signals
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    state.held += 1
    try:
        yield
    finally:
        state.held -= 1
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
    if state.pending and not state.held:
        state.pending = False
        raise KeyboardInterrupt


def _interrupt(number: int, frame: object) -> None:
    if _state.interrupted.is_set():
        sys.stderr.write("\nfast-diff: interrupted again: stopped at once; run the same command again to go on\n")
        sys.stderr.flush()
        os._exit(INTERRUPTED)
    _state.interrupted.set()
    if _state.held:
        _state.pending = True
    else:
        raise KeyboardInterrupt
