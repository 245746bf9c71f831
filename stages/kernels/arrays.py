"""Choose the array library: NumPy, or CuPy on a GPU.

Both libraries are used through the array API standard. If numba is installed, numba compiles the inner loops."""

from __future__ import annotations

import functools
import importlib.util
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

SIDE = 1_024
"""Images per side of a tile on a CPU, few enough that the products of a tile fit in the CPU's cache."""
SHARE = 16
"""A tile on a GPU, with its mask and candidates, takes at most 1/SHARE of the GPU's free memory."""


class NoDevice(Exception):
    """No usable compute device exists; the message states the reason.

    extra  the optional dependency group that installs the missing library, or None"""

    def __init__(self, problem: str, extra: str | None = None) -> None:
        super().__init__(problem)
        self.extra = extra


@dataclass(frozen=True)
class Device:
    """A compute device: an array namespace and functions to move arrays.

    name  "cpu", or the GPU's model name
    xp    array namespace of the array API standard
    put   copy a NumPy array to the device
    get   copy a device array to NumPy
    free  free bytes of the device's own memory; 0 for a CPU, which shares main memory"""

    name: str
    xp: Any
    put: Callable[[Any], Any]
    get: Callable[[Any], Any]
    free: int = 0

    @property
    def side(self) -> int:
        """Return the number of images per side of a tile on this device."""
        if not self.free:
            return SIDE
        side = int((self.free // SHARE // (4 + 1)) ** 0.5)  # 4 bytes of float32 product and 1 byte of mask per pair
        return max(SIDE, min(side, 32_768) // SIDE * SIDE)


CPU = Device("cpu", np, np.asarray, np.asarray)


@functools.cache
def gpu() -> Device:
    """Return the GPU as a device of CuPy.

    Raises:
        NoDevice: CuPy is not installed, CuPy finds no GPU, or the GPU's float32 products have too few bits."""
    try:
        import array_api_compat.cupy as xp
        import cupy
    except ImportError as error:
        raise NoDevice("CuPy is not installed", "gpu") from error
    try:
        name = cupy.cuda.runtime.getDeviceProperties(cupy.cuda.Device().id)["name"].decode()
        free = int(cupy.cuda.runtime.memGetInfo()[0])
    except Exception as error:  # CuPy raises exceptions of CuPy and of CUDA
        raise NoDevice(f"CuPy finds no GPU: {error}") from error
    device = Device(name, xp, cupy.asarray, cupy.asnumpy, free)
    refuse_short_floats(device)
    return device


def refuse_short_floats(device: Device) -> None:
    """Raise NoDevice if float32 products have fewer than 24 significant bits.

    TF32 products have 11 bits, so the bounds of `bounds/slack.py` do not hold for TF32. The check multiplies 4,097,
    which needs 13 bits: TF32 rounds 4,097 to 4,096."""
    xp = device.xp
    ones = xp.ones((256, 256), dtype=xp.float32)
    products = device.get(xp.matmul(4_097 * ones, ones))
    if not (np.asarray(products) == 4_097 * 256).all():
        raise NoDevice(
            f"{device.name}: expected float32 products with 24 significant bits, got fewer; unset CUPY_TF32 "
            "and NVIDIA_TF32_OVERRIDE"
        )


@functools.cache
def compiled() -> bool:
    """Return whether numba is installed for this Python."""
    return importlib.util.find_spec("numba") is not None


NATIVE = "stages.kernels.measure.native"
"""The module of compiled loops."""
LOADED = 500
"""Number of items from which a loop saves the 5 ms of loading it, once the compiler's runtime is loaded."""
_items: Counter[str] = Counter()
"""Number of items that this process has passed to each loop, by the loop's name."""


def native_for(name: str, items: int, enough: int) -> Any:
    """Return the module NATIVE if loading its loop `name` saves time, else None.

    items   number of items that the caller is about to pass to the loop
    enough  number of items per process from which the loop saves more time than the half second of loading numba; a
            process that has loaded numba for another loop needs only LOADED items"""
    _items[name] += items
    if _items[name] < (min(LOADED, enough) if NATIVE in sys.modules else enough) or not compiled():
        return None
    return importlib.import_module(NATIVE)


def choose(wanted: str) -> Device:
    """Return the device for `wanted`: "cpu", "gpu" or "auto".

    "auto" means the GPU if CuPy finds a usable GPU, else the CPU.

    Raises:
        NoDevice: `wanted` is "gpu" and no usable GPU exists."""
    if wanted == "cpu":
        return CPU
    try:
        return gpu()
    except NoDevice:
        if wanted == "gpu":
            raise
        return CPU
