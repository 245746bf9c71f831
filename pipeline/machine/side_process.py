"""Call functions that import or compile for seconds in a side process.

The side process is niced. It starts with the first call, and ends with its parent or after IDLE seconds without calls.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import json
import os
import pickle
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

NICE = 10
"""Niceness of the side process: calls use the processor time that other work leaves."""
IDLE = 20
"""Seconds without a call after which the process ends."""
START = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from pipeline.machine.side_process import main; main()"
)


def submit(function: Callable[..., Any], *arguments: Any) -> Callable[[], Any]:
    """Begin a call; return a function that waits for the result and returns it.

    The returned function raises the error that `function` raised. If the side process can't be used, the returned
    function makes the call itself."""
    try:
        future = _process.submit(function, arguments)
    except OSError:
        return functools.partial(function, *arguments)

    def result() -> Any:
        try:
            return future.result()
        except EOFError:  # the process was killed, as for lack of memory
            return function(*arguments)

    return result


class _SideProcess:
    """The parent's end of the side process; thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._waiting: list[Future[Any]] = []
        atexit.register(self.close)

    def submit(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> Future[Any]:
        """Send a call to the process. Raises OSError."""
        message = pickle.dumps((function, arguments))
        with self._lock:
            if self._process is None or self._process.poll() is not None:
                self._process, self._waiting = _started(), []
                threading.Thread(target=self._read, args=(self._process, self._waiting), daemon=True).start()
            assert self._process.stdin
            future: Future[Any] = Future()
            self._waiting.append(future)
            self._process.stdin.write(message)
            self._process.stdin.flush()
            return future

    def _read(self, process: subprocess.Popen[bytes], waiting: list[Future[Any]]) -> None:
        """Set the result of each future; answers arrive in the order of the calls."""
        assert process.stdin
        assert process.stdout
        with contextlib.suppress(Exception):  # the process has ended, or its answer can't be read
            while True:
                done, value = pickle.load(process.stdout)
                future = waiting.pop(0)
                future.set_result(value) if done else future.set_exception(value)
        with self._lock:
            process.kill()
            process.wait()
            process.stdout.close()
            with contextlib.suppress(OSError):  # a call in the buffer could not be sent
                process.stdin.close()
            for future in waiting:
                future.set_exception(EOFError())

    def close(self) -> None:
        """End the process."""
        with self._lock:
            if self._process:
                self._process.kill()
                self._process.wait()


def _started() -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-P", "-c", START, json.dumps(sys.path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C does not reach the process
    )


def main() -> None:
    """Make the calls that the parent sends, until the parent closes the connection."""
    os.nice(NICE)
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # stdout carries only the answers; output of libraries goes to stderr
    while True:
        signal.alarm(IDLE)
        try:
            function, arguments = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        signal.alarm(0)
        try:
            answer = True, function(*arguments)
        except Exception as error:
            answer = False, error
        pickle.dump(answer, answers)
        answers.flush()


_process = _SideProcess()
