"""Name the actions of `apply`, and the choices for companions."""

from __future__ import annotations

REPORT = "report"
"""The action that touches no file and only prints which files the plan removes."""
LINKS = ("hardlink", "symlink", "reflink")
"""Actions that replace a file by a link to its keeper or a clone, if both are equal byte for byte."""
WITH, LEAVE, REFUSE = "with", "leave", "refuse"
CHOICES = (WITH, LEAVE, REFUSE)
"""Values of `--companions`: remove companions with their image; keep companions; keep images that have companions."""
MERGE = "merge"
"""The act of a journal that writes a sidecar."""
ACTIONS = ("move", "trash", *LINKS, "delete")
