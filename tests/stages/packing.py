"""Write containers of images for tests: tar, compressed tar and zip."""

import io
import os
import tarfile
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path

LONG_AGO = 1_600_000_000


def pack(
    path: Path, members: Mapping[str, bytes] | Iterable[tuple[str, bytes]], method: int = zipfile.ZIP_STORED
) -> Path:
    """Write a container in the format of its name's ending, with an old date, so that no run rechecks the container."""
    pairs = list(members.items() if isinstance(members, Mapping) else members)
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix in (".zip", ".cbz"):
        with zipfile.ZipFile(path, "w", method) as archive:
            for name, data in pairs:
                archive.writestr(zipfile.ZipInfo(name), data, method)
    else:
        kind = {".gz": "gz", ".tgz": "gz", ".bz2": "bz2", ".xz": "xz"}.get(path.suffix, "")
        with tarfile.open(path, f"w:{kind}") as tar:  # type: ignore[call-overload]
            for name, data in pairs:
                info = tarfile.TarInfo(name)
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
    os.utime(path, (LONG_AGO, LONG_AGO))
    return path
