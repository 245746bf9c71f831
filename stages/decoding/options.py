"""Options of decoding that change pixels, and the limits of a decoding process."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class DecodeOptions:
    """The thumbnail stage's parameters that change the pixels.

    size        (width, height)
    background  RGB"""

    size: tuple[int, int]
    mode: str
    fast: bool
    background: tuple[int, int, int]
    upright: bool
    max_bytes: int
    max_pixels: int
    trust: str
    srgb: bool = True
    salvage: bool = False
    trim: bool = False


@dataclass(frozen=True)
class Limits:
    """Limits of a decoding process.

    memory   bytes beyond the memory of a process that has just started
    seconds  time for one file
    plugins  modules that register further formats with Pillow"""

    memory: int = 3 << 30
    seconds: float = 120.0
    plugins: tuple[str, ...] = ()

    @property
    def recurring(self) -> dict[str, float]:
        """Return the limits that may cause errors, by the name of the stage's parameter."""
        return {"max_memory": self.memory, "timeout": self.seconds}
