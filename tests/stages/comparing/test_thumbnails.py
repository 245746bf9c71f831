"""Thumbnails of single images: every way to read them gives the thumbnails that the index describes."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.messages.errors import ArtifactDamaged
from pipeline.store.artifact import Record, StoredArtifact
from pipeline.store.store import Store
from stages.comparing import thumbnails
from stages.comparing.thumbnails import CACHE, FEW, BlockThumbnails
from stages.kernels.measure.identity import digest

SHAPE = (8, 8, 3)
WIDTH = 8 * 8 * 3
COUNT = 20 * FEW


@pytest.fixture(autouse=True)
def nothing_kept() -> None:
    thumbnails._cached.clear()
    thumbnails._readers.clear()


class Job:
    """Return the only artifact."""

    def __init__(self, artifact: StoredArtifact) -> None:
        self._artifact = artifact

    def find(self, stage: str, key: str, column: str, digest: str) -> StoredArtifact:
        return self._artifact


@pytest.fixture(params=["photographs", "drawings"])
def images(request: pytest.FixtureRequest) -> thumbnails.Bytes:
    random = np.random.default_rng(0)
    if request.param == "drawings":
        return np.repeat(random.integers(0, 256, COUNT, dtype=np.uint8), WIDTH).reshape(-1, *SHAPE)
    return random.integers(0, 256, (COUNT, *SHAPE), dtype=np.uint8)


@pytest.fixture
def artifact(images: thumbnails.Bytes, tmp_path: Path) -> StoredArtifact:
    schema = pa.schema([("thumbnail", pa.binary(WIDTH))])
    table = pa.table([[image.tobytes() for image in images]], schema=schema)
    store = Store(tmp_path)
    store.publish("k.parquet", Record("thumbnail", "k", "f" * 64, {}, {}), schema, [table], None, 128)
    return StoredArtifact("thumbnail", "k", store.path("thumbnail", "k.parquet"))


def block(artifact: StoredArtifact, images: thumbnails.Bytes) -> BlockThumbnails:
    rows = np.arange(len(images), dtype=np.int32)
    identity = pa.chunked_array([[digest(image) for image in images]])
    return BlockThumbnails(Job(artifact), SHAPE, [["k", "digest"]], np.zeros_like(rows), rows, identity)  # type: ignore[arg-type]


@pytest.mark.parametrize("wanted", [[5], [0, 127, 128, COUNT - 1], range(COUNT)], ids=["one", "few", "all"])
def test_they_are_those_of_the_images(artifact: StoredArtifact, images: thumbnails.Bytes, wanted: list[int]) -> None:
    found, rows = block(artifact, images)(np.array(wanted))
    assert np.array_equal(found[rows], images[wanted])


def test_few_are_read_without_the_others(artifact: StoredArtifact, images: thumbnails.Bytes) -> None:
    block(artifact, images)(np.array([1, 300]))
    assert thumbnails._cached.currsize == 0
    block(artifact, images)(np.arange(COUNT))
    assert thumbnails._cached.currsize == COUNT * WIDTH


def test_a_file_that_changes_after_its_rows_were_found_is_read_anew(
    artifact: StoredArtifact, images: thumbnails.Bytes, tmp_path: Path
) -> None:
    some = block(artifact, images)
    assert np.array_equal(some(np.array([5]))[0], images[[5]])
    assert isinstance(artifact.path, Path)
    schema = pa.schema([("before", pa.binary(7)), ("thumbnail", pa.binary(WIDTH))])
    table = pa.table([[b"shifted"] * COUNT, [image.tobytes() for image in images]], schema=schema)
    Store(tmp_path).publish("k.parquet", Record("thumbnail", "k", "e" * 64, {}, {}), schema, [table], None, 100)
    assert np.array_equal(some(np.array([5, 300]))[0], images[[5, 300]])
    artifact.path.rename(tmp_path / "moved")
    some._job._artifact = StoredArtifact("thumbnail", "k", tmp_path / "moved")  # type: ignore[attr-defined]
    assert np.array_equal(some(np.array([7]))[0], images[[7]])


def test_thumbnails_larger_than_the_cache_are_kept_alone() -> None:
    small, large = np.zeros(8, np.uint8), np.zeros(CACHE + 1, np.uint8)
    thumbnails._cached["small"] = small
    thumbnails._cached["large"] = large
    assert list(thumbnails._cached) == ["large"]
    thumbnails._cached["small"] = small
    assert list(thumbnails._cached) == ["small"]


@pytest.mark.parametrize("wanted", [[5], range(COUNT)], ids=["one", "all"])
def test_a_damaged_one_is_never_taken_for_right(
    artifact: StoredArtifact, images: thumbnails.Bytes, wanted: list[int]
) -> None:
    assert isinstance(artifact.path, Path)
    whole = bytearray(artifact.path.read_bytes())
    column = pq.read_metadata(artifact.path).row_group(0).column(0)
    packed = column.compression != "UNCOMPRESSED"
    place = column.data_page_offset + column.total_compressed_size - 9 if packed else whole.index(images[5].tobytes())
    whole[place] ^= 1
    artifact.path.write_bytes(whole)
    with pytest.raises(ArtifactDamaged):
        block(artifact, images)(np.array(wanted))
