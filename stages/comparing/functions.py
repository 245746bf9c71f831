"""Import functions that a config names, also from modules in the current folder."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

ONNX = "onnx:"
"""Prefix that tells the file of an ONNX model from the name of a function."""
RAISED = (Exception, SystemExit)
"""Exceptions of a user's code that end one task, not the process."""


def imported(name: str) -> Callable[..., Any]:
    """Return the function that `name` names as package.module:function.

    Raises:
        ValueError: no such function exists, or its module can't be imported."""
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
    """Return `pairs.embedding`; the path of a model is made absolute.

    This function does not check that a model exists, since results can be read without the model.

    Raises:
        ValueError: no such function exists."""
    if name.startswith(ONNX):
        return ONNX + str(Path(name.removeprefix(ONNX)).expanduser().absolute())
    imported(name)
    return name


def model_file(embedding: str | None) -> Path | None:
    """Return the model file that `pairs.embedding` names; None without a model."""
    return Path(embedding.removeprefix(ONNX)) if embedding and embedding.startswith(ONNX) else None


def error_text(error: BaseException) -> str:
    """Return an exception of a user's function as one line of text."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"
