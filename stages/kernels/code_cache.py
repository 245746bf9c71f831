"""Keep compiled kernels in the user's cache folder, never beside the code.

By default numba writes into `__pycache__` beside a module. Such a folder outlives an upgrade and `pip uninstall`,
and Python imports a leftover folder `stages` as a package."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import logging
import os
import tempfile
from importlib import metadata
from pathlib import Path
from typing import Any

import numba
import platformdirs
from numba.core.caching import CompileResultCacheImpl, FunctionCache

logger = logging.getLogger("fast_diff")


@functools.cache
def folder() -> Path | None:
    """Return the cache folder for this version of the kernels, or None after a warning.

    The folder is created if missing; the result is None if the folder is not writable. `NUMBA_CACHE_DIR` replaces the
    user's cache folder. The folder's name holds a digest of numba's version and of all kernel sources, since compiled
    code contains constants of other modules."""
    chosen = Path(numba.config.CACHE_DIR).absolute() if numba.config.CACHE_DIR else None
    path = chosen or platformdirs.user_cache_path("fast-diff") / "kernels"
    path /= f"{metadata.version('fast-diff-dask')}-{_stamp()[:16]}"
    try:
        if not path.is_absolute():
            raise OSError("the user has no home folder")
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=path).close()
    except OSError as error:
        reason = error.strerror or str(error)
        logger.warning(
            "%s: can't write the cache of compiled code (%s): every process compiles again, which takes seconds. Set "
            "NUMBA_CACHE_DIR to a writable folder.",
            path,
            reason,
        )
        return None
    return path


@functools.cache
def _stamp() -> str:
    whole = hashlib.sha256(numba.__version__.encode())
    for path in sorted(Path(__file__).parent.rglob("*.py")):
        whole.update(path.read_bytes())
    return whole.hexdigest()


class _Locator:
    """Tell numba which cache folder a function uses.

    numba's own locators may choose the folder of the source file."""

    def __init__(self, line: int, path: Path, source: str) -> None:
        self._line, self._path = line, path
        self._py_file = source  # numba prints the source's name if caching fails, as with NUMBA_OPT=0

    @classmethod
    def from_function(cls, function: Any, source: str) -> _Locator | None:
        """Return a locator, or None if no cache folder is writable."""
        path = folder()
        return None if path is None else cls(function.__code__.co_firstlineno, path, source)

    def ensure_cache_path(self) -> None:
        """Create the cache folder if the folder was deleted since the import."""
        self._path.mkdir(mode=0o700, parents=True, exist_ok=True)

    def get_cache_path(self) -> str:
        return os.fspath(self._path)

    def get_source_stamp(self) -> str:
        return _stamp()

    def get_disambiguator(self) -> str:
        return str(self._line)


class _Implementation(CompileResultCacheImpl):  # type: ignore[misc]  # numba comes without types
    _locator_classes = (_Locator,)


class _Cache(FunctionCache):  # type: ignore[misc]  # numba comes without types
    """A cache that ignores errors: damaged code is compiled again, a full disk is skipped."""

    _impl_class = _Implementation

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        try:
            return super().load_overload(sig, target_context)
        except Exception:  # unpickling garbage may raise anything
            with contextlib.suppress(OSError):
                self.flush()
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        with contextlib.suppress(OSError):
            self._impl.locator.ensure_cache_path()
            super().save_overload(sig, data)


def keep(compiled: Any) -> None:
    """Cache a numba function's compiled code on disk, if a cache folder is writable."""
    if folder() is not None:
        compiled._cache = _Cache(compiled.py_func)  # like numba's `enable_caching`, with another folder
