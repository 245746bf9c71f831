"""Define the error of an act on a file."""

from __future__ import annotations


class Cannot(Exception):
    """The reason, in one line, why an act is not done or can't be undone. `detail`: names of this case, if any."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason)
        self.detail = detail
