from __future__ import annotations

import sys
from collections import Counter
from types import ModuleType, SimpleNamespace
from typing import Any

import array_api_strict
import numpy as np
import pytest

from stages.kernels import arrays
from stages.kernels.arrays import CPU, SIDE, Device, NoDevice
from stages.kernels.measure import native


def rounded(values: np.ndarray, bits: int) -> np.ndarray:
    """Round to a number of bits, as fast matrix units do."""
    mantissa, exponent = np.frexp(values)
    return np.ldexp(np.round(mantissa * 2.0**bits) / 2.0**bits, exponent).astype(np.float32)


def short(bits: int) -> Any:
    def matmul(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        assert a.dtype == b.dtype == np.float32
        return np.matmul(rounded(a, bits), rounded(b, bits))

    return SimpleNamespace(ones=np.ones, float32=np.float32, matmul=matmul)


@pytest.mark.parametrize("bits", [8, 11, 12])
def test_short_floats_are_refused(bits: int) -> None:
    """bfloat16 has 8 bits, TF32 and float16 have 11."""
    with pytest.raises(
        NoDevice, match="tensor cores: expected float32 products with 24 significant bits, got fewer"
    ) as caught:
        arrays.refuse_short_floats(Device("tensor cores", short(bits), np.asarray, np.asarray))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "device",
    [
        CPU,
        Device("strict", array_api_strict, array_api_strict.asarray, np.asarray),
        Device("24", short(24), *[np.asarray] * 2),
    ],
    ids=lambda device: device.name,
)
def test_whole_floats_are_not(device: Device) -> None:
    arrays.refuse_short_floats(device)


@pytest.fixture
def asked_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clear cached results before and after each test."""
    monkeypatch.setattr(arrays, "gpu", arrays.gpu.__wrapped__)


def fake_cupy(monkeypatch: pytest.MonkeyPatch, xp: Any, found: Any) -> None:
    package, compat, cupy = ModuleType("array_api_compat"), ModuleType("array_api_compat.cupy"), ModuleType("cupy")
    runtime = SimpleNamespace(getDeviceProperties=found, memGetInfo=lambda: (1 << 33, 1 << 34))
    for module, names in (
        (compat, vars(xp)),
        (cupy, {"asarray": np.asarray, "asnumpy": np.asarray}),
        (cupy, {"cuda": SimpleNamespace(runtime=runtime, Device=lambda: SimpleNamespace(id=0))}),
        (package, {"cupy": compat}),
    ):
        vars(module).update(names)
    for module in (package, compat, cupy):
        monkeypatch.setitem(sys.modules, module.__name__, module)


@pytest.mark.usefixtures("asked_anew")
def test_without_cupy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cupy", None)
    monkeypatch.setitem(sys.modules, "array_api_compat.cupy", None)
    with pytest.raises(NoDevice) as caught:
        arrays.choose("gpu")
    assert (str(caught.value), caught.value.extra) == ("CuPy is not installed", "gpu")
    assert arrays.choose("auto") is CPU
    assert arrays.choose("cpu") is CPU


@pytest.mark.usefixtures("asked_anew")
def test_with_cupy_but_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(number: int) -> Any:
        raise RuntimeError("cudaErrorNoDevice: no CUDA-capable device is detected")

    fake_cupy(monkeypatch, short(24), none)
    with pytest.raises(NoDevice, match=r"^CuPy finds no GPU: cudaErrorNoDevice"):
        arrays.choose("gpu")
    assert arrays.choose("auto") is CPU


@pytest.mark.usefixtures("asked_anew")
def test_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    fake_cupy(monkeypatch, short(24), lambda number: {"name": b"Abacus"})
    for wanted in ("gpu", "auto"):
        device = arrays.choose(wanted)
        assert (device.name, device.free) == ("Abacus", 1 << 33)
    assert arrays.choose("cpu") is CPU


@pytest.mark.usefixtures("asked_anew")
def test_a_gpu_that_computes_with_short_floats(monkeypatch: pytest.MonkeyPatch) -> None:
    fake_cupy(monkeypatch, short(11), lambda number: {"name": b"Abacus"})
    with pytest.raises(NoDevice, match="CUPY_TF32"):
        arrays.choose("gpu")
    assert arrays.choose("auto") is CPU


@pytest.mark.parametrize("free", [0, 1, 1 << 20, 1 << 30, 11 << 30, 139 << 30, 1 << 50])
def test_a_tile_takes_its_share_of_memory(free: int) -> None:
    """Float32 products and a mask of bytes take at most a sixteenth of the memory, but tiles are never smaller than
    on a CPU."""
    side = Device("some", None, np.asarray, np.asarray, free).side
    assert side % SIDE == 0
    assert SIDE <= side <= 32_768
    assert side == SIDE or side * side * 5 * 16 <= free
    larger = side + SIDE
    assert larger > 32_768 or larger * larger * 5 * 16 > free or not free


@pytest.mark.parametrize("there", [True, False])
def test_numba_is_looked_for(monkeypatch: pytest.MonkeyPatch, there: bool) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: object() if there and name == "numba" else None)
    assert arrays.compiled.__wrapped__() is there


@pytest.mark.parametrize("numba", [True, False])
def test_a_loop_is_loaded_once_its_items_are_worth_it(monkeypatch: pytest.MonkeyPatch, numba: bool) -> None:
    monkeypatch.setattr(arrays, "compiled", lambda: numba)
    monkeypatch.setattr(arrays, "_items", Counter())
    monkeypatch.setitem(sys.modules, arrays.NATIVE, native)
    assert arrays.native_for("cells", 499, 10_000) is None, "the compiler's runtime is loaded"
    assert arrays.native_for("cells", 1, 10_000) is (native if numba else None)
    monkeypatch.setattr(arrays, "_items", Counter())
    monkeypatch.delitem(sys.modules, arrays.NATIVE)
    assert arrays.native_for("sums", 60, 100) is None
    assert arrays.native_for("cells", 60, 100) is None, "each loop has its own count"
    monkeypatch.setattr("importlib.import_module", lambda name: {arrays.NATIVE: native}[name])
    assert arrays.native_for("sums", 40, 100) is (native if numba else None)
    assert arrays.native_for("sums", 1, 100) is (native if numba else None)
