"""Compile the kernels ahead of the first run."""

from __future__ import annotations

from pipeline.cli.command import Command
from pipeline.cli.parameters import JSON
from pipeline.messages.say import answer


def warm_up(as_json: bool) -> int:
    """Compile the kernels, print their folder, and return the exit code."""
    from stages.kernels.arrays import compiled
    from stages.kernels.warm_up import compile_loops

    folder = compile_loops() if compiled() else None
    line = f"compiled kernels: {folder or 'none kept; numba, or a cache folder that can be written, is missing'}"
    return answer(as_json, {"folder": folder and str(folder)}, [line])


COMMAND = Command(
    "warm-up",
    "set up",
    does="compile the kernels ahead of the first run",
    help="Compile the kernels that compare more than some 11,000 images, and keep the compiled code in the user's "
    "cache folder, or in NUMBA_CACHE_DIR. Without this command the first large run compiles, which takes five "
    "seconds. Use the command where a container image is built.",
    examples={
        "fast-diff warm-up": "compile into the user's cache folder",
        "NUMBA_CACHE_DIR=/opt/kernels fast-diff warm-up": "compile into a folder that all users read",
    },
    arguments=(JSON,),
    function=warm_up,
)
