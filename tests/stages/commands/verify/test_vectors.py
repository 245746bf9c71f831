"""`verify` on runs that compare vectors."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipeline.cli.main import main
from stages.kernels.measure.floats import FloatSquares
from tests.end_to_end.driver import Project, make_image
from tests.stages.vectors.models import means

HERE = __name__


def colours(images: np.ndarray) -> np.ndarray:
    """Return mean colours, and a constant."""
    found = images.mean(axis=(1, 2)).astype(np.float32)
    return np.concatenate([found, np.ones((len(found), 1), np.float32)], axis=1)


METRICS: dict[str, dict[str, Any]] = {
    "squared": {"embedding": f"{HERE}:colours", "threshold": 400.0},
    "cosine": {"embedding": f"{HERE}:colours", "threshold": 0.005, "embedding_distance": "cosine"},
    "model": {"embedding": "onnx:net.onnx", "threshold": 0.01, "embedding_distance": "cosine"},
    "every pair": {"embedding": f"{HERE}:colours", "threshold": 400.0, "identical": "all"},
}


def project(folder: Path, name: str) -> Project:
    """Make twenty pictures, copies, and a black image, for which the model gives no direction."""
    images = folder / "images"
    for seed in range(20):
        make_image(images / f"{seed:02}.png", seed)
    for number in range(3):
        Image.open(images / "04.png").save(images / f"{number}-copy.png")
    Image.open(images / "05.png").save(images / "less.jpg", quality=40)
    Image.new("RGB", (50, 50)).save(images / "black.png")
    pairs = METRICS[name] | {"metric": "embedding", "rotations": False}
    if name == "model":
        pairs["embedding"] = f"onnx:{means(folder / 'net.onnx')}"
    return Project(folder, {"pairs": pairs})


@pytest.mark.quick(2)
@pytest.mark.parametrize("name", METRICS)
def test_a_correct_run_is_found_correct(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = project(tmp_path, name)
    assert run.run() == 0
    capsys.readouterr()
    assert main(["verify", str(run.run_folder), "--json"]) == 0, capsys.readouterr().err
    checks = json.loads(capsys.readouterr().out)["checks"]
    assert {name: check["wrong"] for name, check in checks.items()} == dict.fromkeys(checks, 0)
    assert checks["matches"]["counted"] >= 3
    assert checks["random"]["counted"] == 25 * 24 // 2
    assert checks["nearest"]["counted"] == (24 * 23 if name == "model" else 25 * 24)
    assert checks["clusters"]["counted"] >= 6


def test_errors_of_the_engine_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = project(tmp_path, "squared")
    for name in ("cross", "pairs"):
        true = getattr(FloatSquares, name)
        wrong = lambda self, *given, true=true: true(self, *given) + 1.0  # noqa: E731
        monkeypatch.setattr(FloatSquares, name, wrong)
    assert run.run() == 0
    capsys.readouterr()
    assert main(["verify", str(run.run_folder)]) == 1
    said = capsys.readouterr()
    assert "matches" in said.err
    assert "measured again, 0 wrong" not in said.out


def test_a_vector_that_has_changed_is_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = project(tmp_path, "squared")
    assert run.run() == 0
    other = project(tmp_path / "other", "squared")
    Image.open(tmp_path / "images" / "00.png").save(other.folder / "images" / "19.png")
    assert other.run() == 0
    (mine,), (its,) = (sorted((each.run_folder / "embed").glob("*.parquet"))[:1] for each in (run, other))
    its.replace(mine)
    capsys.readouterr()
    assert main(["verify", str(run.run_folder)]) in (1, 2)
    assert capsys.readouterr().err


def red(images: np.ndarray, image: np.ndarray) -> np.ndarray:
    """Return differences of mean red."""
    return np.abs(images[..., 0].mean(axis=(1, 2)) - image[..., 0].mean())


def test_a_users_metric_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = project(tmp_path, "squared")
    assert run.run(f"pairs.metric={HERE}:red", "pairs.threshold=3") == 0
    capsys.readouterr()
    assert main(["verify", str(run.run_folder)]) == 2
    assert f"expected a run with pairs.metric mse, hamming, embedding, got {HERE}:red" in capsys.readouterr().err
