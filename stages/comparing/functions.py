"""Functions that a config names: package.module:function. Modules are looked for in the current folder, too."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

RAISED = (Exception, SystemExit)
"""What code of the user's may raise, or end a process by, where it is to end one task alone."""


def imported(name: str) -> Callable[..., Any]:
    """The function of that name. Raises ValueError that says what was expected."""
    module, _, attribute = name.partition(":")
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.append(here)  # the command's own folder stands there instead
    try:
        found: Any = importlib.import_module(module)
        for part in attribute.split("."):
            found = getattr(found, part)
    except RAISED as error:  # importing runs the user's code
        raise ValueError(f"expected package.module:function, got {name!r}: it can't be imported ({error})") from error
    if not callable(found):
        raise ValueError(f"expected package.module:function, got {name!r}: it is no function")
    function: Callable[..., Any] = found
    return function


def said(error: BaseException) -> str:
    """What went wrong in a user's function, in one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"
