"""Compute unit vectors of images with an ONNX model in onnxruntime."""

from __future__ import annotations

import functools
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from stages.vectors.model import ModelOptions, digest_of_model, read_options

Processor = Literal["auto", "cpu", "gpu"]
Bytes = NDArray[np.uint8]
Floats = NDArray[np.float32]

CPU = "CPUExecutionProvider"
GPUS = ("CUDAExecutionProvider", "ROCMExecutionProvider")
TYPES: dict[str, type] = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(uint8)": np.uint8}
"""Types of a model's input, as onnxruntime names these types."""
CHANNELS_OF = {1: "grey", 3: "rgb"}


class NoModel(Exception):
    """Signal that a model can't be used; callers put the config key or the file before the message."""


def is_installed() -> bool:
    """Return whether onnxruntime is installed."""
    return find_spec("onnxruntime") is not None


def runtime() -> str:
    """Return the version of onnxruntime; imports onnxruntime."""
    import onnxruntime

    return f"onnxruntime {onnxruntime.__version__}"


class Network:
    """An ONNX model.

    Each call of the model gets `batch` images, padded with zeros at the end, so that the arithmetic for an image does
    not depend on the number of images.

    size      (width, height) of an image
    channels  `grey` or `rgb`
    provider  onnxruntime's name of the device

    Raises:
        NoModel: the file is not a model of images, or `device` is gpu and no GPU is found."""

    def __init__(self, model: Path, options: ModelOptions, batch: int, device: Processor) -> None:
        self._session = _session(model, device)
        self.provider = str(self._session.get_providers()[0])
        if device == "gpu" and self.provider not in GPUS:
            raise NoModel("onnxruntime finds no GPU; install onnxruntime-gpu with CUDA, or set embed.device=auto")
        inputs = self._session.get_inputs()
        if len(inputs) != 1 or len(inputs[0].shape) != 4 or inputs[0].type not in TYPES:
            found = ", ".join(f"{each.type} {each.shape}" for each in inputs)
            raise NoModel(
                f"expected a model with one input of shape (n, channels, height, width) or (n, height, width, "
                f"channels) and type {', '.join(TYPES)}, got {found}; choose a model of images"
            )
        self._input, self._type = inputs[0].name, TYPES[inputs[0].type]
        axes = [each if isinstance(each, int) and each > 0 else None for each in inputs[0].shape]  # -1: any length
        self._batch = axes[0] or batch
        self.layout = options.layout or ("nhwc" if axes[3] in CHANNELS_OF and axes[1] not in CHANNELS_OF else "nchw")
        count, height, width = axes[1:] if self.layout == "nchw" else (axes[3], axes[1], axes[2])
        if (count or 3) not in CHANNELS_OF:
            raise NoModel(f"expected 1 or 3 channels, got {count}; set embed.layout, or choose a model of images")
        self.channels = CHANNELS_OF[count or 3]
        self.size = self._sized(options.size, (width, height))
        self._mean = self._values("mean", options.mean, 0.0, count or 3)
        self._scale = self._values("scale", options.scale, 1 / 255, count or 3)
        if self._type is np.uint8 and (options.mean or options.scale):
            raise NoModel("the model takes bytes as they are; remove mean and scale")
        outputs = [each.name for each in self._session.get_outputs()]
        self._output = options.output or outputs[0]
        if self._output not in outputs:
            raise NoModel(f"output: expected {', '.join(outputs)}, got {self._output}")

    @staticmethod
    def _sized(wanted: tuple[int, int] | None, own: tuple[int | None, int | None]) -> tuple[int, int]:
        """Return the size of an image, from the options and from the model."""
        width, height = (own[n] if wanted is None or own[n] else wanted[n] for n in (0, 1))
        if width is None or height is None:
            raise NoModel("the model takes images of any size; set embed.size to [width, height]")
        if wanted is not None and (width, height) != tuple(wanted):
            raise NoModel(f"size: expected [{width}, {height}] for this model, got {list(wanted)}")
        return width, height

    @staticmethod
    def _values(name: str, given: tuple[float, ...] | None, default: float, channels: int) -> Floats:
        values = given or (default,)
        if len(values) not in (1, channels):
            raise NoModel(f"{name}: expected 1 or {channels} numbers, got {len(values)}")
        return np.asarray(values, np.float32)

    def __call__(self, images: Bytes) -> Floats:
        """Return the unit vectors of images, uint8 (n, H, W, C), as float32 (n, d).

        An image gets a vector of NaN where the model's vector has no direction: zeros only, or infinite numbers.

        Raises:
            NoModel: the model fails, or does not return one vector per image."""
        found = [self._run_batch(images[start : start + self._batch]) for start in range(0, len(images), self._batch)]
        if len({each.shape[1] for each in found}) > 1:
            raise NoModel("expected vectors of one length, got several lengths")
        whole = np.concatenate(found)
        with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
            norms = np.sqrt(np.square(whole.astype(np.float64)).sum(axis=1, keepdims=True))
            units = np.where(np.isfinite(norms) & (norms > 0), whole / norms, np.nan)
        return units.astype(np.float32)

    def _run_batch(self, images: Bytes) -> NDArray[Any]:
        """Return the model's vectors of at most a batch of images."""
        values: NDArray[Any] = np.zeros((self._batch, *images.shape[1:]), self._type)
        if self._type is np.uint8:
            values[: len(images)] = images
        else:
            values[: len(images)] = (images.astype(np.float32) - self._mean) * self._scale
        if self.layout == "nchw":
            values = np.ascontiguousarray(values.transpose(0, 3, 1, 2))
        try:
            (given,) = self._session.run([self._output], {self._input: values})
        except Exception as error:  # onnxruntime's exceptions have no common class
            raise NoModel(f"the model fails: {' '.join(str(error).split())[:200]}") from error
        found = np.asarray(given)
        if found.ndim < 2 or len(found) != self._batch or found.dtype.kind != "f" or not found[0].size:
            raise NoModel(
                f"expected {self._batch} vectors of the output {self._output}, got {found.dtype} of shape {found.shape}"
            )
        return found[: len(images)].reshape(len(images), -1)


def _session(model: Path, device: Processor) -> Any:
    """Return an onnxruntime session of a model, with one thread, since tasks run in parallel."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    offered = onnxruntime.get_available_providers()
    providers = [name for name in GPUS if name in offered and device != "cpu"]
    try:
        return onnxruntime.InferenceSession(str(model), options, providers=[*providers, CPU])
    except Exception as error:  # onnxruntime's exceptions have no common class
        message = " ".join(str(error).split())[:200]
        raise NoModel(f"expected an ONNX model, got {message}; choose another file") from error


def network(model: Path, options: ModelOptions, batch: int, device: Processor) -> Network:
    """Return a model, loaded once per process and state of the file.

    Options in the YAML file beside the model replace options that are None.

    Raises:
        NoModel: the model can't be used.
        OSError: the file can't be read.
        ValueError: the YAML file beside the model is wrong."""
    return _loaded(model, digest_of_model(model), options, batch, device)


def identity(loaded: Network, model: Path) -> str:
    """Return a text that changes with the model's vectors: digest of the model, version of onnxruntime, device."""
    return f"{digest_of_model(model)} {runtime()} {loaded.provider}"


@functools.lru_cache(maxsize=2)
def _loaded(model: Path, digest: str, options: ModelOptions, batch: int, device: Processor) -> Network:
    """Return a model; the result is cached while the digest of the model and its options stays equal."""
    return Network(model, options.filled(read_options(model)), batch, device)
