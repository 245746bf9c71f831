"""The triangle of folders on the report's page: a cell lists its clusters, and one of its folders may be removed."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from stages.commands.plan.plan_file import read_plan
from tests.end_to_end.driver import Project, make_image
from tests.end_to_end.test_page import Opened, browser

__all__ = ["browser"]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Images 0 to 3 in `one`, 0 to 2 also in `two <b>`, 0 twice there and also in `three`; 1 in `one` is a
    reference."""
    made = Project(tmp_path_factory.mktemp("cells"))
    images = made.folder / "images"
    for seed in range(4):
        make_image(images / "one" / f"{seed}.jpg", seed)
    for seed, name in ((0, "two <b>/0.jpg"), (0, "two <b>/in/again.jpg"), (1, "two <b>/1.jpg"), (2, "two <b>/2.jpg")):
        (images / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(images / "one" / f"{seed}.jpg", images / name)
    (images / "three").mkdir()
    shutil.copy2(images / "one" / "0.jpg", images / "three" / "0.jpg")
    made.config["inputs"]["reference"] = [str(images / "one" / "1.jpg")]
    assert made.run() == 0
    return made


def removed(opened: Opened, to: Path) -> set[str]:
    """Return the last two names of each file that the exported plan removes."""
    plan = read_plan(opened.saved("#export-plan", to))
    return {"/".join(file.path.split("/")[-2:]) for file, _ in plan.removed}


def test_the_triangle_outlives_the_rules(browser: Any, project: Project) -> None:
    with Opened(browser, project.run_folder / "report" / "index.html") as opened:
        opened.page.click("#open-rules")
        assert opened.run("byId('rule-folder').list.options.length") > 0
        assert opened.page.locator("#folders [data-cell]").count() == 5
        ids = opened.run("[...document.querySelectorAll('[id]')].map(each => each.id)")
        assert sorted(ids) == sorted(set(ids))


@pytest.mark.slow
def test_a_cell_lists_its_clusters_and_removes_one_folder(browser: Any, project: Project, tmp_path: Path) -> None:
    with Opened(browser, project.run_folder / "report" / "index.html") as opened:
        page = opened.page
        every = page.inner_text("#count")
        assert every.startswith("3 of 3 clusters")
        cell = page.locator("[data-cell]", has_text="75 %")
        assert cell.get_attribute("title") == "4 of 4 images of two <b> are in one, 3 of 4 images of one are in two <b>"
        assert cell.inner_text() == "100 % · 75 %"
        assert len(json.loads(page.inner_text("#data"))["sharing"]) == 4
        assert page.locator("[data-cell]").count() == 5
        cell.click()
        opened.settle()
        assert page.inner_text("#sharing-said") == "clusters with images in two <b> and in one"
        assert page.inner_text("#count").startswith("3 of 3 clusters")
        page.click("text=remove duplicates in two <b>")
        two = {"two <b>/0.jpg", "in/again.jpg", "two <b>/1.jpg", "two <b>/2.jpg"}
        assert removed(opened, tmp_path / "two.json") - {"three/0.jpg"} == two
        page.click("text=remove duplicates in one")
        one = removed(opened, tmp_path / "one.json") - {"three/0.jpg"}
        assert one == {"one/0.jpg", "one/2.jpg"}, "a reference image is kept"
        page.click("#sharing-close")
        opened.settle()
        assert page.inner_text("#count") == every
        assert page.locator("#sharing").is_hidden()


def test_a_cell_keeps_to_its_two_folders(browser: Any, project: Project, tmp_path: Path) -> None:
    with Opened(browser, project.run_folder / "report" / "index.html") as opened:
        page = opened.page
        page.locator("[data-cell][title*='three are in']", has_text="100 %").first.click()
        opened.settle()
        assert page.inner_text("#count").startswith("1 of 3 clusters, 4 images")
        page.click("text=remove duplicates in three")
        assert removed(opened, tmp_path / "three.json") >= {"three/0.jpg"}
        page.click("#sharing-close")
        opened.settle()
        assert page.inner_text("#count").startswith("3 of 3 clusters")
