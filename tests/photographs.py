"""Make pictures that resemble photographs: contrast at every scale, edges, and grain."""

from __future__ import annotations

import numpy as np
from PIL import Image


def photograph(seed: int, size: tuple[int, int] = (320, 240)) -> Image.Image:
    """Return a picture whose spectrum falls with the frequency, with a few edges and grain; the seed determines it."""
    random, (width, height) = np.random.default_rng(seed), size
    across, down = np.fft.rfftfreq(width) * width, np.fft.fftfreq(height) * height
    falling = 1 / np.maximum(1, np.hypot(*np.meshgrid(across, down))) ** 1.1
    x, y = np.meshgrid(np.linspace(0, 1, width), np.linspace(0, 1, height))
    edges = sum(
        random.normal(0, 0.6) * (x * np.cos(angle) + y * np.sin(angle) > random.uniform(0, 1))
        for angle in random.uniform(0, 2 * np.pi, 6)
    )
    channels = []
    shade = np.fft.irfft2(falling * np.exp(2j * np.pi * random.uniform(size=falling.shape)), (height, width))
    for _ in range(3):
        tint = np.fft.irfft2(falling**1.3 * np.exp(2j * np.pi * random.uniform(size=falling.shape)), (height, width))
        light = shade / shade.std() + 0.4 * tint / tint.std() + edges
        channels.append(random.uniform(90, 160) + 28 * light + random.normal(0, 2.5, light.shape))
    return Image.fromarray(np.clip(np.stack(channels, axis=2), 0, 255).astype(np.uint8))
