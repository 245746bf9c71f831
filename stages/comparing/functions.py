"""Import functions that a config names as package.module:function.

Modules are also searched in the current folder."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

ONNX = "onnx:"
"""Prefix of the file of an ONNX model where a config may also name a function."""
RAISED = (Exception, SystemExit)
"""Exceptions of user code that end one task, not the process."""


def imported(name: str) -> Callable[..., Any]:
    """Return the function with this name.

    Raises:
        ValueError: no such function exists; the message says what was expected."""
    module, _, attribute = name.partition(":")
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.append(here)  # sys.path[0] is the command's own folder
    try:
        found: Any = importlib.import_module(module)
        for part in attribute.split("."):
            found = getattr(found, part)
    except RAISED as error:  # importing runs the user's code
        raise ValueError(
            f"expected package.module:function, got {name!r}, which can't be imported ({error})"
        ) from error
    if not callable(found):
        raise ValueError(f"expected package.module:function, got {name!r}, which is not a function")
    function: Callable[..., Any] = found
    return function


def embedding_named(name: str) -> str:
    """Return `pairs.embedding` with the absolute path of a model.

    Raises:
        ValueError: no such function exists. A missing model is reported before a run, not when results are read."""
    if name.startswith(ONNX):
        return ONNX + str(Path(name.removeprefix(ONNX)).expanduser().absolute())
    imported(name)
    return name


def model_file(embedding: str | None) -> Path | None:
    """Return the model that `pairs.embedding` names; None for a function, or for no embedding."""
    return Path(embedding.removeprefix(ONNX)) if embedding and embedding.startswith(ONNX) else None


def said(error: BaseException) -> str:
    """Return a user function's exception as one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"
