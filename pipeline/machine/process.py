"""Set limits of threads and memory in a process that runs tasks."""

from __future__ import annotations

import contextlib
import ctypes
import functools

from pipeline.machine.late_pandas import import_pandas_late

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""Numbers of glibc's parameters of mallopt: free bytes that a heap keeps, and the size from which memory is mapped."""
TRIM_BYTES, MMAP_BYTES = 1 << 27, 1 << 25


@functools.cache
def prepare() -> object:
    """Limit BLAS and OpenMP to one thread in this process: tasks run in parallel.

    The limit overrides the environment, and holds for the whole process until its end. glibc is set
    to keep freed memory for the next task. Dask's nannies make glibc return memory at once, which costs a task up to a
    quarter of its time. Returns the limit, which must stay referenced."""
    import threadpoolctl

    import_pandas_late()

    with contextlib.suppress(OSError, AttributeError, TypeError):  # other C libraries have no such function
        library = ctypes.CDLL(None)
        library.mallopt(M_TRIM_THRESHOLD, TRIM_BYTES)
        library.mallopt(M_MMAP_THRESHOLD, MMAP_BYTES)
    return threadpoolctl.threadpool_limits(1)
