"""Show paths as text; a path is bytes, which need not be UTF-8."""

from __future__ import annotations

import pyarrow as pa


def show(path: bytes) -> str:
    """Return a path as text; bytes that are not UTF-8 are escaped."""
    return path.decode("utf-8", "backslashreplace")


def texts(paths: pa.LargeBinaryArray) -> tuple[pa.LargeStringArray, pa.LargeBinaryArray | None]:
    """Return paths as text, and the bytes of the paths that are not UTF-8.

    Bytes that are not UTF-8 are escaped in the text. The second array is null where the text is exact; None stands for
    an array of nulls."""
    try:
        return paths.cast(pa.large_string()), None
    except pa.ArrowInvalid:
        names = paths.to_pylist()
        shown = [show(name) for name in names]
        true = [None if text.encode() == name else name for text, name in zip(shown, names, strict=True)]
        return pa.array(shown, pa.large_string()), pa.array(true, pa.large_binary())
