"""Files on object stores: put, read, listed, copied and deleted, each with patience.

An artifact is one put: it is written to a local temporary file first, so nothing appears where writing fails, and a put
whose answer got lost may be made again, since the content is the same. Whatever may pass (a store that is busy, a
connection that broke) is tried TRIES times, ever more slowly; then it is an OSError like that of a disk.
"""

from __future__ import annotations

import contextlib
import errno
import random
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, BinaryIO, NamedTuple, TypeVar, cast

from pipeline.store.backends.locations import Place, mask
from pipeline.store.regular import regular

if TYPE_CHECKING:
    from upath import UPath

TRIES = 5
FIRST_PAUSE = 0.2
"""Seconds after the first try; each pause is twice as long as the one before, give or take half of it."""
IN_ONE_PIECE = 64 << 20
"""Bytes up to which a file is put from memory, in one request whatever the file system's own habits."""
FINAL = (FileNotFoundError, PermissionError, FileExistsError, IsADirectoryError, NotADirectoryError)
BUSY = frozenset({errno.EIO, errno.EBUSY, errno.EAGAIN, getattr(errno, "EREMOTEIO", errno.EIO), errno.ETIMEDOUT})
PASSING = frozenset(
    {
        *("botocore.HTTPClientError", "botocore.ConnectionError", "aiohttp.ClientError", "requests.RequestException"),
        *("urllib3.HTTPError", "gcsfs.HttpError", "azure.ServiceRequestError", "azure.ServiceResponseError"),
        *("asyncio.IncompleteReadError", "paramiko.SSHException"),
    }
)
"""Errors of the libraries below that are no OSError and may pass, by package and name."""

T = TypeVar("T")


class Entry(NamedTuple):
    """What a listing says of a file; `tag` is its ETag, or empty where the store has none."""

    size: int
    mtime_ns: int
    tag: str


def file_system(place: Place) -> Any:
    """The fsspec file system of a URL; it tries once, since `retried` counts the tries."""
    return patient(cast("UPath", place).fs)


def opened(url: str) -> tuple[Any, str]:
    """The file system of a URL without credentials, and what that calls it."""
    from fsspec.core import url_to_fs

    system, path = url_to_fs(url, use_listings_cache=False)
    return patient(system), path


def patient(system: Any) -> Any:
    """A file system whose own retries are off: two who retry multiply."""
    if hasattr(system, "config_kwargs") and hasattr(system, "retries"):  # s3fs, and botocore below it
        system.retries = 1
        system.config_kwargs.setdefault("retries", {"total_max_attempts": 1})
    return system


def retried(work: Callable[[], T], where: object) -> T:
    """What `work` returns, after so many tries as it takes. Raises OSError, with `where` as its file."""
    pause = FIRST_PAUSE
    for attempt in range(1, TRIES + 1):
        try:
            return work()
        except FINAL as error:
            raise type(error)(error.errno or errno.EIO, _sentence(error), mask(str(where))) from error
        except MemoryError:
            raise
        except Exception as error:
            if attempt == TRIES or not _may_pass(error):
                said = f"{_sentence(error)} after {attempt} tries" if attempt > 1 else _sentence(error)
                raise OSError(getattr(error, "errno", None) or errno.EIO, said, mask(str(where))) from error
        time.sleep(pause * random.uniform(0.5, 1.5))
        pause *= 2
    raise AssertionError("the last try returns or raises")


def _may_pass(error: Exception) -> bool:
    if isinstance(error, TimeoutError | ConnectionError):
        return True
    if isinstance(error, OSError) and error.errno is not None:
        status = getattr(error.__cause__, "response", {}).get("ResponseMetadata", {}).get("HTTPStatusCode", 500)
        return error.errno in BUSY and (status >= 500 or status in (408, 409, 429))
    return not PASSING.isdisjoint(f"{kind.__module__.split('.')[0]}.{kind.__name__}" for kind in type(error).__mro__)


def _sentence(error: Exception) -> str:
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return mask(" ".join(str(text).split())[:300]) or type(error).__name__


@contextlib.contextmanager
def put_whole(place: Place) -> Iterator[BinaryIO]:
    """Open an object for writing; the object appears when the `with` statement ends without an exception.

    Raises OSError."""
    with tempfile.NamedTemporaryFile(prefix="fast-diff-") as file:
        try:
            yield cast(BinaryIO, file)
            file.flush()
        except OSError as error:
            if error.errno == errno.ENOSPC:
                said = f"no room in {tempfile.gettempdir()}, where it is written before it is put"
                raise OSError(errno.EIO, said, str(place)) from error
            raise
        _put(place, file)


def _put(place: Place, file: IO[bytes]) -> None:
    system = file_system(place)
    if file.tell() > IN_ONE_PIECE:
        retried(lambda: system.put_file(file.name, key_of(place)), place)
        return
    file.seek(0)
    write_bytes(place, file.read())


def write_bytes(place: Place, data: bytes) -> None:
    """Put an object in one request; a file of this machine is just written. Raises OSError."""
    if isinstance(place, Path):
        with open(place, "wb", opener=regular) as file:
            file.write(data)
        return
    system = file_system(place)
    retried(lambda: system.pipe_file(key_of(place), data), place)


def read_bytes(place: Place) -> bytes:
    """A file as a whole. Raises OSError."""
    if isinstance(place, Path):
        with open(place, "rb", opener=regular) as file:
            return file.read()
    system = file_system(place)
    return bytes(retried(lambda: fetch(system, key_of(place))[0], place))


def fetch(system: Any, path: str) -> tuple[bytes, str | None]:
    """An object as a whole, in one request, and its tag as far as the answer tells it."""
    if hasattr(system, "_call_s3"):
        from fsspec.asyn import sync

        return cast("tuple[bytes, str | None]", sync(system.loop, _fetch_s3, system, path))
    return system.cat_file(path), None


async def _fetch_s3(system: Any, path: str) -> tuple[bytes, str]:
    """As `cat_file` of s3fs does it, but without asking for the size before and without forgetting the tag."""
    bucket, key, _ = system.split_path(path)
    answer = await system._call_s3("get_object", Bucket=bucket, Key=key)
    try:
        return await answer["Body"].read(), answer["ETag"].strip('"')
    finally:
        answer["Body"].close()


def exists(place: Place) -> bool:
    """Whether there is a file of this name. Raises OSError where an object store does not tell."""
    if isinstance(place, Path):
        return place.is_file()
    system = file_system(place)
    try:  # `isfile` of fsspec says no, whatever went wrong
        return bool(retried(lambda: system.info(key_of(place)), place)["type"] == "file")
    except FileNotFoundError:
        return False


def below(place: Place) -> dict[str, Entry]:
    """Files below a folder of an object store, at any depth: name relative to it -> entry. One listing."""
    system, top = file_system(place), key_of(place).rstrip("/")
    try:
        found = retried(lambda: system.find(top, detail=True), place)
    except FileNotFoundError:
        return {}
    return {
        name.removeprefix(f"{top}/"): entry_of(about)
        for name, about in found.items()
        if name.startswith(f"{top}/") and about.get("type") != "directory"
    }


def listed(folder: Place, stage: str) -> list[Place]:
    """A stage's artifacts that a reader of its folder sees, by name."""
    place = folder / stage
    if isinstance(place, Path):
        names = [path.name for path in place.glob("*.parquet")]
    else:
        names = [name for name in below(place) if name.endswith(".parquet") and "/" not in name]
    return [place / name for name in sorted(names) if name[0] != "."]


def entry_of(about: Mapping[str, Any]) -> Entry:
    """A file's entry from fsspec's `info`; what a store does not say counts as empty."""
    tag = str(about.get("ETag") or about.get("etag") or about.get("md5Hash") or "").strip('"')
    times = (about.get(name) for name in ("LastModified", "last_modified", "mtime", "modified", "updated", "created"))
    return Entry(int(about.get("size") or 0), _nanoseconds(next((time for time in times if time), 0)), tag)


def _nanoseconds(time: Any) -> int:
    if isinstance(time, str):
        try:
            time = datetime.fromisoformat(time)
        except ValueError:
            return 0
    if isinstance(time, datetime):
        time = time.timestamp()
    return int(time * 1_000_000) * 1_000


def modified_ns(place: Place) -> int:
    """When an object was put, by the store's own clock. Raises OSError."""
    system = file_system(place)
    return _nanoseconds(retried(lambda: system.modified(key_of(place)), place))


def move(source: Place, target: Place) -> None:
    """Copy within the store, then delete; a crash between leaves both, which no reader takes for two artifacts."""
    system = file_system(source)
    retried(lambda: system.cp_file(key_of(source), key_of(target)), source)
    delete(source, [key_of(source)])


def remove(place: Place) -> None:
    """Delete a file, if it is there. Raises OSError."""
    if isinstance(place, Path):
        place.unlink(missing_ok=True)
    else:
        delete(place, [key_of(place)])


def delete(place: Place, keys: Sequence[str]) -> None:
    """Delete objects by their keys, those that are gone already included."""
    system = file_system(place)
    for start in range(0, len(keys), 1_000):
        some = list(keys[start : start + 1_000])
        with contextlib.suppress(FileNotFoundError):
            retried(lambda some=some: _remove(system, some), place)  # type: ignore[misc]  # mypy infers no default


def _remove(system: Any, keys: list[str]) -> None:
    if len(keys) == 1:
        system.rm_file(keys[0])
    else:
        system.rm(keys)


def key_of(place: Place) -> str:
    """What the file system calls a place: bucket/key."""
    return str(cast("UPath", place).path)
