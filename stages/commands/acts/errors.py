"""Why something is not done to a file."""

from __future__ import annotations


class Cannot(Exception):
    """Why an act is not done, or can't be taken back, in one line."""
