"""PDQ hashes of thumbnails."""

from pathlib import Path

import numpy as np
import pdqhash
import pytest
from PIL import Image

from pipeline.config.settings import load
from pipeline.plan.discovery import discover
from stages.commands.results.tables import load_run
from stages.comparing.pdq import pdq
from stages.kernels.measure.turns import turned
from tests.end_to_end.driver import Project, make_image
from tests.photographs import photograph

PRESET = Path(__file__).parents[3] / "configs" / "pdq.yaml"


def bits(text: str) -> np.ndarray:
    return np.unpackbits(np.frombuffer(bytes.fromhex(text), np.uint8))


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_a_hash_is_that_of_pdqhash(channels: int) -> None:
    image = np.asarray(photograph(1, (64, 64)))[..., :1] if channels == 1 else np.asarray(photograph(1, (64, 64)))
    image = np.concatenate([image, image[..., :1]], axis=2) if channels == 4 else image
    image.flags.writeable = False
    colours = image.repeat(3, axis=2) if channels == 1 else image[..., :3]
    assert len(pdq(image)) == 64
    assert np.array_equal(bits(pdq(image)), pdqhash.compute(np.ascontiguousarray(colours))[0])


def test_hashes_of_turned_and_mirrored_thumbnails_are_dihedral_hashes() -> None:
    image = np.asarray(photograph(2, (64, 64)))
    dihedral = [np.asarray(each, np.uint8).tolist() for each in pdqhash.compute_dihedral(image)[0]]
    found = [bits(pdq(turned(image[None], turn)[0])).tolist() for turn in range(8)]
    assert [found[turn] for turn in (0, 1, 2, 3, 6, 4, 5, 7)] == dihedral
    assert len(set(map(tuple, found))) == 8


def test_the_preset_finds_turned_and_converted_copies(tmp_path: Path) -> None:
    images = tmp_path / "images"
    for seed in range(6):
        make_image(images / f"{seed}.jpg", seed, (300, 200))
    picture = Image.open(images / "2.jpg")
    picture.rotate(90, expand=True).save(images / "turned.png")
    picture.resize((120, 80)).convert("L").save(images / "grey.png")
    picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(images / "mirrored.png")
    preset = load(PRESET, discover())
    sections = {name: dict(vars(preset.params[name])) for name in ("hash", "pairs")}
    assert sections["pairs"]["threshold"] == 31
    project = Project(tmp_path, sections)
    assert project.run() == 0
    rows = load_run(project.run_folder).pairs(expand=True)
    pairs = zip(rows["path_a"], rows["path_b"], rows["rotation"], strict=True)
    found = {(Path(a).stem, Path(b).stem, turn) for a, b, turn in pairs}
    assert found == {("2", "grey", 0), ("2", "turned", 270), ("grey", "turned", 270)}
    assert project.run("pairs.mirror=true") == 0
    rows = load_run(project.run_folder).pairs(expand=True)
    rows = rows[rows["mirrored"]]
    pairs = zip(rows["path_a"], rows["path_b"], rows["rotation"], strict=True)
    assert {(Path(a).stem, Path(b).stem, turn) for a, b, turn in pairs} == {
        ("2", "mirrored", 0),
        ("grey", "mirrored", 0),
        ("mirrored", "turned", 90),
    }
