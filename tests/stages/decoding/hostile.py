"""A Pillow plugin whose images crash, hang or use memory; each file names the fault after its first eight bytes."""

import ctypes
import os
import time
import warnings
from collections.abc import Callable

from PIL import Image, ImageFile

MAGIC = b"HOSTILE:"


def eat() -> None:
    """Allocate and use memory without end."""
    kept = []
    while True:
        kept.append(bytearray(os.urandom(1 << 16) * 256))


def deaf() -> None:
    """Sleep, and ignore alarms."""
    import signal

    signal.signal(signal.SIGALRM, signal.SIG_IGN)
    sleep()


def sleep() -> None:
    """Sleep for ever in C, where Python can't interrupt."""
    while True:
        time.sleep(1_000)


def leave() -> None:
    """Close the connection to the parent, sleep, and ignore alarms."""
    os.closerange(3, 1000)
    deaf()


def warn() -> None:
    warnings.warn("an odd thing at 0x7f00deadbeef, named \ud800 and \x1b[1m", stacklevel=1)


DEEDS: dict[bytes, Callable[[], object]] = {
    b"fine": lambda: None,
    b"warn": warn,
    b"crash": lambda: ctypes.string_at(0),
    b"abort": os.abort,
    b"exit": lambda: os._exit(3),
    b"kill": lambda: os.kill(os.getpid(), 9),
    b"eat": eat,
    b"sleep": sleep,
    b"deaf": deaf,
    b"leave": leave,
}


class HostileFile(ImageFile.ImageFile):
    format = "HOSTILE"

    def _open(self) -> None:
        self._deed = self.fp.read()[len(MAGIC) :].split(b" ")[0]
        self._size, self._mode = (8, 8), "L"
        self.tile = []

    def load(self) -> None:
        DEEDS[self._deed]()
        self.im = Image.new("L", (8, 8), 99).im


Image.register_open(HostileFile.format, HostileFile, lambda prefix: prefix.startswith(MAGIC))
