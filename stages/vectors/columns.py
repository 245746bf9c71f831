"""The columns of the stage `embed`, and the columns of thumbnails that the stage reads."""

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
"""Columns of the table of vectors: an image each whose thumbnail is readable.

digest  of the file's bytes
error   why the image has no vector, as in the table of thumbnails
model   what computed the vector: digest of the model and its options, onnxruntime's version and device; empty for a
        function
vector  float32 (turns, d) in C order, little-endian; of the turns that are compared"""
