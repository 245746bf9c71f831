"""Draw charts in a process beside the rest of the work: importing Matplotlib takes as long as a small run.

The drawing process is niced and starts with the first chart. The drawing process ends together with this process, or
after IDLE seconds without a chart."""

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
"""Niceness of the process: charts use the time that other work leaves."""
IDLE = 20
"""Seconds without a chart after which the process ends."""
START = "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from stages.report.painter import main; main()"


def start() -> None:
    """Start the drawing process, which imports Matplotlib in the background."""
    draw(_import)


def draw(chart: Callable[..., Any], *arguments: Any) -> Callable[[], Any]:
    """Begin to draw a chart; return a function that waits for the chart and returns the result of `chart`.

    The function raises what `chart` raises. Where the process can't be used, the function itself draws."""
    try:
        future = _painter.submit(chart, arguments)
    except OSError:
        return functools.partial(chart, *arguments)

    def drawn() -> Any:
        try:
            return future.result()
        except EOFError:  # the process was killed, as for lack of memory
            return chart(*arguments)

    return drawn


def _import() -> None:
    """Import what every chart needs."""
    from stages.report import charts

    charts.svg(charts.plain(1, 1, left=0.1)[0])


class _Painter:
    """The process, from the parent's side; safe for threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._waiting: list[Future[Any]] = []
        atexit.register(self.close)

    def submit(self, chart: Callable[..., Any], arguments: tuple[Any, ...]) -> Future[Any]:
        """Send a chart to the process. Raises OSError."""
        message = pickle.dumps((chart, arguments))
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
        """Set the result of each future; answers arrive in the order of the charts."""
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
            with contextlib.suppress(OSError):  # a chart that was not sent
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
    """Draw the charts that the parent sends, until the parent closes the connection."""
    os.nice(NICE)
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # the answers have stdout for themselves: what libraries print goes to stderr
    while True:
        signal.alarm(IDLE)
        try:
            chart, arguments = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        signal.alarm(0)
        try:
            answer = True, chart(*arguments)
        except Exception as error:
            answer = False, error
        pickle.dump(answer, answers)
        answers.flush()


_painter = _Painter()
