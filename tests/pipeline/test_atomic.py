from pathlib import Path

import pytest

from pipeline.atomic import atomic_write, sweep


def test_the_file_appears_whole(tmp_path: Path) -> None:
    target = tmp_path / "new" / "file"
    with atomic_write(target) as file:
        file.write(b"all")
        assert not target.exists()
    assert target.read_bytes() == b"all"
    assert [path.name for path in target.parent.iterdir()] == ["file"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_an_exception_leaves_the_old_file_and_no_other(tmp_path: Path, error: type[BaseException]) -> None:
    target = tmp_path / "file"
    target.write_bytes(b"old")
    with pytest.raises(error), atomic_write(target) as file:
        file.write(b"new")
        raise error
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]


def test_sweep_removes_only_what_writers_left(tmp_path: Path) -> None:
    keep = [tmp_path / "a.tmp", tmp_path / ".hidden", tmp_path / "b.parquet"]
    for path in [*keep, tmp_path / ".b.parquet.0123.tmp"]:
        path.touch()
    assert sweep(tmp_path) == 1
    assert sorted(tmp_path.iterdir()) == sorted(keep)
