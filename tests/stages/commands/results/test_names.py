"""Names of images and folders in the forms in which users type the names."""

import os
from pathlib import Path

import pytest

from pipeline.messages.errors import ConfigError
from stages.commands.results.names import folder_named, image_named

IMAGES = ["/p/a/1.jpg", "/p/b/1.jpg", "/p/b/two\n.jpg", "s3://bucket/x/3.jpg"]


@pytest.mark.parametrize(
    ("typed", "image"),
    [
        ("/p/a/1.jpg", "/p/a/1.jpg"),
        ("/p/b/../a/1.jpg", "/p/a/1.jpg"),
        ("a/1.jpg", "/p/a/1.jpg"),
        ("two\\n.jpg", "/p/b/two\n.jpg"),
        ("/p/b/two\\n.jpg", "/p/b/two\n.jpg"),
        ("3.jpg", "s3://bucket/x/3.jpg"),
        ("s3://bucket/x/3.jpg", "s3://bucket/x/3.jpg"),
    ],
)
def test_an_image(typed: str, image: str) -> None:
    assert image_named(typed, IMAGES) == image


def test_a_path_from_here_comes_before_the_end_of_a_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    here = os.fspath(tmp_path / "1.jpg")
    assert image_named("1.jpg", [*IMAGES, here]) == here


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("1.jpg", "1.jpg is the end of 2 paths, such as /p/a/1.jpg and /p/b/1.jpg; type more of it"),
        ("jpg", "jpg is not an image of this run; expected a path as "),
        ("/", "/ is not an image of this run"),
    ],
)
def test_no_image(typed: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        image_named(typed, IMAGES)


@pytest.mark.parametrize(
    ("typed", "folder"),
    [
        ("/p/a", "/p/a"),
        ("/p/a/", "/p/a"),
        ("a", "/p/a"),
        ("p", "/p"),
        ("p/b/", "/p/b"),
        ("x", "s3://bucket/x"),
        ("/", ""),
    ],
)
def test_a_folder(typed: str, folder: str) -> None:
    assert folder_named(typed, IMAGES) == folder


def test_no_folder() -> None:
    with pytest.raises(ConfigError, match=r"1\.jpg is not a folder with images of this run; expected a folder as"):
        folder_named("1.jpg", IMAGES)
