"""The stage `index`: the rows of a block, and where blocks end."""

import numpy as np
import pyarrow as pa
import pytest

from pipeline.messages.errors import TaskError
from pipeline.stage import Task, Upstream
from stages import index
from stages.kernels.bounds.coarse import coarse
from tests.in_memory import MemoryArtifact, compute
from tests.stages.reference import block, gallery, settings

SHAPE = (8, 8, 3)


def test_a_block_ends_where_its_last_partition_says_so() -> None:
    notes = [("a", False), ("a", True), ("a", True), ("b", False), ("b", True)]
    scanned = [Task(f"{s}-{n}", notes={"set": s, "closes_block": closes}) for n, (s, closes) in enumerate(notes)]
    tasks = list(index.tasks(Upstream({"scan": scanned, "embed": []}, {}.__getitem__), index.Params()))
    assert [(task.key, task.notes["set"]) for task in tasks] == [("a-1", "a"), ("a-2", "a"), ("b-4", "b")]
    for task, partitions in zip(tasks, (["a-0", "a-1"], ["a-2"], ["b-3", "b-4"]), strict=True):
        assert list(task.inputs) == [(stage, key) for key in partitions for stage in ("thumbnail", "hash")]


def test_readable_images_in_path_order_and_where_their_thumbnails_lie() -> None:
    pictures = sorted(gallery(1, SHAPE), key=lambda picture: picture.path)
    artifacts = block(pictures, "a", SHAPE, 3)
    table = artifacts.index.rows_
    assert table["path"].to_pylist() == [picture.path for picture in pictures]
    assert np.array_equal(table["coarse"].to_pylist(), coarse(np.stack([picture.pixels for picture in pictures])))
    parts = artifacts.index.summary["parts"]
    assert artifacts.index.summary["images"] == len(pictures)
    assert parts == [[part.key, part.content["thumbnail"]] for part in artifacts.thumbnails]
    hashed = pa.concat_tables([part.rows_ for part in artifacts.hashes])
    for name in index.hashed(settings(SHAPE).__getitem__):
        assert table[name].to_pylist() == hashed[name].to_pylist()
    for picture, part, row in zip(pictures, table["partition"].to_pylist(), table["row"].to_pylist(), strict=True):
        assert artifacts.thumbnails[part].rows_["thumbnail"][row].as_py() == picture.pixels.tobytes()


def test_a_block_of_unreadable_images_has_no_rows() -> None:
    table = block([], "a", SHAPE).index.rows_
    assert len(table) == 0
    assert table.schema == index.schema(index.Params(), settings(SHAPE).__getitem__)


def test_hashes_of_other_images_are_refused() -> None:
    artifacts = block(gallery(1, SHAPE, 3), "a", SHAPE, 1)
    hashed = artifacts.hashes[0].rows_
    for wrong in (hashed.slice(1), hashed.take(list(range(len(hashed)))[::-1])):
        with pytest.raises(TaskError, match="a0: thumbnails and hashes are of different images"):
            compute(
                index.STAGE,
                [*artifacts.thumbnails, MemoryArtifact("hash", "a0", wrong)],
                index.Params(),
                settings(SHAPE),
                None,
                Task("a0"),
            )
