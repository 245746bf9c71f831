"""Runs with `pairs.exposure: ignore`: brighter and darker copies are found, and every command knows the distance."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from pipeline import load_run
from pipeline.cli.main import main
from stages.commands.plan.proposal import PlanRules, proposal
from stages.pairs import Params
from tests.end_to_end.driver import Project, make_image
from tests.stages.kernels import plain

SIDE = 16
BY = {"lighter.png": 20, "darker.png": -13, "much lighter.png": 38}
COPIES = {*BY, "photo.png", "same.png", "lying.png"}


def faint(path: Path, seed: int) -> np.ndarray:
    """Return a picture of the thumbnails' size whose values leave room at both ends of the range."""
    make_image(path, seed, (SIDE, SIDE))
    with Image.open(path) as image:
        pixels = 60 + np.asarray(image) // 2
    Image.fromarray(pixels).save(path)
    return pixels


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Make a picture, a copy, brighter, darker and turned copies, a copy with less contrast, a chain, and other
    pictures."""
    made = Project(tmp_path, {"thumbnail": {"size": [SIDE, SIDE]}, "pairs": {"exposure": "ignore"}})
    images = tmp_path / "images"
    pixels = faint(images / "photo.png", 1)
    Image.fromarray(pixels).save(images / "same.png", compress_level=1)
    for name, by in BY.items():
        Image.fromarray((pixels.astype(int) + by).astype(np.uint8)).save(images / name)
    tinted = np.rot90(pixels.astype(int) + np.array([9, -5, 30])).astype(np.uint8)
    Image.fromarray(tinted).save(images / "lying.png")
    Image.fromarray((pixels * 0.85).astype(np.uint8)).save(images / "faded.png")
    noise = np.random.default_rng(2).integers(-9, 10, (3, SIDE, SIDE, 3))
    for number, by in enumerate(noise.cumsum(axis=0)):
        Image.fromarray((pixels + by + 10 * number).astype(np.uint8)).save(images / f"noisy{number}.png")
    faint(images / "other.png", 3)
    return made


def pixels_of(project: Project, path: str) -> np.ndarray:
    return np.asarray(Image.open(project.folder / "images" / path))


def mse(project: Project, a: str, b: str) -> float:
    """Return the least distance over four turns of b, in integers."""
    least = min(plain.apart(pixels_of(project, a), pixels_of(project, b), 4, zero_mean=True))
    return least / SIDE**4


def matched(project: Project) -> dict[tuple[str, str], float]:
    rows = load_run(project.run_folder).pairs(expand=True)
    ends = (zip(*(rows[name].map(lambda path: Path(path).name) for name in ("path_a", "path_b")), strict=True),)
    return dict(zip(*ends, rows["mse"], strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("linkage", ["components", "complete", "star"])
def test_every_figure_is_the_one_of_images_without_their_means(project: Project, linkage: str) -> None:
    assert project.run(f"cluster.linkage={linkage}", "pairs.threshold=150") == 0
    names = sorted(path.name for path in (project.folder / "images").iterdir())
    expected = {pair: mse(project, *pair) for pair in itertools.combinations(names, 2)}
    assert matched(project) == {pair: far for pair, far in expected.items() if far <= 150}
    assert {pair for pair, far in expected.items() if far == 0} == set(itertools.combinations(sorted(COPIES), 2))
    clusters = load_run(project.run_folder).clusters()
    clusters["name"] = clusters["path"].map(lambda path: Path(path).name)
    whole = pd.concat([pd.Series(expected), pd.Series({pair[::-1]: far for pair, far in expected.items()})])
    for _, members in clusters.groupby("cluster"):
        names, keeper = members["name"].tolist(), members.loc[members["keeper"], "name"].iloc[0]
        to_keeper = [0.0 if name == keeper else whole[name, keeper] for name in names]
        assert members["mse_to_keeper"].tolist() == to_keeper
        assert set(members["diameter"]) == {max(whole[pair] for pair in itertools.combinations(names, 2))}
    assert len(clusters) > len(COPIES)
    assert main(["verify", str(project.run_folder), "--quiet"]) == 0


@pytest.mark.slow
def test_another_threshold_gives_the_results_of_a_separate_run(project: Project) -> None:
    found = {}
    for threshold in (150, 400, 0, 150, "null"):
        assert project.run(f"pairs.threshold={threshold}", "cluster.threshold=0") == 0
        alone = Project(project.folder, project.config | {"output": str(project.folder / f"alone {threshold}")})
        assert alone.run(f"pairs.threshold={threshold}", "cluster.threshold=0") == 0
        assert matched(project) == matched(alone)
        found[threshold] = len(matched(project))
        pd.testing.assert_frame_equal(load_run(project.run_folder).clusters(), load_run(alone.run_folder).clusters())
    assert found[0] < found[150] < found[400] < found["null"]


def test_only_the_key_decides_and_other_artifacts_are_restored(project: Project) -> None:
    assert project.run() == 0
    first = project.artifacts()
    del project.config["pairs"]
    assert project.run() == 0
    assert project.ran().keys() == {"pairs", "cluster", "plot"}
    plainly = matched(project)
    assert plainly["photo.png", "same.png"] == 0
    assert ("lighter.png", "photo.png") not in plainly, "3 · 20² is above 200"
    assert project.run("pairs.exposure=compare") == 0
    assert project.ran() == {}, "the default is what was before the key"
    assert project.run("pairs.exposure=ignore") == 0
    assert project.ran().keys() <= {"plot"}, "the earlier artifacts are taken back"
    assert project.artifacts() == first


def test_new_brighter_files_are_checked_against_a_run(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    assert project.run() == 0
    (project.folder / "new").mkdir()
    lighter = (pixels_of(project, "other.png").astype(int) + 25).astype(np.uint8)
    Image.fromarray(np.rot90(lighter)).save(project.folder / "new" / "brighter.png")
    capsys.readouterr()
    against = ["--against", str(project.run_folder), "--json", "--quiet"]
    assert main(["check", str(project.folder / "new"), *against]) == 3
    (match,) = json.loads(capsys.readouterr().out)["matches"]
    assert (Path(match["old"]).name, match["mse"]) == ("other.png", 0.0)


def test_a_plan_of_identical_images_leaves_those_of_another_brightness(project: Project) -> None:
    assert project.run("cluster.keep=[{path: shortest}]") == 0

    def going(only: str) -> set[str]:
        (group,) = proposal(load_run(project.run_folder), PlanRules(only=only))[0]["clusters"]
        assert Path(group["keep"][0]["path"]).name == "same.png"
        return {Path(file["path"]).name for file in group["remove"]}

    assert going("identical") == {"photo.png"}
    assert COPIES - {"photo.png", "same.png"} < going("near")


@pytest.mark.slow
def test_texts_name_the_distance(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    assert project.run() == 0
    page = (project.run_folder / "report" / "index.html").read_text()
    assert "identical pixels, brightness ignored" in page
    other = Project(project.folder, project.config | {"run": "plain", "pairs": {}})
    assert other.run() == 0
    assert "brightness ignored" not in (other.run_folder / "report" / "index.html").read_text()
    capsys.readouterr()
    assert main(["compare-metrics", str(project.run_folder), str(other.run_folder)]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0].endswith("(mean squared error between thumbnails, brightness ignored)")
    assert said[1].endswith("(mean squared error between thumbnails)")


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ("pairs.metric=hamming", "hash.function=imagehash:phash", "pairs.threshold=9"),
            "pairs.exposure: ignore is for metric mse, got metric hamming; set pairs.metric=mse, or "
            "pairs.exposure=compare",
        ),
        (
            ("pairs.metric=embedding", "pairs.embedding=tests.end_to_end.test_keys:corner", "pairs.threshold=9"),
            "pairs.exposure: ignore is for metric mse, got metric embedding; set pairs.metric=mse",
        ),
        (
            ("pairs.metric=tests.end_to_end.test_keys:largest", "pairs.threshold=9"),
            "pairs.exposure: ignore is for metric mse, got metric tests.end_to_end.test_keys:largest; set",
        ),
        (
            ("thumbnail.size=[1024, 1024]", "pairs.threshold=null", "cluster.threshold=200"),
            "pairs.threshold: expected less than 2048 for pairs.exposure ignore and thumbnails of 1024x1024, got null, "
            "which records every pair; lower pairs.threshold or thumbnail.size",
        ),
        (
            ("thumbnail.size=[1024, 512]", "pairs.rotations=false", "pairs.threshold=8192"),
            "pairs.threshold: expected less than 8192 for pairs.exposure ignore and thumbnails of 1024x512, got 8192; ",
        ),
        (
            ("thumbnail.size=[1024, 1024]", "pairs.normalize=value", "thumbnail.channels=rgba", "pairs.threshold=512"),
            "pairs.threshold: expected less than 512 for pairs.exposure ignore and thumbnails of 1024x1024, got 512; ",
        ),
    ],
)
def test_contradictory_options(
    project: Project, capsys: pytest.CaptureFixture[str], overrides: tuple[str, ...], message: str
) -> None:
    assert project.run(*overrides) == 2
    lines = capsys.readouterr().err.splitlines()
    assert [line for line in lines if message in line]
    assert not any("Traceback" in line for line in lines)


@pytest.mark.parametrize(
    ("side", "channels", "threshold", "normalize"),
    [
        (1024, "rgb", 2047.0, "pixel"),
        (1024, "rgba", 511.0, "value"),
        (300, "rgba", None, "pixel"),
        (300, "rgba", 1e9, "value"),
        (430, "grey", None, "value"),
    ],
)
def test_sums_that_fit_are_accepted(side: int, channels: str, threshold: float | None, normalize: str) -> None:
    params = Params(exposure="ignore", threshold=threshold, normalize=normalize)
    settings = {"thumbnail.size": (side, side), "thumbnail.channels": channels}
    assert list(params.comparison.problems(settings.__getitem__)) == []
