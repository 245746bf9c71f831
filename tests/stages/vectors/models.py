"""Write small ONNX models for tests."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET, IR = 17, 8
"""Versions of the format that onnxruntime has read for years."""


def save(
    path: Path,
    nodes: Sequence[onnx.NodeProto],
    shape: Sequence[int | str],
    weights: dict[str, np.ndarray] | None = None,
    kind: int = TensorProto.FLOAT,
    outputs: Sequence[str] = ("vectors",),
) -> Path:
    """Write a model from `images` to `outputs`."""
    graph = helper.make_graph(
        nodes,
        "model",
        [helper.make_tensor_value_info("images", kind, shape)],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        [numpy_helper.from_array(value, name) for name, value in (weights or {}).items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR)
    path.write_bytes(model.SerializeToString())
    return path


def means(path: Path, cells: int = 4, size: int = 16, batch: int | str = "n") -> Path:
    """Write a model whose vectors are the mean colours of cells x cells cells: zeros for a black image."""
    nodes = [
        helper.make_node(
            "AveragePool", ["images"], ["cells"], kernel_shape=[size // cells] * 2, strides=[size // cells] * 2
        ),
        helper.make_node("Flatten", ["cells"], ["vectors"]),
    ]
    return save(path, nodes, [batch, 3, size, size])


def layers(path: Path, seed: int = 1, size: int = 32, length: int = 40) -> Path:
    """Write a model with the layers of real models: convolutions, a pool, a matrix product; for images of any size."""
    random = np.random.default_rng(seed)
    weights = {
        "a": random.normal(0, 0.2, (13, 3, 5, 5)).astype(np.float32),
        "b": random.normal(0, 0.1, (37, 13, 3, 3)).astype(np.float32),
        "c": random.normal(0, 0.1, (37, length)).astype(np.float32),
    }
    nodes = [
        helper.make_node("Conv", ["images", "a"], ["1"], strides=[2, 2]),
        helper.make_node("Relu", ["1"], ["2"]),
        helper.make_node("Conv", ["2", "b"], ["3"], strides=[2, 2]),
        helper.make_node("Relu", ["3"], ["4"]),
        helper.make_node("GlobalAveragePool", ["4"], ["5"]),
        helper.make_node("Flatten", ["5"], ["6"]),
        helper.make_node("MatMul", ["6", "c"], ["vectors"]),
    ]
    return save(path, nodes, ["n", 3, "h", "w"], weights)


def averages(path: Path) -> Path:
    """Write a model for images of any size and layout: means along the last axis; a second output along the second
    axis."""
    nodes = [
        helper.make_node("ReduceMean", ["images"], ["last"], axes=[3]),
        helper.make_node("Flatten", ["last"], ["vectors"]),
        helper.make_node("ReduceMean", ["images"], ["second"], axes=[1]),
        helper.make_node("Flatten", ["second"], ["other"]),
    ]
    return save(path, nodes, ["n", "a", "b", "c"], outputs=("vectors", "other"))
