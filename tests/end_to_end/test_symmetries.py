"""Images found in all eight symmetries by hashes and by vectors, with the correct turn, in every command."""

import json
from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from typing import Any

import imagehash
import numpy as np
import pdqhash
import pytest
from PIL import Image

from pipeline.cli.main import main
from stages.commands.results.tables import load_run
from tests.end_to_end.driver import Project, make_image
from tests.photographs import photograph

HERE = __name__
Distance = Callable[[Image.Image, Image.Image], float]
"""A distance of two thumbnails, computed without the code under test."""
MIRROR = Image.Transpose.FLIP_LEFT_RIGHT


def symmetry(image: Image.Image, turn: int) -> Image.Image:
    """Return an image mirrored left-right where turn ≥ 4, then rotated by turn % 4 quarter turns."""
    return (image.transpose(MIRROR) if turn >= 4 else image).rotate(turn % 4 * 90, expand=True)


def cells(images: np.ndarray) -> np.ndarray:
    """Return the mean colours of 8x8 cells as vectors (n, d)."""
    n, height, width, channels = images.shape
    return images.reshape(n, 8, height // 8, 8, width // 8, channels).mean(axis=(2, 4)).reshape(n, -1)


def by_pdq(one: Image.Image, other: Image.Image) -> float:
    first, second = (pdqhash.compute(np.ascontiguousarray(np.asarray(each)))[0] for each in (one, other))
    return float((first != second).sum())


def by_phash(one: Image.Image, other: Image.Image) -> float:
    return float(imagehash.phash(one) - imagehash.phash(other))


def by_cells(one: Image.Image, other: Image.Image) -> float:
    first, second = (cells(np.asarray(each)[None]).astype(np.float32).astype(float)[0] for each in (one, other))
    return float(((first - second) ** 2).sum())


METRICS: dict[str, tuple[dict[str, Any], Distance]] = {
    "pdq": (
        {
            "hash": {"function": "stages.comparing.pdq:pdq", "shift": 0},
            "pairs": {"metric": "hamming", "threshold": 31},
            "cluster": {"threshold": 31},
        },
        by_pdq,
    ),
    "phash": (
        {
            "hash": {"function": "imagehash:phash", "shift": 0, "takes": "image"},
            "pairs": {"metric": "hamming", "threshold": 10},
            "cluster": {"threshold": 10},
        },
        by_phash,
    ),
    "embedding": (
        {
            "pairs": {"metric": "embedding", "embedding": f"{HERE}:cells", "threshold": 9000.0},
            "cluster": {"threshold": 9000.0},
        },
        by_cells,
    ),
}


def project(folder: Path, name: str, rotations: bool = True) -> Project:
    """Four photographs, and the eight symmetries of another photograph."""
    images = folder / "images"
    for seed in range(4):
        make_image(images / f"other-{seed}.png", seed, (64, 64))
    for turn in range(8):
        symmetry(photograph(7, (64, 64)), turn).save(images / f"turn-{turn}.png")
    config = {section: dict(values) for section, values in METRICS[name][0].items()}
    config["pairs"] |= {"rotations": rotations, "mirror": True}
    return Project(folder, config)


@pytest.mark.quick(3)
@pytest.mark.parametrize("rotations", [True, False])
@pytest.mark.parametrize("name", METRICS)
def test_matches_are_those_of_a_naive_reference(name: str, rotations: bool, tmp_path: Path) -> None:
    run = project(tmp_path, name, rotations)
    assert run.run() == 0
    distance, threshold = METRICS[name][1], run.config["pairs"]["threshold"]
    pictures = {path: Image.open(path).convert("RGB") for path in sorted((tmp_path / "images").iterdir())}
    expected = {}
    for a, b in combinations(pictures, 2):
        turns = range(8) if rotations else (0, 4)
        found = {turn: distance(pictures[a], symmetry(pictures[b], turn)) for turn in turns}
        least = min(found.values())
        if least <= threshold:
            bits = sum(1 << turn for turn, each in found.items() if each == least)
            first = min(turn for turn, each in found.items() if each == least)
            expected[a.name, b.name] = (least, first % 4 * 90, first >= 4, bits)
    rows = load_run(run.run_folder).pairs(expand=True)
    figures = rows[["distance", "rotation", "mirrored", "turns"]].itertuples(index=False, name=None)
    names = ((Path(a).name, Path(b).name) for a, b in zip(rows["path_a"], rows["path_b"], strict=True))
    assert dict(zip(names, figures, strict=True)) == expected
    assert len([1 for a, b in expected if a.startswith("turn") and b.startswith("turn")]) == (28 if rotations else 4)


@pytest.mark.quick(1)
@pytest.mark.parametrize("name", METRICS)
def test_check_and_plan_name_the_turn(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = project(tmp_path, name)
    photograph(7, (64, 64)).save(tmp_path / "new.png")
    assert run.run() == 0
    capsys.readouterr()
    assert main(["check", str(tmp_path / "new.png"), "--against", str(run.run_folder), "--json"]) == 3
    matches = json.loads(capsys.readouterr().out)["matches"]
    found = {Path(row["old"]).name: row["rotation"] // 90 + 4 * row["mirrored"] for row in matches}
    assert found == {f"turn-{turn}.png": turn for turn in range(8)}
    for only in ("turned", "mirrored"):
        plan = tmp_path / f"{only}.json"
        assert main(["plan", str(run.run_folder), str(plan), "--only", only]) == 0
        (cluster,) = json.loads(plan.read_text())["clusters"]
        kept, gone = ([int(Path(image["path"]).stem[-1]) for image in cluster[key]] for key in ("keep", "remove"))
        others = set(range(8)) - {kept[0]}
        assert set(gone) == {turn for turn in others if only == "turned" or (turn >= 4) != (kept[0] >= 4)}
