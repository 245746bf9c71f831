"""The stage `embed`: images at the model's size, errors as rows, nothing computed twice."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from pipeline.messages.errors import ConfigError, TaskError
from pipeline.stage import Result, Task, Upstream
from stages import thumbnail
from stages.comparing.thumbnails import pixels
from stages.decoding import lanes
from stages.embed import STAGE, Params, check, own_code, tasks, uses
from tests.in_memory import MemoryArtifact, compute
from tests.stages.test_thumbnail import scanned
from tests.stages.vectors.models import means

SIDE = 64
HERE = __name__
_seen: list[tuple[int, ...]] = []


def corners(images: np.ndarray) -> np.ndarray:
    """Return the first pixel, and one more number, so that the vector has a direction."""
    _seen.append(images.shape)
    return np.concatenate([images[:, 0, 0].astype(np.float32), np.ones((len(images), 1))], axis=1)


@pytest.fixture
def paths(tmp_path: Path) -> list[bytes]:
    """Return four pictures (the second upside down by EXIF, the third half transparent) and a file that is not an
    image."""
    made = []
    for name in ("a.png", "b.jpg", "c.png", "d.png", "e.png"):
        path = tmp_path / "images" / name
        path.parent.mkdir(exist_ok=True)
        values = np.random.default_rng(len(made)).integers(0, 256, (8, 8, 3), dtype=np.uint8)
        picture = Image.fromarray(values).resize((192, 192), Image.Resampling.NEAREST)
        if name == "b.jpg":
            exif = Image.Exif()
            exif[0x0112] = 3
            picture.save(path, exif=exif, quality=95)
        elif name == "c.png":
            picture.putalpha(Image.fromarray(np.tile(np.repeat([0, 255], 96), (192, 1)).astype(np.uint8)))
            picture.save(path)
        elif name == "e.png":
            path.write_bytes(b"no image")
        else:
            picture.save(path)
        made.append(os.fsencode(path))
    return made


class Library:
    """Files, their thumbnails, and the settings of a run."""

    def __init__(self, paths: list[bytes], folder: Path, embedding: str, rotations: bool = False) -> None:
        self.folder = folder
        self.params = thumbnail.Params(size=(8, 8))
        self.scan = scanned(paths)
        own = {f"thumbnail.{name}": value for name, value in vars(self.params).items()}
        self.settings: dict[str, Any] = own | {
            "scan.trust": "mtime",
            "pairs.embedding": embedding,
            "pairs.rotations": rotations,
            "pairs.mirror": False,
        }
        self.thumbnails = compute(thumbnail.STAGE, [self.scan], self.params, {"scan.trust": "mtime"}, folder)[0]

    def embed(self, params: Params | None = None, **job: Any) -> tuple[MemoryArtifact, Result]:
        params = params or Params()
        every = self.settings | {f"embed.{name}": value for name, value in vars(params).items()}
        scans = [Task("p", size=5)]
        upstream = Upstream({"scan": scans, "thumbnail": scans}, every.__getitem__)
        (task,) = tasks(upstream, params)
        assert task.inputs == (("scan", "p"), ("thumbnail", "p"))
        return compute(STAGE, [self.scan, self.thumbnails], params, self.settings, self.folder, task, **job)

    def check(self, params: Params, more: Mapping[str, Any] | None = None) -> list[str]:
        return list(check(params, {**self.settings, **(more or {})}.__getitem__))


def vectors(table: pa.Table, turns: int = 1) -> np.ndarray:
    kept = [row for row in table["vector"].to_pylist() if row is not None]
    return np.frombuffer(b"".join(kept), "<f4").reshape(len(kept), turns, -1)


def test_images_are_decoded_at_the_models_size(paths: list[bytes], tmp_path: Path) -> None:
    library = Library(paths, tmp_path, f"onnx:{means(tmp_path / 'net.onnx', cells=SIDE // 4, size=SIDE)}")
    artifact, result = library.embed()
    assert artifact.rows_["path"].to_pylist() == [os.fsdecode(path) for path in paths[:4]]
    assert artifact.rows_["error"].null_count == 4
    assert result.summary == {"images": 4, "failed": 0, "errors": {}}
    for path, found in zip(paths, vectors(artifact.rows_)[:, 0], strict=False):
        picture = Image.open(os.fsdecode(path))
        if picture.mode == "RGBA":
            picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture).convert("RGB")
        if path.endswith(b"b.jpg"):
            picture = picture.rotate(180)
        small = np.asarray(picture.resize((SIDE // 4, SIDE // 4), Image.Resampling.BOX), np.float64)
        wanted = small.transpose(2, 0, 1).ravel()
        assert np.abs(found - wanted / np.linalg.norm(wanted)).max() < 0.01, path  # thumbnails of 8x8 are much coarser


def test_four_turns_are_those_of_the_image(paths: list[bytes], tmp_path: Path) -> None:
    model = means(tmp_path / "net.onnx", cells=4)
    library = Library(paths, tmp_path, f"onnx:{model}", rotations=True)
    found = vectors(library.embed(Params(batch=3))[0].rows_, 4).reshape(-1, 4, 3, 4, 4)
    for turn in range(4):
        assert np.allclose(found[:, turn], np.rot90(found[:, 0], turn, axes=(2, 3)), atol=1e-5)
    assert np.array_equal(found, vectors(library.embed(Params(batch=64))[0].rows_, 4).reshape(found.shape))


def test_vectors_of_unchanged_files_are_copied(
    paths: list[bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    embedding = f"onnx:{means(tmp_path / 'net.onnx')}"
    before, _ = Library(paths[:2], tmp_path, embedding).embed()
    library = Library(paths, tmp_path, embedding)
    whole, first = library.embed()
    again, second = library.embed(reusable_=[before.rows_])
    assert (first.stats["reused"], second.stats["reused"], second.stats["decoded"]) == (0, 2, 2)
    assert again.rows_.equals(whole.rows_)
    picture = Image.open(os.fsdecode(paths[0])).rotate(90)
    picture.save(os.fsdecode(paths[0]))
    changed = Library(paths, tmp_path, embedding)
    assert changed.embed(reusable_=[whole.rows_])[1].stats["reused"] == 3
    (tmp_path / "net.yaml").write_text("mean: 3")  # another model
    assert changed.embed(reusable_=[whole.rows_])[1].stats["reused"] == 0
    monkeypatch.setattr("stages.vectors.rows.is_current", lambda decoder: False)
    assert library.embed(reusable_=[again.rows_])[1].stats["reused"] == 0


def test_an_image_that_can_not_be_embedded_is_a_row_with_an_error(paths: list[bytes], tmp_path: Path) -> None:
    Image.new("RGB", (40, 40)).save(os.fsdecode(paths[0]))
    library = Library(paths, tmp_path, f"onnx:{means(tmp_path / 'net.onnx')}")
    Path(os.fsdecode(paths[1])).write_bytes(b"overwritten after the thumbnail was made")
    artifact, result = library.embed()
    assert artifact.rows_["error"].to_pylist() == ["no-vector", "changed", None, None]
    assert artifact.rows_["vector"].is_null().to_pylist() == [True, True, False, False]
    assert "no direction" in artifact.rows_["error_detail"][0].as_py()
    assert result.summary == {"images": 4, "failed": 2, "errors": {"changed": 1, "no-vector": 1}}
    assert STAGE.reuse.retry(result.summary, Params())
    assert not STAGE.reuse.retry({"errors": {"no-vector": 1, "memory": 1, "timeout": 1}}, Params())
    again, result = library.embed(reusable_=[artifact.rows_])
    assert result.stats["reused"] == 3
    assert again.rows_.equals(artifact.rows_)


def test_limits_hold_for_the_second_decoding(paths: list[bytes], tmp_path: Path) -> None:
    library = Library(paths, tmp_path, f"onnx:{means(tmp_path / 'net.onnx')}")
    library.settings["thumbnail.max_memory"] = 1
    artifact, _ = library.embed()
    failed = artifact.rows_["error"].to_pylist().count("memory")
    assert failed >= 1
    assert library.embed(reusable_=[artifact.rows_])[1].stats["reused"] == 4
    library.settings["thumbnail.max_memory"] = 3 << 30
    again, result = library.embed(reusable_=[artifact.rows_])
    assert (result.stats["reused"], result.summary["failed"]) == (4 - failed, 0)
    assert len(vectors(again.rows_)) == 4


def test_a_function_gets_thumbnails_or_images_of_a_size(
    paths: list[bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = Library(paths, tmp_path, f"{HERE}:corners")
    _seen.clear()
    large = vectors(library.embed(Params(size=(32, 24)))[0].rows_)
    assert _seen == [(4, 24, 32, 3)]
    monkeypatch.setattr(lanes, "Child", None)  # no file is read
    small, result = library.embed()
    assert result.stats["reused"] == 4
    thumbnails = pixels(library.thumbnails.rows_["thumbnail"], (8, 8, 3))[:4]
    assert np.array_equal(vectors(small.rows_)[:, 0], corners(thumbnails))
    assert not np.array_equal(large, vectors(small.rows_))
    assert small.rows_["model"].to_pylist() == [""] * 4


def test_without_embedding_there_are_no_tasks() -> None:
    settings = {"pairs.embedding": None}.__getitem__
    upstream = Upstream({"scan": [Task("p")], "thumbnail": [Task("p")]}, settings)
    assert list(tasks(upstream, Params())) == []
    assert STAGE.preflight.memory(upstream, Params()) == 0
    assert STAGE.output.figures([]) == {}
    assert uses(settings) == ()
    assert not own_code(Params(), settings)


def test_the_path_of_a_model_is_in_no_fingerprint(paths: list[bytes], tmp_path: Path) -> None:
    library = Library(paths, tmp_path, f"onnx:{means(tmp_path / 'net.onnx')}")
    assert "pairs.embedding" not in uses(library.settings.__getitem__)
    assert not own_code(Params(), library.settings.__getitem__)
    function = {"pairs.embedding": f"{HERE}:corners", "embed.size": None}
    assert {"pairs.embedding", "thumbnail.size"} < set(uses(function.__getitem__))
    assert "thumbnail.size" not in uses((function | {"embed.size": (9, 9)}).__getitem__)
    assert own_code(Params(), function.__getitem__)


def test_another_model_on_a_worker_is_refused(paths: list[bytes], tmp_path: Path) -> None:
    model = means(tmp_path / "net.onnx")
    library = Library(paths, tmp_path, f"onnx:{model}")
    notes = {"file": str(model)}
    for spec, said in (({"model": "another"}, "expected another, got"), ({"model": "gone"}, "No such file")):
        if spec["model"] == "gone":
            model.unlink()
        task = Task("p", (), spec, notes)
        with pytest.raises(TaskError, match=f"^pairs.embedding {model}: .*{said}"):
            compute(STAGE, [library.scan, library.thumbnails], Params(), library.settings, tmp_path, task)


def test_errors_are_reported_before_the_run(paths: list[bytes], tmp_path: Path) -> None:
    library = Library(paths, tmp_path, f"onnx:{means(tmp_path / 'net.onnx')}")
    assert library.check(Params()) == []
    (said,) = library.check(Params(size=(8, 8)))
    assert said == f"pairs.embedding: {tmp_path / 'net.onnx'}: size: expected [16, 16] for this model, got [8, 8]"
    (tmp_path / "net.yaml").write_text("sise: 3")
    (said,) = library.check(Params())
    assert said.startswith(f"pairs.embedding: {tmp_path / 'net.yaml'}: sise: expected one of the keys")
    (tmp_path / "net.onnx").unlink()
    (said,) = library.check(Params())
    assert said == (
        f"pairs.embedding: {tmp_path / 'net.onnx'} can't be read (No such file or directory); expected the file of an "
        "ONNX model"
    )
    with pytest.raises(ConfigError, match="can't be read"):
        library.embed()
    own = {"pairs.embedding": f"{HERE}:corners"}
    (said,) = library.check(Params(mean=(1.0,)), own)
    assert said == "embed.mean: is for pairs.embedding onnx:FILE; remove the key, or set pairs.embedding"
    (said,) = library.check(Params(size=(8, 9)), own | {"pairs.rotations": True})
    assert said.startswith("pairs.rotations: quarter turns need square images, got [8, 9]")


def test_onnxruntime_is_named_where_it_is_missing(
    paths: list[bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = Library(paths, tmp_path, f"onnx:{means(tmp_path / 'net.onnx')}")
    monkeypatch.setattr("stages.vectors.network.is_installed", lambda: False)
    (said,) = library.check(Params())
    assert said.startswith("pairs.embedding: onnx:FILE needs onnxruntime: ")
    assert "onnx]" in said
