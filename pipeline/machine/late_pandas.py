"""Keep pyarrow from importing pandas before the program does.

The first `pa.array` of a process imports pandas, to check whether the values are a pandas object. The import takes
0.5 s of processor time in every worker, and no task needs pandas."""

from __future__ import annotations

import contextlib
import functools
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

PANDAS = "pandas"


@functools.cache
def import_pandas_late() -> None:
    """Keep pyarrow from importing pandas until this process imports pandas.

    Does nothing if pandas is imported already."""
    if PANDAS in sys.modules:
        return
    import pyarrow as pa

    finder = _Finder()
    sys.meta_path.insert(0, finder)
    pa.array([])  # pyarrow looks for pandas now, and does not look again
    finder.hidden = False


class _Finder(MetaPathFinder):
    """Finder that hides pandas at first; a later import also informs pyarrow."""

    hidden = True

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != PANDAS:
            return None
        if self.hidden:
            raise ModuleNotFoundError(fullname)
        others = (finder.find_spec(fullname, path, target) for finder in sys.meta_path if finder is not self)
        spec = next(filter(None, others), None)
        if spec and spec.loader:
            execute = spec.loader.exec_module

            def exec_module(module: ModuleType) -> None:
                import pyarrow as pa

                execute(module)
                with contextlib.suppress(AttributeError):  # `_pandas_api` is private and may be missing
                    _ = pa.lib._pandas_api.pd  # imports pandas into pyarrow

            spec.loader.exec_module = exec_module  # type: ignore[method-assign]  # this loader only
        return spec
