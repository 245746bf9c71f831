"""After a change of a folder or the threshold, only new pairs are compared, and the result equals a fresh run."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.end_to_end.driver import Kept, Project, make_image, make_images

IMAGES = 60


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Kept:
    """Return a run over one block of sixty images."""
    return Kept.of(tmp_path_factory.mktemp("delta"), IMAGES, {"partition": {"images": 64, "block": 64}})


@pytest.fixture
def project(finished: Kept) -> Project:
    return finished.again()


def levels(project: Project) -> dict[str, int]:
    """Return sums over the block pairs that the last run computed."""
    found: dict[str, int] = {}
    for event in project.events():
        for name, count in event.get("levels", {}).items():
            if name != "device":
                found[name] = found.get(name, 0) + count
    return found


def assert_equal_to_a_fresh_run(project: Project, *overrides: str) -> None:
    here = project.artifacts()
    shutil.rmtree(project.run_folder)
    assert project.run(*overrides) == 0
    assert project.artifacts() == here


def test_a_new_image_is_compared_with_all_others_and_nothing_else_is(project: Project) -> None:
    make_image(project.folder / "images" / "500-new.jpg", 4)
    assert project.run() == 0
    work = levels(project)
    assert work["order"] + work["compared"] <= 2 * (IMAGES + 1)
    assert work["copied"] > 0
    assert project.record()["ledger"]["pairs_total"] == (IMAGES + 1) * IMAGES // 2
    assert_equal_to_a_fresh_run(project)


@pytest.mark.quick(1)
@pytest.mark.parametrize("change", ["gone", "other pixels", "other name"])
def test_images_that_change_take_their_rows_with_them(project: Project, change: str) -> None:
    path = next((project.folder / "images").glob("*-4.jpg"))
    if change == "gone":
        path.unlink()
    elif change == "other pixels":
        make_image(path, 777)
    else:
        path.rename(path.with_name("000-4.jpg"))
    assert project.run() == 0
    work = levels(project)
    assert work["order"] + work["compared"] <= 2 * IMAGES
    assert_equal_to_a_fresh_run(project)


def test_a_lower_threshold_filters_recorded_matches(project: Project) -> None:
    assert project.run("pairs.threshold=100") == 0
    work = levels(project)
    assert (work["compared"], work["order"], work["checked"], work["products"]) == (0, 0, 0, 0)
    assert_equal_to_a_fresh_run(project, "pairs.threshold=100")


def test_a_higher_threshold_measures_only_pairs_that_did_not_match(project: Project) -> None:
    assert project.run("pairs.threshold=3000") == 0
    work = levels(project)
    assert work["compared"] > 0
    assert work["copied"] > 0
    assert work["checked"] + work["copied"] >= project.record()["ledger"]["matches"]
    assert_equal_to_a_fresh_run(project, "pairs.threshold=3000")


def test_a_damaged_earlier_artifact_tells_nothing(project: Project) -> None:
    for path in (project.run_folder / "pairs").glob("*.parquet"):
        path.write_bytes(path.read_bytes()[:200])
    make_image(project.folder / "images" / "500-new.jpg", 4)
    assert project.run() == 0
    assert levels(project)["copied"] == 0
    assert_equal_to_a_fresh_run(project)


def brightness(images: Any, image: Any) -> Any:
    """Return a distance, as a user's metric does."""
    return np.abs(images.mean(axis=(1, 2, 3)) - image.mean())


@pytest.mark.quick(1)
@pytest.mark.parametrize(
    "metric",
    [
        ("pairs.metric=hamming", f"hash.function={__name__}:corners", "hash.takes=array"),
        (f"pairs.metric={__name__}:brightness",),
    ],
)
def test_other_metrics_come_to_the_same(tmp_path: Path, metric: tuple[str, ...]) -> None:
    project = Project(tmp_path, {"partition": {"images": 64, "block": 64}})
    make_images(tmp_path / "images", 30)
    overrides = (*metric, "pairs.threshold=2", "cluster.threshold=2")
    assert project.run(*overrides) == 0
    make_image(project.folder / "images" / "500-new.jpg", 4)
    assert project.run(*overrides) == 0
    assert_equal_to_a_fresh_run(project, *overrides)


def corners(image: Any) -> str:
    """Return a bit for each of 64 cells, set if the cell is brighter than the mean."""
    small = np.asarray(Image.fromarray(np.asarray(image)).convert("L").resize((8, 8)))
    return np.packbits(small > small.mean()).tobytes().hex()
