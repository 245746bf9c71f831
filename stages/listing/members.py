"""List the members of tar and zip files, without reading the members.

Of a damaged container, the members before the damage are listed, then a member without a name, which stands for the
container and records the damage."""

from __future__ import annotations

import hashlib
import stat
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from typing import BinaryIO, NamedTuple, cast

from stages.decoding.containers import METHODS
from stages.decoding.location import SEPARATOR, ZIPS
from stages.decoding.opened_file import OpenedFile, decompressed
from stages.decoding.sources import is_of_storage

HEADER = 1 << 26
"""Greatest size in bytes of a tar's header, including long names and comments."""
DIRECTORY = 1 << 29
"""Greatest size in bytes of a zip's directory."""
SMALL = 1 << 12
"""Bytes per read of a tar on a disk: few, since only the headers are read."""
LONGEST = 4096
"""Greatest length in bytes of a member's name; a longer name is cut, and ends in a digest of the whole name."""
UP = b"%2E%2E"
BLOCK = 512
PADDING = 1 << 20
"""Bytes that are read after the end mark of a tar, to find further data; tar pads with some thousand bytes."""
ENCRYPTED = 1
SIDECAR = 1 << 16
"""Greatest size in bytes of a file beside an image; a larger file is not read."""


class Member(NamedTuple):
    """A member of a container.

    name    empty for the container itself
    size    in bytes
    kind    kind of the member's location
    at      numbers of the location; see `stages.decoding.location`
    values  further values of the image in the container, one for each name in `scan.columns`; empty without names"""

    name: bytes
    size: int
    kind: str
    at: str
    values: tuple[str | None, ...] = ()


def broken(name: bytes, problem: str, size: int = 0) -> Member:
    """Return a member that can't be read.

    problem  a name in `location.BROKEN`"""
    return Member(name, size, "broken", problem)


Wanted = Callable[[bytes], bool]
Found = Iterator[tuple[Member, bytes | None]]
"""Pairs of a member and its content; the content is None for an image, and bytes for a file beside an image."""


def members(opened: OpenedFile, wanted: Wanted, beside: Wanted = lambda name: False) -> Found:
    """Yield the wanted members of a tar or a zip, each under a unique name.

    The ending of the container's name tells tar from zip.

    beside  returns whether to yield a member that is not wanted, together with its content

    Raises:
        OSError: the container can't be read."""
    names = UniqueNames()
    listed = zip_members if opened.name.lower().endswith(ZIPS) else tar_members
    for member, content in listed(opened, wanted, beside):
        yield member if content is not None else member._replace(name=names.unique(member.name)), content


class UniqueNames:
    """Unique names for the members of a container: the second member of a name gets the ending `#2`."""

    def __init__(self) -> None:
        self._seen: dict[bytes, int] = {}

    def unique(self, name: bytes) -> bytes:
        """Return a unique name for the next member, whose name in the container is `name`."""
        count = self._seen[name] = self._seen.get(name, 0) + 1
        if count == 1:
            return name
        numbered = b"%s#%d" % (name, count)
        while numbered in self._seen:
            count += 1
            numbered = b"%s#%d" % (name, count)
        self._seen[numbered] = 1
        return numbered


class _Limited:
    """A file that refuses very large reads: a crafted header can request all memory."""

    def __init__(self, file: BinaryIO, most: int) -> None:
        self._file, self._most = file, most
        self.seek, self.tell, self.close = file.seek, file.tell, file.close

    def read(self, count: int = -1) -> bytes:
        if count > self._most:
            raise tarfile.ReadError(f"expected at most {self._most} bytes, got {count}")
        data = self._file.read(self._most + 1 if count < 0 else count)
        if len(data) > self._most:
            raise tarfile.ReadError(f"expected at most {self._most} bytes")
        return data

    def seekable(self) -> bool:
        return True


def member_name(text: str) -> bytes:
    """Return a member's name.

    Names become parts of paths, so `..`, a slash at the beginning and NUL are escaped. Members are never extracted."""
    name = text.encode("utf-8", "surrogateescape").replace(b"\0", b"%00")
    if b"." in name and (b"//" in name or b"./" in name or name.startswith(b"/")):
        parts = [part for part in name.split(b"/") if part not in (b"", b".")]
        name = (b"%2F" if name.startswith(b"/") else b"") + b"/".join(UP if part == b".." else part for part in parts)
    return name if len(name) <= LONGEST else name[:LONGEST] + b"#" + hashlib.sha256(name).hexdigest().encode()


def opened_tar(stream: BinaryIO) -> tarfile.TarFile:
    """Return an open tar whose headers can't request all memory. Raises OSError, tarfile.TarError."""
    return tarfile.TarFile(fileobj=cast(BinaryIO, _Limited(stream, HEADER)), encoding="utf-8")


def opened_zip(file: BinaryIO) -> zipfile.ZipFile:
    """Return an open zip; see `opened_tar`. Raises OSError, zipfile.BadZipFile, and more for hostile bytes."""
    return zipfile.ZipFile(cast(BinaryIO, _Limited(file, DIRECTORY)))


def tar_members(opened: OpenedFile, wanted: Wanted, beside: Wanted) -> Found:
    """Yield the wanted regular files of a tar, and the hard links to such files.

    The tar may be compressed."""
    size = opened.size
    try:
        file = opened.file(SMALL)
        stream = decompressed(file)
        kind = "raw" if stream is file else "stream"
        tar = opened_tar(stream)
    except Exception as error:  # hostile bytes
        if is_of_storage(error):
            raise
        yield broken(b"", "container"), None
        return
    known: dict[str, Member] = {}
    last = -1
    whole, after = False, b""
    try:
        while (info := tar.next()) is not None:
            tar.members.clear()  # type: ignore[attr-defined]  # else every header stays in memory
            if info.size < 0 or info.offset <= last:
                raise tarfile.ReadError("the headers run backwards")
            last = info.offset
            name = member_name(info.name)
            if info.islnk() and info.linkname in known and wanted(name):
                yield known[info.linkname]._replace(name=name), None
            elif info.isreg() and wanted(name):
                cut = kind == "raw" and info.offset_data + info.size > size
                member = Member(name, info.size, kind, str(info.offset_data))
                if info.issparse():
                    member = broken(name, "sparse", info.size)
                elif cut:
                    member = broken(name, "cut", info.size)
                known[info.name] = member
                yield member, None
            elif info.isreg() and info.size <= SIDECAR and beside(name):
                stream.seek(info.offset_data)
                yield Member(name, info.size, kind, str(info.offset_data)), stream.read(info.size)
        stream.seek(tar.offset)
        end = stream.read(BLOCK)
        whole = bool(end) and not end.strip(b"\0")
        after = stream.read(PADDING)  # in a compressed tar, this reaches and verifies the checksum at the end
    except Exception as error:  # hostile bytes
        whole = False
        if is_of_storage(error):
            raise
    if not whole or after.strip(b"\0"):
        yield broken(b"", "more" if whole else "ends"), None


def zip_members(opened: OpenedFile, wanted: Wanted, beside: Wanted) -> Found:
    """Yield the wanted files of a zip, by its directory."""
    size = opened.size
    try:
        archive = opened_zip(opened.file())
    except Exception as error:  # hostile bytes
        if is_of_storage(error):
            raise
        yield broken(b"", "container"), None
        return
    for info in archive.infolist():
        name = member_name(info.filename)
        if info.is_dir() or stat.S_ISLNK(info.external_attr >> 16):
            continue
        if not wanted(name):
            if info.file_size <= SIDECAR and beside(name):
                yield Member(name, info.file_size, "zip", ""), _content(archive, info)
            continue
        if info.flag_bits & ENCRYPTED:
            yield broken(name, "encrypted", info.file_size), None
        elif info.compress_type not in METHODS:
            yield broken(name, "method", info.file_size), None
        elif not 0 <= info.header_offset <= info.header_offset + info.compress_size <= size:
            yield broken(name, "cut", info.file_size), None
        else:
            at = f"{info.header_offset}:{info.compress_size}:{info.compress_type}:{info.CRC}"
            yield Member(name, info.file_size, "zip", at), None


def _content(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    """Return the content of a small member; empty if the member is damaged or encrypted."""
    try:
        with archive.open(info) as file:
            return file.read(SIDECAR)
    except Exception:  # hostile bytes
        return b""


def member_path(container: bytes, name: bytes) -> bytes:
    """Return the path of a member; a member without a name is the container itself."""
    return container + SEPARATOR + name if name else container
