"""Vectors of an ONNX model against NumPy, and models that can't be used."""

from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper

from stages.vectors.model import ModelOptions
from stages.vectors.network import CPU, NoModel, network
from tests.stages.vectors.models import layers, means, save


def images(count: int, size: int, channels: int = 3) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (count, size, size, channels), dtype=np.uint8)


def unit(values: np.ndarray) -> np.ndarray:
    flat = values.reshape(len(values), -1).astype(np.float64)
    return flat / np.linalg.norm(flat, axis=1, keepdims=True)


def test_vectors_are_the_models_of_unit_length(tmp_path: Path) -> None:
    options = ModelOptions(mean=(10.0, 20.0, 30.0), scale=(0.1, 0.2, 0.5))
    loaded = network(means(tmp_path / "net.onnx"), options, 8, "auto")
    given = images(11, 16)
    cells = ((given - np.array([10, 20, 30.0])) * [0.1, 0.2, 0.5]).reshape(11, 4, 4, 4, 4, 3).mean(axis=(2, 4))
    found = loaded(given)
    assert (loaded.size, loaded.channels, loaded.provider, found.dtype) == ((16, 16), "rgb", CPU, np.float32)
    assert np.allclose(found, unit(cells.transpose(0, 3, 1, 2)), atol=1e-6)
    assert np.allclose(np.linalg.norm(found, axis=1), 1, atol=1e-6)


def test_values_are_scaled_to_1_by_default(tmp_path: Path) -> None:
    nodes = [helper.make_node("Add", ["images", "one"], ["sums"]), helper.make_node("Flatten", ["sums"], ["vectors"])]
    model = save(tmp_path / "net.onnx", nodes, ["n", 1, 4, 4], {"one": np.ones(1, np.float32)})
    loaded = network(model, ModelOptions(), 8, "cpu")
    given = images(3, 4, 1)
    assert loaded.channels == "grey"
    assert np.allclose(loaded(given), unit(given / 255 + 1), atol=1e-6)


def test_an_image_has_one_vector_wherever_it_stands(tmp_path: Path) -> None:
    loaded = network(layers(tmp_path / "net.onnx"), ModelOptions(size=(32, 32)), 8, "auto")
    given = images(37, 32)
    whole = loaded(given)
    order = np.random.default_rng(2).permutation(37)
    assert np.array_equal(loaded(given[order]), whole[order])
    assert np.array_equal(np.concatenate([loaded(given[n : n + 1]) for n in range(37)]), whole)


def test_channels_last_bytes_and_a_fixed_batch(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Cast", ["images"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("Flatten", ["floats"], ["vectors"]),
    ]
    model = save(tmp_path / "net.onnx", nodes, [2, 4, 8, 3], kind=TensorProto.UINT8)
    loaded = network(model, ModelOptions(), 8, "auto")
    assert (loaded.layout, loaded.size) == ("nhwc", (8, 4))
    given = np.random.default_rng(3).integers(0, 256, (5, 4, 8, 3), dtype=np.uint8)
    assert np.allclose(loaded(given), unit(given), atol=1e-6)
    with pytest.raises(NoModel, match="takes bytes as they are"):
        network(model, ModelOptions(mean=(1.0,)), 8, "auto")


def test_a_negative_length_is_any_length(tmp_path: Path) -> None:
    nodes = [helper.make_node("Flatten", ["images"], ["vectors"])]
    known, unknown = (
        network(save(tmp_path / f"{shape[0]}.onnx", nodes, shape), ModelOptions(size=(8, 4)), 8, "auto")
        for shape in (["n", 3, 4, 8], [-1, 3, -1, -1])
    )
    given = np.random.default_rng(4).integers(0, 256, (11, 4, 8, 3), dtype=np.uint8)
    assert np.array_equal(known(given), unknown(given))


def test_an_image_without_direction_has_nan(tmp_path: Path) -> None:
    loaded = network(means(tmp_path / "net.onnx"), ModelOptions(), 8, "auto")
    given = images(3, 16)
    given[1] = 0
    assert np.isnan(loaded(given)).all(axis=1).tolist() == [False, True, False]


def test_another_output(tmp_path: Path) -> None:
    nodes = [helper.make_node("Flatten", ["images"], ["flat"]), helper.make_node("Neg", ["flat"], ["other"])]
    model = save(tmp_path / "net.onnx", nodes, ["n", 3, 4, 4], outputs=("flat", "other"))
    given = images(2, 4)
    first, other = (network(model, ModelOptions(output=name), 8, "auto")(given) for name in (None, "other"))
    assert np.array_equal(first, -other)
    with pytest.raises(NoModel, match="output: expected flat, other, got logits"):
        network(model, ModelOptions(output="logits"), 8, "auto")


@pytest.mark.parametrize(
    ("shape", "options", "said"),
    [
        (["n", 3, "h", "w"], ModelOptions(), "takes images of any size; set embed.size"),
        (["n", 3, 8, 8], ModelOptions(size=(8, 9)), r"size: expected \[8, 8\] for this model, got \[8, 9\]"),
        (["n", 5, 8, 8], ModelOptions(), "expected 1 or 3 channels, got 5"),
        (["n", 3, 8, 8], ModelOptions(mean=(1.0, 2.0)), "mean: expected 1 or 3 numbers, got 2"),
        (["n", 8], ModelOptions(), r"expected a model with one input of shape .*got tensor\(float\) \['n', 8\]"),
    ],
)
def test_a_model_that_does_not_fit(tmp_path: Path, shape: list[int | str], options: ModelOptions, said: str) -> None:
    model = save(tmp_path / "net.onnx", [helper.make_node("Flatten", ["images"], ["vectors"])], shape)
    with pytest.raises(NoModel, match=said):
        network(model, options, 8, "auto")


def test_no_model_and_no_gpu(tmp_path: Path) -> None:
    (tmp_path / "net.onnx").write_text("words")
    with pytest.raises(NoModel, match=r"expected an ONNX model, got .*; choose another file"):
        network(tmp_path / "net.onnx", ModelOptions(), 8, "auto")
    loaded = network(means(tmp_path / "net.onnx"), ModelOptions(), 8, "auto")
    if loaded.provider == CPU:
        with pytest.raises(NoModel, match="finds no GPU"):
            network(tmp_path / "net.onnx", ModelOptions(), 8, "gpu")


def test_one_vector_for_all_images_is_refused(tmp_path: Path) -> None:
    node = helper.make_node("ReduceMean", ["images"], ["vectors"], axes=[0], keepdims=1)
    loaded = network(save(tmp_path / "net.onnx", [node], ["n", 3, 4, 4]), ModelOptions(), 8, "auto")
    with pytest.raises(NoModel, match=r"expected 8 vectors of the output vectors, got float32 of shape \(1, 3, 4, 4\)"):
        loaded(images(2, 4))


def test_a_model_that_fails_is_one_line(tmp_path: Path) -> None:
    node = helper.make_node("Reshape", ["images", "to"], ["vectors"])
    model = save(tmp_path / "net.onnx", [node], ["n", 3, 4, 4], {"to": np.array([7, -1], np.int64)})
    with pytest.raises(NoModel, match=r"^the model fails: [^\n]*$"):
        network(model, ModelOptions(), 8, "auto")(images(2, 4))
