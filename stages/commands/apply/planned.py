"""Hold a file to remove, with the results of its checks."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any

from stages.commands.apply.acts.errors import ActRefused
from stages.commands.apply.companions import Companion
from stages.commands.apply.kept_images import KeptImage, KeptImages
from stages.commands.plan.plan_file import PlannedFile
from stages.comparing.text import one_line
from stages.listing.path_text import show


@dataclass(eq=False)
class Planned:
    """A file to remove, and the results of its checks."""

    file: PlannedFile
    kept: KeptImages
    why: str = ""
    """Why the file is left alone; empty while no check has failed."""
    detail: str = ""
    """Names that `why` is about, if any."""
    seen: os.stat_result | None = None
    keeper: KeptImage | None = None
    entry: dict[str, Any] = field(default_factory=dict)
    companions: list[tuple[Companion, dict[str, Any]]] = field(default_factory=list)
    """Companions that are removed with the file, and their journal entries."""

    def refuse(self, error: ActRefused | OSError, before: str = "", detail: str = "") -> None:
        """Leave the file alone; the reason is the text `before`, then the error."""
        self.why = before + why(error)
        self.detail = detail or (error.detail if isinstance(error, ActRefused) else "")


def why(error: ActRefused | OSError) -> str:
    """Return an error as text; an OSError is followed by the name of its file."""
    if isinstance(error, ActRefused):
        return str(error)
    where = error.filename2 or error.filename
    name = show(os.fsencode(where)) if isinstance(where, str | bytes | os.PathLike) else ""
    return f"{error.strerror or error}{f' ({one_line(name)})' if name else ''}"
