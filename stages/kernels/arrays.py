"""Which library computes: NumPy, or CuPy where a GPU was asked for, both behind the array API standard; and numba for
loops, where there is enough to do."""

from __future__ import annotations

import functools
import importlib.util
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

SIDE = 1_024
"""Images a side of a tile on a processor: its products stay in the cache."""
SHARE = 16
"""A tile on a device, with its mask and candidates, takes at most one part in so many of its free memory."""


class NoDevice(Exception):
    """There is no device to compute on, or none that computes as it must; the text says what is wrong.

    `extra` of this distribution would bring what is missing."""

    def __init__(self, problem: str, extra: str | None = None) -> None:
        super().__init__(problem)
        self.extra = extra


@dataclass(frozen=True)
class Device:
    """Somewhere to compute: an array namespace, and how arrays come to it and back.

    name  cpu, or what the GPU is called
    free  bytes of memory of its own that are free; 0: it shares ours
    """

    name: str
    xp: Any
    put: Callable[[Any], Any]
    get: Callable[[Any], Any]
    free: int = 0

    @property
    def side(self) -> int:
        """Images a side of a tile."""
        if not self.free:
            return SIDE
        side = int((self.free // SHARE // (4 + 1)) ** 0.5)  # a product of float32 and a mask of bool
        return max(SIDE, min(side, 32_768) // SIDE * SIDE)


CPU = Device("cpu", np, np.asarray, np.asarray)


@functools.cache
def gpu() -> Device:
    """The GPU, through CuPy. Raises NoDevice where there is none to be had."""
    try:
        import array_api_compat.cupy as xp
        import cupy
    except ImportError as error:
        raise NoDevice("CuPy is not installed", "gpu") from error
    try:
        name = cupy.cuda.runtime.getDeviceProperties(cupy.cuda.Device().id)["name"].decode()
        free = int(cupy.cuda.runtime.memGetInfo()[0])
    except Exception as error:  # CuPy raises its own kinds, and some of CUDA's
        raise NoDevice(f"CuPy finds no GPU: {error}") from error
    device = Device(name, xp, cupy.asarray, cupy.asnumpy, free)
    refuse_short_floats(device)
    return device


def refuse_short_floats(device: Device) -> None:
    """Raises NoDevice where products of float32 have fewer than 24 bits, as TF32 has: no bound would hold.

    4097 takes 13 bits; with 11 it becomes 4096."""
    xp = device.xp
    ones = xp.ones((256, 256), dtype=xp.float32)
    products = device.get(xp.matmul(4_097 * ones, ones))
    if not (np.asarray(products) == 4_097 * 256).all():
        raise NoDevice(
            f"{device.name} computes products of float32 with fewer than 24 bits; unset CUPY_TF32 "
            "and NVIDIA_TF32_OVERRIDE"
        )


@functools.cache
def compiled() -> bool:
    """Whether there is numba for this Python."""
    return importlib.util.find_spec("numba") is not None


def loops(enough: bool) -> Any:
    """`kernels.native`, if it is loaded already, or there is numba and enough to do to load it; else None."""
    if "stages.kernels.measure.native" not in sys.modules and not (enough and compiled()):
        return None
    from stages.kernels.measure import native

    return native


def choose(wanted: str) -> Device:
    """The device for `wanted`: cpu, gpu or auto. Raises NoDevice where a GPU is asked for and there is none."""
    if wanted == "cpu":
        return CPU
    try:
        return gpu()
    except NoDevice:
        if wanted == "gpu":
            raise
        return CPU
