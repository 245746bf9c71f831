"""Memory and threads of a process that runs tasks."""

import os
import platform
import subprocess
import sys

import pytest

SHOWN = """
import resource
import numpy as np
from threadpoolctl import threadpool_info
from pipeline.machine.process import prepare

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        np.ones(1 << 20)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

anew = faults()
prepare()
faults()
assert {library["num_threads"] for library in threadpool_info()} == {1}
print(anew, faults())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library than glibc keeps memory as it likes")
def test_memory_is_kept_and_threads_are_not_many() -> None:
    """The process has the environment that Dask's nannies give to workers."""
    environment = os.environ | {"MALLOC_TRIM_THRESHOLD_": "65536", "OMP_NUM_THREADS": "2"}
    done = subprocess.run([sys.executable, "-c", SHOWN], env=environment, capture_output=True, text=True, check=True)
    anew, kept = map(int, done.stdout.split())
    assert kept < anew / 10
