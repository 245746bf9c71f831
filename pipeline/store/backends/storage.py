"""Put, read, list, copy and delete files on object stores, with retries.

An artifact is written to a local temporary file and then put in one request. A failed write therefore leaves no object,
and a put whose response got lost can be repeated with the same content. `retries.py` repeats requests after transient
errors.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, BinaryIO, NamedTuple, cast

from pipeline.store.backends.locations import Place
from pipeline.store.backends.retries import retried, without_retries
from pipeline.store.regular import regular

if TYPE_CHECKING:
    from upath import UPath

IN_ONE_PIECE = 64 << 20
"""Greatest size in bytes of a file that is put from memory, in one request."""


class Entry(NamedTuple):
    """A file in a listing; `tag` is the ETag, empty if the store has no ETags."""

    size: int
    mtime_ns: int
    tag: str


def file_system(place: Place) -> Any:
    """Return the fsspec file system of a place, without retries of its own."""
    return without_retries(cast("UPath", place).fs)


def opened(url: str) -> tuple[Any, str]:
    """Return the file system of a URL without credentials, and the path in this system."""
    from fsspec.core import url_to_fs

    system, path = url_to_fs(url, use_listings_cache=False)
    return without_retries(system), path


@contextlib.contextmanager
def put_whole(place: Place) -> Iterator[BinaryIO]:
    """Open an object for writing; the end of the `with` statement puts the object.

    Raises OSError."""
    with tempfile.NamedTemporaryFile(prefix="fast-diff-") as file:
        try:
            yield cast(BinaryIO, file)
            file.flush()
        except OSError as error:
            if error.errno == errno.ENOSPC:
                message = f"no space left in {tempfile.gettempdir()}, where files are written before the upload"
                raise OSError(errno.EIO, message, str(place)) from error
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
    """Put an object in one request, or write a local file. Raises OSError."""
    if isinstance(place, Path):
        with open(place, "wb", opener=regular) as file:
            file.write(data)
        return
    system = file_system(place)
    retried(lambda: system.pipe_file(key_of(place), data), place)


def read_bytes(place: Place) -> bytes:
    """Return the content of a file. Raises OSError."""
    if isinstance(place, Path):
        with open(place, "rb", opener=regular) as file:
            return file.read()
    system = file_system(place)
    return bytes(retried(lambda: fetch(system, key_of(place))[0], place))


def fetch(system: Any, path: str) -> tuple[bytes, str | None]:
    """Return an object's content and ETag, if known, by one request."""
    if hasattr(system, "_call_s3"):
        from fsspec.asyn import sync

        return cast("tuple[bytes, str | None]", sync(system.loop, _fetch_s3, system, path))
    return system.cat_file(path), None


async def _fetch_s3(system: Any, path: str) -> tuple[bytes, str]:
    """Fetch an object's content and ETag by one request, unlike s3fs's `cat_file`."""
    bucket, key, _ = system.split_path(path)
    answer = await system._call_s3("get_object", Bucket=bucket, Key=key)
    try:
        return await answer["Body"].read(), answer["ETag"].strip('"')
    finally:
        answer["Body"].close()


def exists(place: Place) -> bool:
    """Return whether a file exists. Raises OSError if the object store fails."""
    if isinstance(place, Path):
        return place.is_file()
    system = file_system(place)
    try:  # fsspec's `isfile` returns False for every error
        return bool(retried(lambda: system.info(key_of(place)), place)["type"] == "file")
    except FileNotFoundError:
        return False


def below(place: Place) -> dict[str, Entry]:
    """List the objects below a folder at any depth; return entries by relative name."""
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
    """Return a stage's visible artifacts, sorted by name."""
    place = folder / stage
    if isinstance(place, Path):
        names = [path.name for path in place.glob("*.parquet")]
    else:
        names = [name for name in below(place) if name.endswith(".parquet") and "/" not in name]
    return [place / name for name in sorted(names) if name[0] != "."]


def entry_of(about: Mapping[str, Any]) -> Entry:
    """Return a file's entry from fsspec's `info`; missing values are 0 or empty."""
    tag = str(about.get("ETag") or about.get("etag") or about.get("md5Hash") or about.get("blob_id") or "").strip('"')
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
    """Return an object's put time by the store's clock, in ns. Raises OSError."""
    system = file_system(place)
    return _nanoseconds(retried(lambda: system.modified(key_of(place)), place))


def move(source: Place, target: Place) -> None:
    """Move an object: copy within the store, then delete the source.

    A crash between both steps leaves two equal objects."""
    system = file_system(source)
    retried(lambda: system.cp_file(key_of(source), key_of(target)), source)
    remove(source)


def remove(place: Place) -> None:
    """Delete a file if the file exists. Raises OSError."""
    if isinstance(place, Path):
        place.unlink(missing_ok=True)
    else:
        delete(place, [key_of(place)])


def delete(place: Place, keys: Sequence[str]) -> None:
    """Delete objects by their keys; missing objects are no error. Raises OSError."""
    system = file_system(place)
    for start in range(0, len(keys), 1_000):
        some = list(keys[start : start + 1_000])
        with contextlib.suppress(FileNotFoundError):
            retried(functools.partial(_remove, system, some), place)


def _remove(system: Any, keys: list[str]) -> None:
    if len(keys) == 1:
        system.rm_file(keys[0])
    else:
        system.rm(keys)


def key_of(place: Place) -> str:
    """Return a place's path in its file system: bucket/key."""
    return str(cast("UPath", place).path)
