"""Hold a file that is to go, with the results of its checks."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any

from stages.commands.apply.acts.errors import Cannot
from stages.commands.apply.companions import Companion
from stages.commands.apply.stays import StayingImage, Stays
from stages.commands.plan.plan_file import PlannedFile
from stages.comparing.text import one_line
from stages.listing.path_text import show


@dataclass(eq=False)
class Planned:
    """A file that is to go, and the results of its checks."""

    file: PlannedFile
    stays: Stays
    why: str = ""
    """Why the file is left alone; empty while no check has failed."""
    detail: str = ""
    """Names that `why` is about, if any."""
    seen: os.stat_result | None = None
    keeper: StayingImage | None = None
    entry: dict[str, Any] = field(default_factory=dict)
    companions: list[tuple[Companion, dict[str, Any]]] = field(default_factory=list)
    """Companions that go with the file, and their journal entries."""

    def refuse(self, error: Cannot | OSError, before: str = "", detail: str = "") -> None:
        """Leave the file alone. `before`: the beginning of the reason."""
        self.why = before + why(error)
        self.detail = detail or (error.detail if isinstance(error, Cannot) else "")


def why(error: Cannot | OSError) -> str:
    """Return an error as text; an OSError is followed by the name of its file."""
    if isinstance(error, Cannot):
        return str(error)
    where = error.filename2 or error.filename
    name = show(os.fsencode(where)) if isinstance(where, str | bytes | os.PathLike) else ""
    return f"{error.strerror or error}{f' ({one_line(name)})' if name else ''}"
