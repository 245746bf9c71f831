"""Compare what runs write, column by column, with what an earlier version wrote.

    python -m tests.end_to_end.contents PHOTOS before.json --write    # before a change: write the digests
    python -m tests.end_to_end.contents PHOTOS before.json            # after the change: compare with these digests
    python -m tests.end_to_end.contents PHOTOS before.json --set scheduler.kind=threads

Copies the images below PHOTOS and 300 broken files into a folder that has the same path and the same file times on
every machine, and runs on this folder in six configs. A digest covers one column of one stage, over all artifacts of
that stage. Digests also depend on the versions of Pillow, NumPy, SciPy and Matplotlib. Prints each column that differs;
exit code 1 if one does.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

from pipeline.plan.discovery import discover
from pipeline.store.store import Store
from tests.end_to_end.driver import LONG_AGO, Project
from tests.end_to_end.fuzz import mutants

FOLDER = Path("/tmp/fast-diff-contents")
BROKEN = 300
HERE = "tests.end_to_end.contents"
OTHERS = ("drone", "orientation", "broken")
SETS = {"a": [str(FOLDER / "images/things")], "b": [str(FOLDER / "images" / name) for name in OTHERS]}
CONFIGS: dict[str, tuple[str, ...]] = {
    "defaults": (),
    "two sets": (f"inputs={json.dumps(SETS)}", "partition.images=100", "partition.block=200"),
    "hamming": ("pairs.metric=hamming", f"hash.function={HERE}:bits", "pairs.threshold=6"),
    "embedding": (
        "pairs.metric=embedding",
        f"pairs.embedding={HERE}:means",
        "pairs.threshold=2",
        "cluster.threshold=1",
    ),
    "threshold null": ("pairs.threshold=null", "cluster.threshold=150", "partition.block=100"),
    "complete": ("cluster.linkage=complete", "cluster.keep=[{avoid: [clothes-copy]}, bytes, oldest]"),
}


def bits(image: Any) -> str:
    """Return which of 8 x 8 cells are brighter than the mean, in hex; `image` has shape (height, width, channels)."""
    import numpy as np

    height, width = (side // 8 * 8 for side in image.shape[:2])
    cells = image[:height, :width].astype(int).sum(axis=2).reshape(8, height // 8, 8, width // 8).sum(axis=(1, 3))
    return np.packbits(cells > cells.mean()).tobytes().hex()


def means(images: Any) -> Any:
    """Return the mean colour of each quarter, shape (n, 12); `images` has shape (n, height, width, 3)."""
    import numpy as np

    n, height, width, channels = images.shape
    cells = images.reshape(n, 2, height // 2, 2, width // 2, channels).astype(np.int64).sum(axis=(2, 4))
    return (cells / (height * width // 4)).reshape(n, -1).astype(np.float32)


def make(photos: Path) -> None:
    """Fill FOLDER with copies of `photos` and with broken files."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    shutil.copytree(photos, FOLDER / "images", symlinks=True)
    (FOLDER / "images" / "broken").mkdir()
    for number, data in enumerate(mutants(BROKEN, 1)):
        (FOLDER / "images" / "broken" / f"{number:03}.{('jpg', 'png', 'tif', 'webp')[number % 4]}").write_bytes(data)
    for number, path in enumerate(sorted(path for path in (FOLDER / "images").rglob("*") if path.is_file())):
        os.utime(path, (LONG_AGO + number, LONG_AGO + number))


def digests(overrides: tuple[str, ...]) -> dict[str, dict[str, str]]:
    """Run in FOLDER, and return the digest of each column by stage."""
    project = Project(FOLDER, {"partition": {}, "plot": {"pairs": 5, "clusters": 5}})
    shutil.rmtree(project.run_folder, ignore_errors=True)
    if code := project.run(*overrides):
        sys.exit(f"the run with {overrides} ended with exit code {code}")
    store, found = Store(project.run_folder), {}
    for stage in discover():
        columns: dict[str, list[str]] = defaultdict(list)
        for name in sorted(store.names(stage.name)):
            for column, digest in store.record(stage.name, name).content.items():
                columns[column].append(f"{name} {digest}")
        found[stage.name] = {
            column: hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16] for column, lines in columns.items()
        }
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path, metavar="PHOTOS")
    parser.add_argument("digests", type=Path, metavar="DIGESTS", help="JSON file of digests")
    parser.add_argument("--write", action="store_true", help="write DIGESTS instead of comparing")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="one more setting of each run")
    words = parser.parse_args()
    make(words.photos)
    found = {name: digests((*overrides, *words.set)) for name, overrides in CONFIGS.items()}
    if words.write:
        words.digests.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n")
        return 0
    kept, differences = json.loads(words.digests.read_text()), 0
    for config in kept:
        for stage in sorted(kept[config].keys() | found[config].keys()):
            before, now = kept[config].get(stage, {}), found[config].get(stage, {})
            for column in sorted(before.keys() | now.keys()):
                if before.get(column) != now.get(column):
                    differences += 1
                    print(f"{config}: {stage}.{column}: was {before.get(column)}, is {now.get(column)}")
    print(f"{differences} columns differ, of {sum(len(each) for stages in kept.values() for each in stages.values())}")
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main())
