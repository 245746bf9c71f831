"""Name the actions of `apply`, and the choices for companions."""

from __future__ import annotations

REPORT = "report"
"""The action that touches no file and only prints which files are to go."""
LINKS = ("hardlink", "symlink", "reflink")
"""Actions that replace a file by its keeper's content, only for files equal to the keeper byte for byte."""
WITH, LEAVE, REFUSE = "with", "leave", "refuse"
CHOICES = (WITH, LEAVE, REFUSE)
"""Values of `--companions`: companions go with their image; stay; or prevent that their image goes."""
MERGE = "merge"
"""The act of a journal that writes a sidecar."""
ACTIONS = ("move", "trash", *LINKS, "delete")
