"""The folder of an image, for the rule `pairs.folders`."""

import pyarrow as pa
import pytest

from stages.comparing.folders import rule_folders


@pytest.mark.parametrize(
    ("depth", "folders"),
    [
        (0, ["/p", "/p", "/p", "/q", "s3://b/x", "/q2", "/p"]),
        (1, ["/p", "/p/a", "/p/a", "/q/a", "s3://b/x/y", "/q2", "/p/in"]),
        (2, ["/p", "/p/a", "/p/a/b", "/q/a", "s3://b/x/y", "/q2", "/p/in/c"]),
    ],
)
def test_folders_below_the_outermost_input(depth: int, folders: list[str]) -> None:
    paths = ["/p/1", "/p/a/1", "/p/a/b/1", "/q/a/1", "s3://b/x/y/1", "/q2/file", "/p/in/c/1"]
    roots = ["/p/in", "/p", "/q/", "s3://b/x", "/q2/file"]
    assert rule_folders(pa.chunked_array([paths]), roots, depth).to_pylist() == folders


def test_the_root_of_the_disk_is_an_input() -> None:
    paths = pa.chunked_array([["/1", "/a/1", "/a/b/1"]])
    assert rule_folders(paths, ["/"], 1).to_pylist() == ["", "/a", "/a"]
