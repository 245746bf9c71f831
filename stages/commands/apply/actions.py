"""What `apply` may do with a file that is to go."""

from __future__ import annotations

REPORT = "report"
"""Do nothing: say what is to go."""
LINKS = ("hardlink", "symlink", "reflink")
"""Put a keeper's content in a file's place: only for files that are equal to the keeper, byte for byte."""
ACTIONS = ("move", "trash", *LINKS, "delete")
