"""Define the columns that the stage `embed` reads and writes."""

from __future__ import annotations

import pyarrow as pa

READ = ("path", "path_bytes", "set", "bytes", "digest", "error")
"""Columns of thumbnails that determine which file an image comes from."""
SCHEMA = pa.schema(
    [
        ("path", pa.string()),
        ("set", pa.string()),
        ("digest", pa.string()),
        ("error", pa.string()),
        ("error_detail", pa.string()),
        ("error_limit", pa.float64()),
        ("decoder", pa.string()),
        ("model", pa.string()),
        ("vector", pa.binary()),
    ]
)
"""Columns of the table of vectors, with one row per image that has a readable thumbnail.

digest  digest of the file's bytes
error   why the image has no vector, as in the table of thumbnails
model   identity of the model: digest of the model and its options, onnxruntime's version and device; empty for a
        function
vector  float32 (turns, d) in C order, little-endian; one row per compared turn"""
