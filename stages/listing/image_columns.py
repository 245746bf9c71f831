"""Find the column of a table that holds images, and name the images of its rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import pyarrow as pa

NAMES = ("image", "img", "jpg", "jpeg", "png", "webp", "picture", "photo", "bytes", "image_bytes", "content")
"""Names of columns that may hold images, most preferred first; without such a name, the only column of bytes counts."""
KEYS = ("__key__", "key", "id", "image_id", "file_name", "filename", "path")
"""Names of columns whose values become part of the names of images, most preferred first."""
BYTES, PATH = "bytes", "path"
"""Fields of the structs in a column of images that Hugging Face's `datasets` wrote."""
LONGEST = 200
"""Greatest number of characters of a key in a name."""


class ImageColumn(NamedTuple):
    """A column of image bytes.

    number     position of the column
    name       name of the column
    is_struct  whether the column holds structs, with the bytes in the field `bytes`
    key        the column whose value becomes part of names, or the field `NAME.path` of structs; empty without a key"""

    number: int
    name: str
    is_struct: bool
    key: str

    @property
    def is_named(self) -> bool:
        """Return whether the key is the path of a file, as in structs of bytes and path."""
        return self.key == f"{self.name}.{PATH}"


def _is_bytes(kind: pa.DataType) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _is_image(kind: pa.DataType) -> bool:
    return pa.types.is_struct(kind) and any(field.name == BYTES and _is_bytes(field.type) for field in kind)


def image_column(schema: pa.Schema, wanted: str | None = None) -> ImageColumn | None:
    """Return the column of images; None where the table has none.

    wanted  the column that the config names"""
    structs = [field.name for field in schema if _is_image(field.type)]
    plain = [field.name for field in schema if _is_bytes(field.type)]
    named = [name for name in NAMES if name in plain]
    found = next(iter([*structs, *named]), plain[0] if len(plain) == 1 else None)
    if wanted is not None:
        found = wanted if wanted in (*structs, *plain) else None
    number = schema.get_field_index(found) if found is not None else -1
    if found is None or number < 0:
        return None
    kind = schema.field(number).type
    struct = found in structs
    if struct and any(field.name == PATH and pa.types.is_string(field.type) for field in kind):
        return ImageColumn(number, found, struct, f"{found}.{PATH}")
    texts = [name for name in KEYS if name in schema.names and _is_key(schema.field(name).type)]
    return ImageColumn(number, found, struct, texts[0] if texts else "")


def _is_key(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_integer(kind))


def has_dictionary(kind: pa.DataType) -> bool:
    """Return whether values of a type, or values nested in them, are encoded by a dictionary."""
    if pa.types.is_dictionary(kind):
        return True
    return any(has_dictionary(kind.field(number).type) for number in range(kind.num_fields))


def row_names(first: int, count: int, of: int, keys: Sequence[object] | None) -> list[bytes]:
    """Return the names of rows: `#ROW`, or `#ROW:KEY` where a row has a key.

    first  number of the first row
    of     number of all rows; each ROW is padded to the width of the last row's number, so that names sort like rows"""
    width = len(str(max(0, of - 1)))
    names = [f"#{number:0{width}d}" for number in range(first, first + count)]
    if keys is not None:
        names = [name if key is None else f"{name}:{_shown(key)}" for name, key in zip(names, keys, strict=True)]
    return [name.encode("utf-8", "surrogateescape") for name in names]


def _shown(key: object) -> str:
    return str(key)[:LONGEST].replace("%", "%25").replace("/", "%2F").replace("\0", "%00")
