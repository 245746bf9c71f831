"""Run difPy 4.2.1, whose MSE is a third of ours; difPy names each image once, beside the first similar image."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import difPy

SIDE, CHANNELS = 64, 3

if __name__ == "__main__":
    folder, _, threshold, processes, out = sys.argv[1:]
    shared = {"processes": int(processes), "show_progress": False}
    built = difPy.build(folder, px_size=SIDE, **shared)
    found = difPy.search(built, similarity=float(threshold) / CHANNELS, same_dim=False, **shared)
    groups = [[str(first), *(str(path) for path, _ in others)] for first, others in found.result.items()]
    pairs = [(first, path) for first, *others in groups for path in others]
    Path(out).write_text(json.dumps({"pairs": pairs, "groups": groups}))
