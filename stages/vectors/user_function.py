"""Compute vectors of images with a user's function."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.messages.errors import TaskError
from pipeline.messages.words import counted
from stages.comparing.functions import RAISED, error_text, imported
from stages.kernels.measure.turns import COMPARED, turned

AT_ONCE = 256
"""Images per call of the function."""


def vectors_by(name: str, images: NDArray[np.uint8], turns: int, paths: Sequence[str]) -> NDArray[np.float32]:
    """Return the vectors of images in each turn, float32 (n, turns, d).

    images  uint8 (n, H, W, C)
    turns   number of compared turns, a key of `COMPARED` in `measure/turns.py`
    paths   paths of the images, for error messages

    Raises:
        TaskError: the function fails, or returns anything but finite numbers (n, d) with d at least 1."""
    vectors = [_vectors(name, turned(images, turn), paths) for turn in COMPARED[turns]]
    lengths = {each.shape[1] for each in vectors}
    if len(lengths) > 1:
        raise TaskError(
            f"pairs.embedding {name}: expected vectors of one length, got {' and '.join(map(str, sorted(lengths)))} "
            f"numbers for turns of {paths[0]}"
        )
    return np.stack(vectors, axis=1)


def _vectors(name: str, images: NDArray[np.uint8], paths: Sequence[str]) -> NDArray[np.float32]:
    function = imported(name)
    parts: list[NDArray[np.float32]] = []
    for start in range(0, len(images), AT_ONCE):
        some = images[start : start + AT_ONCE]
        some.flags.writeable = False
        first = paths[start]
        try:
            given = np.asarray(function(some), np.float32)
        except RAISED as error:
            where = f"{counted(len(some), 'image')} from {first}"
            raise TaskError(f"pairs.embedding {name}: failed on {where}: {error_text(error)}") from error
        if given.ndim != 2 or len(given) != len(some) or not given.shape[1]:
            raise TaskError(
                f"pairs.embedding {name}: expected an array ({len(some)}, d), one vector for each image, got "
                f"{given.shape} for {counted(len(some), 'image')} from {first}"
            )
        if parts and given.shape[1] != parts[0].shape[1]:
            raise TaskError(
                f"pairs.embedding {name}: expected vectors of one length, got {given.shape[1]} numbers for {first} and "
                f"{parts[0].shape[1]} for {paths[0]}"
            )
        if not np.isfinite(given).all():
            bad = paths[start + int(np.flatnonzero(~np.isfinite(given).all(axis=1))[0])]
            raise TaskError(f"pairs.embedding {name}: expected finite numbers, got infinite numbers or NaN for {bad}")
        parts.append(given)
    return np.concatenate(parts) if parts else np.empty((0, 1), np.float32)
