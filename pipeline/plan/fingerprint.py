"""Compute fingerprints of artifacts, and content digests of columns.

A fingerprint covers all that determines an artifact. It is SHA-256 over a canonical encoding: JSON with sorted keys in
which each scalar carries its type, so that 1, 1.0, "1" and True differ. Scalars, sequences, mappings with string keys,
and dataclasses are accepted. Every other value raises TypeError, so that no two values collapse to one constant.

A content digest is BLAKE3 over the logical values of one column in row order. SHA-256 of a wide column would take as
long as writing the column to Parquet. Compression, row groups and the writer's version do not change the digest.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from json.encoder import encode_basestring_ascii as _quoted
from typing import Any, get_type_hints

import numpy as np
import pyarrow as pa
from blake3 import blake3

from pipeline.machine.installation import version_of
from pipeline.stage import Added, Settings, Speed, Stage

SHORT = 16
"""Hex digits of a digest in a file name."""
TOGETHER, WIDE = 4_096, 256
"""Number of rows to collect and digest together, and the width in bytes above which rows are not collected."""


def canonical(value: Any) -> str:
    """Return the canonical encoding of a value: JSON with the type of each scalar.

    Raises TypeError for a value without a canonical form, ValueError for NaN."""
    if type(value) is str:  # fast paths for the most frequent types
        return f'["str",{_quoted(value)}]'
    if type(value) is list or type(value) is tuple:
        return ",".join(('["list"', *map(canonical, value))) + "]"
    if type(value) is dict:
        return _canonical_mapping(value)
    match value:
        case None:
            return "null"
        case bool():
            return '["bool",true]' if value else '["bool",false]'
        case int():
            return f'["int","{value}"]'
        case float():
            if math.isnan(value):
                raise ValueError("NaN has no canonical form")
            return f'["float","{value.hex()}"]'
        case str():
            return f'["str",{_quoted(value)}]'
        case bytes():
            return f'["bytes","{value.hex()}"]'
        case Mapping():
            return _canonical_mapping(value)
        case Sequence():
            return canonical(list(value))
        case _ if dataclasses.is_dataclass(value) and not isinstance(value, type):
            return canonical({f.name: getattr(value, f.name) for f in dataclasses.fields(value)})
    raise TypeError(f"{type(value).__name__} has no canonical form in a fingerprint")


def _canonical_mapping(value: Mapping[Any, Any]) -> str:
    for key in value:
        if not isinstance(key, str):
            raise TypeError("a mapping in a fingerprint needs string keys")
    return '{"map":{' + ",".join([f"{_quoted(key)}:{canonical(value[key])}" for key in sorted(value)]) + "}}"


def encoded(value: Any) -> bytes:
    """Return the canonical encoding of a value as bytes.

    Raises TypeError, ValueError."""
    return canonical(value).encode()


def encoded_texts(texts: Iterable[str]) -> bytes:
    """Return the canonical encoding of a list of one or more texts.

    A run calls this function for each artifact; calling `encoded` for each text takes three times as long."""
    return ('["list",["str",' + '],["str",'.join(map(_quoted, texts)) + "]]").encode()


def digest(value: Any) -> str:
    """Return the SHA-256 of the canonical encoding, in hex."""
    return hashlib.sha256(encoded(value)).hexdigest()


def digest_of_list(items: Iterable[bytes]) -> str:
    """Return the `digest` of a list from the encodings of its items."""
    whole = hashlib.sha256(b'["list"')
    for item in items:
        whole.update(b"," + item)
    whole.update(b"]")
    return whole.hexdigest()


def digest_of_task(recipe: str, key: str, spec: Mapping[str, Any], inputs: Mapping[str, str]) -> str:
    """Return the `digest` of a mapping of the arguments.

    `recipe` is given in its canonical encoding, since many tasks share a recipe."""
    rest = f'"key":{canonical(key)},"recipe":{recipe},"spec":{canonical(spec)}'
    return hashlib.sha256(f'{{"map":{{"inputs":{canonical(inputs)},{rest}}}}}'.encode()).hexdigest()


def result_params(params: Any) -> dict[str, Any]:
    """Return the parameters that change a result: all but those marked `SPEED`."""
    return {name: getattr(params, name) for name in _result_fields(params.__class__)}


@functools.cache
def _added_fields(kind: type) -> dict[str, Any]:
    """Return the default of each parameter that is marked `ADDED`."""
    hints = get_type_hints(kind, include_extras=True)
    marked = (name for name, hint in hints.items() if _bears(hint, Added))
    defaults = {each.name: each.default for each in dataclasses.fields(kind)}
    return {name: defaults[name] for name in marked}


def _bears(hint: Any, mark: type) -> bool:
    return any(isinstance(each, mark) for each in getattr(hint, "__metadata__", ()))


@functools.cache
def _result_fields(kind: type) -> list[str]:
    return [name for name, hint in get_type_hints(kind, include_extras=True).items() if not _bears(hint, Speed)]


def recipe(stage: Stage[Any], params: Any, settings: Settings) -> dict[str, Any]:
    """Return all that determines a stage's artifacts, except their inputs."""
    values = result_params(params) | {key: settings(key) for key in stage.used(settings)}
    neutral = {**_added_fields(params.__class__), **stage.cache_key.added}
    return {
        "stage": stage.name,
        "version": stage.version,
        "schema": digest([f"{f.name}: {f.type}" for f in stage.schema_for(params, settings)])[:SHORT],
        "params": {key: value for key, value in values.items() if key not in neutral or value != neutral[key]},
        "libraries": {name: version_of(name) for name in (*stage.cache_key.libraries, *stage.cache_key.optional)},
    }


class ColumnDigest:
    """Content digest of one column, the same for all cuts of the column into pieces."""

    def __init__(self, kind: pa.DataType) -> None:
        self.kind, self.rows = kind, 0
        self.valid, self.lengths, self.values = blake3(), blake3(), blake3()
        nested = pa.types.is_fixed_size_list(kind)
        self.items = ColumnDigest(kind.value_type) if nested else None
        self._wide = nested or (pa.types.is_fixed_size_binary(kind) and kind.byte_width > WIDE)
        self._waiting: list[pa.Array] = []
        self._rows_waiting = 0

    def update(self, column: pa.ChunkedArray | pa.Array) -> None:
        """Add rows.

        Short pieces are collected, since one call of the hash costs as much as many rows."""
        for chunk in column.chunks if isinstance(column, pa.ChunkedArray) else [column]:
            self.rows += len(chunk)
            self._waiting.append(chunk)
            self._rows_waiting += len(chunk)
            if self._wide or self._rows_waiting >= TOGETHER:
                self._flush()

    def _flush(self) -> None:
        if not self._waiting:
            return
        rows = pa.concat_arrays(self._waiting) if len(self._waiting) > 1 else self._waiting[0]
        self._waiting, self._rows_waiting = [], 0
        if rows.null_count in (0, len(rows)):
            self.valid.update((b"\0" if rows.null_count else b"\1") * len(rows))
        else:
            self.valid.update(rows.is_valid().to_numpy(zero_copy_only=False).tobytes())
        self._add(rows)

    def _add(self, array: pa.Array) -> None:
        kind = self.kind
        if pa.types.is_string(kind) or pa.types.is_binary(kind):
            if array.null_count == len(array):
                self.lengths.update(bytes(8 * len(array)))
                return
            array = array.fill_null("" if pa.types.is_string(kind) else b"") if array.null_count else array
            offsets = np.frombuffer(array.buffers()[1], np.int32)[array.offset : array.offset + len(array) + 1]
            self.lengths.update((offsets[1:] - offsets[:-1]).astype("<i8").tobytes())  # faster than np.diff
            if (data := array.buffers()[2]) is not None:
                self.values.update(memoryview(data)[offsets[0] : offsets[-1]])
        elif self.items is not None:
            self.items.update(array.flatten())  # `flatten` leaves out nulls, which `valid` records
        elif pa.types.is_boolean(kind):
            self.values.update(array.fill_null(False).to_numpy(zero_copy_only=False).tobytes())
        else:
            width = kind.bit_width // 8
            if array.null_count == len(array):
                self.values.update(bytes(width * len(array)))
                return
            nothing = bytes(width) if pa.types.is_fixed_size_binary(kind) else 0
            array = array.fill_null(nothing) if array.null_count else array
            self.values.update(
                memoryview(array.buffers()[1])[array.offset * width : (array.offset + len(array)) * width]
            )

    def hexdigest(self) -> str:
        """Return the digest of the rows so far, 32 hex digits."""
        self._flush()
        whole = blake3(f"{self.kind} {self.rows}".encode())
        whole.update(self.valid.digest() + self.lengths.digest() + self.values.digest())
        if self.items is not None:
            whole.update(self.items.hexdigest().encode())
        return whole.hexdigest()[:32]


def content(table: pa.Table) -> dict[str, str]:
    """Return the content digest of each column of a table."""
    return content_of([table], table.schema)


def content_of(tables: Iterable[pa.Table], schema: pa.Schema) -> dict[str, str]:
    """Return the content digest of each column of a table in pieces."""
    digests = {f.name: ColumnDigest(f.type) for f in schema}
    for table in tables:
        for name, column in digests.items():
            column.update(table.column(name))
    return {name: column.hexdigest() for name, column in digests.items()}
