"""Options of a model, from the config and from the YAML file beside the model."""

from pathlib import Path

import pytest

from stages.vectors.model import ModelOptions, digest_of_model, read_options


def write_options(folder: Path, text: str | bytes) -> Path:
    model = folder / "net.onnx"
    model.write_bytes(b"weights")
    (folder / "net.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())
    return model


def test_no_file_beside_the_model_and_an_empty_one_say_nothing(tmp_path: Path) -> None:
    assert read_options(tmp_path / "net.onnx") == ModelOptions() == read_options(write_options(tmp_path, "# nothing\n"))


def test_the_config_comes_before_the_file(tmp_path: Path) -> None:
    model = write_options(tmp_path, "size: [224, 160]\nlayout: nhwc\nmean: 127.5\nscale: [0.1, 0.2, 0.3]\n")
    found = read_options(model)
    assert found == ModelOptions((224, 160), "nhwc", (127.5,), (0.1, 0.2, 0.3))
    config = ModelOptions(mean=(3.0,), output="features")
    assert config.filled(found) == ModelOptions((224, 160), "nhwc", (3.0,), (0.1, 0.2, 0.3), "features")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("sise: [8, 8]", "sise: expected one of the keys size, layout, mean, scale, output"),
        ("size: [8]", "size.1: field required"),
        ("size: [8, 2]", "size.1: input should be greater than or equal to 4, got '2'"),
        ("layout: chwn", "layout: input should be 'nchw' or 'nhwc', got 'chwn'"),
        ("mean: []", "mean: tuple should have at least 1 item"),
        ("mean: [1, 2, 3, 4]", "mean: tuple should have at most 3 items"),
        ("scale: much", "scale: input should be a valid tuple, got 'much'"),
        ("[1, 2]", "expected keys such as size: [224, 224], got '[1, 2]'"),
        ("1: 2", "1: keys should be strings"),
        ("size: [", "expected YAML, got other text"),
        (b"\xff\xfe\x00", "expected YAML, got other text"),
    ],
)
def test_a_wrong_file_is_one_line(tmp_path: Path, text: str | bytes, said: str) -> None:
    with pytest.raises(ValueError, match=r"net\.yaml: ") as caught:
        read_options(write_options(tmp_path, text))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_digest_covers_model_and_options(tmp_path: Path) -> None:
    first = digest_of_model(write_options(tmp_path, "mean: 1"))
    assert digest_of_model(write_options(tmp_path, "mean: [1.0]  # the same")) == first
    assert digest_of_model(write_options(tmp_path, "mean: 2")) != first
    write_options(tmp_path, "mean: 1").write_bytes(b"other weights")
    assert digest_of_model(tmp_path / "net.onnx") != first
    (tmp_path / "elsewhere").mkdir()
    assert digest_of_model(write_options(tmp_path / "elsewhere", "mean: 1")) == first
