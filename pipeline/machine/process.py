"""Settings of a process that runs tasks: threads and memory."""

from __future__ import annotations

import contextlib
import ctypes
import functools

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""glibc's parameters: idle bytes kept at the top of a heap; size from which a block comes directly from the system."""
IDLE, ALONE = 1 << 27, 1 << 25


@functools.cache
def prepare() -> object:
    """Limit BLAS and OpenMP to one thread in this process, whatever the environment says: tasks run in parallel.

    The limit lasts as long as the process: to lift it after one task would lift it for other tasks. glibc keeps the
    memory of one task for the next. Dask's nannies make glibc return memory at once; a task then spends up to a quarter
    of its time on getting pages again. Returns the limit, which must stay referenced."""
    import threadpoolctl

    with contextlib.suppress(OSError, AttributeError, TypeError):  # other C libraries have no such function
        library = ctypes.CDLL(None)
        library.mallopt(M_TRIM_THRESHOLD, IDLE)
        library.mallopt(M_MMAP_THRESHOLD, ALONE)
    return threadpoolctl.threadpool_limits(1)
