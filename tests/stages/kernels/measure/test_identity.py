"""Digests of thumbnails against the simplest reference: turned copies, compared as bytes."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import pytest
from blake3 import blake3

from stages.kernels.measure.identity import DIGEST_BYTES, digest, identities
from tests.stages.kernels.plain import form


def thumbnails(shape: tuple[int, int, int]) -> np.ndarray:
    """Return random, flat, symmetric and bordered thumbnails and turned copies; many share their first bytes."""
    height, width, channels = shape
    random = np.random.default_rng(4).integers(0, 256, (8, *shape), dtype=np.uint8)
    random[1] = np.rot90(random[0], 2)
    random[2] = 7
    random[3, height // 2 :] = np.rot90(random[3], 2)[height // 2 :]
    random[4] = 255
    random[4, 1:-1, 1:-1] = np.arange((height - 2) * (width - 2) * channels).reshape(height - 2, width - 2, channels)
    random[5] = np.rot90(random[4], 2)
    random[6] = random[3, :, ::-1]
    random[7] = random[3]
    random[7, :, width - width // 2 :] = random[7, :, : width // 2][:, ::-1]
    return random


SQUARE = [(6, 6, 3), (5, 5, 1), (8, 8, 4), (2, 2, 1)]
GROUPS = [*itertools.product(SQUARE, [(0,), (0, 4), range(4), range(8)]), ((4, 9, 3), (0, 2)), ((4, 9, 3), (0, 4))]


@pytest.mark.parametrize(("shape", "turns"), GROUPS, ids=str)
def test_identities(shape: tuple[int, int, int], turns: Sequence[int]) -> None:
    images = thumbnails(shape)
    own, least, turn, unchanged = identities(images, list(turns))
    for number, image in enumerate(images):
        forms = {k: form(image, k).tobytes() for k in turns}
        smallest = min(forms.values())
        assert own[number] == blake3(image.tobytes()).hexdigest(DIGEST_BYTES)
        assert least[number] == blake3(smallest).hexdigest(DIGEST_BYTES)
        assert turn[number] == min(k for k in turns if forms[k] == smallest)
        assert unchanged[number] == sum(1 << k for k in turns if forms[k] == forms[0])


def test_no_thumbnails() -> None:
    assert identities(np.empty((0, 4, 4, 3), np.uint8), range(4)) == ([], [], [], [])


def test_a_digest_is_of_the_bytes_in_c_order() -> None:
    image = thumbnails((4, 6, 3))[0]
    assert digest(np.rot90(image)) == blake3(np.ascontiguousarray(np.rot90(image)).tobytes()).hexdigest(DIGEST_BYTES)
    assert len(digest(image)) == 2 * DIGEST_BYTES
