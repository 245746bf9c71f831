"""Handle SIGINT and SIGTERM.

The first signal ends the run cleanly; the second exits at once."""

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
    """State: whether a signal has arrived, and whether `delayed` delays the exception."""

    def __init__(self) -> None:
        self.interrupted, self.held, self.pending = threading.Event(), 0, False


_state = _State()


@contextlib.contextmanager
def interrupts() -> Iterator[threading.Event]:
    """Yield an event; the first signal sets the event and raises KeyboardInterrupt.

    The second signal exits at once. The event stays set, since compiled code can swallow a KeyboardInterrupt. In other
    threads than the main thread, signals are not handled."""
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
    """Make CPython forget a handled KeyboardInterrupt that passed through `exec()`.

    Dataclasses call `exec()`. After such an interrupt CPython ends the process with SIGINT at exit, even though the
    interrupt was handled; another call of `exec()` prevents this exit."""
    exec("")


@contextlib.contextmanager
def delayed() -> Iterator[None]:
    """Delay KeyboardInterrupt until the end of the `with` statement.

    Ctrl-C reaches every process of a terminal's group. Processes started inside the statement inherit the signal mask,
    so Ctrl-C does not reach these processes; this process ends its child processes in order."""
    state = _state
    resource_tracker.ensure_running()  # a tracker started later, with the first child, would unblock signals
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
