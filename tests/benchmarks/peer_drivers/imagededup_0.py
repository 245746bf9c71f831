"""Run imagededup 0.3.3: perceptual hashes, at most ten bits of difference.

Importing imagededup's packages imports torch and downloads the weights of a network, which the hashes do not need. This
driver skips the import, to the peer's advantage: only the time and memory of the hashes count."""

from __future__ import annotations

import importlib.util
import json
import sys
import types
from pathlib import Path

BITS = 10


def without_networks(package: str) -> None:
    """Make modules below a package importable without running the package's `__init__`."""
    parent, _, name = package.partition(".")
    spec = importlib.util.find_spec(parent)
    assert spec is not None
    assert spec.submodule_search_locations is not None
    module = types.ModuleType(package)
    module.__path__ = [str(Path(spec.submodule_search_locations[0]) / name)]
    sys.modules[package] = module


if __name__ == "__main__":
    for package in ("imagededup.methods", "imagededup.utils"):
        without_networks(package)
    from imagededup.methods.hashing import PHash

    folder, _, _, processes, out = sys.argv[1:]
    peer = PHash(verbose=False)
    hashes = peer.encode_images(image_dir=folder, recursive=True, num_enc_workers=int(processes))
    found = peer.find_duplicates(encoding_map=hashes, max_distance_threshold=BITS, num_dist_workers=int(processes))
    root = Path(folder)
    pairs = [(str(root / name), str(root / other)) for name, others in found.items() for other in others]
    named = {str(root / name): value for name, value in hashes.items()}
    Path(out).write_text(json.dumps({"pairs": pairs, "hashes": named, "note": "exact: of its own hashes"}))
