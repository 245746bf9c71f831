"""Check workers for the driver's software and storage, and for enough memory.

Workers are checked when the run connects; workers that join later are checked when they join."""

from __future__ import annotations

import contextlib
import os
import platform
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from pipeline.machine.installation import DISTRIBUTION, problem, version_of
from pipeline.messages.errors import ConfigError
from pipeline.store.backends.locations import Place, StorageOptions, in_use, mask, protocol_of, use
from pipeline.store.backends.storage import read_bytes, remove, write_bytes

MEBIBYTE = 1 << 20


@dataclass(frozen=True)
class Needs:
    """Requirements of a run for each worker.

    versions  version of each distribution that changes results; None for a distribution that must be missing
    folder    the run's folder
    roots     the inputs
    memory    bytes of memory for each concurrent task
    remedy    how to make tasks smaller
    probe     name of a file in `folder`; the file contains this name, so a worker that reads it sees the same folder
    storage   options for URLs
    """

    versions: dict[str, str | None]
    folder: Place
    roots: Sequence[str] = ()
    memory: int = 0
    remedy: str = ""
    probe: str = ""
    storage: StorageOptions = field(default_factory=dict, repr=False)


def needs_of(folder: Place, roots: Sequence[str], libraries: Sequence[str], memory: int, **more: Any) -> Needs:
    """Return the requirements of a run that this process starts.

    `more`: further fields of `Needs`."""
    expected = versions((DISTRIBUTION, "numpy", "pyarrow", *libraries))
    return Needs(expected, folder, roots, memory, storage=in_use(), **more)


def versions(names: Sequence[str]) -> dict[str, str | None]:
    """Return the versions of distributions, and of Python (major and minor)."""
    return {name: version_of(name) for name in names} | {"Python": ".".join(platform.python_version_tuple()[:2])}


def worker_problems(needs: Needs, dask_worker: Any = None) -> list[str]:
    """Return the problems of this worker, each with a remedy; empty for a fit worker."""
    try:
        return _problems(needs, dask_worker)
    except Exception as error:  # a worker that can't be checked is not fit
        return [f"could not check its storage ({type(error).__name__}: {mask(' '.join(str(error).split()))[:300]})"]


def _problems(needs: Needs, dask_worker: Any) -> list[str]:
    use(needs.storage)
    found = [f"can't load {DISTRIBUTION}: {reason}"] if (reason := problem()) else []
    found += _differing(needs)
    missing = (root for root in needs.roots if protocol_of(root) is None and not os.path.lexists(root))
    found += [f"does not see the input {root}: mount it there under the same path" for root in missing]
    try:
        found += _storage_problems(needs)
    except FileNotFoundError:
        found.append(f"does not see the run's folder {needs.folder}: set output to a folder that all machines see")
    return [*found, *_memory_problems(needs, dask_worker)]


def _differing(needs: Needs) -> Iterator[str]:
    there = versions([name for name in needs.versions if name != "Python"])
    for name, version in needs.versions.items():
        if there[name] != version:
            expected, found = (each or "not installed" for each in (version, there[name]))
            yield f"{name}: expected {expected} as on the driver, got {found}: install the driver's version"


def _storage_problems(needs: Needs) -> Iterator[str]:
    """Yield problems of the storage.

    Raises FileNotFoundError if this worker does not see the run's folder."""
    if needs.probe and read_bytes(needs.folder / needs.probe).decode() != needs.probe:
        raise FileNotFoundError(needs.probe)
    mine = needs.folder / _probe_name()
    try:
        write_bytes(mine, mine.name.encode())
        if read_bytes(mine).decode() != mine.name:
            yield f"reads other bytes from {needs.folder} than the worker wrote: repair this storage"
    except FileNotFoundError:
        raise
    except OSError as error:
        yield f"can't write to {needs.folder} ({error.strerror}): grant access, or choose another output"
    finally:
        with contextlib.suppress(OSError):
            remove(mine)


def _memory_problems(needs: Needs, dask_worker: Any) -> Iterator[str]:
    limit = getattr(getattr(dask_worker, "memory_manager", None), "memory_limit", None)
    if not limit or not needs.memory:
        return
    each = limit // dask_worker.state.nthreads
    if each < needs.memory:
        yield (
            f"has {each // MEBIBYTE:,} MiB of memory for each task, expected {needs.memory // MEBIBYTE:,} MiB: "
            + " or ".join(filter(None, ("raise its limit", "give it fewer threads", needs.remedy)))
        )


def check_memory(limit: str | int, needs: Needs) -> None:
    """Raise ConfigError if the memory limit of local workers is too low for a task."""
    from dask.utils import parse_bytes

    each = 0 if limit == "auto" else int(parse_bytes(limit))
    if each and each < needs.memory:
        raise ConfigError(
            f"scheduler.memory_limit: expected at least {needs.memory // MEBIBYTE:,} MiB, got {limit}; "
            + " or ".join(filter(None, ("raise the limit", needs.remedy)))
        )


def _probe_name() -> str:
    """Return a name for a probe file; the next run deletes leftover probe files."""
    return f".probe.{uuid.uuid4().hex}.tmp"


@contextlib.contextmanager
def probed(needs: Needs) -> Iterator[Needs]:
    """Yield the needs with a probe file that exists inside the `with` statement."""
    name = _probe_name()
    path = needs.folder / name
    write_bytes(path, name.encode())
    try:
        yield replace(needs, probe=name)
    finally:
        with contextlib.suppress(OSError):
            remove(path)
