"""Define the error of an act on a file."""

from __future__ import annotations


class ActRefused(Exception):
    """Signal that an act is not done or can't be undone, with a reason in one line.

    detail  names of the files that caused the refusal, if any"""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason)
        self.detail = detail
