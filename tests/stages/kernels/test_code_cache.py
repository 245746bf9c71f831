"""Compiled kernels are stored in the user's cache folder, never beside the code."""

import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numba
import numpy as np
import pytest
from numba.core.errors import NumbaWarning

from stages.kernels import code_cache
from stages.kernels.measure.native import native

KERNELS = Path(code_cache.__file__).parent


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    """Forget the folder, which is looked up once a process."""
    code_cache.folder.cache_clear()
    yield
    code_cache.folder.cache_clear()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(numba.config, "CACHE_DIR", "")
    return tmp_path / "cache"


def double(value):  # type: ignore[no-untyped-def]
    return value * 2


def compiled_files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.suffix in (".nbi", ".nbc"))


def hits() -> int:
    """Compile `double` as a new process would; return how often the cache had it."""
    function = native(double)
    assert function(21) == 42
    return sum(function.stats.cache_hits.values())  # type: ignore[attr-defined]


def test_compiled_code_is_kept_below_the_users_cache_folder(home: Path) -> None:
    assert hits() == 0
    (index, _) = sorted(compiled_files(home), key=lambda path: path.suffix, reverse=True)
    assert index.parent.parent == home / "fast-diff" / "kernels"
    assert hits() == 1


@pytest.mark.parametrize("damage", [b"", b"garbage", None], ids=["cut", "garbage", "gone"])
@pytest.mark.parametrize("suffix", [".nbi", ".nbc"])
def test_a_damaged_entry_is_compiled_again(home: Path, suffix: str, damage: bytes | None) -> None:
    hits()
    for path in compiled_files(home):
        if path.suffix == suffix:
            path.unlink() if damage is None else path.write_bytes(damage)
    assert hits() == 0
    assert hits() == 1


def test_another_version_of_any_kernel_has_a_folder_of_its_own(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = code_cache.folder()
    code_cache.folder.cache_clear()
    monkeypatch.setattr(code_cache, "_stamp", lambda: "0" * 64)
    assert code_cache.folder() != before


@pytest.mark.slow
def test_the_stamp_follows_all_kernels() -> None:
    code = (
        "import pathlib, sys; from stages.kernels import code_cache; read = pathlib.Path.read_bytes\n"
        "changed = lambda path: read(path) + b'#' * (path.name == sys.argv[1])\n"
        "pathlib.Path.read_bytes = changed; print(code_cache._stamp())"
    )
    stamps = {
        subprocess.run([sys.executable, "-c", code, name], capture_output=True, text=True, check=True).stdout
        for name in ("none", "directions.py", "leaves.py")
    }
    assert len(stamps) == 3


def test_numbas_own_variable_names_another_place(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(numba.config, "CACHE_DIR", "elsewhere")
    assert hits() == 0
    assert len(compiled_files(tmp_path / "elsewhere")) == 2
    assert not home.exists()


def test_without_a_place_it_compiles_after_one_warning(
    tmp_path: Path, home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    home.write_text("no folder")
    with caplog.at_level(logging.WARNING, "fast_diff"):
        assert hits() == 0
        assert hits() == 0
    (record,) = caplog.records
    assert "can't write the cache of compiled code (Not a directory)" in record.getMessage()
    assert "\n" not in record.getMessage()
    assert home.read_text() == "no folder"


def test_a_user_without_a_home_gets_no_folder_called_tilde(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(numba.config, "CACHE_DIR", "")
    monkeypatch.setattr("platformdirs.user_cache_path", lambda name: Path("~/.cache") / name)
    assert code_cache.folder() is None
    assert not list(tmp_path.iterdir())
    assert "no home folder" in caplog.text


def test_a_cache_that_fills_the_disk_ends_nothing(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("numba.core.caching.IndexDataCacheFile.save", full)
    assert hits() == 0


@pytest.mark.slow
def test_nothing_is_written_beside_the_code(tmp_path: Path) -> None:
    """This runs the real kernels in a process of their own, which declares the kernels when their module is loaded."""
    code = (
        "import numpy as np; from stages.kernels.measure import native\n"
        "a = np.zeros((2, 8), np.uint8); i = np.arange(2)\n"
        "native.sums(a, a, i, i, 9)"
    )
    before = set(KERNELS.rglob("*.nb?"))
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path)}
    environment.pop("NUMBA_CACHE_DIR", None)
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)
    assert {path.name.split("-")[0] for path in compiled_files(tmp_path)} == {"native._sums"}
    assert set(KERNELS.rglob("*.nb?")) == before


LARGE = np.zeros(200_000)


def first() -> float:
    return float(LARGE[0])


def test_a_loop_that_numba_can_not_cache_is_computed(home: Path) -> None:
    compiled = numba.njit(first)
    code_cache.keep(compiled)
    with pytest.warns(NumbaWarning, match="Cannot cache compiled function"):
        assert compiled() == 0.0
