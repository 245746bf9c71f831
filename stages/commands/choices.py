"""What options of commands may be: here, so that a command line is read without loading what its commands need."""

from __future__ import annotations

FAIL_ON = ("match", "identical")
"""Of `run --fail-on`."""
GATE = (*FAIL_ON, "nothing")
"""Of `check --fail-on`."""
LINKS = ("hardlink", "symlink", "reflink")
"""Actions that put a keeper's content in a file's place: only for files that are equal to it, byte for byte."""
REPORT = "report"
ACTIONS = ("move", "trash", *LINKS, "delete")
"""Of `apply --action`, beside REPORT."""
TABLES = ("pairs", "clusters", "images", "hashes")
OF_TABLES = ("csv", "json", "jsonl")
"""Formats of `export` that write one of these tables."""
SEVERAL_FILES = ("difpy", "fiftyone")
"""Formats of `export` that go into a folder."""
FORMATS = (*OF_TABLES, "imagededup", "html-table", *SEVERAL_FILES)
"""Of `export`."""
