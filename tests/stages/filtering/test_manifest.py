"""The manifest of a target folder: which files are finished, however the command ended."""

import errno
import json
import os
from pathlib import Path

import pytest

from pipeline.messages.errors import ConfigError
from stages.filtering.manifest import NAME, opened_manifest


def test_the_last_line_of_a_unit_counts(tmp_path: Path) -> None:
    with opened_manifest(tmp_path / "out", "run") as manifest:
        assert manifest.units == {}
        manifest.record("a", {"n": 1})
        manifest.record("b\n\udcff", {"n": 2})
        manifest.record("c", {"n": 3})
        manifest.record("a", {"n": 4})
        manifest.forget("c")
        seen = dict(manifest.units)
    with opened_manifest(tmp_path / "out", "run") as manifest:
        assert {unit: facts["n"] for unit, facts in manifest.units.items()} == {"a": 4, "b\n\udcff": 2}
        assert manifest.units.keys() == seen.keys()


@pytest.mark.parametrize("tail", [b'{"unit": "x", "n"', b'{"unit": "x", "n": 1}', b"\0\0\0\n", b"}\n"])
def test_a_torn_end_was_never_finished(tail: bytes, tmp_path: Path) -> None:
    with opened_manifest(tmp_path, "run") as manifest:
        manifest.record("a", {"n": 1})
    path = tmp_path / NAME
    whole = path.read_bytes()
    path.write_bytes(whole + tail)
    with opened_manifest(tmp_path, "run") as manifest:
        assert manifest.units.keys() == {"a"}
        assert path.read_bytes() == whole
        manifest.record("b", {"n": 2})
    with opened_manifest(tmp_path, "run") as manifest:
        assert manifest.units.keys() == {"a", "b"}


@pytest.mark.parametrize(
    "line",
    [[], "x", 7, {"unit": 7}, {"unit": "d/"}, {"unit": "d/", "names": 7}, {"unit": "d/", "names": [7]}],
    ids=str,
)
def test_a_damaged_line_is_an_error(line: object, tmp_path: Path) -> None:
    with opened_manifest(tmp_path / "a", "run"):
        pass
    whole = (tmp_path / "a" / NAME).read_bytes()
    for name, before in (("b", b""), ("c", whole)):
        (tmp_path / name).mkdir()
        (tmp_path / name / NAME).write_bytes(before + json.dumps(line).encode() + b"\n")
        with (
            pytest.raises(ConfigError, match="is damaged; choose a new folder"),
            opened_manifest(tmp_path / name, "run"),
        ):
            pass


def test_half_files_go_and_others_stay(tmp_path: Path) -> None:
    with opened_manifest(tmp_path, "run") as manifest:
        manifest.record("a", {"n": 1})
    (tmp_path / "d").mkdir()
    for name in (".x.1.tmp", "d/.x.1.tmp", "x.tmp", "d/x"):
        (tmp_path / name).write_text("x")
    with opened_manifest(tmp_path, "run"):
        assert {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")} == {NAME, "d", "x.tmp", "d/x"}


def test_folders_of_others_are_refused(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("x")
    with pytest.raises(ConfigError, match="is not empty"), opened_manifest(tmp_path, "run"):
        pass
    with pytest.raises(ConfigError, match="is not a folder"), opened_manifest(tmp_path / "x", "run"):
        pass
    for facts in (
        {"unit": "../x"},
        {"unit": "/x"},
        {"unit": "d/", "names": ["../x"]},
        {"unit": "d/", "names": ["a/b"]},
    ):
        (tmp_path / NAME).write_text(f'{{"fast-diff-filter": 1, "run": "run"}}\n{json.dumps(facts)}\n')
        with pytest.raises(ConfigError, match="outside of its folder"), opened_manifest(tmp_path, "run"):
            pass
    (tmp_path / NAME).write_text('{"fast-diff-filter": 99}\n')
    with pytest.raises(ConfigError, match="another version"), opened_manifest(tmp_path, "run"):
        pass
    with opened_manifest(tmp_path / "new", "other"):
        pass
    with pytest.raises(ConfigError, match="is of the run other"), opened_manifest(tmp_path / "new", "run"):
        pass
    with (
        opened_manifest(tmp_path / "newer", "run"),
        pytest.raises(ConfigError, match="another process"),
        opened_manifest(tmp_path / "newer", "run"),
    ):
        pass


def test_an_error_of_the_disk_names_the_manifest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match="No space left") as caught, opened_manifest(tmp_path, "run") as manifest:
        manifest.record("a", {"n": 1})
        with monkeypatch.context() as patched:
            patched.setattr(os, "write", full)
            manifest.record("b", {"n": 2})
    assert caught.value.filename == str(tmp_path / NAME)
    with opened_manifest(tmp_path, "run") as manifest:
        assert manifest.units == {"a": {"unit": "a", "n": 1}}


def test_a_line_that_is_written_in_parts_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: write(descriptor, data[:3]))
    with opened_manifest(tmp_path, "run") as manifest:
        manifest.record("a", {"n": 1})
    with opened_manifest(tmp_path, "run") as manifest:
        assert manifest.units["a"]["n"] == 1
